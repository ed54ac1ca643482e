package reconcile_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"proxbox-sync/reconcile"
)

// island is a server where two owners, strangers and vandals were at work, with
// what really happened beside what the markers say.
type island struct {
	*memory
	tb      testing.TB
	created map[reconcile.RowID]bool // by prod, or given back to it by name
	adopted map[reconcile.RowID]bool // by prod
	strange int
}

// settlement draws manifests: sites of a few names and stores that may stand on
// them, with every kind of metadata.
func settlement(t *rapid.T) string {
	text := "kind: Cluster\nspec: {name: c}"
	var sites []string
	for i := range 6 {
		meta := rapid.SampledFrom([]string{"", "", "", "none", "none", "{protect: true}", "{absent: true}", "{release: true}", "{createOnly: true}"}).Draw(t, "meta")
		slug := fmt.Sprintf("s%d", i)
		switch meta {
		case "none":
			continue
		case "{absent: true}", "{release: true}":
			text += fmt.Sprintf("\n---\nkind: Site\nmetadata: %s\nspec: {slug: %s}", meta, slug)
			continue
		case "":
			meta = "{}"
		}
		sites = append(sites, slug)
		fields := rapid.SampledFrom([]string{"", ", count: 1", ", name: n, count: 2", ", custom_fields: {a: 1}"}).Draw(t, "fields")
		text += fmt.Sprintf("\n---\nkind: Site\nmetadata: %s\nspec: {slug: %s%s}", meta, slug, fields)
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "stores") {
		site := ""
		if len(sites) > 0 {
			site = rapid.SampledFrom([]string{"", ", site: " + sites[0], ", site: " + sites[len(sites)-1]}).Draw(t, "site")
		}
		meta := rapid.SampledFrom([]string{"{}", "{}", "{protect: true}", "{absent: true}"}).Draw(t, "meta")
		if meta == "{absent: true}" {
			site = ""
		}
		text += fmt.Sprintf("\n---\nkind: Store\nmetadata: %s\nspec: {cluster: c, name: t%d%s}", meta, i, site)
	}
	return text
}

// govern lets an owner plan and apply, and notes what it created and adopted.
func (l *island) govern(t *rapid.T, owner string, flags func(*reconcile.Ownership)) {
	o := reconcile.PlanOptions{Ownership: reconcile.Ownership{Owner: owner}}
	flags(&o.Ownership)
	plan, diags, err := reconcile.MakePlan(context.Background(), l.set, l.memory, load(l.tb, settlement(t)), o)
	require.NoError(t, err)
	if plan == nil || diags.HasErrors() {
		return
	}
	if owner == "prod" {
		l.judge(t, plan, o.Ownership)
	}
	was := map[reconcile.RowID]bool{}
	for _, rows := range l.rows {
		for id := range rows {
			was[id] = true
		}
	}
	report := reconcile.Apply(context.Background(), plan, l.memory, reconcile.ApplyOptions{})
	require.NoError(t, report.Err)
	l.cascade()
	if owner != "prod" {
		for _, r := range report.Steps {
			delete(l.created, r.Row)
			delete(l.adopted, r.Row)
		}
		return
	}
	for _, r := range report.Steps {
		switch c := r.Step.Change; {
		case c.Action == reconcile.Create || c.RenamedOutside:
			l.created[r.Row] = true
		case c.Action != reconcile.Delete && was[r.Row] && !l.created[r.Row]:
			l.adopted[r.Row] = true
		}
	}
}

// cascade is what the server does after a delete.
func (l *island) cascade() {
	for id, store := range l.rows["Store"] {
		site, _ := store.Fields["site"].(reconcile.RowID)
		if _, there := l.rows["Site"][site]; site != 0 && !there {
			delete(l.rows["Store"], id)
		}
	}
}

