package reconcile

import (
	"fmt"

	"proxbox-sync/schema"
)

// DiffOptions say what a comparison leaves out and what it sends unasked.
type DiffOptions struct {
	IgnoreChanges map[string][]string // kind -> fields, beside metadata.ignoreChanges
	// SendSecrets reports whether an update sends a write-only field; nil: never.
	SendSecrets func(o *Object, field string) bool
	Ownership   Ownership
}

// Difference is the result of Diff.
type Difference struct {
	Changes   []*Change
	Unchanged map[string]int // desired objects that need nothing, by kind
	Secrets   []SecretState
}

// Diff compares linked states. It returns the objects that differ, by kind and
// in the order of the manifests, and what speaks against changing one.
func Diff(set *schema.Set, desired, live *State, o DiffOptions) (Difference, Diagnostics) {
	d := &differing{set: set, live: live, options: o, out: Difference{Unchanged: map[string]int{}},
		own: &owning{Ownership: o.Ownership, attached: live.Marked}}
	for _, kind := range sortedKeys(desired.Objects) {
		for _, object := range desired.Objects[kind] {
			change := d.compare(object)
			if change == nil {
				d.out.Unchanged[kind]++
				continue
			}
			d.out.Changes = append(d.out.Changes, change)
		}
	}
	return d.out, append(d.diags, d.own.diags...).Sorted()
}

// differing is the work of one call of Diff.
type differing struct {
	set     *schema.Set
	live    *State
	keys    map[string]map[string][]RowID // rows by kind and key
	options DiffOptions
	own     *owning
	out     Difference
	diags   Diagnostics
}

func (d *differing) createProblems(o *Object) {
	for _, p := range d.set.Validate(o.Kind, forSchema(o.Fields).(map[string]any), schema.Create) {
		pos, _ := o.Doc.at(p.Pointer)
		d.diags = append(d.diags, Diagnostic{Severity: Error, Code: "create-rule", Pos: pos, Object: o.String(), Field: p.Field,
			Summary: "it would be created, but " + p.Message, Detail: p.Hint})
	}
}

// compare returns what has to be done to one object, nil for nothing.
func (d *differing) compare(o *Object) *Change {
	old, claim := d.own.admit(o)
	switch meta := o.Doc.Meta; {
	case meta.Absent:
		return d.absence(o)
	case meta.Release:
		if o.Peer == nil || claim != ours {
			return nil
		}
		return &Change{Action: Mark, Desired: o, Live: o.Peer, Marker: &MarkerChange{Why: "released"}}
	case o.Peer == nil && o.Kind.Resource.Mode != schema.Singleton:
		d.createProblems(o)
		return d.creation(o)
	case meta.CreateOnly:
		return nil
	}
	change := &Change{Action: Update, Desired: o, Live: o.Peer, RenamedOutside: o.renamedOutside}
	ignored := ignoredPaths(o, d.options.IgnoreChanges)
	d.fields(change, old, ignored)
	sent := d.secrets(change, old, claim, ignored)
	d.own.retarget(change)
	d.mark(change, old, claim, sent, ignored)
	if o.Peer != nil && o.Peer.Display() != o.Display() && len(change.Fields) > 0 {
		change.RenamedFrom = o.Peer.Display()
	}
	if len(change.Fields) == 0 && len(change.Secrets) == 0 {
		if change.Marker == nil {
			return nil
		}
		change.Action = Mark
	}
	findInner(change)
	return change
}

// absence deletes an object that must not exist. A marker that protects it does so
// whoever wrote it, and under whatever name the object has by now.
func (d *differing) absence(o *Object) *Change {
	if o.Peer == nil {
		return nil
	}
	if m, form := markerOf(o.Peer); form == goodMarker && m.Protect {
		d.diags = append(d.diags, Diagnostic{Severity: Error, Trouble: Policy, Code: "protected", Pos: o.Doc.Pos, Object: o.String(),
			Summary: "it is protected and must not exist",
			Detail:  "apply it once with metadata.protect: false, and delete it then"})
	}
	return &Change{Action: Delete, Desired: o, Live: o.Peer}
}

