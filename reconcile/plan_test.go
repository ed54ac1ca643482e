package reconcile_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

const town = `
kind: Store
spec: {cluster: c1, name: s1, size: 10, sites: [b, a]}
---
kind: Cluster
spec: {name: c1, site: a}
---
kind: Site
items: [{slug: a}, {slug: b, custom_fields: {color: red}}]
---
kind: Options
spec: {level: 3}
---
kind: Door
spec: {name: front, domain: d.example, password: p}
`

func planOptions() reconcile.PlanOptions {
	return reconcile.PlanOptions{Desired: reconcile.DesiredOptions{AllowPlaintextSecrets: true},
		Ownership: reconcile.Ownership{AllowRetarget: []reconcile.Selection{{Kind: "Door"}}}}
}

func TestPlanOrdersReferencesFirst(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	plan := mustPlan(t, set, m, load(t, town), planOptions())
	want := []string{
		"0 update Options level",
		"0 create Site a slug",
		"0 create Site b slug custom_fields.color",
		"1 create Cluster c1 name site",
		"1 create Door front name domain password=new",
		"2 create Store c1/s1 cluster name size sites",
	}
	require.Empty(t, cmp.Diff(want, steps(plan)))
}

func TestCustomFieldsComeBeforeTheirValues(t *testing.T) {
	set := kinds(t)
	const text = `
kind: Door
spec: {name: d, password: p, custom_fields: {zone: 1}}
---
kind: Site
items: [{slug: a, custom_fields: {color: red}}, {slug: b, custom_fields: {color: blue, other: 1}}, {slug: c}]
---
kind: Extra
items: [{name: color}, {name: zone}]
`
	plan := mustPlan(t, set, newMemory(set), load(t, text), planOptions())
	require.Empty(t, cmp.Diff([]string{
		"0 create Extra color name",
		"0 create Extra zone name",
		"0 create Site c slug",
		"1 create Door d name custom_fields.zone password=new",
		"1 create Site a slug custom_fields.color",
		"1 create Site b slug custom_fields.color custom_fields.other",
	}, steps(plan)))
	require.Equal(t, []int{0}, plan.Steps[4].Needs, "a field that is refused blocks who uses it, and nobody else")
}

func TestApplyThenNothingIsLeft(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	report := reconcile.Apply(context.Background(), mustPlan(t, set, m, load(t, town), planOptions()), m, reconcile.ApplyOptions{})
	require.NoError(t, report.Err)
	require.Equal(t, 6, report.Count(reconcile.Applied))

	plan := mustPlan(t, set, m, load(t, town), planOptions())
	require.Empty(t, steps(plan))
	require.Equal(t, map[string]int{"Site": 2, "Cluster": 1, "Store": 1, "Options": 1, "Door": 1}, plan.Unchanged)
}

func TestUpdatesSendOnlyWhatDiffers(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	reconcile.Apply(context.Background(), mustPlan(t, set, m, load(t, town), planOptions()), m, reconcile.ApplyOptions{})
	m.writes = nil

	changed := `
kind: Site
items: [{slug: a, raw: {x: {y: [1, 2]}}}, {slug: b, custom_fields: {color: blue}}]
---
kind: Door
spec: {name: front, domain: elsewhere.example, password: q}
`
	plan := mustPlan(t, set, m, load(t, changed), planOptions())
	require.Empty(t, cmp.Diff([]string{
		"0 update Door front domain",
		"0 update Site a raw",
		"0 update Site b custom_fields.color",
	}, steps(plan)))
	require.NotEmpty(t, plan.Steps[0].Risks, "stored credentials get a new destination")
	reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
	require.Empty(t, cmp.Diff([]string{"update Door [domain]", "update Site [raw]", "update Site [custom_fields]"}, m.writes))

	plan = mustPlan(t, set, m, load(t, `kind: Site
spec: {slug: a, raw: {x: {y: [1, 3]}, z: true}}`), planOptions())
	require.Len(t, plan.Steps, 1)
	require.Empty(t, cmp.Diff([]reconcile.ValueChange{
		{Path: "/x/y/1", Before: reconcile.Number("2"), After: reconcile.Number("3"), Op: "replace"},
		{Path: "/z", After: true, Op: "add"},
	}, plan.Steps[0].Change.Fields[0].Inner))
}

