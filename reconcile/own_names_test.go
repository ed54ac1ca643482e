package reconcile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// What is called the same below two namesakes is not the same.
func TestChildrenOfNamesakesAreToldApart(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	a := m.put("Cluster", map[string]any{"name": "c"})
	b := m.put("Cluster", map[string]any{"name": "c"})
	mine := m.put("Store", map[string]any{"cluster": a, "name": "n", "size": reconcile.Number("1")})
	m.put("Store", map[string]any{"cluster": b, "name": "n", "size": reconcile.Number("2")})
	o := owned()
	o.Desired.AllowPlaintextSecrets = true
	text := "kind: Store\nspec: {cluster: {id: " + string(reconcile.Shown(a).(reconcile.Number)) + "}, name: n, size: 3}"
	p := mustPlan(t, set, m, load(t, text), o)
	require.Len(t, p.Steps, 1)
	require.Equal(t, mine, p.Steps[0].Change.Live.Row)

	delete(m.rows["Store"], mine)
	p = mustPlan(t, set, m, load(t, text), o)
	require.Len(t, p.Steps, 1)
	require.Equal(t, reconcile.Create, p.Steps[0].Change.Action, "the other one's child stays where it is")
}

func TestWhatIsIgnoredInsideAFieldIsNoDrift(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	text := func(c string) string {
		return "kind: Site\nmetadata: {ignoreChanges: [raw.b, custom_fields.note.b]}\nspec: {slug: a, raw: {b: 1, c: " + c + "}, custom_fields: {note: {b: 1, c: " + c + "}}}"
	}
	apply(t, set, m, load(t, text("2")), owned())
	site := m.rows["Site"][2]
	site.Fields["raw"] = map[string]any{"b": reconcile.Number("77"), "c": reconcile.Number("2")}
	site.Fields["custom_fields"].(map[string]any)["note"] = map[string]any{"b": reconcile.Number("77"), "c": reconcile.Number("2")}
	require.Empty(t, plan(t, set, m, load(t, text("2")), owned()))
	require.Empty(t, cmp.Diff([]string{"update Site a raw=intent custom_fields.note=intent"}, plan(t, set, m, load(t, text("3")), owned())))
	site.Fields["raw"] = map[string]any{"b": reconcile.Number("77"), "c": reconcile.Number("9")}
	require.Empty(t, cmp.Diff([]string{"update Site a raw=drift"}, plan(t, set, m, load(t, text("2")), owned())))
	require.Empty(t, cmp.Diff([]string{"update Site a raw=conflict custom_fields.note=intent"}, plan(t, set, m, load(t, text("3")), owned())))
}

func TestProtectHoldsUnderEveryName(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, "kind: Site\nmetadata: {protect: true}\nspec: {slug: a}"), owned())
	m.rows["Site"][2].Fields["slug"] = "b"
	absent := "kind: Site\nmetadata: {absent: true}\nspec: {slug: b}"
	require.Contains(t, plan(t, set, m, load(t, absent), owned()), "refused: protected")
	other := owned()
	other.Ownership.Owner, other.Ownership.TakeOwnership = "other", true
	require.Contains(t, plan(t, set, m, load(t, absent), other), "refused: protected")
}

func TestWhatIsReferredToIsNotDeleted(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, shire), owned())
	o := owned()
	most := 10
	o.Ownership.Prune, o.Ownership.Limits.MaxDeletes, o.Ownership.Mark = true, &most, []string{"Site"}
	apply(t, set, m, load(t, shire), o)
	left := "kind: Site\nspec: {slug: b, name: B}\n---\nkind: Store\nspec: {cluster: c1, name: s1, size: 1, site: a}"
	require.Contains(t, plan(t, set, m, load(t, left), o), "refused: reference-to-deleted")
	moved := "kind: Site\nspec: {slug: b, name: B}\n---\nkind: Store\nspec: {cluster: c1, name: s1, size: 1, site: b}"
	require.NotContains(t, plan(t, set, m, load(t, moved), o), "refused: reference-to-deleted")
}

func TestAPercentageThatWasAskedForIsLiftedByNothing(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, `kind: Site
items: [{slug: a}, {slug: b}, {slug: c}, {slug: d}, {slug: e}, {slug: f}, {slug: g}, {slug: h}, {slug: i}, {slug: j}]`), owned())
	less := load(t, `kind: Site
items: [{slug: a}, {slug: b}, {slug: c}, {slug: d}, {slug: e}, {slug: f}]`)
	o := owned()
	most, percent := 10, 20
	o.Ownership.Prune, o.Ownership.Limits.MaxDeletes = true, &most
	require.NotContains(t, plan(t, set, m, less, o), "refused: too-many-deletes")
	o.Ownership.Limits.MaxDeletePercent = &percent
	require.Contains(t, plan(t, set, m, less, o), "refused: too-many-deletes")

	// What is named and nobody's counts as well.
	var absent string
	for _, slug := range []string{"k", "l", "m", "n", "o", "p", "q", "r", "s", "t"} {
		m.put("Site", map[string]any{"slug": slug})
		absent += "\n---\nkind: Site\nmetadata: {absent: true}\nspec: {slug: " + slug + "}"
	}
	all := load(t, "kind: Site\nspec: {slug: a}"+absent)
	o = owned()
	o.Ownership.Partial = "a part"
	require.Contains(t, plan(t, set, m, all, o), "refused: too-many-deletes")
	require.NotContains(t, plan(t, set, m, all, o), "refused: last-object")
}
