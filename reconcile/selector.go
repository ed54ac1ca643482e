package reconcile

import (
	"fmt"
	"strconv"

	"proxbox-sync/schema"
)

// selector converts a reference as written: a scalar is the last field of the
// target's natural key, a map names fields of the target, {id: 42} is the
// server's number.
func (d *desiring) selector(o *Object, field, target string, n *Node) (Selector, bool) {
	kind := d.set.Kind(target)
	s := Selector{Kind: target, Pos: n.Pos}
	report := func(pos Position, code, summary, detail string) (Selector, bool) {
		d.add(Diagnostic{Code: code, Pos: pos, Object: o.Kind.Name, Field: field, Summary: summary, Detail: detail})
		return s, false
	}
	key := kind.Resource.Key
	if len(key) == 0 {
		return report(n.Pos, "bad-reference", fmt.Sprintf("%s can't be referred to", target), "")
	}
	last := kind.Field(key[len(key)-1])
	switch n.Shape {
	case Sequence:
		return report(n.Pos, "wrong-type", fmt.Sprintf("field %q must be one reference, not a list", field), "")
	case Mapping:
		return d.selectorMap(o, field, kind, n)
	}
	if !d.quoted(o, field, n) {
		return s, false
	}
	switch v := n.Value.(type) {
	case Number:
		if last.Class != schema.Integer {
			return report(n.Pos, "database-id", fmt.Sprintf("field %q needs the key of a %s, not a number", field, target),
				fmt.Sprintf("database ids are not portable: write the %s of the %s (in quotes when it looks like a number), "+
					"or {id: %s} if it has to be", last.Name, target, v))
		}
	case string:
		if v == "" {
			return report(n.Pos, "bad-reference", fmt.Sprintf("field %q is an empty reference", field),
				"write the key, or null for none")
		}
	default:
		return report(n.Pos, "wrong-type", fmt.Sprintf("field %q must be a reference to a %s", field, target),
			fmt.Sprintf("write its %s as text, or a map of its fields", last.Name))
	}
	if last.Class == schema.Reference {
		inner, ok := d.selector(o, field, last.Ref.Kind, n)
		s.Fields = map[string]any{last.Name: inner}
		return s, ok
	}
	s.Fields = map[string]any{last.Name: n.Value}
	return s, true
}

// selectorMap converts a reference written as a map.
func (d *desiring) selectorMap(o *Object, field string, target *schema.Kind, n *Node) (Selector, bool) {
	s := Selector{Kind: target.Name, Pos: n.Pos}
	if id := n.Member("id"); id != nil {
		return d.selectorRow(o, field, target, n, id)
	}
	good := len(n.Members) > 0
	if !good {
		d.add(Diagnostic{Code: "bad-reference", Pos: n.Pos, Object: o.Kind.Name, Field: field,
			Summary: fmt.Sprintf("field %q is a reference without fields", field), Detail: "write the key, or null for none"})
	}
	s.Fields = make(map[string]any, len(n.Members))
	for i := range n.Members {
		m := &n.Members[i]
		f := target.Field(m.Name)
		if f == nil || f.WriteOnly || f.Class == schema.ReferenceSet || f.Class == schema.Map || f.Class == schema.JSON {
			d.add(Diagnostic{Code: "unknown-field", Pos: m.Pos, Object: o.Kind.Name, Field: field,
				Summary: fmt.Sprintf("a %s can't be selected by %q", target.Name, m.Name),
				Detail:  didYouMean(m.Name, selectable(target), "")})
			good = false
			continue
		}
		if f.Class == schema.Reference && m.Value.Value != nil || f.Class == schema.Reference && m.Value.Shape == Mapping {
			inner, ok := d.selector(o, field, f.Ref.Kind, m.Value)
			good = good && ok
			s.Fields[f.Name] = inner
			continue
		}
		if m.Value.Shape != Scalar {
			d.add(Diagnostic{Code: "wrong-type", Pos: m.Value.Pos, Object: o.Kind.Name, Field: field,
				Summary: fmt.Sprintf("%q in a reference must be a single value", m.Name)})
			good = false
			continue
		}
		s.Fields[f.Name] = m.Value.Value
	}
	return s, good
}

func (d *desiring) selectorRow(o *Object, field string, target *schema.Kind, n, id *Node) (Selector, bool) {
	s := Selector{Kind: target.Name, Pos: n.Pos}
	number, _ := id.Value.(Number)
	row, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || row <= 0 || len(n.Members) > 1 {
		d.add(Diagnostic{Code: "bad-reference", Pos: id.Pos, Object: o.Kind.Name, Field: field,
			Summary: fmt.Sprintf("field %q: a reference by id is {id: NUMBER} and nothing else", field)})
		return s, false
	}
	s.Row = RowID(row)
	return s, true
}

func selectable(k *schema.Kind) []string {
	var names []string
	for _, f := range k.Fields {
		switch f.Class {
		case schema.ReferenceSet, schema.Map, schema.JSON:
		default:
			if !f.WriteOnly {
				names = append(names, f.Name)
			}
		}
	}
	return append(names, "id")
}
