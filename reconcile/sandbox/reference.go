package sandbox

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// reference finds the row that a value names: an id, or attributes that exactly
// one row which the token may view has. Ids are not checked for visibility:
// neither does NetBox.
func (w *writer) reference(f *field, v any) (any, any) {
	attrs, ok := v.(*object)
	if ok && f.target == nil {
		return nil, []any{"Related object not found using the provided attributes: " + pyRepr(attrs)}
	}
	if ok {
		return w.byAttributes(f.target, attrs)
	}
	id, ok := pyInt(v)
	if !ok {
		return nil, []any{"Related objects must be referenced by numeric ID or by dictionary of attributes. Received an unrecognized value: " + pyStr(v)}
	}
	if !id.IsInt64() || f.target == nil || f.target.rows[id.Int64()] == nil {
		return nil, []any{"Related object not found using the provided numeric ID: " + id.String()}
	}
	return id.Int64(), nil
}

// pyInt is Python's int() of a value that came as JSON.
func pyInt(v any) (*big.Int, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewInt(1), true
		}
		return big.NewInt(0), true
	case number:
		if v.isFloat() {
			n, _ := big.NewFloat(v.float()).Int(nil)
			return n, n != nil
		}
		return v.int()
	case string:
		return new(big.Int).SetString(strings.TrimSpace(v), 10)
	}
	return nil, false
}

func (w *writer) byAttributes(m *model, attrs *object) (any, any) {
	type condition struct {
		path []string
		want any
	}
	var conditions []condition
	for _, name := range attrs.names {
		path := strings.Split(name, "__")
		want, errs := w.attribute(m, path, attrs.values[name])
		if errs != nil {
			return nil, errs
		}
		conditions = append(conditions, condition{path, want})
	}
	var hits []int64
	for _, r := range m.rows {
		if !w.actor.may("view", m, r) {
			continue
		}
		ok := true
		for _, c := range conditions {
			v, to := lookup(m, r, c.path)
			if to != nil {
				v = to.r.id
			}
			ok = ok && sameValue(v, c.want)
		}
		if ok {
			hits = append(hits, r.id)
		}
	}
	switch len(hits) {
	case 1:
		return hits[0], nil
	case 0:
		return nil, []any{"Related object not found using the provided attributes: " + pyRepr(attrs)}
	}
	return nil, []any{"Multiple objects match the provided attributes: " + pyRepr(attrs)}
}

// noMatch is a wanted value that no row has.
type noMatch struct{}

// attribute turns the value wanted of an attribute into its stored form.
func (w *writer) attribute(m *model, path []string, v any) (any, any) {
	if path[0] == "pk" {
		path[0] = "id"
	}
	if path[0] == "id" {
		if n, ok := pyInt(v); ok && n.IsInt64() {
			return n.Int64(), nil
		}
		return noMatch{}, nil
	}
	f := m.byName[path[0]]
	if f == nil || f.As == "computed" {
		return nil, []any{fmt.Sprintf("Cannot resolve keyword '%s' into field. Choices are: %s", path[0], strings.Join(m.keywords(), ", "))}
	}
	if f.isRef() && f.target != nil {
		if len(path) > 1 {
			return w.attribute(f.target, path[1:], v)
		}
		if attrs, ok := v.(*object); ok {
			return w.byAttributes(f.target, attrs)
		}
		if n, ok := pyInt(v); ok && n.IsInt64() {
			return n.Int64(), nil
		}
		if v == nil {
			return nil, nil
		}
		return noMatch{}, nil
	}
	if v == nil {
		return nil, nil
	}
	stored, errs := w.parse(f, v)
	switch {
	case errs != nil && (f.As == "interface" || f.As == "prefix"):
		return nil, errs
	case errs != nil:
		return noMatch{}, nil
	}
	return stored, nil
}

// keywords are the names that a lookup may use, as an error lists them.
func (m *model) keywords() []string {
	names := append([]string{"id"}, m.Stamps...)
	for _, f := range m.fields {
		if f.As != "computed" {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	return names
}

// sameValue compares stored scalars; lists, JSON and secrets never match.
func sameValue(a, b any) bool {
	switch b.(type) {
	case nil, bool, string, int64, float64:
		switch a.(type) {
		case nil, bool, string, int64, float64:
			return a == b
		}
		return false
	}
	return indexText(a) == indexText(b) && isScalar(a)
}

func isScalar(v any) bool {
	switch v.(type) {
	case []any, []int64, *object, secret:
		return false
	}
	return true
}

func readReferences(w *writer, f *field, v any) (any, any) {
	list, ok := v.([]any)
	if !ok {
		errs := newObject()
		errs.set("__all__", []any{fmt.Sprintf(`Expected a list of items but got type "%s".`, pyType(v))})
		return nil, errs
	}
	ids := []int64(nil)
	for i, x := range list {
		if x == nil {
			errs := newObject()
			errs.set(fmt.Sprint(i), []any{msgNull})
			return nil, errs
		}
		id, errs := w.reference(f, x)
		if errs != nil {
			return nil, errs
		}
		if n := id.(int64); !slices.Contains(ids, n) {
			ids = append(ids, n)
		}
	}
	return ids, nil
}

// readPK reads a reference that is a bare number in both directions.
func readPK(_ *writer, f *field, v any) (any, any) {
	if v == "" && f.Null {
		return nil, nil
	}
	id, ok := pyInt(v)
	if _, isBool := v.(bool); !ok || isBool {
		return nil, []any{fmt.Sprintf("Incorrect type. Expected pk value, received %s.", pyType(v))}
	}
	if f.target == nil || !id.IsInt64() || f.target.rows[id.Int64()] == nil {
		return nil, []any{fmt.Sprintf(`Invalid pk "%s" - object does not exist.`, id)}
	}
	return id.Int64(), nil
}
