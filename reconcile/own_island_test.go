package reconcile_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// island is a server where two owners, strangers and vandals were at work, with
// what really happened beside what the markers say: it is told from the manifests
// and from the rows before and after, not from what a plan says of itself.
type island struct {
	*memory
	tb      testing.TB
	created map[reconcile.RowID]bool // by prod, or given back to it by name
	adopted map[reconcile.RowID]bool // by prod
	spoken  map[any]string           // names by the key of the marker that prod wrote on them
	strange int
}

func newIsland(t testing.TB, set *schema.Set) *island {
	return &island{memory: marked(t, set), tb: t, created: map[reconcile.RowID]bool{}, adopted: map[reconcile.RowID]bool{}, spoken: map[any]string{}}
}

// settlement is what manifests say: names are KIND/NAME.
type settlement struct {
	text    string
	managed map[string]bool
	absent  map[string]bool
}

const pool = 6 // sites s0 to s5, stores t0 to t5: manifests and strangers draw from the same

// settle draws manifests: sites of a few names and stores that may stand on them,
// with every kind of metadata. A rename is from a name that is not declared.
func settle(t *rapid.T) settlement {
	s := settlement{"kind: Cluster\nspec: {name: c}", map[string]bool{}, map[string]bool{}}
	metas := []string{"none", "none", "none", "", "", "", "", "protect", "absent", "release", "createOnly"}
	// These can make a set that is refused as a whole: not in each of them.
	metas = append(metas, rapid.SampledFrom([][]string{nil, nil, {"existing"}, {"renamedFrom", "renamedFrom"}}).Draw(t, "more metas")...)
	var sites, free []string
	draw := func(kind, name, spec string, fields ...string) (declared bool) {
		meta := rapid.SampledFrom(metas).Draw(t, "meta")
		if kind == "Store" && (meta == "existing" || meta == "createOnly") || meta == "renamedFrom" && len(free) == 0 {
			meta = ""
		}
		switch value := "true"; meta {
		case "none":
			free = append(free, name)
			return false
		case "absent", "release":
			s.absent[kind+"/"+name] = meta == "absent"
			s.text += fmt.Sprintf("\n---\nkind: %s\nmetadata: {%s: true}\nspec: {%s}", kind, meta, spec)
			return false
		case "renamedFrom":
			value = rapid.SampledFrom(free).Draw(t, "old name")
			fallthrough
		case "protect", "createOnly", "existing":
			meta += ": " + value
		}
		s.managed[kind+"/"+name] = !strings.Contains(meta, "Only") && !strings.Contains(meta, "existing")
		s.text += fmt.Sprintf("\n---\nkind: %s\nmetadata: {%s}\nspec: {%s%s}", kind, meta, spec, rapid.SampledFrom(fields).Draw(t, "fields"))
		return true
	}
	for i := range pool {
		name := fmt.Sprintf("s%d", i)
		if draw("Site", name, "slug: "+name, "", ", count: 1", ", name: n, count: 2", ", custom_fields: {a: 1}") {
			sites = append(sites, name)
		}
	}
	free = nil
	for i := range rapid.IntRange(0, pool).Draw(t, "stores") {
		on := []string{""}
		for _, site := range sites {
			on = append(on, ", site: "+site)
		}
		name := fmt.Sprintf("t%d", i)
		draw("Store", name, "cluster: c, name: "+name, on...)
	}
	return s
}

// name is what people call a row.
func (l *island) name(kind string, id reconcile.RowID) string {
	return fmt.Sprintf("%s/%v", kind, l.rows[kind][id].Fields[nameField[kind]])
}

var nameField = map[string]string{"Site": "slug", "Store": "name"}

// govern lets an owner plan and apply, and notes what it created and adopted.
func (l *island) govern(t *rapid.T, owner string, flags func(*reconcile.Ownership)) {
	o := reconcile.PlanOptions{Ownership: reconcile.Ownership{Owner: owner}}
	flags(&o.Ownership)
	said := settle(t)
	plan, diags, err := reconcile.MakePlan(context.Background(), l.set, l.memory, load(l.tb, said.text), o)
	require.NoError(t, err)
	if plan == nil {
		return
	}
	if owner == "prod" {
		l.judge(t, plan, said, o.Ownership)
	}
	if diags.HasErrors() {
		return
	}
	before := l.carried()
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
	l.remember(before, said)
}

