package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestConformanceWhatADeleteTakesAlong(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s, m := w.story(t), w.maker(t)
		endpoint := m.target(w.set.Kind("ProxmoxEndpoint"), 0)
		things := []*thing{
			m.minimal(w.set.Kind("ProxmoxCluster")), m.minimal(w.set.Kind("ProxmoxNode")), m.minimal(w.set.Kind("ProxmoxNode")),
			m.minimal(w.set.Kind("BackupRoutine")), m.minimal(w.set.Kind("Replication")),
		}
		things[2].fields["name"] = w.tag + "second"
		things[4].fields["endpoint"] = endpoint
		s.owned(t, w.owner(part), append(slices.Clone(m.order), things...)...)
		foreign := 0
		if w.real {
			for i := range 2 {
				w.must(t, http.MethodPost, "plugins/proxbox/firewall/aliases", map[string]any{
					"endpoint": endpoint.row, "name": fmt.Sprintf("%s%d", w.tag, i), "cidr": "192.0.2.0/24", "scope": "datacenter", "firewall_level": "datacenter"})
				foreign++
			}
		}

		gone := *endpoint
		gone.fields = map[string]any{"name": endpoint.fields["name"]}
		gone.meta = reconcile.Metadata{Absent: true}
		plan, _, err := s.plan(w.owner(part), &gone)
		require.NoError(t, err)
		require.Len(t, plan.Steps, 1)
		require.Equal(t, reconcile.Delete, plan.Steps[0].Change.Action)
		got := map[string]int{}
		for _, taken := range plan.Steps[0].Change.Takes {
			if !taken.Unknown {
				got[taken.What] = taken.Count
				require.True(t, taken.What == strings.ToLower(taken.What) || len(taken.Objects) == taken.Count, "ours are named: %+v", taken)
			}
		}
		want := map[string]int{"ProxmoxCluster": 1, "ProxmoxNode": 2, "BackupRoutine": 1, "Replication": 1}
		if foreign > 0 {
			want["plugins/proxbox/firewall/aliases"] = foreign
		}
		require.Empty(t, cmp.Diff(want, got))
		require.True(t, plan.Diagnostics.HasErrors(), "a delete that cascades is refused without a number")

		report, err := s.once(w.owner(part, pruningLimit), &gone)
		require.NoError(t, err)
		require.NoError(t, failures(report))
		for _, x := range append(things, endpoint) {
			status, _ := w.raw(t, http.MethodGet, fmt.Sprintf("%s/%d", w.path(t, x.kind), x.row), nil)
			require.Equal(t, http.StatusNotFound, status, "%s", x)
		}
	})
}

// pruningLimit allows deletes, and prunes nothing.
func pruningLimit(o *reconcile.Ownership) {
	pruning(o)
	o.Prune = false
}

