package reconcile_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// What somebody else changed after the plan, however shortly before its delete, is
// not what was approved to go: a touch is none, another value is, also of a field
// that is no part of the key.
func TestADeleteTakesNothingThatChangedSinceItWasPlanned(t *testing.T) {
	for _, n := range []int{1, 2, 12} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			set := kinds(t)
			m := marked(t, set)
			apply(t, set, m, load(t, sites(n, "new")+"\n---\nkind: Site\nspec: {slug: stays, name: Stays}"), owned())
			o, many := owned(), 100
			o.Ownership.Prune = true
			o.Ownership.Limits.MaxDeletes, o.Ownership.Limits.MaxDeletePercent = &many, &many
			plan := mustPlan(t, set, m, load(t, "kind: Site\nspec: {slug: stays, name: Stays}"), o)
			require.Len(t, plan.Steps, n)
			for id, r := range m.rows["Site"] {
				switch r.Fields["slug"] {
				case "stays":
				case "x0":
					r.Version, r.Fields["name"] = "changed", "theirs"
				default:
					r.Version = "touched"
				}
				m.rows["Site"][id] = r
			}
			report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
			require.Equal(t, 1, report.Count(reconcile.Conflicted))
			require.Equal(t, n-1, report.Count(reconcile.Applied))
			var left []any
			for _, r := range m.rows["Site"] {
				left = append(left, r.Fields["name"])
			}
			require.ElementsMatch(t, []any{"Stays", "theirs"}, left)
		})
	}
}
