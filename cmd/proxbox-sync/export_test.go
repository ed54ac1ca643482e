package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// commented is a repository of 500 documents as people write them: each with a
// comment of its own, in many forms.
func commented(t *testing.T, dir string) {
	t.Helper()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	write("core.yaml", "# What the storage hangs on.\napiVersion: proxbox-sync/v1\nkind: ClusterType\nspec: {name: Proxmox, slug: proxmox} # one\n---\n"+
		"apiVersion: proxbox-sync/v1\nkind: Cluster\nitems:\n  - {name: c0, type: proxmox}   # first\n  - {name: c1, type: proxmox}\n")
	var one, items strings.Builder
	for i := range 250 {
		if i > 0 {
			one.WriteString("---\n")
		}
		style := []string{
			"# storage %[1]d\napiVersion: proxbox-sync/v1\nkind: ProxmoxStorage\nmetadata: {protect: false} # why %[1]d\nspec:\n  name: 's%[1]d'   # its name\n\n  cluster: c0\n  content: images # what\n  # the end of %[1]d\n",
			"kind: ProxmoxStorage   # %[1]d\napiVersion: proxbox-sync/v1\nspec: {cluster: c0, content: \"images\", name: s%[1]d} # all\n",
			"apiVersion: \"proxbox-sync/v1\"\n\nkind: ProxmoxStorage\n\nspec:\n    # deeper %[1]d\n    cluster: c0\n    content: >-\n      images\n    name: s%[1]d\n    tags:\n    # none\n      []\n",
		}[i%3]
		fmt.Fprintf(&one, style, i)
	}
	items.WriteString("# many\napiVersion: proxbox-sync/v1\nkind: ProxmoxStorage\ndefaults: {cluster: c1, content: images} # for all\nitems:\n")
	for i := range 250 {
		fmt.Fprintf(&items, []string{"  - {name: i%[1]d}   # number %[1]d\n", "  # number %[1]d\n  - name: i%[1]d\n    nodes: \"pve1\"   # here\n"}[i%2], i)
	}
	write("storage/one.yaml", one.String())
	write("storage/items.yaml", items.String())
}

// changedLines are the lines that differ between two versions of files with as
// many lines.
func changedLines(t *testing.T, before, after map[string]string) (out []string) {
	t.Helper()
	for name, text := range after {
		a, b := strings.Split(before[name], "\n"), strings.Split(text, "\n")
		for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
			a, b = a[1:], b[1:]
		}
		for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
			a, b = a[:len(a)-1], b[:len(b)-1]
		}
		if len(a) > 0 || len(b) > 0 {
			out = append(out, fmt.Sprintf("%s: %q -> %q", name, strings.Join(a, "\n"), strings.Join(b, "\n")))
		}
	}
	slices.Sort(out)
	return out
}

