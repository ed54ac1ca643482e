package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// Batches that go wrong: whatever becomes of the n-th, for every n, in the end
// each object is there once, with what the manifest says, or its step is reported.

const storageList = "/api/plugins/proxbox/storage/"

// storages writes a manifest of n storages; content is what an update changes.
func (w *world) storages(t *testing.T, n int, content string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: proxbox-sync/v1
kind: ClusterType
spec: {name: %[1]s, slug: %[1]s}
---
apiVersion: proxbox-sync/v1
kind: Cluster
spec: {name: %[1]s, type: %[1]s}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxStorage
defaults: {cluster: %[1]s, storage_type: dir, content: %[2]s}
items:
`, w.tag, content)
	for i := range n {
		fmt.Fprintf(&b, "  - {name: %s}\n", storageName(w.tag, i))
	}
	file := filepath.Join(t.TempDir(), "m.yaml")
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
	return file
}

// eachOnce requires that each of the storages is there exactly once, with that content.
func (w *world) eachOnce(t *testing.T, n int, content string) {
	t.Helper()
	page := w.must(t, http.MethodGet, "plugins/proxbox/storage?limit=1000&fields=name,content", nil)
	names := map[any]int{}
	for _, item := range page["results"].([]any) {
		row := item.(map[string]any)
		names[row["name"]]++
		require.Equal(t, content, row["content"], "%v", row)
	}
	require.Len(t, names, n)
	for name, times := range names {
		require.Equal(t, 1, times, "%v", name)
	}
}

func TestEveryBatchMayBeLostOnce(t *testing.T) {
	const size, batches = 20, 4
	for name, fault := range map[string]sandbox.Fault{
		"refused as a whole":        {Status: 400, Header: jsonType, Body: `{"detail": "not now"}`},
		"lost after it arrived":     {Act: true, Drop: true},
		"lost before it arrived":    {Drop: true},
		"502 after it arrived":      {Act: true, Status: 502, Body: "<html>"},
		"502 before it arrived":     {Status: 502, Body: "<html>"},
		"504 after it arrived":      {Act: true, Status: 504, Body: "<html>"},
		"an answer cut in the half": {Truncate: 2000},
		"told to come back later":   {Status: 429, Header: map[string]string{"Retry-After": "0"}},
		"unavailable for a moment":  {Status: 503, Header: map[string]string{"Retry-After": "0"}},
		"too large for a proxy":     {Status: 413, Body: "<html>"},
		"a method it does not know": {Status: 405, Header: jsonType, Body: `{"detail": "Method \"POST\" not allowed."}`},
		"a login page for success":  {Act: true, Status: 200, Body: "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, generation := range []string{"0.0.15.post2", "0.0.29.post6"} {
				for n := 1; n <= batches; n++ {
					w := newSandboxWorld(t, generation, schema.Embedded())
					for _, step := range []struct{ method, content string }{{http.MethodPost, "images"}, {http.MethodPatch, "iso"}} {
						fault := fault
						fault.Method, fault.Path, fault.Nth = step.method, storageList, n
						w.sandbox.Inject(fault)
						before := w.count()
						out := w.cli(t, "apply", "--auto-approve", "--batch-size=20", "--parallelism=1", w.storages(t, size*batches, step.content))
						require.Equal(t, 0, out.code, "%s\n%s", out.stdout, out.stderr)
						w.eachOnce(t, size*batches, step.content)
						sent := 0
						for _, r := range w.writes(before) {
							if strings.HasPrefix("/api/"+r.Path, strings.TrimSuffix(storageList, "/")) {
								sent++
							}
						}
						most := batches + 2 // the lost one, again in halves
						switch fault.Status {
						case http.StatusMethodNotAllowed:
							most = batches + size*batches
						case http.StatusRequestEntityTooLarge:
							most = 2*batches + 2 // those that follow are smaller
						}
						require.LessOrEqual(t, sent, most, "%s of %s, number %d", step.method, generation, n)
					}
					w.unchanged(t, w.storages(t, size*batches, "iso"))
				}
			}
		})
	}
}

var jsonType = map[string]string{"Content-Type": "application/json"}

// One object that makes the server fail is found, and only it is reported.
func TestAnObjectThatBreaksTheServerIsFound(t *testing.T) {
	for _, generation := range []string{"0.0.15.post2", "0.0.29.post6"} {
		w := newSandboxWorld(t, generation, schema.Embedded())
		front := breaking{next: w.next, name: storageName(w.tag, 77)}
		w.next = front
		before := w.count()
		out := w.cli(t, "apply", "--auto-approve", "--batch-size=100", w.storages(t, 200, "images"))
		require.Equal(t, 7, out.code, out.stderr)
		require.Contains(t, out.stdout, "Apply: 201 applied, 1 failed.")
		require.Contains(t, out.stdout, "failed        + ProxmoxStorage "+w.tag+"/"+storageName(w.tag, 77))
		require.LessOrEqual(t, len(w.writes(before)), 4+2*8+3)
	}
}

// breaking fails as a crash of the server does where a body names an object.
type breaking struct {
	next http.Handler
	name string
}

func (b breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.Method == http.MethodPost && bytes.Contains(body, []byte(`"`+b.name+`"`)) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"error": "integer out of range", "exception": "DataError"}`))
		return
	}
	b.next.ServeHTTP(w, r)
}

