package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// The whole loop, on random manifests, live states, owners and faults.
func TestTheLoopHoldsWhateverComes(t *testing.T) { theLoop(t, 2_000) }

func TestLongTheLoopHoldsWhateverComes(t *testing.T) {
	long(t)
	theLoop(t, 100_000)
}

func theLoop(t *testing.T, n int) {
	set := kinds(t)
	seen := map[string]int{}
	all := cases(t, n, func(rt *rapid.T) {
		l := newLoop(t, rt, set, seen)
		l.history()
		l.said = settle(rt)
		l.said.text += l.more()
		l.docs = l.sealed(l.said.text)
		l.o = reconcile.PlanOptions{Ownership: reconcile.Ownership{Owner: "prod"}}
		flags(rt)(&l.o.Ownership)
		if l.disturbed() && l.converges() {
			l.exportIsTheState()
		}
	})
	for _, what := range []string{"faults", "deletes", "refused", "converged", "foreign", "named copies", "exported"} {
		require.True(t, seen[what] > 0 || !all, "no case with %s: the test shows nothing", what)
	}
	t.Logf("among them: %v", seen)
}

// loop is one case.
type loop struct {
	*island
	rt   *rapid.T
	said settlement
	o    reconcile.PlanOptions
	seen map[string]int
	took bool                 // a delete took something along
	docs []reconcile.Document // what is said
}

// newLoop is a server that takes along what a delete takes along, and that
// refuses references to nothing, as a real one does.
func newLoop(tb testing.TB, rt *rapid.T, set *schema.Set, seen map[string]int) *loop {
	l := &loop{island: newIsland(tb, set), rt: rt, seen: seen}
	l.steady()
	return l
}

func (l *loop) steady() {
	l.before = func(kind string, _ reconcile.Operation, w reconcile.Write) *reconcile.Outcome {
		for name, v := range w.Fields {
			if f := l.set.Kind(kind).Field(name); f.Ref != nil {
				l.requireThere(f.Ref.Kind, v, kind+"."+name)
			}
		}
		return nil
	}
	l.after = func(_ string, op reconcile.Operation, _ reconcile.Write) *reconcile.Outcome {
		if op == reconcile.OpDelete {
			l.cascade()
		}
		return nil
	}
}

// requireThere: what a write refers to is on the server by then.
func (l *loop) requireThere(kind string, v any, where string) {
	switch v := v.(type) {
	case reconcile.RowID:
		require.Contains(l.rt, l.rows[kind], v, "%s refers to what is not there", where)
	case []any:
		for _, x := range v {
			l.requireThere(kind, x, where)
		}
	}
}

// history is what two owners, strangers and vandals did before.
func (l *loop) history() {
	for range rapid.IntRange(0, 3).Draw(l.rt, "rounds") {
		l.govern(l.rt, rapid.SampledFrom([]string{"prod", "prod", "prod", "other"}).Draw(l.rt, "owner"), flags(l.rt))
		for range rapid.IntRange(0, 5).Draw(l.rt, "meddling") {
			l.meddle(l.rt)
		}
	}
}

// more draws rings of references and doors, which hold a secret.
func (l *loop) more() string {
	text := ""
	rings := rapid.IntRange(0, 4).Draw(l.rt, "rings")
	for i := range rings {
		text += fmt.Sprintf("\n---\nkind: Ring\nspec: {name: r%d, next: r%d}", i, rapid.IntRange(0, rings-1).Draw(l.rt, "next"))
	}
	for i := range rapid.IntRange(0, 2).Draw(l.rt, "doors") {
		text += fmt.Sprintf("\n---\nkind: Door\nspec: {name: d%d, port: %d}", i, rapid.IntRange(1, 2).Draw(l.rt, "port"))
	}
	return text
}

// sealed reads manifests and gives each door its password.
func (l *loop) sealed(text string) []reconcile.Document {
	return seal(load(l.tb, text), "Door", "password", "ENC[one]", time.Unix(0, 0))
}

func (l *loop) plan() (*reconcile.Plan, reconcile.Diagnostics) {
	plan, diags, err := reconcile.MakePlan(context.Background(), l.set, l.memory, l.docs, l.o)
	require.NoError(l.rt, err)
	return plan, diags
}

// disturbed carries a plan out while requests and answers get lost. It reports
// whether there was a plan that could be carried out.
func (l *loop) disturbed() bool {
	l.copies()
	plan, diags := l.plan()
	if plan != nil {
		l.seen["deletes"] += l.judge(l.rt, plan, l.said, l.o.Ownership)
	}
	if plan == nil || diags.HasErrors() {
		l.seen["refused"]++
		return false
	}
	assertOrder(l.rt, plan)
	if rapid.Bool().Draw(l.rt, "faults") {
		l.faults()
	}
	l.carryOut(plan)
	l.steady()
	return true
}

// copies counts objects that a manifest names and that carry another's marker.
func (l *loop) copies() {
	for kind := range nameField {
		for id := range l.rows[kind] {
			m, _ := l.marker(kind, id).(map[string]any)
			if _, spoken := l.spoken[m["key"]]; spoken && m["owner"] == "prod" && l.said.managed[l.name(kind, id)] &&
				!l.perfect(kind, fmt.Sprint(l.rows[kind][id].Fields[nameField[kind]]), m) {
				l.seen["named copies"]++
			}
		}
	}
}

