package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

// stores is a manifest set of n stores in n/100 clusters, as files of 1,000.
func stores(b *testing.B, n int) []reconcile.Document {
	b.Helper()
	var docs []reconcile.Document
	var text strings.Builder
	flush := func() {
		if text.Len() == 0 {
			return
		}
		more, diags := manifest.Load(context.Background(), []string{"-"}, manifest.Options{Stdin: strings.NewReader(text.String())})
		if diags.HasErrors() {
			b.Fatal(diags)
		}
		docs = append(docs, more...)
		text.Reset()
	}
	for i := range n {
		if i%1000 == 0 {
			flush()
			text.WriteString("apiVersion: proxbox-sync/v1\nkind: Store\nitems:\n")
		}
		fmt.Fprintf(&text, "- {cluster: c%d, name: s%d, size: %d}\n", i/100, i, i)
	}
	flush()
	for i := 0; i <= n/100; i++ {
		if i%1000 == 0 {
			flush()
			text.WriteString("apiVersion: proxbox-sync/v1\nkind: Cluster\nitems:\n")
		}
		fmt.Fprintf(&text, "- {name: c%d}\n", i)
	}
	flush()
	return docs
}

// BenchmarkPlan shows that plan time grows linearly: ns/object is to stay level.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		set := kinds(b)
		docs := stores(b, n)
		m := newMemory(set)
		for _, name := range []string{"creates", "no-op"} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					mustPlan(b, set, m, docs, planOptions())
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/object")
			})
			if name == "creates" {
				reconcile.Apply(context.Background(), mustPlan(b, set, m, docs, planOptions()), m, reconcile.ApplyOptions{})
			}
		}
	}
}

// BenchmarkPhases are the phases of a plan one by one: desired (validation in it),
// link, diff, order, digest of what the manifests mean.
func BenchmarkPhases(b *testing.B) {
	const n = 10_000
	set, ctx := kinds(b), context.Background()
	docs := stores(b, n)
	for _, name := range []string{"creates", "no-op"} {
		m := newMemory(set)
		if name == "no-op" {
			reconcile.Apply(ctx, mustPlan(b, set, m, docs, planOptions()), m, reconcile.ApplyOptions{})
		}
		ready := func(phases int) (desired, live *reconcile.State, changes []*reconcile.Change) {
			desired, _ = reconcile.Desired(set, docs, planOptions().Desired)
			if phases > 0 {
				live, _, _ = reconcile.Observe(ctx, set, m, desired, reconcile.Ownership{})
			}
			if phases > 1 {
				require.Empty(b, reconcile.Link(set, desired, live).Errors())
			}
			if phases > 2 {
				d, _ := reconcile.Diff(set, desired, live, reconcile.DiffOptions{})
				changes = d.Changes
			}
			return desired, live, changes
		}
		phase := func(what string, before int, run func(desired, live *reconcile.State, changes []*reconcile.Change)) {
			b.Run(name+"/"+what, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					desired, live, changes := ready(before)
					b.StartTimer()
					run(desired, live, changes)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/object")
			})
		}
		phase("link", 1, func(desired, live *reconcile.State, _ []*reconcile.Change) { reconcile.Link(set, desired, live) })
		phase("diff", 2, func(desired, live *reconcile.State, _ []*reconcile.Change) {
			reconcile.Diff(set, desired, live, reconcile.DiffOptions{})
		})
		phase("order", 3, func(_, _ *reconcile.State, changes []*reconcile.Change) {
			reconcile.NewPlan(reconcile.Instance{}, changes, nil)
		})
		b.Run(name+"/desired", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reconcile.Desired(set, docs, planOptions().Desired)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/object")
		})
		plan := mustPlan(b, set, m, docs, planOptions())
		b.Run(name+"/digest", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fresh := *plan // which has not been digested
				if fresh.Record().Manifests.Digest == "" {
					b.Fatal("no digest")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/object")
		})
	}
}
