package render_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

// restored is a restore of the plan of world of which not everything is well.
func restored(t *testing.T, drill bool) *reconcile.Restored {
	_, plan := world(t)
	for i, step := range plan.Steps {
		if o := step.Change.Object(); o.Doc == nil {
			o.Doc = &reconcile.Document{Kind: o.Kind.Name, Pos: reconcile.Position{File: "all.yaml", Line: i + 1, Column: 1}}
		}
	}
	report := fates(plan)
	report.Interrupted, report.Err = false, nil
	o := func(i int) *reconcile.Object { return plan.Steps[i].Change.Object() }
	x := reconcile.NewRestored(&reconcile.Restoration{Plan: plan, Records: map[string]int{"Shop": 2},
		Skipped: []reconcile.Skipped{{Object: o(0), Why: "metadata.absent: a restore never deletes"}},
		Lost:    []reconcile.Lost{{Object: o(0), Field: "comments", Why: "refers to Town x, which is in no manifest"}}}, report)
	x.Drill = drill
	return x
}

func TestRestoreText(t *testing.T) {
	x := restored(t, false)
	town, shop := x.NotBack[0].Object, x.NotBack[1].Object
	x.Add(&reconcile.Proof{Kinds: []reconcile.ProvenKind{{Kind: "Shop", Objects: 3, Equal: 2, Fields: 40}, {Kind: "Town", Objects: 1200, Equal: 1200, Fields: 4801}},
		Missing: []*reconcile.Object{shop}, Unseen: []reconcile.Unseen{{Object: shop, Fields: []string{"password"}}}, Waiting: []*reconcile.Object{shop},
		Kept: []reconcile.Unequal{{Object: town, Fields: []reconcile.FieldChange{{Name: "comments", Before: "a", After: "b"}}}}})
	d := render.NewRestoreDocument(x, 7)
	d.Took(1234 * time.Millisecond)
	got := written(t, "text", d)
	golden(t, "restore.txt", got)
	conforms(t, "restore", written(t, "json", d))
	golden(t, "restore.json", written(t, "json", d))
	require.NotContains(t, got, "hunter2")
	for line := range strings.SplitSeq(got, "\n") {
		require.Empty(t, harmful(line))
	}
}

func TestARestoreWithoutAProofSaysSo(t *testing.T) {
	x := restored(t, false)
	x.ProofErr, x.Interrupted = errors.New("no answer"), true
	d := render.NewRestoreDocument(x, 7)
	got := written(t, "text", d)
	require.Contains(t, got, "error: nothing is proven: reading everything again: no answer\n")
	require.Contains(t, got, "Interrupted: what was under way was finished")
	require.Contains(t, got, "Restore: 1 step written, not proven.\n")
	conforms(t, "restore", written(t, "json", d))
	require.Contains(t, written(t, "markdown", d), "not proven")
}

func TestADrillSpeaksOfWhatWouldBe(t *testing.T) {
	x := restored(t, true)
	x.NotBack = nil
	x.Add(&reconcile.Proof{Kinds: []reconcile.ProvenKind{{Kind: "Town", Objects: 2, Equal: 2, Fields: 4}}})
	d := render.NewRestoreDocument(x, 0)
	require.Contains(t, written(t, "text", d), "Drill: everything would come back: 2 objects as the manifests say.\n")
	require.Contains(t, written(t, "text", d), "Server: sandbox (")
	conforms(t, "restore", written(t, "json", d))
}
