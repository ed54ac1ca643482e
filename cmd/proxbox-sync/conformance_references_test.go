package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// write puts a manifest into a file. {p} in it is the test's prefix; every
// document gets the line with the version.
func (w *world) write(t *testing.T, text string) string {
	t.Helper()
	var docs []string
	for _, doc := range strings.Split(strings.ReplaceAll(text, "{p}", w.tag), "\n---\n") {
		docs = append(docs, "apiVersion: proxbox-sync/v1\n"+strings.TrimPrefix(doc, "\n"))
	}
	return writeFile(t, "manifest.yaml", strings.Join(docs, "\n---\n"))
}

// cli runs the program itself against the server.
func (w *world) cli(t *testing.T, args ...string) outcome {
	t.Helper()
	return w.cliAs(t, w.token, args...)
}

func (w *world) cliAs(t *testing.T, token string, args ...string) outcome {
	t.Helper()
	out := runWith(t.Context(), []string{"PROXBOX_SYNC_URL=" + w.url, "PROXBOX_SYNC_TOKEN=" + token}, args...)
	require.NotContains(t, out.stdout+out.stderr, token, "the token was shown")
	return out
}

// applied applies a manifest and proves that a second plan is empty.
func (w *world) applied(t *testing.T, manifest string) outcome {
	t.Helper()
	file := w.write(t, manifest)
	out := w.cli(t, "apply", "--auto-approve", file)
	require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
	w.unchanged(t, file)
	return out
}

func (w *world) unchanged(t *testing.T, files ...string) {
	t.Helper()
	again := w.cli(t, append([]string{"plan", "--detailed-exitcode"}, files...)...)
	require.Equal(t, 0, again.code, "a second plan is not empty:\n%s%s", again.stdout, again.stderr)
}

// twoClusters is a VM of one name in each of two clusters, with storage and an
// address of one text in two routing tables.
const twoClusters = `
kind: Tag
spec: {slug: {p}-tag, name: "{p} Tag"}
---
kind: ClusterType
spec: {slug: {p}-type, name: "{p} type", tags: [{p}-tag]}
---
kind: Cluster
items:
  - {name: {p}-a, type: {p}-type}
  - {name: {p}-b, type: {p}-type}
---
kind: VirtualMachine
items:
  - {name: {p}-web, cluster: {p}-a}
  - {name: {p}-web, cluster: {p}-b}
  - {name: {p}-db, cluster: {p}-a}
---
kind: ProxmoxStorage
items:
  - {cluster: {p}-a, name: {p}-local}
  - {cluster: {p}-b, name: {p}-local}
`

// TestConformanceReferences refers to things in every form, to objects of the
// same run and to objects that are there, and to what is not one object.
func TestConformanceReferences(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		snapshot := func(machine, storage string) string {
			return twoClusters + fmt.Sprintf(`
---
kind: VMSnapshot
spec: {vmid: 100, name: {p}-snap, node: n1, subtype: qemu, status: active, virtual_machine: %s, proxmox_storage: %s, tags: [{p}-tag]}
`, machine, storage)
		}
		w.applied(t, snapshot("{cluster: {p}-b, name: {p}-web}", "{cluster: {p}-a, name: {p}-local}"))
		b := w.idOf(t, "virtualization/virtual-machines", "cluster_id", fmt.Sprint(w.idOf(t, "virtualization/clusters", "name", "{p}-b", 0)), 0)
		shown := w.must(t, http.MethodGet, "plugins/proxbox/snapshots?name="+w.tag+"-snap", nil)["results"].([]any)[0].(map[string]any)
		require.Equal(t, b, rowOf(shown["virtual_machine"]), "not the one in that cluster")

		t.Run("other forms of the same reference are no change", func(t *testing.T) {
			for _, form := range []string{
				"{cluster: {name: {p}-b}, name: {p}-web}",
				"{cluster: {name: {p}-b, type: {p}-type}, name: {p}-web}",
				"{cluster: {name: {p}-b, type: {slug: {p}-type, name: {p} type}}, name: {p}-web, tenant: null}",
				fmt.Sprintf("{id: %d}", b),
			} {
				w.unchanged(t, w.write(t, snapshot(form, "{cluster: {name: {p}-a}, name: {p}-local}")))
			}
			w.unchanged(t, w.write(t, strings.Replace(snapshot("{cluster: {p}-b, name: {p}-web}", "{cluster: {p}-a, name: {p}-local}"),
				"tags: [{p}-tag]}", "tags: [{name: {p} Tag}]}", 1)))
		})
		t.Run("a database id is warned of", func(t *testing.T) {
			out := w.cli(t, "plan", w.write(t, snapshot(fmt.Sprintf("{id: %d}", b), "null")))
			require.Contains(t, out.stdout+out.stderr, "warning")
		})
		t.Run("a reference by what others are not in this run finds what is there", func(t *testing.T) {
			w.unchanged(t, w.write(t, `
kind: VMSnapshot
spec: {vmid: 100, name: {p}-snap, node: n1, subtype: qemu, status: active, virtual_machine: {cluster: {p}-b, name: {p}-web}, tags: [{p}-tag]}
`))
		})
		for name, c := range map[string]struct{ machine, storage, want string }{
			"a name that two have":  {"{p}-web", "null", "2 objects match VirtualMachine"},
			"a name that none has":  {"{p}-wbe", "null", "no VirtualMachine"},
			"a selector of several": {"{p}-db", "{name: {p}-local}", "2 objects match ProxmoxStorage"},
			"a field of nothing":    {"{p}-db", "{nmae: {p}-local}", "nmae"},
			"a bare id":             {strings.TrimSpace(fmt.Sprint(b)), "null", "id"},
			"an id of nothing":      {"{id: 987654321}", "null", "987654321"},
		} {
			t.Run(name, func(t *testing.T) {
				before := w.count()
				out := w.cli(t, "apply", "--auto-approve", w.write(t, snapshot(c.machine, c.storage)))
				require.Equal(t, 3, out.code, "%s%s", out.stdout, out.stderr)
				require.Contains(t, out.stderr, strings.ReplaceAll(c.want, "{p}", w.tag))
				require.Contains(t, out.stderr, "manifest.yaml:")
				require.Empty(t, w.writes(before))
			})
		}
	})
}