// TestExportChangesOnlyWhatChanged exports into a repository of 500 documents
// with comments after each of several changes on the server.
func TestExportChangesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	for _, generation := range sandbox.Generations() {
		t.Run(generation, func(t *testing.T) {
			t.Parallel()
			w := newSandboxWorld(t, generation, schema.Embedded())
			dir := t.TempDir()
			commented(t, dir)
			code, stdout, stderr := w.command(t, "apply", dir, "--auto-approve")
			require.Zero(t, code, stdout+stderr)
			row := func(name string) string {
				_, answer := w.raw(t, http.MethodGet, "plugins/proxbox/storage?name="+name, nil)
				list := answer.(map[string]any)["results"].([]any)
				require.Len(t, list, 1)
				return fmt.Sprintf("plugins/proxbox/storage/%v", list[0].(map[string]any)["id"])
			}
			export := func(want int, args ...string) string {
				t.Helper()
				code, stdout, stderr := w.command(t, append([]string{"export", "--out", dir, "--select", "ProxmoxStorage"}, args...)...)
				require.Equal(t, want, code, stdout+stderr)
				return stdout
			}
			whole := filesIn(t, dir)
			export(0)
			require.Empty(t, changedLines(t, whole, filesIn(t, dir)))

			for _, c := range []struct {
				name   string
				change map[string]any
				want   []string
			}{
				{"s0", map[string]any{"content": "iso"}, []string{`storage/one.yaml: "  content: images # what" -> "  content: iso # what"`}},
				{"s1", map[string]any{"content": "iso, x"}, []string{`storage/one.yaml: "spec: {cluster: c0, content: \"images\", name: s1} # all" -> "spec: {cluster: c0, content: \"iso, x\", name: s1} # all"`}},
				{"s2", map[string]any{"content": "line\nline"}, []string{`storage/one.yaml: "    content: >-\n      images" -> "    content: |-\n      line\n      line"`}},
				{"i0", map[string]any{"content": "iso"}, []string{`storage/items.yaml: "  - {name: i0}   # number 0" -> "  - {name: i0, content: iso}   # number 0"`}},
				{"i1", map[string]any{"nodes": "on", "content": ""}, []string{`storage/items.yaml: "    nodes: \"pve1\"   # here" -> "    nodes: \"on\"   # here\n    content: \"\""`}},
			} {
				before := filesIn(t, dir)
				w.must(t, http.MethodPatch, row(c.name), c.change)
				export(0)
				require.Equal(t, c.want, changedLines(t, before, filesIn(t, dir)), c.name)
				export(0)
				code, stdout, stderr := w.command(t, "plan", dir, "--detailed-exitcode")
				require.Zero(t, code, stdout+stderr)
			}

			// A field that a document leaves out on purpose is not added, but said.
			before := filesIn(t, dir)
			w.must(t, http.MethodPatch, row("s9"), map[string]any{"nodes": "pve7"})
			require.Contains(t, export(0), "s9 (id")
			require.Empty(t, changedLines(t, before, filesIn(t, dir)))

			// Something new goes where its like is.
			w.must(t, http.MethodPost, "plugins/proxbox/storage", map[string]any{"name": "zzz", "cluster": map[string]any{"name": "c0"}})
			export(0)
			changed := changedLines(t, before, filesIn(t, dir))
			require.Len(t, changed, 1)
			require.Contains(t, changed[0], `one.yaml: "" -> "---\napiVersion: proxbox-sync/v1\nkind: ProxmoxStorage\nspec:\n  cluster: c0\n  name: zzz`)

			// What is gone stays until it is removed on purpose, and more than some is refused.
			before = filesIn(t, dir)
			w.must(t, http.MethodDelete, row("s3"), nil)
			w.must(t, http.MethodDelete, row("i2"), nil)
			require.Contains(t, export(7), "the server shows no such object")
			require.Empty(t, changedLines(t, before, filesIn(t, dir)))
			export(5, "--remove-gone", "--max-removals", "1")
			require.Empty(t, changedLines(t, before, filesIn(t, dir)))
			export(0, "--remove-gone")
			require.Equal(t, []string{
				`storage/items.yaml: "  - {name: i2}   # number 2" -> ""`,
				`storage/one.yaml: "# storage 3\napiVersion: proxbox-sync/v1\nkind: ProxmoxStorage\nmetadata: {protect: false} # why 3\nspec:\n  name: 's3'   # its name\n\n  cluster: c0\n  content: images # what\n  # the end of 3\n---" -> ""`,
			}, changedLines(t, before, filesIn(t, dir)))
			code, stdout, stderr = w.command(t, "plan", dir, "--detailed-exitcode")
			require.Zero(t, code, stdout+stderr)

			// An empty server empties nothing.
			empty := newSandboxWorld(t, generation, schema.Embedded())
			before = filesIn(t, dir)
			code, stdout, stderr = empty.command(t, "export", "--out", dir, "--select", "ProxmoxStorage", "--remove-gone")
			require.NotZero(t, code, stdout+stderr)
			require.Empty(t, changedLines(t, before, filesIn(t, dir)))
		})
	}
}

// TestExportToHostileNames exports objects whose names would like to be paths,
// and gets every one of them back.
func TestExportToHostileNames(t *testing.T) {
	t.Parallel()
	names := []string{"../../.github/workflows/x", "..", ".", "/etc/passwd", "a", "A", "ä", "Ä", "con", "NUL", "proxbox-sync", ".sops", "x.secrets",
		"a\x1b[31mb", "a\u202eb", strings.Repeat("x", 60) + "1", strings.Repeat("x", 60) + "2", strings.Repeat("ü", 100), "a-0123456789ab", "x-part-1", "-", "--out", "$(id)", "a b", "a%2fb", `C:\x`}
	w := newSandboxWorld(t, "", schema.Embedded())
	w.must(t, http.MethodPost, "virtualization/cluster-types", map[string]any{"name": "p", "slug": "p"})
	for _, name := range names {
		cluster := w.must(t, http.MethodPost, "virtualization/clusters", map[string]any{"name": name, "type": map[string]any{"slug": "p"}})
		w.must(t, http.MethodPost, "plugins/proxbox/storage", map[string]any{"name": name, "cluster": cluster["id"]})
	}
	dir := t.TempDir()
	w.export(t, filepath.Join(dir, "out"))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "something was written outside of the folder")
	folded := map[string]bool{}
	for name := range filesIn(t, filepath.Join(dir, "out")) {
		require.Regexp(t, `^[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*$`, name)
		require.False(t, folded[strings.ToLower(name)], name)
		folded[strings.ToLower(name)] = true
	}
	require.Len(t, folded, len(names)+4, "a file a cluster, the clusters, their type, the settings, and the skeleton of their key")
	other := newSandboxWorld(t, "", schema.Embedded())
	code, stdout, stderr := other.command(t, "apply", filepath.Join(dir, "out"), "--auto-approve")
	require.Zero(t, code, stdout+stderr)
	other.export(t, filepath.Join(dir, "again"))
	sameFiles(t, filesIn(t, filepath.Join(dir, "out")), filesIn(t, filepath.Join(dir, "again")))
}

