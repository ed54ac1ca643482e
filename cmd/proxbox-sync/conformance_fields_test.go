package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// TestConformanceFields manages every field of every kind: it is created with
// no more than it needs, then every other field is set, changed through every
// choice, and cleared. After each change the server shows the new value and a
// second plan is empty. Nothing in it knows a kind.
func TestConformanceFields(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		for _, kind := range w.set.Kinds() {
			if kind.Resource.Mode != schema.Managed {
				continue
			}
			t.Run(kind.Name, func(t *testing.T) {
				t.Parallel()
				walkKind(t, w.fork(), kind)
			})
		}
	})
}

// walker walks the fields of one object.
type walker struct {
	t     *testing.T
	s     *story
	m     *maker
	base  *thing // the smallest object
	known map[string]bool
}

func walkKind(t *testing.T, w *world, kind *schema.Kind) {
	m := w.maker(t)
	walk := &walker{t: t, s: w.story(t), m: m, base: m.minimal(kind)}
	things := append(slices.Clone(m.order), walk.base)
	require.NoError(t, walk.s.apply(things...), "creating the smallest object")
	require.NotZero(t, walk.base.row)
	require.NoError(t, walk.shown(walk.base.fields))
	walk.fields()
}

// fields walks through all fields of an object that is there.
func (walk *walker) fields() {
	kind := walk.base.kind
	walk.known = walk.s.w.knownFields(walk.t, kind, walk.base.row)
	sequences := map[string][]any{}
	for _, f := range kind.Fields {
		switch _, untouched := lookupField(table().Untouched, kind, f.Name); {
		case f.ReadOnly, f.WriteOnly, untouched && walk.s.w.real, slices.Contains(kind.Resource.Key, f.Name), f.Class == schema.Map:
		case !walk.known[f.Name]:
			walk.unknown(f)
		default:
			sequences[f.Name] = walk.sequence(f)
		}
	}
	// What the fields refer to is made in the same run as the first change.
	made := len(walk.m.order)
	require.NoError(walk.t, walk.s.apply(walk.m.order[:made]...), "making what the fields refer to")
	for name := range sequences {
		walk.assign(name, sequences[name])
	}
	if walk.s.w.real {
		walk.together(sequences)
	} else {
		for _, name := range slices.Sorted(maps.Keys(sequences)) {
			walk.alone(name, sequences[name])
		}
	}
	walk.refused()
}

// assign puts the addresses that a field is to refer to on an interface of the object.
func (walk *walker) assign(name string, targets []any) {
	entry, ok := lookupField(table().Interfaces, walk.base.kind, name)
	if !ok {
		return
	}
	w := walk.s.w
	for _, target := range targets {
		if target == nil {
			continue
		}
		walk.m.n++
		made := w.must(walk.t, http.MethodPost, entry.Path, map[string]any{
			entry.Holder: walk.base.row, "name": fmt.Sprintf("if%d", walk.m.n), "type": "other"})
		at := target.(*thing)
		w.must(walk.t, http.MethodPatch, fmt.Sprintf("%s/%d", w.path(walk.t, at.kind), at.row), map[string]any{
			"assigned_object_type": entry.Type, "assigned_object_id": made["id"]})
	}
}

// sequence is what a field is set to, one after the other.
func (walk *walker) sequence(f *schema.Field) []any {
	list := walk.m.values(walk.base.kind, f)
	var empty []any
	switch f.Class {
	case schema.Text, schema.Choice, schema.Address:
		empty = append(empty, "")
	case schema.ReferenceSet, schema.List:
		empty = append(empty, []any{})
	}
	if f.Nullable {
		empty = append(empty, nil)
	}
	for _, v := range empty {
		// Also values that the table refuses may be empty ones.
		refused, _ := lookupField(table().Refused, walk.base.kind, f.Name)
		if slices.ContainsFunc(refused, func(r any) bool { return equal(v, r) }) {
			continue
		}
		if len(walk.s.w.set.Validate(walk.base.kind, map[string]any{f.Name: forSchema(v)}, schema.Partial)) == 0 {
			list = append(list, v)
		}
	}
	return list
}

// together changes all fields that don't depend on others in one apply a
// round: one value each. Where that fails, each field is changed by itself, so
// that the failure names one.
func (walk *walker) together(sequences map[string][]any) {
	var dependent []string
	rounds := 0
	for name, list := range sequences {
		if walk.dependent(name) {
			dependent = append(dependent, name)
			continue
		}
		rounds = max(rounds, len(list))
	}
	for round := range rounds {
		fields := map[string]any{}
		for name, list := range sequences {
			if round < len(list) && !slices.Contains(dependent, name) {
				fields[name] = list[round]
			}
		}
		if walk.try(fields) == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if err := walk.try(map[string]any{name: fields[name]}); err != nil {
				walk.t.Errorf("%s.%s = %v: %v", walk.base.kind.Name, name, fields[name], err)
			}
		}
	}
	slices.Sort(dependent)
	for _, name := range dependent {
		walk.alone(name, sequences[name])
	}
}

// dependent reports whether the table has conditions for a field.
func (walk *walker) dependent(name string) bool {
	if slices.Contains(table().Fresh, walk.base.kind.Name+"."+name) {
		return true
	}
	for at := range table().With {
		kind, field, _ := strings.Cut(at, ".")
		field, _, _ = strings.Cut(field, "=")
		if field == name && (kind == "*" || kind == walk.base.kind.Name) {
			return true
		}
	}
	return false
}

