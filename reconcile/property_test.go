package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"proxbox-sync/reconcile"
)

// world draws a manifest set over the invented kinds: sites, clusters that may
// refer to them, stores that refer to both, rings with any references at all.
func world(t *rapid.T) string {
	text := ""
	add := func(format string, args ...any) {
		if text != "" {
			text += "\n---\n"
		}
		text += fmt.Sprintf(format, args...)
	}
	sites := rapid.IntRange(1, 4).Draw(t, "sites")
	for i := range sites {
		add("kind: Site\nspec: {slug: s%d, count: %d, raw: {x: [%d]}, custom_fields: {a: %d}}", i,
			rapid.IntRange(0, 2).Draw(t, "count"), rapid.IntRange(0, 2).Draw(t, "raw"), rapid.IntRange(0, 2).Draw(t, "custom"))
	}
	clusters := rapid.IntRange(1, 4).Draw(t, "clusters")
	for i := range clusters {
		site := "null"
		if n := rapid.IntRange(-1, sites-1).Draw(t, "site"); n >= 0 {
			site = fmt.Sprintf("s%d", n)
		}
		add("kind: Cluster\nspec: {name: c%d, site: %s}", i, site)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "stores") {
		of := rapid.SampledFrom([]string{"[]", "[s0]", fmt.Sprintf("[s%d]", sites-1)}).Draw(t, "of")
		add("kind: Store\nspec: {cluster: c%d, name: t%d, size: %d, sites: %s}", rapid.IntRange(0, clusters-1).Draw(t, "cluster"), i,
			rapid.IntRange(0, 2).Draw(t, "size"), of)
	}
	rings := rapid.IntRange(0, 5).Draw(t, "rings")
	for i := range rings {
		add("kind: Ring\nspec: {name: r%d, next: r%d}", i, rapid.IntRange(0, rings-1).Draw(t, "next"))
	}
	return text
}

func TestEveryWorldConverges(t *testing.T) {
	set := kinds(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := newMemory(set)
		for round := range 2 { // the second world changes what the first one made
			docs := load(t, world(rt))
			plan := mustPlan(t, set, m, docs, planOptions())
			assertOrder(t, plan)
			report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
			require.Equal(t, len(plan.Steps), report.Count(reconcile.Applied), "round %d", round)

			m.writes = nil
			again := mustPlan(t, set, m, docs, planOptions())
			require.Empty(t, steps(again))
			reconcile.Apply(context.Background(), again, m, reconcile.ApplyOptions{})
			require.Empty(t, m.writes)
		}
	})
}

func TestFaultsNeverMakeTwinsAndConvergeAfterwards(t *testing.T) {
	set := kinds(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := newMemory(set)
		docs := load(t, world(rt))
		fault := func(kind string, _ reconcile.Operation, _ reconcile.Write) *reconcile.Outcome {
			switch rapid.IntRange(0, 7).Draw(rt, "fault") {
			case 0:
				return &reconcile.Outcome{Verdict: reconcile.Uncertain, Err: errors.New("lost")}
			case 1:
				return &reconcile.Outcome{Verdict: reconcile.Refused, Err: errors.New("no")}
			}
			return nil
		}
		m.before = fault
		m.after = func(kind string, op reconcile.Operation, w reconcile.Write) *reconcile.Outcome {
			if out := fault(kind, op, w); out != nil && out.Verdict == reconcile.Uncertain {
				return out
			}
			return nil
		}
		reconcile.Apply(context.Background(), mustPlan(t, set, m, docs, planOptions()), m, reconcile.ApplyOptions{})
		m.before, m.after = nil, nil
		reconcile.Apply(context.Background(), mustPlan(t, set, m, docs, planOptions()), m, reconcile.ApplyOptions{})
		require.Empty(t, steps(mustPlan(t, set, m, docs, planOptions())))
		assertNoTwins(t, m)
	})
}

// assertOrder: a step runs after the steps it needs, and everything it refers
// to is there by then.
func assertOrder(t require.TestingT, plan *reconcile.Plan) {
	created := map[string]int{}
	for _, s := range plan.Steps {
		for _, need := range s.Needs {
			require.Less(t, plan.Steps[need].Wave, s.Wave)
			require.Less(t, need, s.Index)
		}
		if s.Change.Action == reconcile.Create {
			created[s.Change.Desired.String()] = s.Wave
		}
	}
	for _, s := range plan.Steps {
		for _, fc := range s.Change.Fields {
			if ref, ok := s.Change.Desired.Fields[fc.Name].(reconcile.Ref); ok {
				if wave, ok := created[ref.Target.String()]; ok {
					require.Less(t, wave, s.Wave, "%s refers to %s", s.Change, ref.Target)
				}
			}
		}
	}
}

func assertNoTwins(t require.TestingT, m *memory) {
	for kind, rows := range m.rows {
		seen := map[string]bool{}
		for _, r := range rows {
			key := fmt.Sprint(r.Fields["slug"], r.Fields["cluster"], r.Fields["name"])
			require.False(t, seen[key], "%s %s exists twice", kind, key)
			seen[key] = true
		}
	}
}
