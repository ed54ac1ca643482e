package main

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

// asked counts the requests of one command by what they do.
type asked struct {
	Start, Options, Pages, Extents, Names, Rows, Writes int
}

func (w *world) asked(t *testing.T, code int, args ...string) asked {
	t.Helper()
	before := w.count()
	out := w.cli(t, args...)
	require.Equal(t, code, out.code, "%s%s", out.stdout, out.stderr)
	var n asked
	for _, r := range w.since(before) {
		values, err := url.ParseQuery(r.Query)
		require.NoError(t, err)
		switch {
		case r.Method == http.MethodOptions:
			n.Options++
		case r.Method != http.MethodGet:
			n.Writes++
		case !values.Has("limit"):
			n.Start++
		case values.Get("ordering") == "-id":
			n.Extents++
		case values.Has("id"):
			n.Rows++
		case values.Has("name"):
			n.Names++
		default:
			n.Pages++
		}
	}
	return n
}

// Requests of each operation, exactly.
func TestRequestsOfEachOperation(t *testing.T) {
	for _, generation := range []string{"0.0.15.post2", "0.0.29.post6"} {
		t.Run(generation, func(t *testing.T) {
			w := newSandboxWorld(t, generation, schema.Embedded())
			want := func(what string, want, got asked) {
				t.Helper()
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			const n = 3000
			first, again := w.storages(t, n, "images"), w.storages(t, n, "iso")
			// Versions and the document of paths; three empty kinds, which don't show
			// their fields; and before each is written another look, one by name.
			want("create", asked{Start: 2, Options: 3, Pages: 3 + 2, Names: 1, Writes: 2 + n/100}, w.asked(t, 0, "apply", "--auto-approve", first))
			pages := asked{Start: 2, Pages: 2 + 3}
			if generation == "0.0.29.post6" {
				pages.Extents = 1 // older servers count on each page
			}
			want("no-op plan", pages, w.asked(t, 0, "plan", first))
			changed := pages
			changed.Rows, changed.Writes = n/100, n/100
			want("update", changed, w.asked(t, 0, "apply", "--auto-approve", again))
			want("no-op apply", pages, w.asked(t, 0, "apply", "--auto-approve", again))
		})
	}
}

// A few of many objects are looked up, and nothing is lost by that: neither their
// namesakes, nor what they were called before, nor who else a reference could mean.
func TestAFewOfManyObjects(t *testing.T) {
	for _, generation := range []string{"0.0.15.post2", "0.0.29.post6"} {
		t.Run(generation, func(t *testing.T) {
			w := newSandboxWorld(t, generation, schema.Embedded())
			const n = 9000
			w.stored(t, n)
			other := w.must(t, http.MethodPost, "virtualization/clusters", map[string]any{"name": w.tag + "-other", "type": w.idOf(t, "virtualization/cluster-types", "name", w.tag, 0)})
			w.must(t, http.MethodPost, "plugins/proxbox/storage", map[string]any{"cluster": other["id"], "name": storageName(w.tag, 8000)})
			pages, looks := 1, 0
			if generation != "0.0.29.post6" {
				pages = 2 // until it is known that ranges of ids are heeded
				looks = 1 // before a write, in place of If-Match
			}
			lookUp := asked{Start: 2, Pages: 1 + pages, Extents: 1, Names: 1}
			storage := func(i int, more string) string {
				return fmt.Sprintf("kind: ProxmoxStorage\n%sspec: {cluster: %s, name: %s, storage_type: dir, content: iso}", more, w.tag, storageName(w.tag, i))
			}

			same := w.write(t, storage(7, "")+"\n---\n"+storage(8000, "")+"\n---\n"+storage(8999, ""))
			require.Empty(t, cmp.Diff(lookUp, w.asked(t, 0, "plan", "--detailed-exitcode", same)))
			out := w.cli(t, "plan", "--log-level=debug", same)
			require.Contains(t, out.stderr, "looking objects up by name")
			require.Contains(t, out.stderr, "kind=ProxmoxStorage objects=9001")

			renamed := w.write(t, fmt.Sprintf("kind: ProxmoxStorage\nmetadata: {renamedFrom: %s}\nspec: {cluster: %s, name: renamed}", storageName(w.tag, 8500), w.tag))
			require.Empty(t, cmp.Diff(asked{Start: 2, Pages: 1 + pages, Extents: 1, Names: 1, Rows: looks, Writes: 1}, w.asked(t, 0, "apply", "--auto-approve", renamed)))
			require.NotZero(t, w.idOf(t, "plugins/proxbox/storage", "name", "renamed", 0))

			routine := fmt.Sprintf("kind: BackupRoutine\nspec: {endpoint: %s, job_id: j1, selection: all, storage: %s}", w.tag, storageName(w.tag, 8000))
			endpoint := fmt.Sprintf("kind: ProxmoxEndpoint\nspec: {name: %s, mode: standalone, domain: pve.example, username: root@pam}\n---\n", w.tag)
			out = w.cli(t, "plan", w.write(t, endpoint+routine))
			require.Equal(t, 3, out.code)
			require.Contains(t, out.stderr, "2 objects match ProxmoxStorage "+storageName(w.tag, 8000))
			require.Contains(t, out.stderr, w.tag+"-other/"+storageName(w.tag, 8000))
		})
	}
}