// alone changes one field.
func (walk *walker) alone(name string, list []any) {
	for _, v := range list {
		fields := walk.conditions(name, v)
		err := error(nil)
		if slices.Contains(table().Fresh, walk.base.kind.Name+"."+name) {
			err = walk.fresh(fields)
		} else {
			err = walk.try(fields)
		}
		if err != nil {
			walk.t.Errorf("%s.%s = %v: %v", walk.base.kind.Name, name, v, err)
		}
	}
}

// fresh creates an object with the fields and compares what the server shows.
func (walk *walker) fresh(fields map[string]any) error {
	other := *walk
	other.base = walk.m.minimal(walk.base.kind).with(fields)
	if err := walk.s.apply(other.base); err != nil {
		return err
	}
	return other.shown(fields)
}

// conditions are a field's value and what the table wants beside it.
func (walk *walker) conditions(name string, v any) map[string]any {
	fields := map[string]any{}
	with, _ := lookupField(table().With, walk.base.kind, name)
	more, _ := lookupField(table().With, walk.base.kind, fmt.Sprintf("%s=%v", name, v))
	for _, part := range []map[string]any{with, more} {
		for other, value := range part {
			if walk.known[other] {
				fields[other] = walk.m.fill(value)
			}
		}
	}
	fields[name] = v
	return fields
}

// try brings fields about and compares what the server then shows.
func (walk *walker) try(fields map[string]any) error {
	if err := walk.s.apply(walk.base.with(fields)); err != nil {
		return err
	}
	return walk.shown(fields)
}

// shown compares the server's own words with what was declared.
func (walk *walker) shown(fields map[string]any) error {
	row := walk.s.w.shown(walk.t, walk.base.kind, walk.base.row)
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := walk.base.kind.Field(name)
		if !f.WriteOnly && !shows(f, row[name], fields[name]) {
			wrong = append(wrong, fmt.Sprintf("%s: declared %v, the server shows %v", name, fields[name], row[name]))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return nil
}

// unknown proves that a field which this server does not have is an error that
// names the server's version, and that nothing is sent.
func (walk *walker) unknown(f *schema.Field) {
	if f.Class == schema.Map {
		return
	}
	before := walk.s.server.writes.Load()
	plan, diags, err := walk.s.plan(reconcile.PlanOptions{}, walk.base.with(walk.conditions(f.Name, walk.m.values(walk.base.kind, f)[0])))
	require.NoError(walk.t, err)
	instance, err := walk.s.server.Instance(walk.t.Context())
	require.NoError(walk.t, err)
	found := slices.ContainsFunc(diags.Errors(), func(x reconcile.Diagnostic) bool {
		return x.Code == "unsupported-field" && x.Field == f.Name && strings.Contains(x.Detail, instance.PluginVersion)
	})
	if plan != nil || !found {
		walk.t.Errorf("%s.%s: the server does not have it, and the plan says %v", walk.base.kind.Name, f.Name, diags)
	}
	require.Equal(walk.t, before, walk.s.server.writes.Load(), "something was written")
}

// refused proves that values which the schema lets pass and the server does not
// are reported with the field's name, and change nothing. A server that shows a
// secret is of another generation, and may take it.
func (walk *walker) refused() {
	row := walk.s.w.shown(walk.t, walk.base.kind, walk.base.row)
	for _, f := range walk.base.kind.Fields {
		refused, ok := lookupField(table().Refused, walk.base.kind, f.Name)
		if _, shown := row[f.Name]; !ok || !walk.known[f.Name] || f.ReadOnly || f.WriteOnly && shown {
			continue
		}
		for _, v := range refused {
			before := walk.s.w.shown(walk.t, walk.base.kind, walk.base.row)[f.Name]
			report, err := walk.s.once(reconcile.PlanOptions{SendSecrets: []reconcile.SecretSelection{{}}},
				walk.base.with(map[string]any{f.Name: walk.m.fill(v)}))
			require.NoError(walk.t, err)
			require.Lenf(walk.t, report.Steps, 1, "%s.%s = %v", walk.base.kind.Name, f.Name, v)
			r := report.Steps[0]
			named := slices.ContainsFunc(r.Messages, func(x reconcile.FieldMessage) bool {
				return x.Text != "" && (x.Field == f.Name || x.Field == "")
			})
			if r.Result != reconcile.Failed || !named {
				walk.t.Errorf("%s.%s = %v: %s %v, expected a refusal about the field or the whole", walk.base.kind.Name, f.Name, v, r.Result, r.Messages)
			}
			after := walk.s.w.shown(walk.t, walk.base.kind, walk.base.row)[f.Name]
			require.True(walk.t, equal(before, after), "a refused value changed the field")
		}
	}
}

// knownFields is what the server has of a kind, by its own rows and OPTIONS.
func (w *world) knownFields(t testing.TB, kind *schema.Kind, row reconcile.RowID) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for name := range w.shown(t, kind, row) {
		known[name] = true
	}
	options := w.must(t, http.MethodOptions, w.path(t, kind), nil)
	actions, _ := options["actions"].(map[string]any)
	for _, method := range []string{http.MethodPut, http.MethodPost} {
		fields, _ := actions[method].(map[string]any)
		for name, v := range fields {
			field, _ := v.(map[string]any)
			known[name] = field["read_only"] != true
		}
	}
	return known
}
