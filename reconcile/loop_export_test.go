package reconcile_test

import (
	"context"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

// exported is all that a server has as manifests, in order.
func (l *loop) exported(m *memory) string {
	var texts []string
	_, diags, err := reconcile.Export(context.Background(), l.set, m, &reconcile.State{}, reconcile.ExportOptions{All: true, References: true,
		Ownership: reconcile.Ownership{Owner: "prod"}}, func(x *reconcile.Exported) error {
		texts = append(texts, strings.TrimPrefix(render.ManifestText(x), "apiVersion: proxbox-sync/v1\n"))
		return nil
	})
	require.NoError(l.rt, err)
	require.Empty(l.rt, diags.Errors())
	return oneText(texts)
}

// oneText joins documents in an order of their own: an object may be handed out twice.
func oneText(texts []string) string {
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), "\n---\n")
}

// exportIsTheState: what is exported is no change to the server it comes from,
// and restored into an empty one it exports to the same text.
func (l *loop) exportIsTheState() {
	text := l.exported(l.memory)
	docs := l.sealed(text) // secrets are never exported
	plan, diags, err := reconcile.MakePlan(context.Background(), l.set, l.memory, docs, reconcile.PlanOptions{})
	require.NoError(l.rt, err)
	require.Empty(l.rt, diags.Errors())
	require.Empty(l.rt, summaryOfSteps(plan), "an export is no change")

	empty := marked(l.tb, l.set)
	for one := range strings.SplitSeq(text, "\n---\n") { // what others make, they have to make first
		if bare := strings.NewReplacer("metadata:\n  existing: true\n", "", "  existing: true\n", "").Replace(one); bare != one {
			apply(l.tb, l.set, empty, load(l.tb, bare), reconcile.PlanOptions{})
		}
	}
	plan, diags, err = reconcile.MakePlan(context.Background(), l.set, empty, docs, owned())
	require.NoError(l.rt, err)
	require.Empty(l.rt, diags.Errors())
	require.NoError(l.rt, reconcile.Apply(context.Background(), plan, empty, reconcile.ApplyOptions{}).Err)
	require.Empty(l.rt, cmp.Diff(text, l.exported(empty)))
	l.seen["exported"]++
}
