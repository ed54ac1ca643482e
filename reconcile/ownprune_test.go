package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestPruneTakesOnlyWhatThisOwnerCreated(t *testing.T) {
	set := kinds(t)
	base := "kind: Site\nitems: [" + strings.Repeat("{slug: s%d},", 12) + "]"
	numbers := make([]any, 12)
	for i := range numbers {
		numbers[i] = i
	}
	all := fmt.Sprintf(base, numbers...)
	less := strings.Replace(all, "{slug: s11},", "", 1)
	for _, c := range []struct {
		why  string
		edit func(m *memory, o *reconcile.PlanOptions)
		want []string
	}{
		{"without the flag it is listed", func(*memory, *reconcile.PlanOptions) {}, []string{"orphan Site s11: --prune deletes it"}},
		{"with the flag it is deleted", prune, []string{"delete Site s11"}},
		{"a protected one is kept", func(m *memory, o *reconcile.PlanOptions) {
			prune(m, o)
			remark(m, "s11", "protect", true)
		}, []string{"orphan Site s11: it is protected"}},
		{"an adopted one needs a flag of its own", func(m *memory, o *reconcile.PlanOptions) {
			prune(m, o)
			remark(m, "s11", "origin", "adopted")
		}, []string{"orphan Site s11: it was adopted, not created: --prune-adopted deletes it"}},
		{"one that was made by someone else is kept", func(m *memory, o *reconcile.PlanOptions) {
			prune(m, o)
			o.Ownership.PruneAdopted = true
			remark(m, "s11", "origin", "existing")
		}, []string{"orphan Site s11: it was made by someone else; it is never pruned"}},
		{"another owner's is none of ours", func(m *memory, o *reconcile.PlanOptions) {
			prune(m, o)
			remark(m, "s11", "owner", "other")
		}, nil},
		{"a copied marker is never pruned", func(m *memory, o *reconcile.PlanOptions) {
			prune(m, o)
			remark(m, "s11", "key", "0000000000000000")
		}, []string{"orphan Site s11: its marker is another object's: it was copied or renamed outside; it is never pruned"}},
		{"a twin with the same marker is never pruned", func(m *memory, o *reconcile.PlanOptions) {
			prune(m, o)
			for _, row := range m.rows["Site"] {
				if row.Fields["slug"] == "s11" {
					m.put("Site", row.Fields)
					break // what is put while ranging may be met, too
				}
			}
		}, []string{"orphan Site s11: another object carries the same marker: one of them is a copy; it is never pruned",
			"orphan Site s11: another object carries the same marker: one of them is a copy; it is never pruned"}},
		{"a partial run prunes nothing and says why", func(m *memory, o *reconcile.PlanOptions) {
			prune(m, o)
			o.Ownership.Partial = "only some paths were given"
		}, []string{"refused: prune-needs-the-whole"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			m := marked(t, set)
			apply(t, set, m, load(t, all), owned())
			o := owned()
			c.edit(m, &o)
			require.Empty(t, cmp.Diff(c.want, plan(t, set, m, load(t, less), o)))
		})
	}
}

func prune(_ *memory, o *reconcile.PlanOptions) { o.Ownership.Prune = true }

// remark changes one entry of the marker of a site.
func remark(m *memory, slug, name string, value any) {
	for _, row := range m.rows["Site"] {
		if row.Fields["slug"] == slug {
			row.Fields["custom_fields"].(map[string]any)[reconcile.MarkerField].(map[string]any)[name] = value
		}
	}
}

func TestDeletesHaveLimitsAndSayWhatTheyTake(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, shire), owned())
	o := owned()
	o.Ownership.Prune = true
	onlyB := "kind: Site\nspec: {slug: b, name: B}\n---\nkind: Store\nspec: {cluster: c1, name: s1, size: 1}"
	require.Empty(t, cmp.Diff([]string{"delete Site a takes=Store:1", "refused: cascading-delete"},
		keep(plan(t, set, m, load(t, onlyB), o), "Site")))
	two := 2
	o.Ownership.Limits.MaxDeletes = &two
	require.Empty(t, cmp.Diff([]string{"delete Site a takes=Store:1"}, keep(plan(t, set, m, load(t, onlyB), o), "Site")))
	one := 1
	o.Ownership.Limits.MaxDeletes = &one
	require.Contains(t, plan(t, set, m, load(t, onlyB), o), "refused: too-many-deletes")

	// What the plan deletes itself goes first and is no cascade.
	o.Ownership.Limits.MaxDeletes = &two
	got := plan(t, set, m, load(t, "kind: Site\nspec: {slug: b, name: B}"), o)
	require.Empty(t, cmp.Diff([]string{"delete Store c1/s1", "delete Site a"}, got))
	apply(t, set, m, load(t, "kind: Site\nspec: {slug: b, name: B}"), o)
	require.Empty(t, plan(t, set, m, load(t, "kind: Site\nspec: {slug: b, name: B}"), o))

	// The last object of a kind.
	require.Contains(t, plan(t, set, m, nil, func() reconcile.PlanOptions { o := owned(); o.Ownership.Prune = true; return o }()), "refused: last-object")

	// A cascade into another owner's object is refused whatever the limit.
	m = marked(t, set)
	apply(t, set, m, load(t, shire), owned())
	for _, row := range m.rows["Store"] {
		row.Fields["custom_fields"] = map[string]any{reconcile.MarkerField: foreign("other")}
	}
	require.Contains(t, plan(t, set, m, load(t, "kind: Site\nspec: {slug: b, name: B}"), o), "refused: cascade-refused")
}

// keep returns the lines about a kind, and refusals.
func keep(lines []string, kind string) []string {
	var out []string
	for _, l := range lines {
		if strings.Contains(l, kind+" ") && !strings.HasPrefix(l, "mark") && !strings.HasPrefix(l, "update") || strings.HasPrefix(l, "refused") {
			out = append(out, l)
		}
	}
	return out
}