// fields compares the declared fields that can be read.
func (d *differing) fields(change *Change, old Marker, ignored []string) {
	o, live := change.Desired, change.Live
	if live == nil {
		// The server makes a singleton's row when it is first asked for.
		live = &Object{Kind: o.Kind, Fields: map[string]any{}}
	}
	for _, f := range o.Kind.Fields {
		want, declared := o.Fields[f.Name]
		if !declared || f.WriteOnly {
			continue
		}
		if f.Class == schema.Map {
			change.Fields = append(change.Fields, compareMap(f, want, live.Fields[f.Name], ignored)...)
			continue
		}
		inner, all := nested("", f.Name, ignored)
		if all {
			continue
		}
		if fc, differs := compareField(f, want, live.Fields[f.Name], inner); differs {
			change.Fields = append(change.Fields, fc)
		} else if len(inner) == 0 {
			change.held = append(change.held, f)
		}
	}
	if d.own.carries(o) {
		for i := range change.Fields {
			change.Fields[i].Label = d.own.label(o, old, change.Fields[i], ignored)
		}
	}
}

// mark decides whether the marker has to be written.
func (d *differing) mark(change *Change, old Marker, claim claim, sent map[string]bool, ignored []string) {
	o := change.Desired
	if !d.own.carries(o) || claim == unreadable {
		return
	}
	next := d.own.next(o, old, claim, sent, ignored)
	change.Released = d.own.released(old, next)
	if claim != unmarked && old.equal(next) {
		return
	}
	change.Marker = &MarkerChange{Why: markerWhy(o, claim), value: next.value()}
}

func markerWhy(o *Object, claim claim) string {
	switch {
	case o.Peer == nil:
		return "created"
	case o.copiedMarker:
		return "adopted, its marker was another object's"
	case claim == unmarked:
		return "adopted"
	case claim == theirs && o.Kind.Resource.Mode != schema.Singleton:
		return "taken over"
	}
	return "updated"
}

// rowsOfKey lists the live objects that have the key of a desired one.
func (d *differing) rowsOfKey(o *Object) []RowID {
	kind := o.Kind.Name
	if d.keys == nil {
		d.keys = map[string]map[string][]RowID{}
	}
	if d.keys[kind] == nil {
		d.keys[kind] = map[string][]RowID{}
		for _, live := range d.live.Objects[kind] {
			d.keys[kind][live.Key] = append(d.keys[kind][live.Key], live.Row)
		}
	}
	return d.keys[kind][o.Key]
}

func (d *differing) creation(o *Object) *Change {
	change := &Change{Action: Create, Desired: o, namesakes: d.rowsOfKey(o), Fields: make([]FieldChange, 0, len(o.Fields))}
	sent := map[string]bool{}
	for _, f := range o.Kind.Fields {
		v, declared := o.Fields[f.Name]
		switch {
		case !declared:
		case f.WriteOnly:
			if _, ok := v.(Secret); ok {
				change.Secrets = append(change.Secrets, secretChange(f, v, "new", SecretState{}))
				sent[f.Name] = true
				d.out.Secrets = append(d.out.Secrets, SecretState{Object: o, Field: f.Name, Status: "new", Sent: true})
			}
		case f.Class == schema.Map:
			change.Fields = append(change.Fields, newEntries(f, v)...)
		default:
			change.Fields = append(change.Fields, FieldChange{Name: f.Name, Field: f, After: Shown(v), wire: v})
		}
	}
	if !o.Doc.Meta.CreateOnly {
		d.mark(change, Marker{}, unmarked, sent, ignoredPaths(o, d.options.IgnoreChanges))
	}
	return change
}

// newEntries are the entries of a map that a create sets. Null is one as well:
// without it the server would fill in the default of the custom field.
func newEntries(f *schema.Field, v any) []FieldChange {
	entries, _ := v.(map[string]any)
	var out []FieldChange
	for _, name := range sortedKeys(entries) {
		out = append(out, FieldChange{Name: f.Name + "." + name, Field: f, After: Shown(entries[name]), wire: entries[name]})
	}
	return out
}

// String is the action and the object, for logs and errors.
func (c *Change) String() string { return fmt.Sprintf("%s %s", c.Action, c.Object()) }
