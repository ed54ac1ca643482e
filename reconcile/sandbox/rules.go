package sandbox

import (
	"encoding/json"
	"regexp"
	"strconv"
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
		if !x.applies(m, old, r, body) || x.Backend && w.s.backends {
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
		case x.Copy != nil:
			for name, path := range x.Copy {
				v, _ := lookup(m, r, strings.Split(path, "."))
				r.values[name] = v
			}
			continue
		case x.Grant != "":
			if !w.actor.granted(x.Grant) {
				return denied("Sensitive data access is not authorized.")
			}
			continue
		case x.FrozenBySecrets && (old == nil || !w.s.holdsSecrets(m) || sameSecret(old.values[x.Sent], r.values[x.Sent])):
			continue
		case x.Assigned != "" && w.onInterface(m, r, x):
			continue
		case x.Need != nil && anyFilled(r, x.Need), x.Rewrite != nil && x.Rewrite.apply(r):
			continue
		}
		group = x.Group
		for _, name := range sortedNames(x.Errors) {
			text, _ := parseTemplate(x.Errors[name]).fill(m, r)
			errs.set(name, []any{text})
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
	if x.Unless != nil && holdAll(m, r, x.Unless) || x.Differ != nil && !differ(m, r, x.Differ[0], x.Differ[1]) {
		return false
	}
	return holdAll(m, r, x.If)
}

// differ tells whether two places are both filled, with different values.
func differ(m *model, r *row, a, b string) bool {
	x, _ := lookup(m, r, strings.Split(a, "."))
	y, _ := lookup(m, r, strings.Split(b, "."))
	return filled(x) && filled(y) && x != y
}

// onInterface tells whether the address that a field of the row refers to is on
// an interface of the row; a row that refers to none has nothing to be told.
func (w *writer) onInterface(m *model, r *row, x rule) bool {
	_, address := lookup(m, r, []string{x.Assigned})
	if address == nil {
		return true
	}
	for objectType, holder := range x.Through {
		id, _ := address.r.values["assigned_object_id"].(int64)
		interfaces := w.s.modelOfType(objectType)
		if address.r.values["assigned_object_type"] != objectType || interfaces == nil || interfaces.rows[id] == nil {
			continue
		}
		if interfaces.rows[id].values[holder] == any(r.id) {
			return true
		}
	}
	return false
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
// list, "*" for anything filled, null for nothing. A path that ends in :family
// is that of an address, as a number.
func holds(m *model, r *row, path string, want any) bool {
	path, form, _ := strings.Cut(path, ":")
	v, to := lookup(m, r, strings.Split(path, "."))
	if to != nil {
		v = to.r.id
	}
	if form == "family" {
		v = family(v)
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
		have, err := strconv.ParseFloat(plainText(v), 64)
		wanted, _ := want.Float64()
		return err == nil && have == wanted
	case string:
		if want == "*" {
			return filled(v)
		}
	}
	return v == want
}

// family is 4 or 6, of an address as it is kept.
func family(v any) int64 {
	if strings.Contains(plainText(v), ":") {
		return 6
	}
	return 4
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