// faults lets writes get lost before or after the server acted, be refused, or be
// overtaken by somebody else's.
func (l *loop) faults() {
	often := rapid.IntRange(1, 12).Draw(l.rt, "how often not")
	fault := func() *reconcile.Outcome {
		if rapid.IntRange(0, often).Draw(l.rt, "fault") > 0 {
			return nil
		}
		l.seen["faults"]++
		return &reconcile.Outcome{Verdict: rapid.SampledFrom([]reconcile.Verdict{reconcile.Uncertain, reconcile.Refused, reconcile.Conflict,
			reconcile.NotSent}).Draw(l.rt, "verdict"), Err: errors.New("lost"), Status: 500}
	}
	steady, cascade := l.before, l.after
	l.before = func(kind string, op reconcile.Operation, w reconcile.Write) *reconcile.Outcome {
		_ = steady(kind, op, w)
		return fault()
	}
	l.after = func(kind string, op reconcile.Operation, w reconcile.Write) *reconcile.Outcome {
		_ = cascade(kind, op, w)
		if out := fault(); out != nil && out.Verdict == reconcile.Uncertain {
			return out
		}
		return nil
	}
}

// carryOut applies a plan and looks at what became of each object.
func (l *loop) carryOut(plan *reconcile.Plan) *reconcile.Report {
	carried, before := l.carried(), map[string]map[reconcile.RowID]reconcile.Row{}
	for kind, rows := range l.rows {
		before[kind] = maps.Clone(rows)
	}
	l.took = l.took || slices.ContainsFunc(plan.Steps, func(s *reconcile.Step) bool { return len(s.Change.Takes) > 0 })
	report := reconcile.Apply(context.Background(), plan, l.memory, reconcile.ApplyOptions{})
	l.remember(carried, l.said)
	for kind := range nameField {
		for id, row := range before[kind] {
			l.untouched(plan, kind, id, row, carried[id])
		}
	}
	assertNoTwins(l.rt, l.memory)
	return report
}

// untouched: what is another's, or nobody's and not named, is as it was. Only what
// the plan said it takes along may go with its site.
func (l *loop) untouched(plan *reconcile.Plan, kind string, id reconcile.RowID, row reconcile.Row, m map[string]any) {
	name := fmt.Sprintf("%s/%v", kind, row.Fields[nameField[kind]])
	_, isAbsent := l.said.absent[name]
	_, declared := l.said.managed[name]
	named := declared || isAbsent || strings.Contains(l.said.text, "renamedFrom: "+fmt.Sprint(row.Fields[nameField[kind]])+"}")
	others := m["owner"] == "other" && !l.o.Ownership.TakeOwnership
	if !others && (named || m["owner"] == "prod") {
		return
	}
	l.seen["foreign"]++
	now, there := l.rows[kind][id]
	if there {
		require.True(l.rt, row.Version == now.Version && reflect.DeepEqual(row.Fields, now.Fields), "%s is not ours and was changed: %v, now %v", name, row, now)
		return
	}
	site, _ := row.Fields["site"].(reconcile.RowID)
	require.True(l.rt, !others && slices.ContainsFunc(plan.Steps, func(s *reconcile.Step) bool {
		return s.Change.Action == reconcile.Delete && s.Change.Live.Row == site && len(s.Change.Takes) > 0
	}), "%s is not ours and was deleted", name)
}

// converges carries out what is left, without faults. One run is enough, unless
// what a delete took along has to be made anew, or an orphan was kept since
// another object carried a copy of its marker. Then a plan is empty, and writes
// nothing.
func (l *loop) converges() bool {
	for run := 1; ; run++ {
		plan, diags := l.plan()
		if plan != nil {
			l.judge(l.rt, plan, l.said, l.o.Ownership)
		}
		if diags.HasErrors() {
			l.onlyPolicy(diags)
			return false
		}
		again := unfinished(plan)
		report := l.carryOut(plan)
		require.NoError(l.rt, report.Err)
		require.Equal(l.rt, len(plan.Steps), report.Count(reconcile.Applied))
		if !again || run == 3 {
			break
		}
	}
	plan, diags := l.plan()
	require.Empty(l.rt, diags.Errors())
	require.Empty(l.rt, summaryOfSteps(plan), "a plan after a run without faults")
	l.writes = nil
	require.NoError(l.rt, reconcile.Apply(context.Background(), plan, l.memory, reconcile.ApplyOptions{}).Err)
	require.Empty(l.rt, l.writes, "an empty plan writes nothing")
	l.seen["converged"]++
	return true
}

// onlyPolicy: what keeps a run that was disturbed from going on is a limit, which
// counts what is there now. Where a delete took a declared object along, copies of
// its marker may be left, one of which could be the object renamed: a person has to
// say so.
func (l *loop) onlyPolicy(diags reconcile.Diagnostics) {
	l.seen["stopped by a limit"]++
	for _, d := range diags.Errors() {
		require.True(l.rt, d.Trouble == reconcile.Policy || l.took && d.Code == "copied-marker", "%+v", d)
	}
}
