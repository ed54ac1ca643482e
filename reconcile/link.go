package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// Link finds what each reference of the desired objects refers to, and which
// live object is which desired one: it replaces Selectors by Refs and sets Key
// and Peer. live may be nil: then only what the manifests alone prove wrong is
// reported, and references that they do not satisfy stay Selectors.
func Link(set *schema.Set, desired, live *State) Diagnostics {
	return LinkOwned(set, desired, live, Ownership{})
}

// LinkOwned is Link for a run with an owner: an object that was renamed on the
// server is recognised by its marker.
func LinkOwned(set *schema.Set, desired, live *State, own Ownership) Diagnostics {
	return linkWith(set, desired, live, own, nil)
}

// linkWith is LinkOwned; with untold, what can't be told goes there.
func linkWith(set *schema.Set, desired, live *State, own Ownership, untold *untold) Diagnostics {
	l := &linking{untold: untold, own: &owning{Ownership: own}, set: set, desired: desired, live: live, begun: map[string]bool{}, linked: map[string]bool{},
		indexes: map[string]map[string][]*Object{}, building: map[string]bool{}, unclear: map[*Object]bool{}}
	for _, kind := range sortedKeys(desired.Objects) {
		l.linkKind(set.Kind(kind))
	}
	for _, kind := range sortedKeys(desired.Objects) {
		for _, o := range desired.Objects[kind] {
			for _, f := range o.Kind.Fields {
				l.resolveField(o, f.Name)
			}
		}
	}
	if live != nil {
		for _, kind := range sortedKeys(live.Objects) {
			l.liveKeys(kind)
		}
	}
	l.absentTargets()
	return l.diags.Sorted()
}

// absentTargets reports references to objects that must not exist.
func (l *linking) absentTargets() {
	for _, kind := range sortedKeys(l.desired.Objects) {
		for _, o := range l.desired.Objects[kind] {
			if o.Doc.Meta.Absent || o.Doc.Meta.Release {
				continue
			}
			for _, f := range referenceFields(o.Kind) {
				list, ok := o.Fields[f.Name].([]any)
				if !ok {
					list = []any{o.Fields[f.Name]}
				}
				for _, v := range list {
					if ref, ok := v.(Ref); ok && ref.Target != nil && ref.Target.Doc != nil && ref.Target.Doc.Meta.Absent {
						l.diags = append(l.diags, Diagnostic{Severity: Error, Code: "absent-reference", Pos: o.fieldPos(f.Name),
							Object: o.String(), Field: f.Name, Summary: fmt.Sprintf("field %q refers to %s, which must not exist", f.Name, ref.Target),
							Related: []Related{{Pos: ref.Target.Doc.Pos, Message: "metadata.absent"}}})
					}
				}
			}
		}
	}
}

// liveKeys computes the keys of a kind's live objects. A key that refers to an
// object that is being renamed has the new name, as the desired side has.
func (l *linking) liveKeys(kind string) {
	if l.live == nil {
		return
	}
	for _, o := range l.live.Objects[kind] {
		o.Key, _ = o.keyText()
	}
}

// linking is the work of one call of Link.
type linking struct {
	own           *owning
	set           *schema.Set
	desired, live *State
	diags         Diagnostics
	begun, linked map[string]bool // kinds whose matching has begun, and ended
	// indexes find candidates by the normal form of some fields: kind and field
	// names, then their values.
	indexes  map[string]map[string][]*Object
	hints    hints
	untold   *untold          // in a restore
	unclear  map[*Object]bool // desired objects whose live side can't be told
	building map[string]bool  // indexes under construction: a reference may lead back
}

// linkKind resolves the references in the keys of a kind's desired objects and
// matches them with live ones. It is called for a kind as soon as something
// refers to it, so that nothing is looked up among objects that are not matched.
func (l *linking) linkKind(kind *schema.Kind) {
	if l.begun[kind.Name] {
		return
	}
	l.begun[kind.Name] = true
	objects := l.desired.Objects[kind.Name]
	for _, o := range objects {
		for _, name := range kind.Resource.Key {
			l.resolveField(o, name)
		}
		o.Key, _ = o.keyText()
	}
	for _, name := range kind.Resource.Key {
		if f := kind.Field(name); f.Ref != nil {
			l.linkKind(l.set.Kind(f.Ref.Kind))
		}
	}
	l.liveKeys(kind.Name)
	l.match(kind, objects)
	l.linked[kind.Name] = true
}

// resolveField replaces the selectors in one field.
func (l *linking) resolveField(o *Object, name string) {
	switch v := o.Fields[name].(type) {
	case Selector:
		if ref, ok := l.resolve(o, name, v); ok {
			o.Fields[name] = ref
		}
	case []any:
		list, changed := v, false
		for i, item := range v {
			s, ok := item.(Selector)
			if !ok {
				continue
			}
			if ref, ok := l.resolve(o, name, s); ok {
				if !changed {
					list, changed = slices.Clone(v), true
				}
				list[i] = ref
			}
		}
		o.Fields[name] = list
	}
}

// resolve finds the one object that a selector means.
func (l *linking) resolve(o *Object, field string, s Selector) (Ref, bool) {
	fields, ok := l.resolveInner(o, field, s)
	if !ok {
		return Ref{}, false
	}
	candidates := l.candidates(s, fields)
	switch {
	case len(candidates) == 1:
		return Ref{Target: candidates[0], Kind: s.Kind}, true
	case len(candidates) > 1:
		meant, noted := l.untold.several(o, s, candidates)
		if meant != nil && noted {
			return Ref{Target: meant, Kind: s.Kind}, true
		}
		if !noted {
			l.ambiguous(o, field, s, candidates)
		}
	case l.live != nil:
		l.unsatisfied(o, field, s)
	}
	return Ref{}, false
}

