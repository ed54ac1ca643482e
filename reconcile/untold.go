package reconcile

import (
	"slices"

	"proxbox-sync/schema"
)

// untold is what a restore, and the proof after it, can't tell apart. It is
// reported as lost and stops nothing else; a plan takes it for a mistake.
type untold struct {
	objects    map[*Object]string // why the live side can't be told
	references map[referenceAt]string
}

// referenceAt is a reference that an object declares.
type referenceAt struct {
	from *Object
	pos  Position
}

// linkRestored is LinkOwned for a restore. Among namesakes it also goes by what
// else is declared: what came back without a reference is still recognised.
func linkRestored(set *schema.Set, desired, live *State, own Ownership) (*untold, Diagnostics) {
	u := &untold{objects: map[*Object]string{}, references: map[referenceAt]string{}}
	return u, linkWith(set, desired, live, own, u)
}

// tellApart pairs namesakes with the live object that each resembles alone, and
// returns those that are left. What one is paired with is none of the others'.
func (l *linking) tellApart(rest, live []*Object) []*Object {
	for again := true; again; {
		again = false
		claims := map[*Object][]*Object{}
		for _, o := range rest {
			if c := l.alike(o, unmatched(live)); c != nil {
				claims[c] = append(claims[c], o)
			}
		}
		for c, by := range claims {
			if len(by) == 1 {
				pair(by[0], c)
				again = true
			}
		}
		rest = slices.DeleteFunc(rest, func(o *Object) bool { return o.Peer != nil })
	}
	return rest
}

// alike is the one candidate that a desired object may be and that agrees with
// it wherever the candidates differ; nil where there is not exactly one.
func (l *linking) alike(o *Object, candidates []*Object) *Object {
	candidates = slices.DeleteFunc(candidates, func(c *Object) bool { return contradicts(o, c) })
	best := candidates
	narrow := func(fits func(c *Object) bool) {
		n := 0
		for _, c := range candidates {
			if fits(c) {
				n++
			}
		}
		if n > 0 && n < len(candidates) {
			best = slices.DeleteFunc(slices.Clone(best), func(c *Object) bool { return !fits(c) })
		}
	}
	narrow(func(c *Object) bool {
		m, claim := l.own.claim(c)
		return l.own.marks(o.Kind) && claim == ours && m.Key == o.keyDigest()
	})
	for _, f := range o.Kind.Fields {
		if v, declared := o.Fields[f.Name]; declared && tells(o, f) && !Empty(v) {
			narrow(func(c *Object) bool { return sameValue(f, v, c.Fields[f.Name]) })
		}
	}
	if len(best) != 1 {
		return nil
	}
	return best[0]
}

// tells reports whether a field can tell namesakes apart: other references
// than those of the unique constraints may lead to what is not matched yet.
func tells(o *Object, f *schema.Field) bool {
	return !f.WriteOnly && f.Class != schema.Map && (f.Ref == nil || slices.Contains(extraUnique(o.Kind), f.Name))
}

// contradicts reports whether a live object has another value than is declared in
// a field that tells namesakes apart. One without a value may have come back
// without it.
func contradicts(o, c *Object) bool {
	return slices.ContainsFunc(extraDeclared(o), func(name string) bool {
		have, v := c.Fields[name], o.Fields[name]
		if Empty(have) {
			return false
		}
		return !sameValue(o.Kind.Field(name), v, have)
	})
}

func sameValue(f *schema.Field, a, b any) bool { return canonical(f, a) == canonical(f, b) }

// several notes a reference that fits more than one object, unless one of them
// alone is declared: that is the one it means.
func (u *untold) several(o *Object, s Selector, candidates []*Object) (meant *Object, noted bool) {
	if u == nil {
		return nil, false
	}
	for _, c := range candidates {
		switch {
		case c.Doc != nil && meant != nil:
			return nil, false // a mistake of the manifests
		case c.Doc != nil:
			meant = c
		}
	}
	if meant == nil {
		u.references[referenceAt{o, s.Pos}] = "of which the server has several: " + labels(candidates)
	}
	return meant, true
}

// within hands on what a selector inside of another one can't tell.
func (u *untold) within(o *Object, outer, inner Selector) {
	if u == nil {
		return
	}
	if why := u.references[referenceAt{o, inner.Pos}]; why != "" {
		u.references[referenceAt{o, outer.Pos}] = why
	}
}
