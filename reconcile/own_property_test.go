package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"proxbox-sync/reconcile"
)

// judge holds every delete of a plan against what really happened.
func (l *island) judge(t require.TestingT, plan *reconcile.Plan, said settlement, w reconcile.Ownership) (deletes int) {
	deleted := map[reconcile.RowID]bool{}
	for _, s := range plan.Steps {
		if s.Change.Action == reconcile.Delete {
			deleted[s.Change.Live.Row] = true
		}
	}
	carriers := map[string]int{}
	for kind := range nameField {
		for id := range l.rows[kind] {
			m, _ := l.marker(kind, id).(map[string]any)
			carriers[fmt.Sprint(kind, m["owner"], m["key"])]++
		}
	}
	for _, s := range plan.Steps {
		c := s.Change
		if c.Action != reconcile.Delete {
			continue
		}
		kind, row := c.Live.Kind.Name, c.Live.Row
		m, _ := l.marker(kind, row).(map[string]any)
		if c.Desired != nil {
			require.True(t, said.absent[l.name(kind, row)], "%s: only what is declared absent is deleted by name", c.Live)
			require.True(t, w.TakeOwnership || m["owner"] == nil || m["owner"] == "prod", "%s is another owner's: %v", c.Live, m)
			require.False(t, m["protect"] == true && l.perfect(kind, fmt.Sprint(l.rows[kind][row].Fields[nameField[kind]]), m) &&
				!plan.Diagnostics.HasErrors(), "%s is protected", c.Live)
		} else {
			require.True(t, w.Prune && w.Partial == "", "%s: nothing asked for a prune", c.Live)
			require.True(t, l.created[row] || w.PruneAdopted && l.adopted[row], "%s was never ours: %v", c.Live, m)
			require.Equal(t, "prod", m["owner"], "%s", c.Live)
			require.NotEqual(t, true, m["protect"], "%s is protected", c.Live)
			require.Equal(t, 1, carriers[fmt.Sprint(kind, "prod", m["key"])], "%s shares its marker", c.Live)
		}
		deletes++
		for id, store := range l.rows["Store"] {
			if kind != "Site" || store.Fields["site"] != row || deleted[id] {
				continue
			}
			require.NotEmpty(t, c.Takes, "%s takes a store along that the plan does not say", c.Live)
			along, _ := l.marker("Store", id).(map[string]any)
			if along["owner"] == "other" || along["owner"] == "prod" && along["protect"] == true {
				require.True(t, plan.Diagnostics.HasErrors(), "%s would take what is not ours or protected", c.Live)
			}
		}
	}
	return deletes
}

// unfinished reports whether a second run may find something to do: what a
// cascade takes along may be declared and is made anew; an orphan that shares its
// marker is kept while the copy is there, and the copy on a declared object goes.
func unfinished(p *reconcile.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s *reconcile.Step) bool { return len(s.Change.Takes) > 0 }) ||
		slices.ContainsFunc(p.Orphans, func(x reconcile.Orphan) bool { return x.Copied })
}

// flags draws what a run may do.
func flags(t *rapid.T) func(*reconcile.Ownership) {
	return func(w *reconcile.Ownership) {
		w.Prune = rapid.IntRange(0, 2).Draw(t, "prune") > 0
		w.PruneAdopted = w.Prune && rapid.Bool().Draw(t, "prune adopted")
		w.NoAdopt = rapid.IntRange(0, 9).Draw(t, "no adopt") == 0
		w.TakeOwnership = rapid.IntRange(0, 3).Draw(t, "take ownership") == 0
		if rapid.IntRange(0, 9).Draw(t, "partial") == 0 {
			w.Partial = "only a part"
		}
		if n := rapid.SampledFrom([]int{-1, 0, 1, 100, 100, 100, 100, 100}).Draw(t, "max deletes"); n >= 0 {
			w.Limits.MaxDeletes = &n
		}
	}
}

func TestNoPlanDeletesWhatThisOwnerDidNotMake(t *testing.T) {
	set := kinds(t)
	deletes, applied := 0, 0
	check := func(rt *rapid.T) {
		l := newIsland(t, set)
		for range rapid.IntRange(1, 6).Draw(rt, "rounds") {
			l.govern(rt, rapid.SampledFrom([]string{"prod", "prod", "prod", "other"}).Draw(rt, "owner"), flags(rt))
			for range rapid.IntRange(0, 5).Draw(rt, "meddling") {
				l.meddle(rt)
			}
		}
		o := reconcile.PlanOptions{Ownership: reconcile.Ownership{Owner: "prod"}}
		flags(rt)(&o.Ownership)
		said := settle(rt)
		docs := load(t, said.text)
		plan, diags, err := reconcile.MakePlan(context.Background(), set, l.memory, docs, o)
		require.NoError(rt, err)
		if plan == nil {
			return
		}
		deletes += l.judge(rt, plan, said, o.Ownership)
		if diags.HasErrors() || unfinished(plan) {
			return
		}
		report := reconcile.Apply(context.Background(), plan, l.memory, reconcile.ApplyOptions{})
		require.Equal(rt, len(plan.Steps), report.Count(reconcile.Applied))
		applied++
		l.writes = nil
		again, diags, err := reconcile.MakePlan(context.Background(), set, l.memory, docs, o)
		require.NoError(rt, err)
		require.Empty(rt, diags.Errors())
		require.Empty(rt, summaryOfSteps(again), "a second plan")
		require.NoError(rt, reconcile.Apply(context.Background(), again, l.memory, reconcile.ApplyOptions{}).Err)
		require.Empty(rt, l.writes, "an empty plan writes nothing")
	}
	for range 5 { // times a hundred: the rarest mistakes show once in several hundred
		rapid.Check(t, check)
	}
	require.Positive(t, deletes, "no plan deleted anything: the test shows nothing")
	require.Positive(t, applied)
}

// summaryOfSteps is a plan's steps in words, without orphans.
func summaryOfSteps(p *reconcile.Plan) []string {
	p.Orphans = nil
	return summary(p)
}

func TestAbsentDeletesWhatItNamesAndNoCopyOfItsMarker(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, "kind: Site\nitems: [{slug: a}, {slug: b}]"), owned())
	l := &island{memory: m}
	copied := m.put("Site", map[string]any{"slug": "stranger"})
	for id, row := range m.rows["Site"] {
		if row.Fields["slug"] == "a" {
			l.setMarker("Site", copied, l.marker("Site", id))
		}
	}
	two := 2
	o := owned()
	o.Ownership.Limits.MaxDeletes = &two
	gone := load(t, "kind: Site\nmetadata: {absent: true}\nspec: {slug: a}\n---\nkind: Site\nspec: {slug: b}")
	apply(t, set, m, gone, o)
	require.Empty(t, keep(plan(t, set, m, gone, o), "delete"))
	require.Contains(t, m.rows["Site"], copied)
	require.Len(t, m.rows["Site"], 2)
}