// A thousand objects take ten requests for a hundred each, and the looks that
// keep others' changes.
func TestRequestsOfAThousandObjects(t *testing.T) {
	for _, generation := range []string{"0.0.15.post2", "0.0.29.post6"} {
		w := newSandboxWorld(t, generation, schema.Embedded())
		w.marking(t)
		documents := w.many(w.tag, 1000)
		s := w.story(t)
		client := w.batching(t, 100, 4)
		o := w.owner(part)
		apply := func(docs []reconcile.Document, o reconcile.PlanOptions) (writes, looks int) {
			s.server.forget()
			plan, diags, err := reconcile.MakePlan(t.Context(), w.set, client, docs, o)
			require.NoError(t, err)
			require.Empty(t, diags.Errors())
			before := w.count()
			require.NoError(t, failures(reconcile.Apply(t.Context(), plan, client, reconcile.ApplyOptions{})))
			writes = len(w.writes(before))
			return writes, w.count() - before - writes
		}
		writes, looks := apply(documents, o)
		require.Equal(t, 2+10, writes)
		require.LessOrEqual(t, looks, 4, "whether somebody made them meanwhile")
		for _, d := range documents[2:] {
			d.Spec.Member("storage_type").Value = "nfs"
		}
		writes, looks = apply(documents, o)
		require.Equal(t, 10, writes)
		require.Equal(t, 10, looks, "one before each batch")

		// The plugin's synchronisation touches every object between plan and apply.
		for _, d := range documents[2:] {
			d.Spec.Member("storage_type").Value = "lvm"
		}
		plan, _, err := reconcile.MakePlan(t.Context(), w.set, client, documents, o)
		require.NoError(t, err)
		var touch []any
		for _, step := range plan.Steps {
			touch = append(touch, map[string]any{"id": step.Change.Live.Row})
		}
		status, _ := w.raw(t, http.MethodPatch, "plugins/proxbox/storage", touch)
		require.Equal(t, http.StatusOK, status)
		before := w.count()
		require.NoError(t, failures(reconcile.Apply(t.Context(), plan, client, reconcile.ApplyOptions{})))
		require.Len(t, w.writes(before), 10)
		require.LessOrEqual(t, w.count()-before, 10+10+10+5, "a look, a look at what they mean, another look, and the batches")

		o = w.owner(pruning)
		writes, _ = apply(documents[:2], o)
		require.Equal(t, 10, writes)
		page := w.must(t, http.MethodGet, "plugins/proxbox/storage?limit=1&fields=id", nil)
		require.EqualValues(t, "0", fmt.Sprint(page["count"]))
	}
}
