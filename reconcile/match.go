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
			live[o.Key] = append(live[o.Key], o)
		}
	}
	groups := map[string][]*Object{}
	var keys []string
	for _, o := range objects {
		if o.Key == "" {
			continue // a reference in the key was not found, which is reported
		}
		if len(groups[o.Key]) == 0 {
			keys = append(keys, o.Key)
		}
		groups[o.Key] = append(groups[o.Key], o)
	}
	for _, key := range keys {
		l.matchGroup(groups[key], live[key])
	}
	if l.live == nil {
		return
	}
	for _, o := range objects {
		if o.Peer == nil && o.Doc.Meta.Existing && o.Key != "" && !l.unclear[o] {
			l.missing(o)
		}
	}
}

func (l *linking) matchGroup(desired, live []*Object) {
	desired = l.dropTwins(desired)
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
		switch len(exact) {
		case 1:
			pair(o, exact[0])
		case 0:
			rest = append(rest, o)
		default:
			l.severalLive(o, exact)
		}
	}
	live = slices.DeleteFunc(slices.Clone(live), func(o *Object) bool { return o.Peer != nil })
	if len(rest) == 0 || len(live) == 0 {
		return
	}
	if len(rest) == 1 && len(live) == 1 && len(desired) == 1 {
		pair(rest[0], live[0])
		return
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
	seen := map[string]*Object{}
	var kept []*Object
	for _, o := range desired {
		for _, name := range extraDeclared(o) {
			l.resolveField(o, name)
		}
		id := o.identity()
		if first := seen[id]; first != nil {
			l.diags = append(l.diags, twins(first, o))
			continue
		}
		seen[id] = o
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
	l.diags = append(l.diags, Diagnostic{Severity: Error, Code: "ambiguous-object", Pos: o.Doc.Pos, Object: o.String(),
		Summary: "it can't be told which live object is meant", Detail: detail})
}

func (l *linking) missing(o *Object) {
	near := l.hints.near(o.Display(), l.live.Objects[o.Kind.Name])
	l.diags = append(l.diags, Diagnostic{Severity: Error, Code: "missing-object", Pos: o.Doc.Pos, Object: o.String(),
		Summary: "metadata.existing, but the server has no such object",
		Detail:  near + "it is made by someone else; without metadata.existing it would be created"})
}
