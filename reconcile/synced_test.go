package reconcile_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

const storages = `
kind: Cluster
spec: {name: prod, type: pve}
---
kind: ClusterType
spec: {name: pve, slug: pve}
---
kind: ProxmoxStorage
%s
`

// disputes are the warnings of a plan about fields that the plugin writes too.
func disputes(t *testing.T, m *memory, text string, o reconcile.PlanOptions) []string {
	t.Helper()
	p, diags, err := reconcile.MakePlan(context.Background(), schema.Embedded(), m, load(t, text), o)
	require.NoError(t, err)
	require.NotNil(t, p, diags)
	var out []string
	for _, d := range diags {
		if d.Code == "synced-field" {
			require.Equal(t, reconcile.Warning, d.Severity)
			require.Equal(t, reconcile.ServerSide, d.Trouble, "no fault of the manifests: --fail-on does not count it")
			out = append(out, fmt.Sprintf("%d:%d %s: %s", d.Pos.Line, d.Pos.Column, d.Object, d.Summary))
		}
	}
	return out
}

func TestFieldsThatThePluginWritesTooAreWarnedOf(t *testing.T) {
	const writes = "ProxmoxStorage: the plugin's synchronisation with Proxmox writes these fields too: "
	for _, c := range []struct {
		why, storage string
		ignore       map[string][]string
		want         []string
	}{
		{"declared, once for the kind, at the first", "items:\n  - {cluster: prod, name: a, shared: true, content: iso}\n  - {cluster: prod, name: b, path: /b}", nil,
			[]string{"12:38 " + writes + "content, path, shared"}},
		{"not declared", "spec: {cluster: prod, name: a}", nil, nil},
		{"left to others by the document", "metadata: {ignoreChanges: [content]}\nspec: {cluster: prod, name: a, content: iso, path: /a}", nil,
			[]string{"12:52 " + writes + "path"}},
		{"left to others by the project file", "spec: {cluster: prod, name: a, content: iso}", map[string][]string{"ProxmoxStorage": {"content"}}, nil},
		{"set once and never compared", "metadata: {createOnly: true}\nspec: {cluster: prod, name: a, content: iso}", nil, nil},
		{"an object that must not exist", "metadata: {absent: true}\nspec: {cluster: prod, name: a}", nil, nil},
		{"the setting is switched off", "spec: {cluster: prod, name: a, content: iso}\n---\nkind: PluginSettings\nspec: {sync_mode_storage: disabled}", nil, nil},
		{"another setting is", "spec: {cluster: prod, name: a, content: iso}\n---\nkind: PluginSettings\nspec: {sync_mode_node: disabled}", nil,
			[]string{"11:41 " + writes + "content"}},
		{"an endpoint overrides it", "spec: {cluster: prod, name: a, content: iso}\n---\nkind: PluginSettings\nspec: {sync_mode_storage: disabled}\n" +
			"---\nkind: ProxmoxEndpoint\nmetadata: {existing: true}\nspec: {name: e, sync_mode_storage: always}", nil,
			[]string{"11:41 " + writes + "content"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			m := newMemory(schema.Embedded())
			m.put("ProxmoxEndpoint", map[string]any{"name": "e"})
			o := owned()
			o.Desired.IgnoreChanges = c.ignore
			require.Empty(t, cmp.Diff(c.want, disputes(t, m, fmt.Sprintf(storages, c.storage), o)))
		})
	}
}

func TestTheWarningSaysWhatTheServerChanged(t *testing.T) {
	set := schema.Embedded()
	m := newMemory(set)
	m.put("CustomField", map[string]any{"name": reconcile.MarkerField, "type": "json", "object_types": []any{"netbox_proxbox.proxmoxstorage"}})
	text := fmt.Sprintf(storages, "items: [{cluster: prod, name: a, content: iso, path: /a}, {cluster: prod, name: b, content: iso}]")
	const warning = "11:43 ProxmoxStorage: the plugin's synchronisation with Proxmox writes these fields too: content, path"
	require.Equal(t, []string{warning}, disputes(t, m, text, owned()))
	apply(t, set, m, load(t, text), owned())
	require.Equal(t, []string{warning}, disputes(t, m, text, owned()), "also when nothing changes")
	for _, row := range m.rows["ProxmoxStorage"] {
		row.Fields["content"] = "backup"
	}
	require.Equal(t, []string{warning + "; changed on the server: content"}, disputes(t, m, text, owned()))
}
