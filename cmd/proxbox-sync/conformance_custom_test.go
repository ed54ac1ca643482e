package main

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// customTypes are types of custom fields with two values of each.
var customTypes = map[string][2]any{
	"text":     {"one", " two é "},
	"longtext": {"one\ntwo", "three"},
	"integer":  {number("7"), number("-3")},
	"decimal":  {number("1.5"), number("10")},
	"boolean":  {true, false},
	"date":     {"2024-02-29", "2025-01-01"},
	"datetime": {"2024-02-29T23:59:59Z", "2025-07-01T02:03:04+02:00"},
	"url":      {"https://one.example/", "https://two.example/?a=b&c=d"},
	"json":     {map[string]any{"a": []any{number("1"), nil, "x"}}, []any{map[string]any{"b": true}}},
}

// TestConformanceCustomFields manages custom fields of every type on every kind
// that has them: only those declared, each by itself.
func TestConformanceCustomFields(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		m, s := w.maker(t), w.story(t)
		kinds, types := customized(w)
		name := func(kind string) string { return w.tag + "_" + kind }
		for kind := range customTypes {
			w.must(t, http.MethodPost, "extras/custom-fields", map[string]any{"name": name(kind), "type": kind, "object_types": types})
		}
		var things []*thing
		for _, kind := range kinds {
			things = append(things, m.minimal(kind))
		}
		declared := func(value func(kind string) any) []*thing {
			var list []*thing
			for _, x := range things {
				fields := map[string]any{}
				for kind := range customTypes {
					if v := value(kind); v != undeclared {
						fields[name(kind)] = v
					}
				}
				list = append(list, x.with(map[string]any{"custom_fields": fields}))
			}
			return append(slices.Clone(m.order), list...)
		}
		show := func(step string, want func(kind string) any) {
			t.Helper()
			for i, x := range things {
				row := w.shown(t, x.kind, x.row)["custom_fields"].(map[string]any)
				for kind := range customTypes {
					if v := want(kind); v != undeclared && !customEqual(row[name(kind)], v) {
						t.Errorf("%s: %s of %s: declared %v, the server shows %v", step, kind, things[i], v, row[name(kind)])
					}
				}
			}
		}
		first := func(kind string) any { return customTypes[kind][0] }
		second := func(kind string) any { return customTypes[kind][1] }

		made := declared(first)
		require.NoError(t, s.apply(made...))
		for i, x := range made[len(made)-len(things):] {
			things[i].row = x.row
		}
		show("created", first)
		require.NoError(t, s.apply(declared(second)...))
		show("changed", second)

		onlyText := func(kind string) any {
			if kind == "text" {
				return "alone"
			}
			return undeclared
		}
		require.NoError(t, s.apply(declared(onlyText)...))
		show("one of them changed", func(kind string) any {
			if kind == "text" {
				return "alone"
			}
			return second(kind)
		})
		require.NoError(t, s.apply(declared(func(string) any { return nil })...))
		show("cleared", func(string) any { return nil })

		report, err := s.once(reconcile.PlanOptions{}, things[0].with(map[string]any{"custom_fields": map[string]any{w.tag + "_none": "x"}}))
		require.NoError(t, err)
		require.ErrorContains(t, failures(report), "custom_fields")
	})
}

// undeclared marks a custom field that a manifest leaves out.
const undeclared = "\x00undeclared"

// customized are the managed kinds that have custom fields, and their types.
func customized(w *world) (kinds []*schema.Kind, types []string) {
	for _, kind := range w.set.Kinds() {
		f := kind.Field("custom_fields")
		if kind.Resource.Mode == schema.Managed && f != nil && f.Class == schema.Map {
			kinds, types = append(kinds, kind), append(types, kind.Resource.ObjectType)
		}
	}
	return kinds, types
}

// customEqual compares a custom field with what was declared: times by instant.
func customEqual(have, want any) bool {
	a, b := instant(have), instant(want)
	if !a.IsZero() && !b.IsZero() {
		return a.Equal(b)
	}
	return equal(have, want)
}
