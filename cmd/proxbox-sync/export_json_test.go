package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

// TestExportOfJSONThatLooksLikeSomethingElse keeps what a custom field of JSON
// holds, whatever its form: NetBox shows choices and objects in forms like these.
func TestExportOfJSONThatLooksLikeSomethingElse(t *testing.T) {
	t.Parallel()
	c := clickedTogether(t)
	for name, kind := range map[string]string{"jsn": "json", "ref": "object"} {
		field := map[string]any{"name": name, "type": kind, "object_types": []any{"netbox_proxbox.proxmoxstorage"}}
		if kind == "object" {
			field["related_object_type"] = "virtualization.cluster"
		}
		c.make("extras/custom-fields", field)
	}
	k := c.make("virtualization/clusters", map[string]any{"name": "k", "type": 1})
	rows := map[string]any{}
	for name, value := range map[string]any{
		"choice":  map[string]any{"value": 1, "label": "x"},
		"choices": []any{map[string]any{"value": 1, "label": "x"}, map[string]any{"value": 2, "label": "y"}},
		"object":  map[string]any{"id": 5, "url": "https://x", "keep": "me"},
		"number":  7,
	} {
		rows[name] = c.make("plugins/proxbox/storage", map[string]any{"cluster": k, "name": name, "storage_type": "dir", "custom_fields": map[string]any{"jsn": value}})
	}
	dir := filepath.Join(t.TempDir(), "out")
	code, said := c.exported(dir, "--with-references")
	require.Zero(t, code, said)
	text := filesIn(t, dir)["proxmoxstorage/k.yaml"]
	for _, want := range []string{"label: x", `{label: "y", value: 2}`, "keep: me", "jsn: 7"} {
		require.Contains(t, text, want)
	}

	other := newSandboxWorld(t, "", schema.Embedded())
	code, stdout, stderr := other.command(t, "restore", dir, "--auto-approve")
	require.Zero(t, code, stdout+stderr)
	again := filepath.Join(t.TempDir(), "again")
	code, stdout, stderr = other.command(t, "export", "--out", again, "--all", "--with-references")
	require.Zero(t, code, stdout+stderr)
	sameFiles(t, filesIn(t, dir), filesIn(t, again))

	// What changes inside of it is seen, and written in place.
	c.must(t, http.MethodPatch, "plugins/proxbox/storage/"+fmt.Sprint(rows["choice"]), map[string]any{"custom_fields": map[string]any{"jsn": map[string]any{"value": 1, "label": "other"}}})
	code, stdout, stderr = c.command(t, "plan", dir, "--detailed-exitcode")
	require.Equal(t, 2, code, stdout+stderr)
	require.Contains(t, stdout, "1 to change")
	code, said = c.exported(dir, "--with-references")
	require.Zero(t, code, said)
	require.Contains(t, filesIn(t, dir)["proxmoxstorage/k.yaml"], "label: other")

	// A reference by number is none that another NetBox has.
	c.must(t, http.MethodPatch, "plugins/proxbox/storage/"+fmt.Sprint(rows["number"]), map[string]any{"custom_fields": map[string]any{"ref": k}})
	code, said = c.exported(dir, "--with-references")
	require.Equal(t, 7, code, said)
	require.Contains(t, said, "custom_fields.ref: it refers to an object by its number")
	require.NotContains(t, filesIn(t, dir)["proxmoxstorage/k.yaml"], "ref:")
}
