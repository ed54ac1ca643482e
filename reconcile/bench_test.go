package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

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
