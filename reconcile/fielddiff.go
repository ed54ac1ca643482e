package reconcile

import (
	"maps"
	"strings"

	"proxbox-sync/schema"
)

// compareField compares one field by its normal form. Ignored places inside a
// JSON field keep the server's value, also in what would be written.
func compareField(f *schema.Field, want, have any, ignored []string) (FieldChange, bool) {
	for _, path := range ignored {
		want = overlay(want, have, strings.Split(path, "."))
	}
	if canonical(f, want) == canonical(f, have) {
		return FieldChange{}, false
	}
	return FieldChange{Name: f.Name, Field: f, Before: Shown(have), After: Shown(want), wire: want, from: have}, true
}

// compareMap compares custom fields one by one: only declared ones are managed.
func compareMap(f *schema.Field, want, have any, ignored []string) []FieldChange {
	wanted, _ := want.(map[string]any)
	live, _ := have.(map[string]any)
	var changes []FieldChange
	for _, name := range sortedKeys(wanted) {
		path := f.Name + "." + name
		before, after := liveEntry(live[name], wanted[name]), wanted[name]
		entry := &schema.Field{Name: path, Class: schema.JSON}
		inner, all := nested(f.Name, path, ignored)
		if all {
			continue
		}
		if fc, differs := compareField(entry, after, before, inner); differs {
			fc.Field = f
			changes = append(changes, fc)
		}
	}
	return changes
}

// nested picks the ignored paths that lie inside one entry of a map; all says
// that the whole entry is ignored.
func nested(field, entry string, ignored []string) (inner []string, all bool) {
	for _, path := range ignored {
		if path == field || path == entry {
			return nil, true
		}
		if rest, ok := strings.CutPrefix(path, entry+"."); ok {
			inner = append(inner, rest)
		}
	}
	return inner, false
}

func ignoredPaths(o *Object, byKind map[string][]string) []string {
	paths := append([]string(nil), byKind[o.Kind.Name]...)
	for _, ignore := range o.Doc.Meta.IgnoreChanges {
		paths = append(paths, ignore.Path)
	}
	return paths
}

// overlay returns want with the value at a path taken from have.
func overlay(want, have any, path []string) any {
	w, ok := want.(map[string]any)
	if !ok {
		return want
	}
	h, _ := have.(map[string]any)
	out := maps.Clone(w)
	name := path[0]
	value, present := h[name]
	if len(path) > 1 {
		if inner, ok := w[name]; ok {
			out[name] = overlay(inner, value, path[1:])
		}
		return out
	}
	if present {
		out[name] = value
	} else {
		delete(out, name)
	}
	return out
}

// without returns a field's value without what is ignored inside it.
func without(field string, v any, ignored []string) any {
	for _, path := range ignored {
		if inner, ok := strings.CutPrefix(path, field+"."); ok {
			v = overlay(v, nil, strings.Split(inner, "."))
		}
	}
	return v
}