// resolveInner resolves the references inside a selector.
func (l *linking) resolveInner(o *Object, field string, s Selector) (map[string]any, bool) {
	fields := s.Fields
	for name, v := range s.Fields {
		inner, ok := v.(Selector)
		if !ok {
			continue
		}
		ref, ok := l.resolve(o, field, inner)
		if !ok {
			l.untold.within(o, s, inner)
			return nil, false
		}
		if len(fields) == len(s.Fields) {
			copied := make(map[string]any, len(fields))
			for k, w := range fields {
				copied[k] = w
			}
			fields = copied
		}
		fields[name] = ref
	}
	return fields, true
}

// candidates are the objects, desired or live, that have the field values of a
// selector. A live object that a desired one was matched with counts once, as
// the desired one.
func (l *linking) candidates(s Selector, fields map[string]any) []*Object {
	if s.Row != 0 {
		return l.byRow(s)
	}
	kind := l.set.Kind(s.Kind)
	names := sortedKeys(fields)
	index := l.index(kind, names)
	key := selectorKey(kind, names, func(name string) (any, bool) { return fields[name], true })
	var found []*Object
	for _, c := range index[key] {
		if c.Doc == nil && c.Peer != nil {
			continue // its desired side decides
		}
		found = append(found, c)
	}
	return found
}

func (l *linking) byRow(s Selector) []*Object {
	if l.live == nil {
		return nil
	}
	for _, o := range l.live.Objects[s.Kind] {
		if o.Row != s.Row {
			continue
		}
		if o.Peer != nil {
			return []*Object{o.Peer}
		}
		return []*Object{o}
	}
	return nil
}

// index groups all objects of a kind by the values of some fields. An index is
// kept only for kinds whose objects are matched: until then their keys and
// peers still change.
func (l *linking) index(kind *schema.Kind, names []string) map[string][]*Object {
	cacheKey := kind.Name + "\x00" + strings.Join(names, "\x00")
	if index, ok := l.indexes[cacheKey]; ok {
		return index
	}
	if l.building[cacheKey] {
		return nil
	}
	l.linkKind(kind)
	l.building[cacheKey] = true
	defer delete(l.building, cacheKey)
	index := map[string][]*Object{}
	add := func(o *Object) {
		for _, name := range names {
			if _, unresolved := o.Fields[name].(Selector); unresolved {
				l.resolveField(o, name)
			}
		}
		key := selectorKey(kind, names, o.field)
		if key != "" {
			index[key] = append(index[key], o)
		}
	}
	for _, o := range l.desired.Objects[kind.Name] {
		add(o)
	}
	if l.live != nil {
		for _, o := range l.live.Objects[kind.Name] {
			add(o)
		}
	}
	if l.linked[kind.Name] {
		l.indexes[cacheKey] = index
	}
	return index
}

// selectorKey joins the normal forms of some fields; "" when one is unknown.
func selectorKey(kind *schema.Kind, names []string, value func(string) (any, bool)) string {
	var b []byte
	for _, name := range names {
		v, ok := value(name)
		if !ok {
			return ""
		}
		b = append(appendCanonical(b, kind.Field(name), v), 0)
	}
	return string(b)
}

func (l *linking) ambiguous(o *Object, field string, s Selector, candidates []*Object) {
	x := Diagnostic{Severity: Error, Code: "ambiguous-reference", Pos: s.Pos, Object: o.String(), Field: field,
		Summary: fmt.Sprintf("field %q: %d objects match %s %s", field, len(candidates), s.Kind, displaySelector(s, 0)),
		Detail:  "refer to it by a map of fields that only one has; candidates: " + labels(candidates)}
	for _, c := range candidates[:min(len(candidates), maxListed)] {
		if c.Doc != nil {
			x.Related = append(x.Related, Related{Pos: c.Doc.Pos, Message: "declared here"})
		}
	}
	l.diags = append(l.diags, x)
}

// maxListed bounds how many candidates a message names.
const maxListed = 10

func labels(objects []*Object) string {
	var names []string
	for i, o := range objects {
		if i == maxListed {
			names = append(names, fmt.Sprintf("and %d more", len(objects)-maxListed))
			break
		}
		names = append(names, o.Label())
	}
	return strings.Join(names, ", ")
}

func (l *linking) unsatisfied(o *Object, field string, s Selector) {
	near := l.hints.near(displaySelector(s, 0), l.desired.Objects[s.Kind], l.live.Objects[s.Kind])
	l.diags = append(l.diags, Diagnostic{Severity: Error, Code: "unsatisfied-reference", Pos: s.Pos, Object: o.String(), Field: field,
		Summary: fmt.Sprintf("field %q: no %s %s in the manifests or on the server", field, s.Kind, displaySelector(s, 0)),
		Detail:  near + "declare it, or check that the token may view it"})
}

// nowhere reports whether a diagnostic of Link says that something is on neither
// side: no mistake where what is there is written down, or brought back.
func (d Diagnostic) nowhere() bool {
	return d.Code == "unsatisfied-reference" || d.Code == "missing-object"
}
