package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// match pairs the desired objects of one kind with live ones.
//
// Objects with one key form a group. In it, those whose declared unique fields
// all agree belong together; what is left over is a pair only when there is
// nothing else that it could be. Where more than one pairing is possible, that
// is reported with the candidates: NetBox lets namesakes exist, and a guess
// would change somebody else's object.
func (l *linking) match(kind *schema.Kind, objects []*Object) {
	live := map[string][]*Object{}
	if l.live != nil {
		for _, o := range l.live.Objects[kind.Name] {
			live[o.place()] = append(live[o.place()], o)
		}
	}
	groups := map[string][]*Object{}
	var keys []string
	objects = l.renamed(objects, live)
	for _, o := range objects {
		if o.Key == "" {
			continue // a reference in the key was not found, which is reported
		}
		at := o.place()
		if len(groups[at]) == 0 {
			keys = append(keys, at)
		}
		groups[at] = append(groups[at], o)
	}
	// What tells namesakes apart may be another object of the kind: those that have
	// none are first.
	plain := func(key string) bool { return len(groups[key]) == 1 && len(live[key]) <= 1 }
	for _, first := range []bool{true, false} {
		for _, key := range keys {
			if plain(key) == first {
				l.matchGroup(groups[key], live[key])
			}
		}
	}
	if l.live == nil {
		return
	}
	l.recognise(kind, objects)
	for _, o := range objects {
		if o.Peer == nil && o.Doc.Meta.Existing && o.Key != "" && !l.unclear[o] {
			l.missing(o)
		}
	}
}

// place is the key of an object and which objects the references in it lead to:
// what is called the same below two namesakes is not the same.
func (o *Object) place() string {
	var b strings.Builder
	b.WriteString(o.Key)
	for _, name := range o.Kind.Resource.Key {
		ref, ok := o.Fields[name].(Ref)
		if !ok {
			continue
		}
		row := ref.Row
		if ref.Target != nil {
			row = ref.Target.liveRow()
		}
		if row == 0 { // it is yet to be made: no live object refers to it
			fmt.Fprintf(&b, "\x00%p", ref.Target)
			continue
		}
		fmt.Fprintf(&b, "\x00%d", row)
	}
	return b.String()
}

func (l *linking) matchGroup(desired, live []*Object) {
	desired, live = l.dropTwins(desired), unmatched(live)
	if len(desired) == 1 && len(live) == 1 {
		pair(desired[0], live[0])
		return
	}
	var rest []*Object
	indexes := map[string]map[string][]*Object{}
	for _, o := range desired {
		if len(extraDeclared(o)) == 0 {
			rest = append(rest, o)
			continue
		}
		exact := l.exact(o, live, indexes)
		switch {
		case len(exact) == 1:
			pair(o, exact[0])
		case len(exact) == 0 || l.untold != nil:
			rest = append(rest, o)
		default:
			l.severalLive(o, exact)
		}
	}
	live = unmatched(live)
	if len(rest) == 0 || len(live) == 0 {
		return
	}
	if len(rest) == 1 && len(live) == 1 && len(desired) == 1 {
		pair(rest[0], live[0])
		return
	}
	if l.untold != nil {
		rest = l.tellApart(rest, live)
		if live = unmatched(live); len(live) == 0 {
			return
		}
	}
	for _, o := range rest {
		l.severalLive(o, live)
	}
}

func pair(desired, live *Object) { desired.Peer, live.Peer = live, desired }

// extraDeclared lists the declared unique fields beyond the key.
func extraDeclared(o *Object) []string {
	return slices.DeleteFunc(extraUnique(o.Kind), func(name string) bool {
		_, ok := o.Fields[name]
		return !ok
	})
}

// exact returns the live objects that agree with all declared unique fields.
// indexes keeps, for one group, the live objects by the values of such fields.
func (l *linking) exact(o *Object, live []*Object, indexes map[string]map[string][]*Object) []*Object {
	names := extraDeclared(o)
	for _, name := range names {
		l.resolveField(o, name)
	}
	fields := strings.Join(names, ",")
	index, ok := indexes[fields]
	if !ok {
		index = make(map[string][]*Object, len(live))
		for _, c := range live {
			key := selectorKey(o.Kind, names, func(name string) (any, bool) { return c.Fields[name], true })
			index[key] = append(index[key], c)
		}
		indexes[fields] = index
	}
	key := selectorKey(o.Kind, names, func(name string) (any, bool) { return o.Fields[name], true })
	return slices.DeleteFunc(slices.Clone(index[key]), func(c *Object) bool { return c.Peer != nil })
}

// dropTwins reports desired objects that turn out to be the same one.
func (l *linking) dropTwins(desired []*Object) []*Object {
	if len(desired) < 2 {
		return desired
	}
	var kept []*Object
	for _, o := range desired {
		for _, name := range extraDeclared(o) {
			l.resolveField(o, name)
		}
		if first := twinAmong(kept, o); first != nil {
			l.diags = append(l.diags, twins(first, o))
			continue
		}
		kept = append(kept, o)
	}
	return kept
}

func (l *linking) severalLive(o *Object, candidates []*Object) {
	l.unclear[o] = true
	names := extraUnique(o.Kind)
	detail := "the server has namesakes: " + labels(candidates)
	if len(names) > 0 {
		detail += fmt.Sprintf("; declare the fields %v as they are on the one that is meant", names)
	} else {
		detail += "; rename or remove all but one in NetBox"
	}
	if l.untold != nil {
		l.untold.objects[o] = "it can't be told which live object is meant: " + detail
		return
	}
	l.diags = append(l.diags, Diagnostic{Severity: Error, Code: "ambiguous-object", Pos: o.Doc.Pos, Object: o.String(),
		Summary: "it can't be told which live object is meant", Detail: detail})
}

