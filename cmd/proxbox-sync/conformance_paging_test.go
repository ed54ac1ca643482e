package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// maxPage is the MAX_PAGE_SIZE that servers have unless told otherwise.
const maxPage = 1000

// stored makes storage rows in bulk, behind the product's back, and returns
// their cluster.
func (w *world) stored(t testing.TB, n int) reconcile.RowID {
	t.Helper()
	kind := w.must(t, http.MethodPost, "virtualization/cluster-types", map[string]any{"name": w.tag, "slug": w.tag})
	cluster := w.must(t, http.MethodPost, "virtualization/clusters", map[string]any{"name": w.tag, "type": kind["id"]})
	var group errgroup.Group
	group.SetLimit(2) // a real server takes 12 ms a row
	for start := 0; start < n; start += 500 {
		group.Go(func() error {
			var rows []any
			for i := start; i < min(n, start+500); i++ {
				rows = append(rows, map[string]any{"cluster": cluster["id"], "name": storageName(w.tag, i), "storage_type": "dir", "content": "iso"})
			}
			if status, answer := w.raw(t, http.MethodPost, "plugins/proxbox/storage", rows); status != http.StatusCreated {
				return fmt.Errorf("making storage: %d %v", status, answer)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	return rowOf(cluster)
}

func storageName(tag string, i int) string { return fmt.Sprintf("%s-%05d", tag, i) }

// TestConformancePaging reads more rows than two pages hold, while others come
// and go: each that was there all the time is read exactly once.
func TestConformancePaging(t *testing.T) {
	const rows = 2300
	eachServer(t, func(t *testing.T, w *world) {
		cluster := w.stored(t, rows)
		query := reconcile.Query{Kind: "ProxmoxStorage", Fields: []string{"name", "cluster"}, Where: map[string]any{"cluster": cluster}}
		read := func(between func()) (names []string, requests []request) {
			t.Helper()
			client := w.client(t, w.token)
			_, err := client.Instance(t.Context())
			require.NoError(t, err)
			before := w.count()
			last := reconcile.RowID(0)
			coverage, err := client.Read(t.Context(), query, func(r reconcile.Row) error {
				require.Greater(t, r.ID, last, "rows come in ascending order")
				last = r.ID
				require.Equal(t, cluster, r.Fields["cluster"])
				names = append(names, r.Fields["name"].(string))
				if len(names) == maxPage/2 && between != nil {
					between()
				}
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, len(names), coverage.Rows)
			for _, r := range w.since(before) {
				if r.Method == http.MethodGet && r.Path == "plugins/proxbox/storage" && strings.Contains(r.Query, "fields=") {
					requests = append(requests, r)
				}
			}
			return names, requests
		}

		names, requests := read(nil)
		require.Len(t, names, rows)
		for i, name := range slices.Sorted(slices.Values(names)) {
			require.Equal(t, storageName(w.tag, i), name)
		}
		require.GreaterOrEqual(t, len(requests), 3)
		require.LessOrEqual(t, len(requests), 3+1, "pages of %d hold them, and how far they go", maxPage)
		for _, r := range requests {
			values, err := url.ParseQuery(r.Query)
			require.NoError(t, err)
			limit, err := strconv.Atoi(values.Get("limit"))
			require.NoError(t, err)
			require.LessOrEqual(t, limit, maxPage)
			require.True(t, strings.Trim(values.Get("ordering"), "-") == "id" || values.Has("start"), "an order that stays: %s", r.Query)
		}

		names, _ = read(func() {
			first := w.idOf(t, "plugins/proxbox/storage", "name", storageName(w.tag, 10), 0)
			w.must(t, http.MethodPost, "plugins/proxbox/storage", map[string]any{"cluster": cluster, "name": w.tag + "-00000-new"})
			status, _ := w.raw(t, http.MethodDelete, fmt.Sprintf("plugins/proxbox/storage/%d", first), nil)
			require.Equal(t, http.StatusNoContent, status)
		})
		seen := map[string]int{}
		for _, name := range names {
			seen[name]++
		}
		for i := range rows {
			if n := seen[storageName(w.tag, i)]; n != 1 && i != 10 {
				t.Errorf("%s was read %d times", storageName(w.tag, i), n)
			}
		}
	})
}

// TestConformancePageSizes reads from servers that give smaller pages than asked for.
func TestConformancePageSizes(t *testing.T) {
	for _, size := range []int{1, 7, 50, 999} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			w := newSandboxWorldWith(t, sandbox.Options{MaxPage: size, Kinds: schema.Embedded()})
			rows := 3*size + 1
			w.stored(t, rows)
			seen := map[reconcile.RowID]bool{}
			_, err := w.client(t, w.token).Read(t.Context(), reconcile.Query{Kind: "ProxmoxStorage", Fields: []string{"name"}},
				func(r reconcile.Row) error {
					require.False(t, seen[r.ID], "read twice")
					seen[r.ID] = true
					return nil
				})
			require.NoError(t, err)
			require.Len(t, seen, rows)
		})
	}
}