func TestSecretsAreSentOnCreateAndWhenAsked(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	door := load(t, "kind: Door\nspec: {name: front, password: p}")
	reconcile.Apply(context.Background(), mustPlan(t, set, m, door, planOptions()), m, reconcile.ApplyOptions{})
	require.Empty(t, steps(mustPlan(t, set, m, door, planOptions())))

	for _, text := range []string{"", "Door", "Door/front", "Door/front.password"} {
		o := planOptions()
		s, err := reconcile.ParseSecretSelection(set, text)
		require.NoError(t, err)
		o.SendSecrets = []reconcile.SecretSelection{s}
		want := []string{"0 update Door front password=asked"}
		require.Empty(t, cmp.Diff(want, steps(mustPlan(t, set, m, door, o))), text)
	}
	o := planOptions()
	o.SendSecrets = []reconcile.SecretSelection{{Kind: "Door", Key: "frnt"}}
	_, diags, err := reconcile.MakePlan(context.Background(), set, m, door, o)
	require.NoError(t, err)
	require.Len(t, diags.Errors(), 1)
	require.Equal(t, `did you mean "front"?`, diags[0].Detail)
	_, err = reconcile.ParseSecretSelection(set, "Site/x.password")
	require.ErrorContains(t, err, `Site has no secret field "password"`)
}

func TestCyclesAreCutOrRefused(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	ring := load(t, "kind: Ring\nitems: [{name: a, next: b}, {name: b, next: c}, {name: c, next: a}]")
	plan := mustPlan(t, set, m, ring, planOptions())
	require.Empty(t, cmp.Diff([]string{
		"0 create Ring a name",
		"1 create Ring c name next",
		"2 create Ring b name next",
		"3 update Ring a next",
	}, steps(plan)))
	require.Equal(t, []string{"next"}, plan.Steps[0].Deferred)
	report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
	require.Equal(t, 4, report.Count(reconcile.Applied))
	require.Empty(t, steps(mustPlan(t, set, m, ring, planOptions())))

	_, diags, err := reconcile.MakePlan(context.Background(), set, m,
		load(t, "kind: Chain\nitems: [{name: a, next: b}, {name: b, next: a}]"), planOptions())
	require.NoError(t, err)
	require.Len(t, diags.Errors(), 1)
	require.Contains(t, diags[0].Summary, "Chain a -> Chain b -> Chain a")
}

func TestLinkTellsNamesakesApartOrSaysSo(t *testing.T) {
	for _, c := range []struct {
		why, text string
		live      []map[string]any
		want      []string // steps
		errors    []string
	}{
		{"one live object of that name is it, whatever its domain",
			"kind: Door\nspec: {name: a, domain: new}", []map[string]any{{"name": "a", "domain": "old"}},
			[]string{"0 update Door a domain"}, nil},
		{"the one whose domain agrees is it",
			"kind: Door\nspec: {name: a, domain: two, port: 5}",
			[]map[string]any{{"name": "a", "domain": "one"}, {"name": "a", "domain": "two"}},
			[]string{"0 update Door a port"}, nil},
		{"without a domain it can't be told",
			"kind: Door\nspec: {name: a, port: 5}",
			[]map[string]any{{"name": "a", "domain": "one"}, {"name": "a", "domain": "two"}},
			nil, []string{"1:1 ambiguous-object it can't be told which live object is meant"}},
		{"a third domain may be a new object or a change: not guessed",
			"kind: Door\nspec: {name: a, domain: three}",
			[]map[string]any{{"name": "a", "domain": "one"}, {"name": "a", "domain": "two"}},
			nil, []string{"1:1 ambiguous-object it can't be told which live object is meant"}},
		{"twins on the server",
			"kind: Door\nspec: {name: a, domain: one}",
			[]map[string]any{{"name": "a", "domain": "one"}, {"name": "a", "domain": "one"}},
			nil, []string{"1:1 ambiguous-object it can't be told which live object is meant"}},
		{"a second namesake is created beside the first",
			"kind: Door\nspec: {name: a, domain: one}\n---\nkind: Door\nspec: {name: a, domain: two, password: p}",
			[]map[string]any{{"name": "a", "domain": "one"}},
			[]string{"0 create Door a name domain password=new"}, nil},
		{"two declared and one live that is neither: not guessed",
			"kind: Door\nspec: {name: a, domain: one}\n---\nkind: Door\nspec: {name: a, domain: two}",
			[]map[string]any{{"name": "a", "domain": "three"}},
			nil, []string{"1:1 ambiguous-object it can't be told which live object is meant",
				"5:1 ambiguous-object it can't be told which live object is meant"}},
		{"a rule for creates only",
			"kind: Door\nspec: {name: b}", nil,
			nil, []string{"1:1 create-rule it would be created, but a new door needs a password"}},
		{"existing, but it is not there",
			"kind: Door\nmetadata: {existing: true}\nspec: {name: b, port: 1}", []map[string]any{{"name": "bb"}},
			nil, []string{"1:1 missing-object metadata.existing, but the server has no such object"}},
		{"createOnly leaves what is there",
			"kind: Door\nmetadata: {createOnly: true}\nspec: {name: a, port: 1}", []map[string]any{{"name": "a", "port": nil}},
			nil, nil},
		{"ignoreChanges leaves a field",
			"kind: Door\nmetadata: {ignoreChanges: [port]}\nspec: {name: a, port: 1, domain: x}", []map[string]any{{"name": "a"}},
			[]string{"0 update Door a domain"}, nil},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := newMemory(set)
			for _, fields := range c.live {
				m.put("Door", fields)
			}
			plan, diags, err := reconcile.MakePlan(context.Background(), set, m, load(t, c.text), planOptions())
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.errors, lines(diags.Errors())))
			if c.errors == nil {
				require.Empty(t, cmp.Diff(c.want, steps(plan)))
			}
		})
	}
}

