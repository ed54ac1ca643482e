package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

// TestConformanceSpellings writes every field of every kind in an unusual
// spelling first, and proves that this and all other spellings of the same
// value are no change to what the server makes of it.
func TestConformanceSpellings(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		for _, kind := range w.set.Kinds() {
			if kind.Resource.Mode != schema.Managed {
				continue
			}
			t.Run(kind.Name, func(t *testing.T) {
				t.Parallel()
				spellKind(t, w.fork(), kind)
			})
		}
	})
}

func spellKind(t *testing.T, w *world, kind *schema.Kind) {
	m := w.maker(t)
	walk := &walker{t: t, s: w.story(t), m: m, base: m.minimal(kind)}
	// What goes into the key is trimmed and read by meaning as well.
	for _, name := range kind.Resource.Key {
		if list := spellings(kind.Field(name), walk.base.fields[name]); len(list) > 0 && w.takes(kind, name, list[0]) {
			walk.base.fields[name] = list[0]
		}
	}
	require.NoError(t, walk.s.apply(append(slices.Clone(m.order), walk.base)...), "creating the smallest object")
	walk.known = w.knownFields(t, kind, walk.base.row)
	values, odd := map[string]any{}, map[string]any{}
	for _, f := range kind.Fields {
		_, interfaces := lookupField(table().Interfaces, kind, f.Name)
		if f.ReadOnly || f.WriteOnly || !walk.known[f.Name] || interfaces || walk.dependent(f.Name) || f.Class == schema.Map ||
			slices.Contains(kind.Resource.Key, f.Name) {
			continue
		}
		v := walk.m.values(kind, f)[0]
		list := slices.DeleteFunc(spellings(f, v), func(v any) bool { return !w.takes(kind, f.Name, v) })
		if len(list) == 0 {
			continue
		}
		values[f.Name], odd[f.Name] = v, list[0]
	}
	require.NoError(t, walk.s.apply(m.order...), "making what the fields refer to")
	require.NoError(t, walk.try(odd))
	walk.base = walk.base.with(values)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f := kind.Field(name)
		for _, v := range append(spellings(f, values[name]), values[name]) {
			if !w.takes(kind, name, v) {
				continue
			}
			if err := walk.s.settled(walk.base.with(map[string]any{name: v})); err != nil {
				t.Errorf("%s.%s = %v, written %v: %v", kind.Name, name, values[name], v, err)
			}
		}
	}
	walk.nothing()
}

// takes reports whether schema and server let a spelling pass.
func (w *world) takes(kind *schema.Kind, name string, v any) bool {
	text, isText := v.(string)
	if isText && text != strings.TrimSpace(text) && slices.Contains(table().Exact, kind.Name+"."+name) {
		return false
	}
	return len(w.set.Validate(kind, map[string]any{name: forSchema(v)}, schema.Partial)) == 0
}

// spellings are other ways to write a value, the oddest first.
func spellings(f *schema.Field, v any) []any {
	switch v := v.(type) {
	case string:
		switch f.Class {
		case schema.Text:
			return []any{" \t" + v + " \n", v + " "}
		case schema.Time:
			return otherTimes(v)
		case schema.Address:
			return []any{strings.ToUpper(long6(v)), " " + v}
		}
	case *thing:
		return []any{whole{v}, numbered{v}}
	case []any:
		if f.Class == schema.ReferenceSet || f.Set {
			return []any{slices.Collect(reversed(v))}
		}
	}
	return nil
}

func reversed(list []any) func(func(any) bool) {
	return func(yield func(any) bool) {
		for _, v := range slices.Backward(list) {
			if !yield(v) {
				return
			}
		}
	}
}

// otherTimes are the same instant elsewhere, and with fewer or more digits.
func otherTimes(text string) []any {
	at := instant(text)
	zone := time.FixedZone("", -(3*60+30)*60)
	return []any{at.In(zone).Format("2006-01-02T15:04:05.999999999-07:00"), at.UTC().Format("2006-01-02T15:04:05.000000Z")}
}

// long6 writes an IPv6 address with all its digits.
func long6(text string) string {
	host, mask, ok := strings.Cut(text, "/")
	if ok {
		mask = "/" + mask
	}
	a := address(host)
	if !strings.Contains(a, ":") {
		return text
	}
	return expand(a) + mask
}

func expand(a string) string {
	left, right, _ := strings.Cut(a, "::")
	parts := strings.Split(left, ":")
	var rest []string
	if right != "" {
		rest = strings.Split(right, ":")
	}
	for len(parts)+len(rest) < 8 {
		parts = append(parts, "0")
	}
	parts = append(parts, rest...)
	for i := range parts {
		parts[i] = fmt.Sprintf("%04s", parts[i])
	}
	return strings.Join(parts, ":")
}

// whole is a reference by every field of the target's key; numbered one by the
// server's number.
type (
	whole    struct{ *thing }
	numbered struct{ *thing }
)

// nothing proves that the ways to write "nothing" are the same.
func (walk *walker) nothing() {
	kind, cleared := walk.base.kind, map[string]any{}
	for _, f := range kind.Fields {
		if (f.Class == schema.Text || f.Class == schema.Choice) && f.Nullable && !f.ReadOnly && !f.WriteOnly && walk.known[f.Name] &&
			!walk.dependent(f.Name) && !slices.Contains(kind.Resource.Key, f.Name) && walk.s.w.takes(kind, f.Name, "") {
			cleared[f.Name] = ""
		}
	}
	require.NoError(walk.t, walk.try(cleared))
	walk.base = walk.base.with(cleared)
	for name := range cleared {
		for _, v := range []any{nil, "  "} {
			if !walk.s.w.takes(kind, name, v) {
				continue
			}
			if err := walk.s.settled(walk.base.with(map[string]any{name: v})); err != nil {
				walk.t.Errorf("%s.%s: %#v where it is empty: %v", kind.Name, name, v, err)
			}
		}
	}
}
