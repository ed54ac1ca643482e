package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// sites is a manifest of n sites of one name.
func sites(n int, name string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf("{slug: x%d, name: %s}", i, name)
	}
	return "kind: Site\nitems: [" + strings.Join(items, ", ") + "]"
}

// lookUps are the reads of an apply: those of the plan before it are left out.
func (m *memory) lookUps(before int) []reconcile.Query { return m.reads[before:] }

// However many objects are in conflict, or were in a batch whose answer was
// lost, the look-ups do not grow with them.
func TestManyObjectsAreLookedUpTogether(t *testing.T) {
	const n = 300
	for _, c := range []struct {
		why     string
		existed bool
		arrives bool // although its answer is lost; false: it never arrives the first time
		want    reconcile.Result
		looks   int
	}{
		{"creates that arrived", false, true, reconcile.AlreadyDone, 3},
		{"creates that did not arrive", false, false, reconcile.Applied, 2},
		{"updates that arrived", true, true, reconcile.AlreadyDone, 1},
		{"updates that did not arrive", true, false, reconcile.Applied, 1},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := newMemory(set)
			for i := range n {
				if c.existed {
					m.put("Site", map[string]any{"slug": fmt.Sprintf("x%d", i), "name": "old"})
				}
			}
			plan := mustPlan(t, set, m, load(t, sites(n, "new")), planOptions())
			times := map[any]int{}
			lose := func(_ string, _ reconcile.Operation, w reconcile.Write) *reconcile.Outcome {
				id := w.Fields["slug"]
				if c.existed {
					id = w.Row
				}
				if times[id]++; times[id] > 1 {
					require.Equal(t, n/2, w.Batch, "in halves the next time")
					return nil
				}
				require.Zero(t, w.Batch)
				return &reconcile.Outcome{Verdict: reconcile.Uncertain, Batch: n, Err: errors.New("lost")}
			}
			if c.arrives {
				m.after = lose
			} else {
				m.before = lose
			}
			before := len(m.reads)
			report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
			require.Equal(t, n, report.Count(c.want))
			require.Len(t, m.rows["Site"], n)
			require.Len(t, m.lookUps(before), c.looks)
		})
	}
}

func TestTouchedObjectsAreLookedUpTogether(t *testing.T) {
	const n = 300
	set := kinds(t)
	m := newMemory(set)
	for i := range n {
		m.put("Site", map[string]any{"slug": fmt.Sprintf("x%d", i), "name": "old"})
	}
	plan := mustPlan(t, set, m, load(t, sites(n, "new")), planOptions())
	for id, r := range m.rows["Site"] {
		r.Version = "touched"
		if id%3 == 0 {
			r.Fields = map[string]any{"slug": r.Fields["slug"], "name": "theirs"}
		}
		m.rows["Site"][id] = r
	}
	before := len(m.reads)
	report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
	require.Equal(t, n/3, report.Count(reconcile.Conflicted))
	require.Equal(t, n-n/3, report.Count(reconcile.Applied))
	require.Len(t, m.lookUps(before), 1)
}

// One object that the server breaks on is found by halving, and only it fails.
func TestTheObjectThatBreaksABatchIsFound(t *testing.T) {
	const n = 64
	set := kinds(t)
	m := newMemory(set)
	plan := mustPlan(t, set, m, load(t, sites(n, "new")), planOptions())
	m.batch = func(list []reconcile.Write) *reconcile.Outcome {
		for _, w := range list {
			if w.Fields["slug"] == "x21" {
				return &reconcile.Outcome{Verdict: reconcile.Uncertain, Status: 500, Batch: len(list), Err: errors.New("HTTP 500")}
			}
		}
		return nil
	}
	report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
	require.Equal(t, n-1, report.Count(reconcile.Applied))
	require.Equal(t, 1, report.Count(reconcile.Failed))
	require.LessOrEqual(t, m.batches, 1+2*6+3)
}

// Namesakes that arrived with one request, or that this run made before, are not
// taken for each other.
func TestNamesakesThatArrivedTogetherAreToldApart(t *testing.T) {
	for _, others := range []int{0, 5} { // looked up alone, and together
		set := kinds(t)
		m := newMemory(set)
		text := "kind: Door\nitems:\n  - {name: d, domain: a, password: hunter2}\n  - {name: d, domain: b, password: hunter2}\n"
		for i := range others {
			text += fmt.Sprintf("  - {name: o%d, password: hunter2}\n", i)
		}
		plan := mustPlan(t, set, m, load(t, text), planOptions())
		m.after = func(string, reconcile.Operation, reconcile.Write) *reconcile.Outcome {
			return &reconcile.Outcome{Verdict: reconcile.Uncertain, Batch: 2 + others, Err: errors.New("lost")}
		}
		report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
		require.Equal(t, 2+others, report.Count(reconcile.AlreadyDone), "%+v", report.Steps)
		require.NotEqual(t, report.Steps[0].Row, report.Steps[1].Row)
		require.Len(t, m.rows["Door"], 2+others)
	}
}
