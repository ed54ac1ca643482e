package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// options answers OPTIONS: the fields only for tokens that may write them.
func (s *Server) options(c *call, m *model, suffix string) answer {
	out := newObject()
	name := m.View
	if name == "" {
		name = m.Name
	}
	out.set("name", strings.TrimSpace(name+" "+suffix))
	out.set("description", m.About)
	out.set("renders", []any{"application/json", "text/html"})
	out.set("parses", []any{"application/json", "multipart/form-data"})
	actions := newObject()
	allow := methods(s.allow(m, map[string]string{"Instance": "1"}[suffix], ""))
	for _, method := range []string{"PUT", "POST"} {
		if slices.Contains(allow, method) && c.actor.permits(method, m) {
			actions.set(method, m.describe())
		}
	}
	if len(actions.names) > 0 {
		out.set("actions", actions)
	}
	return reply(http.StatusOK, out)
}

// describe is the metadata of all fields.
func (m *model) describe() *object {
	out := newObject()
	readOnly := func(name, kind, label string) {
		o := newObject()
		o.set("type", kind)
		o.set("required", false)
		o.set("read_only", true)
		o.set("label", label)
		out.set(name, o)
	}
	readOnly("id", "integer", cmp.Or(m.IDLabel, "ID"))
	readOnly("url", "field", "Url")
	if m.DisplayURL {
		readOnly("display_url", "field", "Display url")
	}
	readOnly("display", "field", "Display")
	for _, f := range m.fields {
		out.set(f.name, f.describe())
	}
	for _, stamp := range m.Stamps {
		readOnly(stamp, "datetime", humanize(stamp))
	}
	return out
}

// optionTypes are the names that OPTIONS has for the ways of reading.
var optionTypes = map[string]string{
	"text": "string", "slug": "slug", "integer": "integer", "float": "float", "decimal": "decimal", "boolean": "boolean",
	"time": "datetime", "plain choice": "choice", "reference": "nested object", "ip": "string", "interface": "string", "prefix": "string",
}

func (f *field) describe() *object {
	o := newObject()
	kind := f.Type
	if kind == "" {
		kind = optionTypes[f.As]
	}
	if kind == "" {
		kind = "field"
	}
	o.set("type", kind)
	o.set("required", f.Required)
	o.set("read_only", f.ReadOnly || f.As == "computed")
	label := f.Label
	if label == "" {
		label = humanize(f.name)
	}
	o.set("label", label)
	if f.Help != "" {
		o.set("help_text", f.Help)
	}
	if f.MaxLength > 0 {
		o.set("max_length", f.MaxLength)
	}
	limits := []struct {
		name  string
		value json.Number
	}{{"min_value", f.Min}, {"max_value", f.Max}}
	for _, l := range limits {
		if l.value != "" {
			o.set(l.name, l.value)
		}
	}
	if f.As == "decimal" {
		o.set("max_digits", f.Digits)
		o.set("decimal_places", f.Places)
	}
	if len(f.choices) > 0 && f.As != "computed" {
		list := make([]any, len(f.choices))
		for i, c := range f.choices {
			x := newObject()
			x.set("value", c.value)
			x.set("display_name", c.label)
			list[i] = x
		}
		o.set("choices", list)
	}
	return o
}
