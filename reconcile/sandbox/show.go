package sandbox

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// selection is which members of an object are shown: all, only some, or all but
// some.
type selection struct {
	only map[string]bool
	omit map[string]bool
}

func (s selection) has(name string) bool {
	if s.only != nil {
		return s.only[name]
	}
	return !s.omit[name]
}

// selectionOf reads fields=, omit= and brief=. fields wins over the others, omit
// over brief, and of a parameter given twice the last counts.
func selectionOf(m *model, q url.Values, read bool) selection {
	if f := last(q, "fields"); f != "" {
		return selection{only: setOf(strings.Split(f, ","))}
	}
	if o := last(q, "omit"); o != "" {
		return selection{omit: setOf(strings.Split(o, ","))}
	}
	if read && last(q, "brief") != "" && len(m.Brief) > 0 {
		return selection{only: setOf(m.Brief)}
	}
	return selection{}
}

func last(q url.Values, name string) string {
	if list := q[name]; len(list) > 0 {
		return list[len(list)-1]
	}
	return ""
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// shower writes rows for one request: base is scheme, host and sub-path.
type shower struct {
	s    *Server
	base string
}

// row writes an object with the members that are wanted.
func (sh *shower) row(b []byte, m *model, r *row, want selection) []byte {
	b = append(b, '{')
	first := len(b)
	member := func(name string) bool {
		if !want.has(name) {
			return false
		}
		if len(b) > first {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		return true
	}
	if member("id") {
		b = strconv.AppendInt(b, r.id, 10)
	}
	if member("url") {
		b = appendString(b, sh.url("/api/", m, r))
	}
	if m.DisplayURL && member("display_url") {
		b = appendString(b, sh.url("/", m, r))
	}
	if member("display") {
		b = appendString(b, fill(m.display, m, r))
	}
	for _, f := range m.fields {
		if !f.WriteOnly && member(f.name) {
			b = sh.value(b, f, m, r)
		}
	}
	if slices.Contains(m.Stamps, "created") && member("created") {
		b = appendJSON(b, r.created)
	}
	if slices.Contains(m.Stamps, "last_updated") && member("last_updated") {
		b = appendJSON(b, r.updated)
	}
	return append(b, '}')
}

func (sh *shower) url(under string, m *model, r *row) string {
	return sh.base + under + m.path + "/" + strconv.FormatInt(r.id, 10) + "/"
}

func (sh *shower) value(b []byte, f *field, m *model, r *row) []byte {
	v := r.values[f.name]
	switch f.As {
	case "computed":
		if len(f.choices) > 0 {
			return f.appendChoice(b, f.Compute.of(m, r))
		}
		return appendJSON(b, f.Compute.of(m, r))
	case "reference":
		id, ok := v.(int64)
		if !ok || f.target == nil || f.target.rows[id] == nil {
			return append(b, "null"...)
		}
		return sh.nested(b, f, f.target.rows[id])
	case "references":
		return sh.references(b, f, refIDs(v))
	case "custom fields":
		return appendJSON(b, sh.s.showCustom(m, v))
	case "choice":
		return f.appendChoice(b, v)
	}
	if f.Compute != nil {
		v = f.Compute.of(m, r)
	}
	return appendJSON(b, v)
}

// appendChoice writes a choice as value and label; "" shows as null.
func (f *field) appendChoice(b []byte, v any) []byte {
	if !filled(v) {
		return append(b, "null"...)
	}
	label := ""
	if c := f.choiceOf(plainText(v)); c != nil {
		label = c.label
	}
	o := newObject()
	o.set("value", v)
	o.set("label", label)
	return appendJSON(b, o)
}

// nested writes what a reference shows of its target: the members that the
// field names, else the target's brief ones. "name:value" is a choice without
// its label.
func (sh *shower) nested(b []byte, f *field, r *row) []byte {
	m := f.target
	names := f.Nested
	if names == nil {
		names = m.Brief
	}
	display := f.display
	if display == nil {
		display = m.text
	}
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		name, plain := strings.CutSuffix(name, ":value")
		b = append(appendString(b, name), ':')
		switch inner := m.byName[name]; {
		case name == "id":
			b = strconv.AppendInt(b, r.id, 10)
		case name == "url":
			b = appendString(b, sh.url("/api/", m, r))
		case name == "display_url":
			b = appendString(b, sh.url("/", m, r))
		case name == "display":
			b = appendString(b, fill(display, m, r))
		case inner == nil || inner.WriteOnly:
			b = append(b, "null"...)
		case plain && inner.Compute != nil:
			b = appendJSON(b, inner.Compute.of(m, r))
		case plain:
			b = appendJSON(b, r.values[name])
		default:
			b = sh.value(b, inner, m, r)
		}
	}
	return append(b, '}')
}

func (sh *shower) references(b []byte, f *field, ids []int64) []byte {
	var rows []*row
	for _, id := range ids {
		if f.target != nil && f.target.rows[id] != nil {
			rows = append(rows, f.target.rows[id])
		}
	}
	if f.target != nil {
		sortRows(f.target, rows, f.target.order)
	}
	b = append(b, '[')
	for i, r := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = sh.nested(b, f, r)
	}
	return append(b, ']')
}

// of is the computed value for a row.
func (c *compute) of(m *model, r *row) any {
	switch {
	case c == nil:
		return nil
	case c.Copy != "":
		return r.values[c.Copy]
	case len(c.Percent) > 0:
		return percent(r, c.Percent)
	case c.When != nil:
		return holdAll(m, r, c.When)
	case c.Has != "":
		return filled(r.values[c.Has])
	case c.Count != "":
		list, _ := r.values[c.Count].([]any)
		return int64(len(list))
	case c.Family != "":
		return family(r.values[c.Family])
	case c.Map != "":
		return c.Values[plainText(r.values[c.Map])]
	}
	return constant(c.Value, r)
}

// constant is a value of the data with {id} in its texts replaced.
func constant(v any, r *row) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, "{id}", strconv.FormatInt(r.id, 10))
	case map[string]any:
		out := map[string]any{}
		for name, x := range v {
			out[name] = constant(x, r)
		}
		return out
	}
	return v
}

// percent is a part's share of a whole.
func percent(r *row, names []string) any {
	part, ok := numeric(r.values[names[0]])
	whole, has := numeric(r.values[names[1]])
	if !ok || !has || whole == 0 {
		return nil
	}
	return part / whole * 100
}

func numeric(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}