// meddle lets people do on the server what they can: make objects, rename and
// delete them, take markers away, copy and forge them.
func (l *island) meddle(t *rapid.T) {
	kind := rapid.SampledFrom([]string{"Site", "Site", "Store"}).Draw(t, "kind")
	ids := slices.Sorted(maps.Keys(l.rows[kind]))
	pick := func(label string) reconcile.RowID { return rapid.SampledFrom(ids).Draw(t, label) }
	l.strange++
	act := rapid.SampledFrom([]string{"make", "make with a marker", "rename", "delete", "unmark", "copy", "forge", "protect"}).Draw(t, "act")
	if len(ids) == 0 && act != "make" {
		return
	}
	switch act {
	case "make":
		l.put("Site", map[string]any{"slug": fmt.Sprintf("x%d", l.strange)})
	case "make with a marker":
		l.setMarker("Site", l.put("Site", map[string]any{"slug": fmt.Sprintf("x%d", l.strange)}), l.marker(kind, pick("from")))
	case "rename":
		name := map[string]string{"Site": "slug", "Store": "name"}[kind]
		id := pick("row")
		r := l.rows[kind][id]
		r.Fields = maps.Clone(r.Fields)
		r.Fields[name] = fmt.Sprintf("y%d", l.strange)
		l.rows[kind][id] = r
	case "delete":
		delete(l.rows[kind], pick("row"))
		l.cascade()
	case "unmark":
		l.setMarker(kind, pick("row"), nil)
	case "copy":
		l.setMarker(kind, pick("to"), l.marker(kind, pick("from")))
	case "forge":
		id := pick("row")
		l.setMarker(kind, id, rapid.SampledFrom([]any{
			map[string]any{"v": reconcile.Number("1"), "owner": "prod", "key": "0123456789abcdef", "origin": "created", "fields": map[string]any{}},
			map[string]any{"v": reconcile.Number("1"), "owner": "prod", "key": "", "origin": "created", "fields": map[string]any{}},
			map[string]any{"v": reconcile.Number("1"), "owner": "prod", "origin": "created", "fields": map[string]any{}},
			map[string]any{"v": reconcile.Number("2"), "owner": "prod", "key": "0123456789abcdef", "origin": "created", "fields": map[string]any{}},
			map[string]any{"v": reconcile.Number("1"), "owner": "other", "key": "0123456789abcdef", "origin": "created", "fields": map[string]any{}},
			map[string]any{}, "prod", true, []any{"prod"},
		}).Draw(t, "forgery"))
	case "protect":
		id := pick("row")
		if m, ok := l.marker(kind, id).(map[string]any); ok {
			m = maps.Clone(m)
			m["protect"] = true
			l.setMarker(kind, id, m)
		}
	}
}

func (l *island) marker(kind string, id reconcile.RowID) any {
	entries, _ := l.rows[kind][id].Fields["custom_fields"].(map[string]any)
	return entries[reconcile.MarkerField]
}

func (l *island) setMarker(kind string, id reconcile.RowID, marker any) {
	r := l.rows[kind][id]
	entries, _ := r.Fields["custom_fields"].(map[string]any)
	entries = maps.Clone(entries)
	if entries == nil {
		entries = map[string]any{}
	}
	entries[reconcile.MarkerField] = marker
	r.Fields = maps.Clone(r.Fields)
	r.Fields["custom_fields"] = entries
	l.rows[kind][id] = r
}

// judge holds every delete of a plan against what really happened.
func (l *island) judge(t require.TestingT, plan *reconcile.Plan, w reconcile.Ownership) (deletes int) {
	deleted := map[reconcile.RowID]bool{}
	for _, s := range plan.Steps {
		if s.Change.Action == reconcile.Delete {
			deleted[s.Change.Live.Row] = true
		}
	}
	for _, s := range plan.Steps {
		c := s.Change
		if c.Action != reconcile.Delete {
			continue
		}
		kind, row := c.Live.Kind.Name, c.Live.Row
		m, _ := l.marker(kind, row).(map[string]any)
		if c.Desired != nil {
			require.True(t, c.Desired.Doc.Meta.Absent, "%s: only what is declared absent is deleted by name", c.Live)
			require.Equal(t, c.Desired.Display(), c.Live.Display(), "another object is deleted than the one named")
			require.True(t, w.TakeOwnership || m["owner"] == nil || m["owner"] == "prod", "%s is another owner's: %v", c.Live, m)
		} else {
			require.True(t, w.Prune && w.Partial == "", "%s: nothing asked for a prune", c.Live)
			require.True(t, l.created[row] || w.PruneAdopted && l.adopted[row], "%s was never ours: %v", c.Live, m)
			require.Equal(t, "prod", m["owner"], "%s", c.Live)
			require.NotEqual(t, true, m["protect"], "%s is protected", c.Live)
		}
		deletes++
		for id, store := range l.rows["Store"] {
			if kind != "Site" || store.Fields["site"] != row || deleted[id] {
				continue
			}
			require.NotEmpty(t, c.Takes, "%s takes a store along that the plan does not say", c.Live)
			along, _ := l.marker("Store", id).(map[string]any)
			if along["owner"] == "other" || along["owner"] == "prod" && along["protect"] == true {
				require.True(t, plan.Diagnostics.HasErrors(), "%s would take what is not ours or protected", c.Live)
			}
		}
	}
	return deletes
}

