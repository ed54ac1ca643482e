package reconcile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// edits compares the document that is there with the live object, and lists what
// has to change in it. Fields that it leaves out are added where it is the whole
// object otherwise: it declares all that an export would, as far as the schema
// knows a default. A document that leaves such a field out was written by hand,
// to manage some fields and not others.
func (e *exporting) edits(x *Exported) {
	o, d := x.Object, x.Object.Peer
	if d.Doc.Meta.Absent || d.Doc.Meta.Release {
		return
	}
	ignored := ignoredPaths(d, e.o.IgnoreChanges)
	whole := e.o.Complete || !d.Doc.Meta.Existing && declaresDefaults(d, x.Fields)
	for _, f := range o.Kind.Fields {
		if f.WriteOnly || f.ReadOnly {
			continue
		}
		inner, all := nested("", f.Name, ignored)
		if all {
			continue
		}
		i := slices.IndexFunc(x.Fields, func(m ExportedField) bool { return m.Name == f.Name })
		want, declared := d.Fields[f.Name]
		switch {
		case f.Class == schema.Map && (declared || i >= 0):
			e.entryEdits(x, f, want, ignored, whole)
		case declared:
			have, there := o.Fields[f.Name]
			change, differs := compareField(f, want, have, inner)
			if !there || !differs {
				continue
			}
			value := any(nil)
			if i >= 0 {
				value = x.Fields[i].Value
			} else if have != nil && Empty(Shown(have)) {
				value = Shown(have)
			} else if have != nil {
				continue // it can't be written, which is noted
			}
			if len(inner) > 0 {
				value = keepIgnored(value, want, inner)
			}
			if value == nil && !f.Nullable {
				value = emptyOf(change.Field)
			}
			x.edit(d, []string{f.Name}, value)
		case i >= 0 && whole:
			x.edit(d, []string{f.Name}, x.Fields[i].Value)
		case i >= 0 && !Empty(x.Fields[i].Value) && !isDefault(f, x.Fields[i].Value):
			x.Unset = append(x.Unset, f.Name)
		}
	}
}

// declaresDefaults reports whether a document declares each of the fields that
// the schema knows a default for.
func declaresDefaults(d *Object, fields []ExportedField) bool {
	for _, m := range fields {
		if _, ok := d.Fields[m.Name]; !ok && d.Kind.Field(m.Name).Default != nil {
			return false
		}
	}
	return true
}

// isDefault reports whether a value is the one that the schema documents.
func isDefault(f *schema.Field, v any) bool {
	return f.Default != nil && string(appendExact(nil, v)) == string(appendExact(nil, plainDefault(f.Default)))
}

func plainDefault(v any) any {
	switch v := v.(type) {
	case float64, json.Number:
		if n, err := ParseNumber(fmt.Sprint(v)); err == nil {
			return n
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plainDefault(v[i])
		}
		return out
	}
	return v
}

// emptyOf is how a field that can't be null is emptied.
func emptyOf(f *schema.Field) any {
	switch f.Class {
	case schema.List, schema.ReferenceSet:
		return []any{}
	case schema.Map:
		return map[string]any{}
	}
	return ""
}

// keepIgnored returns the live value with what the document says at the places
// that are left to others.
func keepIgnored(value, declared any, ignored []string) any {
	for _, path := range ignored {
		value = overlay(value, declared, strings.Split(path, "."))
	}
	return value
}

