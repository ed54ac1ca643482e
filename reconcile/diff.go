package reconcile

import (
	"fmt"
	"maps"
	"strings"

	"proxbox-sync/schema"
)

// DiffOptions say what a comparison leaves out and what it sends unasked.
type DiffOptions struct {
	IgnoreChanges map[string][]string // kind -> fields, beside metadata.ignoreChanges
	// SendSecrets reports whether an update sends a write-only field; nil: never.
	SendSecrets func(o *Object, field string) bool
}

// Diff compares linked states. It returns the objects that differ, by kind and
// in the order of the manifests, how many of each kind do not, and what speaks
// against creating one.
func Diff(set *schema.Set, desired *State, o DiffOptions) ([]*Change, map[string]int, Diagnostics) {
	var changes []*Change
	var diags Diagnostics
	unchanged := map[string]int{}
	for _, kind := range sortedKeys(desired.Objects) {
		for _, object := range desired.Objects[kind] {
			change := compare(object, o)
			if change == nil {
				unchanged[kind]++
				continue
			}
			if change.Action == Create {
				diags = append(diags, createProblems(set, object)...)
			}
			changes = append(changes, change)
		}
	}
	return changes, unchanged, diags.Sorted()
}

func createProblems(set *schema.Set, o *Object) Diagnostics {
	var diags Diagnostics
	for _, p := range set.Validate(o.Kind, forSchema(o.Fields).(map[string]any), schema.Create) {
		pos, _ := o.Doc.at(p.Pointer)
		diags = append(diags, Diagnostic{Severity: Error, Code: "create-rule", Pos: pos, Object: o.String(), Field: p.Field,
			Summary: "it would be created, but " + p.Message, Detail: p.Hint})
	}
	return diags
}

// compare returns what has to be done to one object, nil for nothing.
func compare(desired *Object, o DiffOptions) *Change {
	live := desired.Peer
	if live == nil && desired.Kind.Resource.Mode != schema.Singleton {
		return creation(desired)
	}
	if desired.Doc.Meta.CreateOnly {
		return nil
	}
	if live == nil {
		// The server makes a singleton's row when it is first asked for.
		live = &Object{Kind: desired.Kind, Fields: map[string]any{}}
	}
	change := &Change{Action: Update, Desired: desired, Live: desired.Peer}
	ignored := ignoredPaths(desired, o.IgnoreChanges)
	for _, f := range desired.Kind.Fields {
		want, declared := desired.Fields[f.Name]
		switch {
		case !declared:
		case f.WriteOnly:
			if o.SendSecrets != nil && o.SendSecrets(desired, f.Name) {
				change.Secrets = append(change.Secrets, secretChange(f, want, "asked"))
			}
		case f.Class == schema.Map:
			change.Fields = append(change.Fields, compareMap(f, want, live.Fields[f.Name], ignored)...)
		default:
			inner, all := nested("", f.Name, ignored)
			if all {
				continue
			}
			if fc, differs := compareField(f, want, live.Fields[f.Name], inner); differs {
				change.Fields = append(change.Fields, fc)
			}
		}
	}
	if len(change.Fields) == 0 && len(change.Secrets) == 0 {
		return nil
	}
	findInner(change)
	return change
}

func creation(desired *Object) *Change {
	change := &Change{Action: Create, Desired: desired}
	for _, f := range desired.Kind.Fields {
		v, declared := desired.Fields[f.Name]
		switch {
		case !declared:
		case f.WriteOnly:
			if _, ok := v.(Secret); ok {
				change.Secrets = append(change.Secrets, secretChange(f, v, "new"))
			}
		case f.Class == schema.Map:
			for _, fc := range compareMap(f, v, nil, nil) {
				fc.Before = nil
				change.Fields = append(change.Fields, fc)
			}
		default:
			change.Fields = append(change.Fields, FieldChange{Name: f.Name, Field: f, After: Shown(v), wire: v})
		}
	}
	return change
}

func secretChange(f *schema.Field, v any, why string) SecretChange {
	s, ok := v.(Secret)
	return SecretChange{Name: f.Name, Why: why, Sealed: ok && s.Sealed()}
}

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
		before, after := customValue(live[name]), customValue(wanted[name])
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

// String is the action and the object, for logs and errors.
func (c *Change) String() string { return fmt.Sprintf("%s %s", c.Action, c.Desired) }