// idOf is the id of the n-th object of a list that has a field value.
func (w *world) idOf(t *testing.T, path, field, value string, n int) reconcile.RowID {
	t.Helper()
	value = strings.ReplaceAll(value, "{p}", w.tag)
	list, _ := w.must(t, http.MethodGet, path+"?ordering=id&"+field+"="+value, nil)["results"].([]any)
	require.Greater(t, len(list), n, "%s with %s=%s", path, field, value)
	return rowOf(list[n])
}

// TestConformanceNamesakes manages objects that share a name, which the server
// lets happen.
func TestConformanceNamesakes(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		const path = "plugins/proxbox/endpoints/proxmox"
		endpoint := func(domain string) map[string]any {
			return map[string]any{"name": w.tag + "-pve", "domain": strings.ReplaceAll(domain, "{p}", w.tag), "mode": "cluster"}
		}
		w.must(t, http.MethodPost, path, endpoint("{p}.one.example"))
		one := w.write(t, `
kind: ProxmoxEndpoint
spec: {name: {p}-pve, mode: cluster, domain: {p}.two.example}
---
kind: ProxmoxCluster
spec: {endpoint: {p}-pve, name: {p}-c, mode: cluster}
`)
		out := w.cli(t, "plan", "--detailed-exitcode", "--allow-retarget", "ProxmoxEndpoint/"+w.tag+"-pve", one)
		require.Equal(t, 2, out.code, "%s%s", out.stdout, out.stderr)
		require.Contains(t, out.stdout, ".two.example", "with one candidate it is that one, and its domain changes")

		w.must(t, http.MethodPost, path, endpoint("{p}.two.example"))
		both := w.write(t, `
kind: ProxmoxEndpoint
items:
  - {name: {p}-pve, mode: cluster, domain: {p}.one.example, port: 8001}
  - {name: {p}-pve, mode: cluster, domain: {p}.two.example, port: 8002}
---
kind: ProxmoxCluster
spec: {endpoint: {name: {p}-pve, domain: {p}.two.example}, name: {p}-c, mode: cluster}
`)
		out = w.cli(t, "apply", "--auto-approve", "--allow-retarget", "ProxmoxEndpoint/"+w.tag+"-pve", both)
		require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
		w.unchanged(t, both)
		for n, port := range []string{"8001", "8002"} {
			row := w.must(t, http.MethodGet, fmt.Sprintf("%s/%d", path, w.idOf(t, path, "name", "{p}-pve", n)), nil)
			require.Equal(t, port, fmt.Sprint(row["port"]), "the wrong one of two was changed")
		}

		out = w.cli(t, "plan", w.write(t, `
kind: ProxmoxCluster
spec: {endpoint: {p}-pve, name: {p}-d, mode: cluster}
`))
		require.Equal(t, 3, out.code)
		require.Contains(t, out.stderr, "2 objects match ProxmoxEndpoint")

		w.must(t, http.MethodPost, path, endpoint("{p}.two.example")) // equal in all that the server knows them by
		before := w.count()
		out = w.cli(t, "apply", "--auto-approve", both)
		require.Equal(t, 3, out.code, "%s%s", out.stdout, out.stderr)
		require.Contains(t, out.stderr, "it can't be told which live object is meant")
		require.Empty(t, w.writes(before))
	})
}