// carried is the marker of each row.
func (l *island) carried() map[reconcile.RowID]map[string]any {
	all := map[reconcile.RowID]map[string]any{}
	for kind, rows := range l.rows {
		for id := range rows {
			all[id], _ = l.marker(kind, id).(map[string]any)
		}
	}
	return all
}

// remember notes what prod did: a row that was not there before was created, one
// that a manifest manages was adopted. One that carried, alone, the marker of
// another name and has that name now is the renamed object for all that anybody can
// tell: it counts as what its marker said.
func (l *island) remember(before map[reconcile.RowID]map[string]any, said settlement) {
	alone := map[any]int{}
	for _, m := range before {
		alone[m["key"]]++
	}
	for kind := range nameField {
		for id := range l.rows[kind] {
			was, there := before[id]
			key, name := was["key"], l.name(kind, id)
			back := was["owner"] == "prod" && was["origin"] == "created" && alone[key] == 1 && l.spoken[key] == name
			switch {
			case !there || back:
				l.created[id] = true
			case said.managed[name] && !l.created[id]:
				l.adopted[id] = true
			}
			if m, _ := l.marker(kind, id).(map[string]any); said.managed[name] && m["owner"] == "prod" {
				l.spoken[m["key"]] = name
			}
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

// meddle lets people do on the server what they can: make objects, under names of
// manifests as well, rename and delete them, take markers away, copy and forge
// them. Only a marker that says of an object what prod itself wrote of that name is
// left out: nobody could tell it from the real one.
func (l *island) meddle(t *rapid.T) {
	kind := rapid.SampledFrom([]string{"Site", "Site", "Store"}).Draw(t, "kind")
	ids := slices.Sorted(maps.Keys(l.rows[kind]))
	pick := func(label string) reconcile.RowID { return rapid.SampledFrom(ids).Draw(t, label) }
	l.strange++
	act := rapid.SampledFrom([]string{"make", "make with a marker", "rename", "delete", "unmark", "copy", "copy", "forge", "protect"}).Draw(t, "act")
	if len(ids) == 0 && act != "make" {
		return
	}
	switch act {
	case "make":
		l.make(kind, l.newName(t, kind), nil)
	case "make with a marker":
		l.make(kind, l.newName(t, kind), l.marker(kind, pick("from")))
	case "rename":
		id, name := pick("row"), l.newName(t, kind)
		if l.perfect(kind, name, l.marker(kind, id)) && !l.created[id] {
			return
		}
		r := l.rows[kind][id]
		r.Fields = maps.Clone(r.Fields)
		r.Fields[nameField[kind]] = name
		l.rows[kind][id] = r
	case "delete":
		delete(l.rows[kind], pick("row"))
		l.cascade()
	case "unmark":
		l.setMarker(kind, pick("row"), nil)
	case "copy":
		to, marker := pick("to"), l.marker(kind, pick("from"))
		if !l.perfect(kind, fmt.Sprint(l.rows[kind][to].Fields[nameField[kind]]), marker) {
			l.setMarker(kind, to, marker)
		}
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

// newName draws a name that no row has: one that manifests know, or none of theirs.
func (l *island) newName(t *rapid.T, kind string) string {
	name := fmt.Sprintf("%s%d", map[string]string{"Site": "s", "Store": "t"}[kind], rapid.IntRange(0, 2*pool).Draw(t, "name"))
	for _, r := range l.rows[kind] {
		if r.Fields[nameField[kind]] == name {
			return fmt.Sprintf("x%d", l.strange)
		}
	}
	return name
}

func (l *island) make(kind, name string, marker any) {
	fields := map[string]any{nameField[kind]: name}
	if kind == "Store" {
		for cluster := range l.rows["Cluster"] {
			fields["cluster"] = cluster
		}
	}
	if !l.perfect(kind, name, marker) {
		l.setMarker(kind, l.put(kind, fields), marker)
	}
}

// perfect reports whether a marker on an object of this name would be just what
// prod wrote.
func (l *island) perfect(kind, name string, marker any) bool {
	m, _ := marker.(map[string]any)
	return m["owner"] == "prod" && l.spoken[m["key"]] == kind+"/"+name
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