// unfinished reports whether a second run may find something to do: what a
// cascade takes along may be declared and is made anew; an orphan that shares its
// marker is kept while the copy is there, and the copy on a declared object goes.
func unfinished(p *reconcile.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s *reconcile.Step) bool { return len(s.Change.Takes) > 0 }) ||
		slices.ContainsFunc(p.Orphans, func(x reconcile.Orphan) bool { return x.Copied })
}

// flags draws what a run may do.
func flags(t *rapid.T) func(*reconcile.Ownership) {
	return func(w *reconcile.Ownership) {
		w.Prune = rapid.Bool().Draw(t, "prune")
		w.PruneAdopted = w.Prune && rapid.Bool().Draw(t, "prune adopted")
		w.NoAdopt = rapid.IntRange(0, 4).Draw(t, "no adopt") == 0
		w.TakeOwnership = rapid.IntRange(0, 3).Draw(t, "take ownership") == 0
		if rapid.IntRange(0, 4).Draw(t, "partial") == 0 {
			w.Partial = "only a part"
		}
		if n := rapid.SampledFrom([]int{-1, 0, 1, 100, 100, 100}).Draw(t, "max deletes"); n >= 0 {
			w.Limits.MaxDeletes = &n
		}
	}
}

func TestNoPlanDeletesWhatThisOwnerDidNotMake(t *testing.T) {
	set := kinds(t)
	deletes, applied := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		l := &island{memory: marked(t, set), tb: t, created: map[reconcile.RowID]bool{}, adopted: map[reconcile.RowID]bool{}}
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			l.govern(rt, rapid.SampledFrom([]string{"prod", "prod", "other"}).Draw(rt, "owner"), flags(rt))
			for range rapid.IntRange(0, 5).Draw(rt, "meddling") {
				l.meddle(rt)
			}
		}
		o := reconcile.PlanOptions{Ownership: reconcile.Ownership{Owner: "prod"}}
		flags(rt)(&o.Ownership)
		docs := load(t, settlement(rt))
		plan, diags, err := reconcile.MakePlan(context.Background(), set, l.memory, docs, o)
		require.NoError(rt, err)
		if plan == nil {
			return
		}
		deletes += l.judge(rt, plan, o.Ownership)
		if diags.HasErrors() || unfinished(plan) {
			return
		}
		report := reconcile.Apply(context.Background(), plan, l.memory, reconcile.ApplyOptions{})
		require.Equal(rt, len(plan.Steps), report.Count(reconcile.Applied))
		applied++
		l.writes = nil
		again, diags, err := reconcile.MakePlan(context.Background(), set, l.memory, docs, o)
		require.NoError(rt, err)
		require.Empty(rt, diags.Errors())
		require.Empty(rt, summaryOfSteps(again), "a second plan")
		require.NoError(rt, reconcile.Apply(context.Background(), again, l.memory, reconcile.ApplyOptions{}).Err)
		require.Empty(rt, l.writes, "an empty plan writes nothing")
	})
	require.Positive(t, deletes, "no plan deleted anything: the test shows nothing")
	require.Positive(t, applied)
}

// summaryOfSteps is a plan's steps in words, without orphans.
func summaryOfSteps(p *reconcile.Plan) []string {
	p.Orphans = nil
	return summary(p)
}

func TestAbsentDeletesWhatItNamesAndNoCopyOfItsMarker(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, "kind: Site\nitems: [{slug: a}, {slug: b}]"), owned())
	l := &island{memory: m}
	copied := m.put("Site", map[string]any{"slug": "stranger"})
	for id, row := range m.rows["Site"] {
		if row.Fields["slug"] == "a" {
			l.setMarker("Site", copied, l.marker("Site", id))
		}
	}
	two := 2
	o := owned()
	o.Ownership.Limits.MaxDeletes = &two
	gone := load(t, "kind: Site\nmetadata: {absent: true}\nspec: {slug: a}\n---\nkind: Site\nspec: {slug: b}")
	apply(t, set, m, gone, o)
	require.Empty(t, keep(plan(t, set, m, gone, o), "delete"))
	require.Contains(t, m.rows["Site"], copied)
	require.Len(t, m.rows["Site"], 2)
}
