package sandbox

import (
	"fmt"
	"slices"
)

// customField is one custom field as its row describes it.
type customField struct {
	name     string
	kind     string // "json", "text", …
	required bool
	initial  any
	labels   map[string]any // of a selection's choices
}

// customFieldsOf are the custom fields that the kind's objects have, by name.
func (s *Server) customFieldsOf(m *model) []customField {
	if s.customModel == nil {
		return nil
	}
	if list, ok := s.attached[m]; ok && s.attachedAt == s.version {
		return list
	}
	if s.attachedAt != s.version {
		s.attached, s.attachedAt = map[*model][]customField{}, s.version
	}
	var list []customField
	for _, r := range s.customModel.rows {
		types, _ := r.values["object_types"].([]any)
		if !slices.Contains(types, any(m.ObjectType)) {
			continue
		}
		c := customField{initial: r.values["default"]}
		c.name, _ = r.values["name"].(string)
		c.kind, _ = r.values["type"].(string)
		c.required, _ = r.values["required"].(bool)
		c.labels = s.choiceLabels(r)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b customField) int { return compareText(a.name, b.name) })
	s.attached[m] = list
	return list
}

// customFields merges what a write says of custom fields into the row's values.
func (w *writer) customFields(m *model, f *field, old *row, v any, given bool, values map[string]any, errs *object) {
	data := newObject()
	if old != nil {
		if have, ok := old.values[f.name].(*object); ok {
			data = have.without()
		}
	}
	defined := w.s.customFieldsOf(m)
	for _, c := range defined {
		if _, ok := data.get(c.name); !ok && (old == nil || c.initial != nil) {
			data.set(c.name, c.initial)
		}
	}
	values[f.name] = data
	if !given {
		w.checkCustom(defined, data, errs)
		return
	}
	sent, ok := v.(*object)
	switch {
	case v == nil:
		errs.set(f.name, []any{msgNull})
		return
	case !ok:
		errs.set(f.name, []any{"Invalid data format. Custom field data must be passed as a dictionary mapping field names to their values."})
		return
	}
	unknown := newObject()
	for _, name := range sent.names {
		if !slices.ContainsFunc(defined, func(c customField) bool { return c.name == name }) {
			unknown.set(name, fmt.Sprintf("Custom field '%s' does not exist for this object type.", name))
			continue
		}
		data.set(name, storedJSON(sent.values[name]))
	}
	if len(unknown.names) > 0 {
		errs.set(f.name, unknown)
		return
	}
	w.checkCustom(defined, data, errs)
}

// checkCustom reports the first value that its custom field doesn't take.
func (w *writer) checkCustom(defined []customField, data *object, errs *object) {
	for _, c := range defined {
		v, _ := data.get(c.name)
		text := ""
		switch {
		case v == nil || v == "":
			if c.required {
				text = "Required field cannot be empty."
			}
		case c.kind == "text" || c.kind == "longtext" || c.kind == "url":
			if _, ok := v.(string); !ok {
				text = "Value must be a string."
			}
		case c.kind == "integer":
			if n, ok := v.(number); !ok || n.isFloat() {
				text = "Value must be an integer."
			}
		case c.kind == "boolean":
			if _, ok := v.(bool); !ok {
				text = "Value must be true or false."
			}
		}
		if text != "" {
			errs.set("__all__", []any{fmt.Sprintf("Invalid value for custom field '%s': %s", c.name, text)})
			return
		}
	}
}

// choiceLabels are the labels of a selection's own choices, nil for other fields.
func (s *Server) choiceLabels(field *row) map[string]any {
	_, set := lookup(s.customModel, field, []string{"choice_set"})
	if set == nil {
		return nil
	}
	labels := map[string]any{}
	choices, _ := set.r.values["extra_choices"].([]any)
	for _, choice := range choices {
		if pair, ok := choice.([]any); ok && len(pair) == 2 {
			labels[plainText(pair[0])] = pair[1]
		}
	}
	return labels
}

// shown is a value as rows show it: a choice with its label.
func (c *customField) shown(v any) any {
	switch v := v.(type) {
	case []any:
		if c.kind == "multiselect" {
			out := make([]any, len(v))
			for i := range v {
				out[i] = c.labelled(v[i])
			}
			return out
		}
	case string:
		if c.kind == "select" {
			return c.labelled(v)
		}
	}
	return v
}

func (c *customField) labelled(v any) any {
	out := newObject()
	out.set("value", v)
	label, ok := c.labels[plainText(v)]
	if !ok {
		label = v
	}
	out.set("label", label)
	return out
}

// showCustom are the custom fields of a row: those attached, null where it has
// no value.
func (s *Server) showCustom(m *model, v any) *object {
	out := newObject()
	data, _ := v.(*object)
	for _, c := range s.customFieldsOf(m) {
		var value any
		if data != nil {
			value, _ = data.get(c.name)
		}
		out.set(c.name, c.shown(value))
	}
	return out
}

// dropCustom takes values of a custom field off the objects that no longer have
// it. It leaves their last_updated alone.
func (s *Server) dropCustom(name string, types []any) {
	for _, m := range s.models {
		if slices.Contains(types, any(m.ObjectType)) {
			continue
		}
		for _, f := range m.fields {
			if f.As != "custom fields" {
				continue
			}
			for _, r := range m.rows {
				data, ok := r.values[f.name].(*object)
				if !ok {
					continue
				}
				if _, has := data.get(name); has {
					values := cloneMap(r.values)
					values[f.name] = data.without(name)
					s.replace(m, r, values, r.updated)
				}
			}
		}
	}
}