func TestReferencesMustMatchOneObject(t *testing.T) {
	for _, c := range []struct {
		why, text string
		errors    []string
	}{
		{"by the last field of the key", "kind: Cluster\nspec: {name: c, site: a}", nil},
		{"by any other field", "kind: Cluster\nspec: {name: c, site: {name: Only}}", nil},
		{"by database id", "kind: Cluster\nspec: {name: c, site: {id: 1}}", nil},
		{"by a database id that does not exist", "kind: Cluster\nspec: {name: c, site: {id: 99}}",
			[]string{`3:23 unsatisfied-reference field "site": no Site id 99 in the manifests or on the server`}},
		{"nothing has the name", "kind: Cluster\nspec: {name: c, site: zz}",
			[]string{`3:23 unsatisfied-reference field "site": no Site zz in the manifests or on the server`}},
		{"several have it", "kind: Cluster\nspec: {name: c, site: {name: Same}}",
			[]string{`3:23 ambiguous-reference field "site": 2 objects match Site Same`}},
		{"one of the manifests", "kind: Cluster\nspec: {name: c, site: new}\n---\nkind: Site\nspec: {slug: new}", nil},
		{"a store by its cluster's site, two references deep", "kind: Store\nspec: {name: s, cluster: {site: {slug: a}}}", nil},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := newMemory(set)
			a := m.put("Site", map[string]any{"slug": "a", "name": "Only"})
			m.put("Site", map[string]any{"slug": "b", "name": "Same"})
			m.put("Site", map[string]any{"slug": "c", "name": "Same"})
			m.put("Cluster", map[string]any{"name": "there", "site": a})
			_, diags, err := reconcile.MakePlan(context.Background(), set, m, load(t, c.text), planOptions())
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.errors, lines(diags.Errors())))
		})
	}
}

func TestFieldsTheServerDoesNotHaveAreErrors(t *testing.T) {
	set := kinds(t)
	for _, live := range []bool{false, true} {
		m := newMemory(set)
		m.without = map[string]bool{"port": true}
		if live {
			m.put("Door", map[string]any{"name": "other"})
		}
		_, diags, err := reconcile.MakePlan(context.Background(), set, m,
			load(t, "kind: Door\nspec: {name: a, port: 3, password: p}"), planOptions())
		require.NoError(t, err)
		require.Empty(t, cmp.Diff([]string{`3:23 unsupported-field this server does not know field "port"`}, lines(diags.Errors())))
		require.Contains(t, diags[0].Detail, "netbox-proxbox 0.1")
	}
}

func TestSelectNarrowsAndChecksWhatItNeeds(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	o := planOptions()
	o.Select = []reconcile.Selection{{Kind: "Cluster"}}
	_, diags, err := reconcile.MakePlan(context.Background(), set, m, load(t, town), o)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]string{"7:24 unselected-reference it needs Site a, which does not exist yet and is not selected"},
		lines(diags.Errors())))

	o.Select = append(o.Select, reconcile.Selection{Kind: "Site", Key: "a"})
	require.Empty(t, cmp.Diff([]string{"0 create Site a slug", "1 create Cluster c1 name site"},
		steps(mustPlan(t, set, m, load(t, town), o))))

	o.Select = []reconcile.Selection{{Kind: "Site", Key: "zzz"}}
	_, diags, _ = reconcile.MakePlan(context.Background(), set, m, load(t, town), o)
	require.Len(t, diags.Errors(), 1)
}

func TestOnlyNeededFieldsAreRead(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	mustPlan(t, set, m, load(t, "kind: Store\nspec: {cluster: {name: c}, name: s, size: 1}\n---\nkind: Cluster\nspec: {name: c}"), planOptions())
	got := map[string][]string{}
	for _, q := range m.reads {
		got[q.Kind] = q.Fields
	}
	require.Empty(t, cmp.Diff(map[string][]string{"Store": {"cluster", "name", "size"}, "Cluster": {"name"}}, got))
}

func TestWhatTheTokenMayNotAskIsSaidToBeUnchecked(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	m.mute = true
	plan := mustPlan(t, set, m, load(t, "kind: Door\nspec: {name: a, password: p}"), planOptions())
	require.Contains(t, lines(plan.Diagnostics)[0], "unchecked-fields not checked with this token")
}