// entryEdits are those of a map's entries, which are managed one by one.
func (e *exporting) entryEdits(x *Exported, f *schema.Field, want any, ignored []string, whole bool) {
	o, d := x.Object, x.Object.Peer
	declared, _ := want.(map[string]any)
	live, _ := o.Fields[f.Name].(map[string]any)
	entries := map[string]any{}
	for _, m := range x.Fields {
		if m.Name == f.Name {
			entries, _ = m.Value.(map[string]any)
		}
	}
	if d.Doc.Spec.Member(f.Name) == nil {
		switch {
		case len(entries) > 0 && whole:
			x.edit(d, []string{f.Name}, entries)
		case len(entries) > 0:
			x.Unset = append(x.Unset, f.Name)
		}
		return
	}
	for _, name := range sortedKeys(live) {
		path := f.Name + "." + name
		inner, all := nested(f.Name, path, ignored)
		value, writable := entries[name]
		v, has := declared[name]
		switch {
		case all || name == MarkerField:
		case has:
			_, differs := compareField(&schema.Field{Name: path, Class: schema.JSON}, v, e.customValue(name, live[name]), inner)
			if differs && (writable || live[name] == nil) {
				x.edit(d, []string{f.Name, name}, keepIgnored(value, v, inner))
			}
		case writable && whole:
			x.edit(d, []string{f.Name, name}, value)
		case writable:
			x.Unset = append(x.Unset, path)
		}
	}
}

// edit notes a value that a document has to have.
func (x *Exported) edit(d *Object, path []string, value any) {
	edit := FieldEdit{Path: path, Value: value, Fields: d.Doc.Spec.Pos}
	node := d.Doc.Spec
	for i, name := range path {
		at := slices.IndexFunc(node.Members, func(m Member) bool { return m.Name == name })
		if at < 0 {
			edit.At = Position{}
			break
		}
		m := node.Members[at]
		edit.At, edit.Patched = m.Value.Pos, edit.Patched || m.Patched
		node = m.Value
		if i+1 < len(path) {
			edit.Fields = node.Pos
		}
	}
	x.Edits = append(x.Edits, edit)
}

// coverage finds out where each secret field of an exported object is kept.
func (e *exporting) coverage(x *Exported) {
	o, d := x.Object, x.Object.Peer
	own := &owning{Ownership: e.o.Ownership, attached: e.live.Marked}
	old, claim := own.claim(o)
	for _, f := range o.Kind.Fields {
		if !f.WriteOnly || f.ReadOnly || e.readOnly[o.Kind.Name][f.Name] {
			continue
		}
		c := SecretCoverage{Object: o, Field: f.Name, State: SecretMissing}
		var v any
		declared := false
		if d != nil {
			v, declared = d.Fields[f.Name]
			c.Object = d
		}
		switch {
		case declared:
			if _, ok := v.(Secret); !ok {
				continue // it is declared to be empty
			}
			c.State = SecretOther
			switch s := own.secretState(d, f, v, old, claim); s.Status {
			case "unchanged":
				c.State = SecretApplied
			case "changed":
				c.Why = "it was changed in Git since"
			default:
				c.Why = s.Why
			}
		case d != nil && slices.ContainsFunc(d.Doc.Unfilled, func(m Member) bool { return m.Name == f.Name }):
			c.State = SecretTodo
		case !e.taken(o, x.Fields, f):
			continue
		}
		e.out.Secrets = append(e.out.Secrets, c)
	}
}

// taken reports whether the rules of a kind let an object have a secret field,
// as it is.
func (e *exporting) taken(o *Object, fields []ExportedField, f *schema.Field) bool {
	value := make(map[string]any, len(fields)+1)
	for _, m := range fields {
		value[m.Name] = forSchema(m.Value)
	}
	without := len(e.set.Validate(o.Kind, value, schema.Whole))
	value[f.Name] = Redacted
	return len(e.set.Validate(o.Kind, value, schema.Whole)) <= without
}

// Says reports whether a document, as it was read, has a value at a place: the
// check that an edit of its file came out as it was meant.
func Says(d *Document, path []string, value any) bool {
	n := d.Spec
	for _, name := range path {
		if n = n.Member(name); n == nil {
			return false
		}
	}
	return string(appendExact(nil, plain(n))) == string(appendExact(nil, value))
}

// WrittenKey is what identifies a desired object among the documents: its kind
// and key fields as written, and the fields that tell namesakes apart.
func (o *Object) WrittenKey() string {
	b := o.Kind.Name + "\x00" + o.writtenKey()
	for _, name := range extraUnique(o.Kind) {
		if v, ok := o.Fields[name]; ok {
			b += "\x00" + name + canonical(o.Kind.Field(name), v)
		}
	}
	return b
}
