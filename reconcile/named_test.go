package reconcile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// outcomeOf is all that a plan says, but for the count of what is not managed: of
// kinds that were not read as a whole nobody knows.
func outcomeOf(t require.TestingT, set *schema.Set, m *memory, docs []reconcile.Document, o reconcile.PlanOptions) string {
	plan, diags, err := reconcile.MakePlan(context.Background(), set, m, docs, o)
	require.NoError(t, err)
	var out strings.Builder
	for _, d := range diags {
		fmt.Fprintf(&out, "%+v\n", d)
	}
	if plan != nil {
		record := plan.Record()
		record.Unmanaged = nil
		data, err := json.MarshalIndent(record, "", " ")
		require.NoError(t, err)
		out.Write(data)
	}
	return out.String()
}

// Whatever documents name, a server that leaves out the rest gives the same plan,
// the same candidates and the same hints.
func TestWhatIsLeftOutChangesNoPlan(t *testing.T) {
	set := kinds(t)
	left := 0
	rapid.Check(t, func(rt *rapid.T) {
		m := newMemory(set)
		o := planOptions()
		if rapid.Bool().Draw(rt, "owner") {
			m.put("Extra", map[string]any{"name": reconcile.MarkerField, "type": "json", "object_types": []any{"x.y", "x.door"}})
			o.Ownership.Owner, o.Ownership.Mark = "me", []string{"Site"}
		}
		reconcile.Apply(context.Background(), mustPlan(t, set, m, load(t, world(rt)), o), m, reconcile.ApplyOptions{})
		for id, r := range m.rows["Site"] { // renamed on the server, and another one of its name
			if rapid.IntRange(0, 4).Draw(rt, "rename") == 0 {
				r.Fields["slug"] = fmt.Sprintf("renamed%d", id)
			}
		}
		docs := load(t, world(rt))
		var some []reconcile.Document
		for _, d := range docs {
			if rapid.IntRange(0, 3).Draw(rt, "keep") > 0 {
				some = append(some, d)
			}
		}
		if o.Ownership.Owner != "" && rapid.Bool().Draw(rt, "partial") {
			o.Ownership.Partial = "the test says so"
		}
		whole := outcomeOf(rt, set, m, some, o)
		m.sparing, m.reads = true, nil
		require.Empty(rt, cmp.Diff(whole, outcomeOf(rt, set, m, some, o)))
		for _, q := range m.reads {
			if q.Named != nil {
				left++
			}
		}
	})
	require.NotZero(t, left, "no read was spared")
}

func TestWhatIsReadByName(t *testing.T) {
	set := kinds(t)
	base := `
kind: Site
items: [{slug: a}, {slug: b}, {slug: c}]
---
kind: Cluster
items: [{name: c1, site: a}, {name: c2, site: b}, {name: c3, site: c}]
---
kind: Store
items: [{cluster: c1, name: s}, {cluster: c2, name: s}, {cluster: c3, name: other, size: 1}]`
	apart := func(t *testing.T, owner string) *memory {
		m := newMemory(set)
		o := planOptions()
		if o.Ownership.Owner = owner; owner != "" {
			m.put("Extra", map[string]any{"name": reconcile.MarkerField, "type": "json", "object_types": []any{"x.y", "x.door"}})
		}
		reconcile.Apply(context.Background(), mustPlan(t, set, m, load(t, base), o), m, reconcile.ApplyOptions{})
		m.sparing, m.reads = true, nil
		return m
	}
	names := func(m *memory, kind string) (list []string) {
		for _, q := range m.reads {
			if q.Kind == kind {
				list = append(list, fmt.Sprint(q.Named, q.Rows))
			}
		}
		return list
	}
	t.Run("objects and the targets of references, and by number what else rows lead to", func(t *testing.T) {
		m := apart(t, "")
		plan := mustPlan(t, set, m, load(t, "kind: Store\nspec: {cluster: c1, name: s, size: 5}"), planOptions())
		require.Equal(t, []string{"0 update Store c1/s size"}, steps(plan))
		require.Equal(t, []string{"map[name:[s]] []"}, names(m, "Store"))
		require.Equal(t, []string{"map[name:[c1]] []", "map[] [5]"}, names(m, "Cluster"), "the namesake is on the second cluster")
	})
	t.Run("a reference that leads to another object than before", func(t *testing.T) {
		m := apart(t, "")
		plan := mustPlan(t, set, m, load(t, "kind: Cluster\nspec: {name: c1, site: c}"), planOptions())
		require.Equal(t, "a", plan.Steps[0].Change.Fields[0].Before)
		require.Equal(t, "c", plan.Steps[0].Change.Fields[0].After)
	})
	t.Run("an object that is being renamed", func(t *testing.T) {
		m := apart(t, "")
		plan := mustPlan(t, set, m, load(t, "kind: Cluster\nmetadata: {renamedFrom: c3}\nspec: {name: c9}"), planOptions())
		require.Equal(t, []string{"0 update Cluster c9 name"}, steps(plan))
		require.Equal(t, []string{"map[name:[c3 c9]] []"}, names(m, "Cluster"))
	})
	t.Run("everything where something is deleted", func(t *testing.T) {
		m := apart(t, "")
		mustPlan(t, set, m, load(t, "kind: Store\nmetadata: {absent: true}\nspec: {cluster: c1, name: s}"), planOptions())
		require.Equal(t, []string{"map[] []"}, names(m, "Store")[:1])
	})
	t.Run("everything of a kind in which orphans are looked for", func(t *testing.T) {
		m := apart(t, "me")
		o := planOptions()
		o.Ownership.Owner = "me"
		plan := mustPlan(t, set, m, load(t, "kind: Store\nspec: {cluster: c1, name: s}"), o)
		require.Len(t, plan.Orphans, 5, "sites and stores")
		require.Equal(t, []string{"map[] []"}, names(m, "Store"))
		require.Equal(t, "map[name:[c1]] []", names(m, "Cluster")[0])
	})
	t.Run("everything where a name is not found and a marker may tell", func(t *testing.T) {
		m := apart(t, "me")
		o := planOptions()
		o.Ownership.Owner, o.Ownership.Partial = "me", "one file"
		for _, r := range m.rows["Store"] {
			if r.Fields["name"] == "other" {
				r.Fields["name"] = "renamed"
			}
		}
		plan := mustPlan(t, set, m, load(t, "kind: Store\nspec: {cluster: c3, name: other, size: 1}"), o)
		require.Equal(t, []string{"0 update Store c3/other name"}, steps(plan))
		require.True(t, plan.Steps[0].Change.RenamedOutside)
	})
	t.Run("everything of a kind that nothing names", func(t *testing.T) {
		m := apart(t, "")
		plan := mustPlan(t, set, m, load(t, "kind: Store\nspec: {cluster: {site: a}, name: s, size: 2}"), planOptions())
		require.Equal(t, []string{"0 update Store c1/s size"}, steps(plan))
		require.Equal(t, []string{"map[] []"}, names(m, "Cluster"))
	})
	t.Run("a second match of a reference", func(t *testing.T) {
		m := apart(t, "")
		m.put("Cluster", map[string]any{"name": "c1"})
		_, diags, err := reconcile.MakePlan(t.Context(), set, m, load(t, "kind: Store\nspec: {cluster: c1, name: s}"), planOptions())
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(diags.Errors()), "2 objects match Cluster c1")
	})
}