func (l *linking) missing(o *Object) {
	near := l.hints.near(o.Display(), l.live.Objects[o.Kind.Name])
	l.diags = append(l.diags, Diagnostic{Severity: Error, Code: "missing-object", Pos: o.Doc.Pos, Object: o.String(),
		Summary: "metadata.existing, but the server has no such object",
		Detail:  near + "it is made by someone else; without metadata.existing it would be created"})
}

func unmatched(live []*Object) []*Object {
	return slices.DeleteFunc(slices.Clone(live), func(o *Object) bool { return o.Peer != nil })
}

// renamed pairs objects with metadata.renamedFrom with the live object of the
// old key, and returns the others. Once that is done the old key is gone, and
// the object is matched by its key like any other.
func (l *linking) renamed(objects []*Object, live map[string][]*Object) []*Object {
	var rest []*Object
	declared := map[string]*Object{}
	for _, o := range objects {
		declared[o.Key] = o
	}
	claimed := map[string]*Object{}
	for _, o := range objects {
		old := l.oldObject(o)
		switch {
		case old == nil || o.Key == "" || old.Key == "" || old.Key == o.Key:
			rest = append(rest, o)
		case declared[old.Key] != nil:
			l.renameConflict(o, declared[old.Key], fmt.Sprintf("renamedFrom: %s is declared as well", old.Display()),
				"a new object under the old name would get its secrets and what refers to it: rename first, and declare the new object in a later run")
		case claimed[old.Key] != nil:
			l.renameConflict(o, claimed[old.Key], fmt.Sprintf("renamedFrom: two objects claim the old name %s", old.Display()),
				"keep metadata.renamedFrom on one of them")
		default:
			claimed[old.Key] = o
			if !l.renameLive(o, old, live) {
				rest = append(rest, o)
			}
		}
	}
	return rest
}

func (l *linking) renameConflict(o, other *Object, summary, detail string) {
	l.diags = append(l.diags, Diagnostic{Severity: Error, Code: "rename-conflict", Pos: o.Doc.Pos, Object: o.String(),
		Summary: summary, Detail: detail, Related: []Related{{Pos: other.Doc.Pos, Message: "the other one"}}})
}

// renameLive pairs an object with the live one of its old key; false means that
// there is none and the object is matched by its key.
func (l *linking) renameLive(o, old *Object, live map[string][]*Object) bool {
	from := live[old.place()]
	switch {
	case len(from) == 0:
		return false
	case len(live[o.place()]) > 0:
		l.diags = append(l.diags, Diagnostic{Severity: Error, Code: "rename-conflict", Pos: o.Doc.Pos, Object: o.String(),
			Summary: fmt.Sprintf("renamedFrom: the server has both, the old %s and the new name", old.Display()),
			Detail:  "remove metadata.renamedFrom if they are two objects; candidates: " + labels(append(slices.Clone(from), live[o.place()]...))})
	case len(from) > 1:
		l.severalLive(o, from)
	default:
		pair(o, from[0])
	}
	return true
}

// oldObject is the object as it was called before: the key with the fields of
// metadata.renamedFrom in it.
func (l *linking) oldObject(o *Object) *Object {
	if o.renamedFrom == nil {
		return nil
	}
	old := &Object{Kind: o.Kind, Fields: map[string]any{}, Doc: o.Doc}
	for _, name := range o.Kind.Resource.Key {
		old.Fields[name] = o.Fields[name]
	}
	for name, v := range o.renamedFrom {
		old.Fields[name] = v
	}
	for _, name := range o.Kind.Resource.Key {
		l.resolveField(old, name)
	}
	old.Key, _ = old.keyText()
	return old
}

// recognise pairs desired objects that no key led to with live ones whose marker
// says that they are theirs: somebody renamed them on the server. Two live
// objects with one recorded key mean that a marker was copied: no guess.
func (l *linking) recognise(kind *schema.Kind, objects []*Object) {
	if !l.own.marks(kind) {
		return
	}
	byMarker := map[string][]*Object{}
	for _, o := range l.live.Objects[kind.Name] {
		if m, claim := l.own.claim(o); claim == ours {
			byMarker[m.Key] = append(byMarker[m.Key], o)
		}
	}
	for _, o := range objects {
		// metadata.absent deletes what it names, and not what a copied marker says.
		if o.Peer != nil || o.Key == "" || o.Doc.Meta.Absent || l.unclear[o] {
			continue
		}
		found := byMarker[o.keyDigest()]
		switch {
		case len(found) == 1 && found[0].Peer == nil:
			pair(o, found[0])
			o.renamedOutside = true
		case len(found) > 1 && l.untold != nil:
			l.untold.objects[o] = "it was renamed on the server, and several objects there carry its marker: " + labels(found)
		case len(found) > 1:
			l.diags = append(l.diags, Diagnostic{Severity: Error, Code: "copied-marker", Pos: o.Doc.Pos, Object: o.String(),
				Summary: "it was renamed on the server, and several objects there carry its marker",
				Detail:  "rename the right one back in NetBox; candidates: " + labels(found)})
		}
	}
}