func TestConformancePruneTakesOrphansOfThisOwnerOnly(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s, m := w.story(t), w.maker(t)
		cluster := m.target(w.set.Kind("Cluster"), 0)
		stores := make([]*thing, 12)
		for i := range stores {
			stores[i] = w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": fmt.Sprintf("%s%02d", w.tag, i), "storage_type": "dir"})
		}
		base := append(slices.Clone(m.order), stores...)
		s.owned(t, w.owner(), base...)
		discovered := w.must(t, http.MethodPost, w.path(t, stores[0].kind), map[string]any{
			"cluster": cluster.row, "name": w.tag + "discovered", "storage_type": "dir"})
		other := w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": w.tag + "other", "storage_type": "dir"})
		theirs := w.owner(part)
		theirs.Ownership.Owner = w.tag + "-other"
		s.owned(t, theirs, append(slices.Clone(m.order), other)...)
		protected := *stores[10]
		protected.meta = reconcile.Metadata{Protect: true}
		s.owned(t, w.owner(), append(append(slices.Clone(m.order), stores[:10]...), &protected, stores[11])...)

		left := append(slices.Clone(m.order), stores[:10]...)
		require.Empty(t, s.lines(t, w.owner(), left...), "without the flag orphans are listed, no more")
		plan, _, err := s.plan(w.owner(), left...)
		require.NoError(t, err)
		require.Len(t, plan.Orphans, 2)
		last := fmt.Sprintf("delete ProxmoxStorage %s/%s11", cluster.fields["name"], w.tag)
		require.Empty(t, cmp.Diff([]string{last}, s.lines(t, w.owner(pruning), left...)))
		report, err := s.once(w.owner(pruning), left...)
		require.NoError(t, err)
		require.NoError(t, failures(report))
		s.server.forget()
		require.Empty(t, s.lines(t, w.owner(pruning), left...))

		status := func(id any) int {
			code, _ := w.raw(t, http.MethodGet, fmt.Sprintf("%s/%v", w.path(t, stores[0].kind), id), nil)
			return code
		}
		require.Equal(t, http.StatusNotFound, status(stores[11].row))
		for what, id := range map[string]any{"a discovered one": discovered["id"], "another owner's": other.row,
			"a protected one": stores[10].row, "one in the manifests": stores[0].row} {
			require.Equal(t, http.StatusOK, status(id), what)
		}
	})
}

// Somebody changes one and touches another of the objects that a plan deletes, after
// it was planned: alone, where the server's ETag tells, and in a batch.
func TestConformanceADeleteTakesNothingThatChangedSinceItWasPlanned(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		m := w.maker(t)
		cluster := m.target(w.set.Kind("Cluster"), 0)
		for _, n := range []int{1, 4} {
			s, things := w.story(t), slices.Clone(m.order)
			for i := range n {
				things = append(things, w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": fmt.Sprintf("%s-%d-%d", w.tag, n, i), "storage_type": "dir", "path": "/here"}))
			}
			// What stays, since the last object of a kind is never pruned.
			left := append(slices.Clone(m.order), w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": w.tag + "stays", "storage_type": "dir"}))
			s.owned(t, w.owner(), append(things, left[len(left)-1])...)
			plan, diags, err := s.plan(w.owner(pruning), left...)
			require.NoError(t, err)
			require.Empty(t, diags.Errors())
			require.Len(t, plan.Steps, n)
			stores := things[len(m.order):]
			at := func(i int) string { return fmt.Sprintf("%s/%d", w.path(t, stores[i].kind), stores[i].row) }
			w.must(t, http.MethodPatch, at(0), map[string]any{"path": "/precious"})
			if n > 1 {
				w.must(t, http.MethodPatch, at(1), map[string]any{"shared": true})
			}
			report := reconcile.Apply(t.Context(), plan, s.server, reconcile.ApplyOptions{})
			require.Equal(t, 1, report.Count(reconcile.Conflicted))
			require.Equal(t, n-1, report.Count(reconcile.Applied))
			require.Equal(t, "/precious", w.shown(t, stores[0].kind, stores[0].row)["path"])
			w.must(t, http.MethodDelete, at(0), nil)
		}
	})
}

func TestConformanceRenamedOutsideIsRenamedBack(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s, m := w.story(t), w.maker(t)
		cluster := m.target(w.set.Kind("Cluster"), 0)
		store := w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": w.tag, "storage_type": "dir"})
		things := append(slices.Clone(m.order), store)
		s.owned(t, w.owner(), things...)
		path := fmt.Sprintf("%s/%d", w.path(t, store.kind), store.row)
		w.must(t, http.MethodPatch, path, map[string]any{"name": w.tag + "moved"})
		require.Empty(t, cmp.Diff([]string{fmt.Sprintf("update ProxmoxStorage %s/%s name=drift (renamed outside)", cluster.fields["name"], w.tag)},
			s.lines(t, w.owner(pruning), things...)))
		row := store.row
		s.owned(t, w.owner(pruning), things...)
		require.Equal(t, row, store.row)
		require.Equal(t, w.tag, w.shown(t, store.kind, row)["name"])
	})
}