// TestExportWritesThroughNoLink finds links and other things in its way.
func TestExportWritesThroughNoLink(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]func(t *testing.T, out, elsewhere string){
		"a folder that is a link": func(t *testing.T, out, elsewhere string) {
			require.NoError(t, os.Symlink(elsewhere, filepath.Join(out, "proxmoxstorage")))
		},
		"a file that is a link": func(t *testing.T, out, elsewhere string) {
			require.NoError(t, os.Mkdir(filepath.Join(out, "proxmoxstorage"), 0o755))
			require.NoError(t, os.Symlink(filepath.Join(elsewhere, "x.yaml"), filepath.Join(out, "proxmoxstorage", "c.yaml")))
		},
		"a folder in a file's place": func(t *testing.T, out, _ string) {
			require.NoError(t, os.MkdirAll(filepath.Join(out, "proxmoxstorage", "c.yaml"), 0o755))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSandboxWorld(t, "", schema.Embedded())
			w.must(t, http.MethodPost, "virtualization/cluster-types", map[string]any{"name": "p", "slug": "p"})
			cluster := w.must(t, http.MethodPost, "virtualization/clusters", map[string]any{"name": "c", "type": map[string]any{"slug": "p"}})
			w.must(t, http.MethodPost, "plugins/proxbox/storage", map[string]any{"name": "s", "cluster": cluster["id"]})
			out, elsewhere := t.TempDir(), t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(elsewhere, "x.yaml"), []byte("# mine\n"), 0o644))
			block(t, out, elsewhere)
			code, stdout, stderr := w.command(t, "export", "--out", out)
			require.NotZero(t, code, stdout+stderr)
			require.Equal(t, map[string]string{"x.yaml": "# mine\n"}, filesIn(t, elsewhere))
		})
	}
}

// TestExportIntoALink refuses a folder that is a link.
func TestExportIntoALink(t *testing.T) {
	t.Parallel()
	w := newSandboxWorld(t, "", schema.Embedded())
	elsewhere, link := t.TempDir(), filepath.Join(t.TempDir(), "m")
	require.NoError(t, os.Symlink(elsewhere, link))
	code, _, stderr := w.command(t, "export", "--out", link)
	require.Equal(t, 64, code)
	require.Contains(t, stderr, "is a symbolic link")
	require.Empty(t, filesIn(t, elsewhere))
}

// TestExportSaysWhatAManifestCanNotHold names each loss, and ends with 7.
func TestExportSaysWhatAManifestCanNotHold(t *testing.T) {
	t.Parallel()
	w := newSandboxWorld(t, "", schema.Embedded())
	w.must(t, http.MethodPost, "virtualization/cluster-types", map[string]any{"name": "p", "slug": "p"})
	cluster := w.must(t, http.MethodPost, "virtualization/clusters", map[string]any{"name": "c", "type": map[string]any{"slug": "p"}})
	w.must(t, http.MethodPost, "plugins/proxbox/storage", map[string]any{"name": "sealed", "cluster": cluster["id"], "content": "ENC[AES256_GCM,data:x]"})
	w.must(t, http.MethodPost, "plugins/proxbox/storage", map[string]any{"name": "ENC[x", "cluster": cluster["id"]})
	for range 2 {
		w.must(t, http.MethodPost, "plugins/proxbox/endpoints/proxmox", map[string]any{"name": "twin", "mode": "cluster", "domain": "twin.example"})
	}
	for _, domain := range []string{"a.example", "b.example"} {
		endpoint := w.must(t, http.MethodPost, "plugins/proxbox/endpoints/proxmox", map[string]any{"name": "namesake", "mode": "cluster", "domain": domain})
		w.must(t, http.MethodPost, "plugins/proxbox/proxmox-clusters", map[string]any{"name": "c", "mode": "cluster", "endpoint": endpoint["id"]})
	}
	out := filepath.Join(t.TempDir(), "out")
	code, stdout, stderr := w.command(t, "export", "--out", out, "--with-references")
	require.Equal(t, 7, code, stdout+stderr)
	text := strings.Join(strings.Fields(stdout), " ")
	for _, want := range []string{
		"ProxmoxStorage c/sealed (id 1), content: it begins with ENC[",
		"ProxmoxStorage c/ENC[x (id 2), name: it begins with ENC[",
		"ProxmoxEndpoint twin (id 2): it can't be told from its namesake (id 1)",
	} {
		require.Contains(t, text, want)
	}
	docs, list := manifest.Load(t.Context(), []string{out}, manifest.Options{})
	require.False(t, list.HasErrors(), list)
	counts := map[string]int{}
	for _, d := range docs {
		if !d.Meta.Patch {
			counts[d.Kind]++
		}
	}
	require.Equal(t, map[string]int{"Cluster": 1, "ClusterType": 1, "PluginSettings": 1, "ProxmoxCluster": 2, "ProxmoxEndpoint": 2, "ProxmoxStorage": 1}, counts)

	// The namesakes and what hangs on each of them come back apart.
	other := newSandboxWorld(t, "", schema.Embedded())
	code, stdout, stderr = other.command(t, "apply", out, "--auto-approve")
	require.Zero(t, code, stdout+stderr)
	other.export(t, filepath.Join(t.TempDir(), "again"))
	code, stdout, stderr = other.command(t, "plan", out, "--detailed-exitcode")
	require.Zero(t, code, stdout+stderr)
}
