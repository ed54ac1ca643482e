package sandbox

import (
	"encoding/json"
	"regexp"
	"strings"
)

// rules applies the kind's checks across fields to a row that is about to be.
func (w *writer) rules(m *model, old, r *row, body *object) *refusal {
	errs := newObject()
	group := ""
	for _, x := range m.Rules {
		if len(errs.names) > 0 && (x.Group == "" || x.Group != group) {
			break
		}
		if !x.applies(m, old, r, body) {
			continue
		}
		switch {
		case x.Set != nil:
			for name, v := range x.Set {
				if f := m.byName[name]; f != nil {
					r.values[name] = f.fixed(v)
				}
			}
			continue
		case x.Grant != "":
			if !w.actor.granted(x.Grant) {
				return denied("Sensitive data access is not authorized.")
			}
			continue
		case x.FrozenBySecrets && (old == nil || !w.s.holdsSecrets(m) || sameSecret(old.values[x.Sent], r.values[x.Sent])):
			continue
		case x.Need != nil && anyFilled(r, x.Need), x.Rewrite != nil && x.Rewrite.apply(r):
			continue
		}
		group = x.Group
		for _, name := range sortedNames(x.Errors) {
			errs.set(name, []any{x.Errors[name]})
		}
	}
	if len(errs.names) > 0 {
		return invalid(errs)
	}
	return nil
}

// apply rewrites the field, unless it doesn't have a form that is known.
func (x *rewrite) apply(r *row) bool {
	re, err := regexp.Compile(x.Pattern)
	text := plainText(r.values[x.Field])
	if err != nil || !re.MatchString(text) {
		return false
	}
	r.values[x.Field] = re.ReplaceAllString(text, x.To)
	return true
}

func (x *rule) applies(m *model, old, r *row, body *object) bool {
	if x.On == "create" && old != nil || x.On == "update" && old == nil || x.On == "delete" {
		return false
	}
	if x.Sent != "" {
		v, given := body.get(x.Sent)
		if !given || !x.FrozenBySecrets && !filled(blankText(v)) {
			return false
		}
	}
	if x.Any != nil && !anyFilled(r, x.Any) {
		return false
	}
	return holdAll(m, r, x.If)
}

func holdAll(m *model, r *row, conditions map[string]any) bool {
	for path, want := range conditions {
		if !holds(m, r, path, want) {
			return false
		}
	}
	return true
}

func anyFilled(r *row, names []string) bool {
	for _, n := range names {
		if filled(r.values[n]) {
			return true
		}
	}
	return false
}

// holds tells whether the value at a path is what is wanted: a value, one of a
// list, "*" for anything filled, null for nothing.
func holds(m *model, r *row, path string, want any) bool {
	v, to := lookup(m, r, strings.Split(path, "."))
	if to != nil {
		v = to.r.id
	}
	switch want := want.(type) {
	case nil:
		return !filled(v)
	case []any:
		for _, x := range want {
			if holds(m, r, path, x) {
				return true
			}
		}
		return false
	case json.Number:
		return plainText(v) == want.String()
	case string:
		if want == "*" {
			return filled(v)
		}
	}
	return v == want
}

// fixed is a value from the data in the form that rows hold.
func (f *field) fixed(v any) any {
	s, ok := v.(string)
	if ok && f.WriteOnly {
		return newSecret(s)
	}
	return v
}

// holdsSecrets reports whether any other kind stores a secret.
func (s *Server) holdsSecrets(except *model) bool {
	for _, m := range s.models {
		for _, f := range m.fields {
			if !f.WriteOnly || m == except {
				continue
			}
			for _, r := range m.rows {
				if filled(r.values[f.name]) {
					return true
				}
			}
		}
	}
	return false
}

// makeKeys fills the fields that the server makes up once it has secrets to keep.
func (s *Server) makeKeys() {
	for _, f := range s.keyFields {
		if r := s.theRow(f.owner); !filled(r.values[f.name]) && s.holdsSecrets(f.owner) {
			values := cloneMap(r.values)
			values[f.name] = newSecret(s.generated())
			s.replace(f.owner, r, values, r.updated)
		}
	}
}

func sameSecret(a, b any) bool {
	x, _ := a.(secret)
	y, _ := b.(secret)
	return x.reveal != nil && y.reveal != nil && x.reveal() == y.reveal()
}
