package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// TestConformanceMarkersInBulkRequests shows what a server makes of requests with
// many objects: each gets its own marker, and a refused one leaves neither objects
// nor markers.
func TestConformanceMarkersInBulkRequests(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		m := w.maker(t)
		cluster := m.target(w.set.Kind("Cluster"), 0)
		require.NoError(t, w.story(t).apply(m.order...))
		path := w.path(t, w.set.Kind("ProxmoxStorage"))
		row := func(i, version int) map[string]any {
			return map[string]any{"cluster": cluster.row, "name": fmt.Sprint(w.tag, "-", i), "content": fmt.Sprint("content", version),
				"custom_fields": map[string]any{reconcile.MarkerField: numberedMarker(w.tag, i, version)}}
		}
		rows := func(n, from, version int) (list []map[string]any) {
			for i := range n {
				list = append(list, row(from+i, version))
			}
			return list
		}
		const n = 7
		status, created := w.raw(t, http.MethodPost, path, rows(n, 0, 1))
		require.Equal(t, http.StatusCreated, status, "%v", created)
		made := w.storesOf(t, path)
		require.Len(t, made, n)
		for i := range n {
			require.Empty(t, cmp.Diff(shownAs(t, row(i, 1)), made[fmt.Sprint(w.tag, "-", i)]))
		}

		more := rows(n, n, 1)
		delete(more[n-1], "cluster") // which has to be there
		status, answer := w.raw(t, http.MethodPost, path, more)
		require.Equal(t, http.StatusBadRequest, status, "%v", answer)
		require.Empty(t, cmp.Diff(made, w.storesOf(t, path)), "a refused create leaves nothing")

		ids := map[any]any{}
		for _, store := range created.([]any) {
			ids[store.(map[string]any)["name"]] = store.(map[string]any)["id"]
		}
		changes := rows(n, 0, 2)
		for _, change := range changes {
			delete(change, "cluster")
			change["id"] = ids[change["name"]]
		}
		bad := slices.Clone(changes)
		bad[n-1] = map[string]any{"id": changes[n-1]["id"], "cluster": nil, "custom_fields": changes[n-1]["custom_fields"]}
		status, answer = w.raw(t, http.MethodPatch, path, bad)
		require.Equal(t, http.StatusBadRequest, status, "%v", answer)
		require.Empty(t, cmp.Diff(made, w.storesOf(t, path)), "a refused change changes nothing")

		status, answer = w.raw(t, http.MethodPatch, path, changes)
		require.Equal(t, http.StatusOK, status, "%v", answer)
		changed := w.storesOf(t, path)
		for i := range n {
			require.Empty(t, cmp.Diff(shownAs(t, row(i, 2)), changed[fmt.Sprint(w.tag, "-", i)]))
		}
	})
}

// numberedMarker is a marker that no other row and no other version has.
func numberedMarker(owner string, i, version int) map[string]any {
	return map[string]any{"v": 1, "owner": owner, "key": fmt.Sprintf("%016x", i), "origin": "created",
		"fields": map[string]any{"name": fmt.Sprintf("%016x", i), "content": fmt.Sprintf("%016x", version)}}
}

// shownAs is what storesOf shows of a row that was sent so.
func shownAs(t *testing.T, body map[string]any) map[string]any {
	t.Helper()
	data, err := json.Marshal(map[string]any{"content": body["content"], "marker": body["custom_fields"].(map[string]any)[reconcile.MarkerField]})
	require.NoError(t, err)
	return decode(data).(map[string]any)
}

// storesOf are content and marker of the test's storages, by name.
func (w *world) storesOf(t *testing.T, path string) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	// Filters by name or cluster are not the same on every generation.
	page := w.must(t, http.MethodGet, path+"?limit=1000", nil)
	for _, item := range page["results"].([]any) {
		store := item.(map[string]any)
		if !strings.HasPrefix(store["name"].(string), w.tag+"-") {
			continue
		}
		custom := store["custom_fields"].(map[string]any)
		all[store["name"].(string)] = map[string]any{"content": store["content"], "marker": custom[reconcile.MarkerField]}
	}
	return all
}
