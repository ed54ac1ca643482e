package reconcile

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// distinguishing asks, of every kind that is read, for the fields that tell
// namesakes apart as well: without them a reference to one of several can't be
// written.
func (e *exporting) distinguishing(needs *needs) {
	done := map[string]bool{}
	for again := true; again; {
		again = false
		for _, name := range sortedKeys(needs.wanted) {
			if !done[name] {
				done[name], again = true, true
				k := e.set.Kind(name)
				needs.fields(k, extraUnique(k))
				if e.o.References {
					needs.fields(k, requiredReferences(k))
				}
			}
		}
	}
}

// namesakes finds the live keys that do not identify one object, and the objects
// with such a key that nothing else tells apart either. It looks at all of a
// kind, since a manifest is matched with all of them, whoever refers to which.
func (e *exporting) namesakes() {
	e.shared, e.twins = map[string]map[string]bool{}, map[string]map[RowID][]*Object{}
	for kind, objects := range e.live.Objects {
		if len(e.set.Kind(kind).Resource.Key) == 0 {
			continue
		}
		seen := make(map[string]bool, len(objects))
		shared := map[string]bool{}
		for _, o := range objects {
			at := o.place()
			if seen[at] {
				shared[at] = true
			}
			seen[at] = true
		}
		e.shared[kind], e.twins[kind] = shared, map[RowID][]*Object{}
		alike := map[string][]*Object{}
		for _, o := range objects {
			if shared[o.place()] {
				alike[o.told()] = append(alike[o.told()], o)
			}
		}
		for _, twins := range alike {
			for _, o := range twins {
				if len(twins) > 1 {
					e.twins[kind][o.Row] = twins
				}
			}
		}
	}
}

// circular says why a field can't tell an object of a kind from its namesakes: it
// leads to one of the same kind that has namesakes itself, and neither could be
// found before the other.
func (e *exporting) circular(k *schema.Kind, field string, v any) (why string) {
	ref, ok := v.(Ref)
	if !ok || ref.Target == nil || ref.Target.Kind != k || !e.shared[k.Name][ref.Target.place()] {
		return ""
	}
	return fmt.Sprintf("only its %s tells it from its namesakes, and %s has namesakes itself", field, ref.Target.Label())
}

// unmade says why a manifest could not make an object that others refer to: what
// it has to refer to can't be written.
func (e *exporting) unmade(o *Object, depth int) (why string) {
	if !e.o.References {
		return ""
	}
	for _, name := range requiredReferences(o.Kind) {
		ref, ok := o.Fields[name].(Ref)
		if !ok || slices.Contains(o.Kind.Resource.Key, name) || !e.lost(ref.Target, depth) {
			continue // what is only hidden may be there all the same
		}
		if _, why := e.reference(ref, depth+1); why != "" {
			return fmt.Sprintf("it refers to %s, whose %s can't be written: %s", o.Label(), name, why)
		}
	}
	return ""
}

// lost reports whether an object is left out for its namesakes, or those of what
// it needs.
func (e *exporting) lost(o *Object, depth int) bool {
	if o == nil || depth > maxKeyDepth {
		return false
	}
	if len(e.twins[o.Kind.Name][o.Row]) > 0 {
		return true
	}
	names := append(requiredReferences(o.Kind), o.Kind.Resource.Key...)
	if e.shared[o.Kind.Name][o.place()] {
		for _, name := range extraUnique(o.Kind) {
			if e.circular(o.Kind, name, o.Fields[name]) != "" {
				return true
			}
			names = append(names, name)
		}
	}
	return slices.ContainsFunc(names, func(name string) bool {
		ref, _ := o.Fields[name].(Ref)
		return e.lost(ref.Target, depth+1)
	})
}

func requiredReferences(k *schema.Kind) []string {
	return slices.DeleteFunc(slices.Clone(k.Required), func(name string) bool { return k.Field(name).Class != schema.Reference })
}

// told is all that tells a live object from others of its kind.
func (o *Object) told() string {
	text := o.place()
	for _, name := range extraUnique(o.Kind) {
		text += "\x00" + canonical(o.Kind.Field(name), o.Fields[name])
	}
	return text
}

// ambiguous names an object, and each of those that it can't be told from. ok is
// false where there are none.
func (e *exporting) ambiguous(o *Object) (others string, ok bool) {
	twins := e.twins[o.Kind.Name][o.Row]
	for _, twin := range twins {
		var rest []RowID
		for _, t := range twins {
			if t != twin {
				rest = append(rest, t.Row)
			}
		}
		if twin.Row == o.Row {
			others = idList(rest)
		}
		e.noteTwin(twin, rest...)
	}
	return others, len(twins) > 0
}

func (e *exporting) noteTwin(o *Object, others ...RowID) {
	e.note(o, "", fmt.Sprintf("it can't be told from its namesake%s: none of the fields %v differs; rename one of them in NetBox",
		idList(others), append(slices.Clone(o.Kind.Resource.Key), extraUnique(o.Kind)...)), true)
}

// idList is the end of a noun and the numbers of what it is about.
func idList(rows []RowID) string {
	slices.Sort(rows)
	plural, names := "", make([]string, 0, len(rows))
	for _, row := range rows[:min(len(rows), maxListed)] {
		names = append(names, fmt.Sprint(int64(row)))
	}
	if len(rows) > 1 {
		plural = "s"
	}
	if len(rows) > maxListed {
		names = append(names, fmt.Sprintf("and %d more", len(rows)-maxListed))
	}
	return fmt.Sprintf("%s (id %s)", plural, strings.Join(names, ", "))
}

// identified is the first object of a streamed kind with an identity.
type identified struct {
	row RowID
	out bool // it was handed out
}

// alone reports whether no other object is told apart by the same; those that
// are not, are noted, each. Of a streamed kind the first may be handed out
// already, and is taken back.
func (e *exporting) alone(o *Object) (id [sha256.Size]byte, ok bool) {
	if len(o.Kind.Resource.Key) == 0 {
		return id, true
	}
	if !e.streamed[o.Kind.Name] {
		_, several := e.ambiguous(o)
		return id, !several
	}
	id = sha256.Sum256([]byte(o.Kind.Name + "\x00" + o.told()))
	first, taken := e.identities[id]
	if !taken {
		e.identities[id] = identified{row: o.Row}
		return id, true
	}
	if first.row == o.Row {
		return id, true
	}
	e.noteTwin(o, first.row)
	e.noteTwin(&Object{Kind: o.Kind, Fields: o.Fields, Row: first.row}, o.Row) // its name is the same
	if first.out {
		e.drop(o.Kind.Name, first.row)
		e.identities[id] = identified{row: first.row}
	}
	return id, false
}
