package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
		return d.absence(o, old, claim)
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
	sent := d.secrets(change, old, claim)
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

// absence deletes an object that must not exist.
func (d *differing) absence(o *Object, old Marker, claim claim) *Change {
	if o.Peer == nil {
		return nil
	}
	if claim == ours && old.Protect {
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
			change.Fields[i].Label = d.own.label(o, old, change.Fields[i])
		}
	}
}

// secrets decides which write-only fields are sent, and returns those whose
// digest is recorded anew: the ones sent, and the ones accepted as they are.
func (d *differing) secrets(change *Change, old Marker, claim claim) map[string]bool {
	o, sent := change.Desired, map[string]bool{}
	needed := d.needed(change)
	for _, f := range o.Kind.Fields {
		v, declared := o.Fields[f.Name]
		if !declared || !f.WriteOnly {
			continue
		}
		state := d.own.secretState(o, f, v, old, claim)
		why := ""
		switch {
		case d.options.SendSecrets != nil && d.options.SendSecrets(o, f.Name):
			why = "asked"
		case state.Status == "changed":
			why = "changed"
		case slices.Contains(needed, f.Name):
			why = "needed"
		}
		switch {
		case why != "":
			d.own.older(o, f, v, old)
			change.Secrets = append(change.Secrets, secretChange(f, v, why))
			state.Sent, sent[f.Name] = true, true
		case state.Status == "unknown" && d.own.AcceptSecrets:
			sent[f.Name] = true
		}
		d.out.Secrets = append(d.out.Secrets, state)
	}
	d.wasted(change)
	return sent
}

// wasted reports secrets that the server would drop without a word, since the
// rules of the kind exclude them with the values that the object has there: a
// secret can't be read back to notice it.
func (d *differing) wasted(change *Change) {
	if len(change.Secrets) == 0 || change.Live == nil {
		return
	}
	o, merged := change.Desired, map[string]any{}
	for _, fields := range []map[string]any{change.Live.Fields, o.Fields} {
		for name, v := range fields {
			if f := o.Kind.Field(name); f != nil && !f.WriteOnly && !f.ReadOnly {
				merged[name] = forSchema(v)
			}
		}
	}
	without := d.set.Validate(o.Kind, merged, schema.Whole)
	for _, s := range change.Secrets {
		if v, ok := o.Fields[s.Name].(Secret); !ok || !v.Encrypted() && v.Sealed() {
			continue
		}
		merged[s.Name] = Redacted
		for _, p := range d.set.Validate(o.Kind, merged, schema.Whole) {
			if !slices.Contains(without, p) {
				d.diags = append(d.diags, Diagnostic{Severity: Error, Code: "wasted-secret", Pos: o.fieldPos(s.Name), Object: o.String(), Field: s.Name,
					Summary: fmt.Sprintf("the server would drop secret field %q: %s", s.Name, p.Message),
					Detail:  "that is how the object is on the server; declare the fields that the rule speaks of, or remove the secret"})
			}
		}
		delete(merged, s.Name)
	}
}

// needed lists the write-only fields that a change makes necessary: the rules of
// x-resource.create ask for them with the new values and did not with the old
// ones. One that no manifest declares is reported.
func (d *differing) needed(change *Change) []string {
	o := change.Desired
	if len(o.Kind.Resource.Create) == 0 || len(change.Fields) == 0 || change.Live == nil {
		return nil
	}
	problems := func(fields map[string]any, more string) int {
		value := map[string]any{}
		for name, v := range fields {
			if f := o.Kind.Field(name); f != nil && !f.WriteOnly {
				value[name] = forSchema(v)
			}
		}
		if more != "" {
			value[more] = Redacted
		}
		return len(d.set.Validate(o.Kind, value, schema.Create))
	}
	merged := map[string]any{}
	maps.Copy(merged, change.Live.Fields)
	maps.Copy(merged, o.Fields)
	now := problems(merged, "")
	if now <= problems(change.Live.Fields, "") {
		return nil
	}
	var names []string
	for _, name := range writeOnlyFields(o.Kind) {
		if problems(merged, name) >= now {
			continue
		}
		if _, declared := o.Fields[name]; declared {
			names = append(names, name)
			continue
		}
		d.diags = append(d.diags, Diagnostic{Severity: Error, Code: "needed-secret", Pos: o.Doc.Pos, Object: o.String(), Field: name,
			Summary: fmt.Sprintf("with this change the server needs secret field %q, which no manifest declares", name)})
	}
	return names
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
	change := &Change{Action: Create, Desired: o, namesakes: d.rowsOfKey(o)}
	sent := map[string]bool{}
	for _, f := range o.Kind.Fields {
		v, declared := o.Fields[f.Name]
		switch {
		case !declared:
		case f.WriteOnly:
			if _, ok := v.(Secret); ok {
				change.Secrets = append(change.Secrets, secretChange(f, v, "new"))
				sent[f.Name] = true
				d.out.Secrets = append(d.out.Secrets, SecretState{Object: o, Field: f.Name, Status: "new", Sent: true})
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
	if !o.Doc.Meta.CreateOnly {
		d.mark(change, Marker{}, unmarked, sent, ignoredPaths(o, d.options.IgnoreChanges))
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
func (c *Change) String() string { return fmt.Sprintf("%s %s", c.Action, c.Object()) }
