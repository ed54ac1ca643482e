package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// cost counts the requests of a plan, of its apply and of a second plan, by a
// client that has asked nothing yet.
type cost struct{ Plan, Apply, Again int }

func (w *world) costOf(t testing.TB, o reconcile.PlanOptions, docs []reconcile.Document) (c cost) {
	t.Helper()
	client := w.client(t, w.token)
	before := w.count()
	passed := func() int {
		n := w.count() - before
		before += n
		return n
	}
	plan, diags, err := reconcile.MakePlan(context.Background(), w.set, client, docs, o)
	require.NoError(t, err)
	require.Empty(t, diags.Errors())
	require.Len(t, plan.Steps, len(docs))
	c.Plan = passed()
	require.NoError(t, failures(reconcile.Apply(context.Background(), plan, client, reconcile.ApplyOptions{})))
	c.Apply = passed()
	plan, _, err = reconcile.MakePlan(context.Background(), w.set, w.client(t, w.token), docs, o)
	require.NoError(t, err)
	require.Empty(t, plan.Steps)
	c.Again = passed()
	return c
}

// many are storages on a cluster of the core.
func (w *world) many(prefix string, n int) []reconcile.Document {
	kind := w.named("ClusterType", map[string]any{"slug": prefix, "name": prefix})
	cluster := w.named("Cluster", map[string]any{"name": prefix, "type": kind})
	docs := []reconcile.Document{kind.document(), cluster.document()}
	for i := range n {
		docs = append(docs, w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": fmt.Sprintf("%s%05d", prefix, i), "storage_type": "dir"}).document())
	}
	return docs
}

func TestConformanceTheMarkerCostsOneRequestOfAPlanAndNoneOfAWrite(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		plain := w.costOf(t, reconcile.PlanOptions{}, w.many(w.tag+"p", 40))
		owned := w.costOf(t, w.owner(part), w.many(w.tag+"o", 40))
		require.LessOrEqual(t, owned.Plan, plain.Plan+1)
		require.Equal(t, plain.Apply, owned.Apply)
		require.LessOrEqual(t, owned.Again, plain.Again+1)
	})
}
