package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// customFields reads which custom fields there are: a null says something where
// the server would fill in a default.
func (e *exporting) customFields() error {
	e.defaults, e.types = map[string]any{}, map[string]string{}
	kind := MarkerKind(e.set)
	if kind == nil {
		return nil
	}
	fields := []string{"name", "type", "default"}
	if e.o.References {
		fields = readable(kind)
	}
	_, err := e.server.Read(e.ctx, Query{Kind: kind.Name, Fields: fields}, func(r Row) error {
		name, _ := r.Fields["name"].(string)
		if v, ok := r.Fields["type"].(string); ok {
			e.types[name] = v
		}
		if v := r.Fields["default"]; v != nil {
			e.defaults[name] = v
		}
		e.customRows = append(e.customRows, r)
		return nil
	})
	switch {
	case errors.Is(err, ErrForbidden) && e.o.References, errors.Is(err, ErrNoKind) && e.o.References:
		e.out.Unread[kind.Name] = err.Error()
	case errors.Is(err, ErrForbidden), errors.Is(err, ErrNoKind):
	case err != nil:
		return fmt.Errorf("reading %s: %w", kind.Name, err)
	}
	return nil
}

// spec is what a manifest for the object says, in the order of the kind's file.
// ok is false when it can't be declared, which is noted.
func (e *exporting) spec(o *Object) (fields []ExportedField, ok bool) {
	readOnly, err := e.readOnlyHere(o.Kind)
	if err != nil {
		e.note(o, "", "whether its fields can be written is not known: "+err.Error(), false)
	}
	namesake := e.shared[o.Kind.Name][o.place()]
	extra := extraUnique(o.Kind)
	for _, f := range o.Kind.Fields {
		v, there := o.Fields[f.Name]
		if !there || f.ReadOnly || f.WriteOnly || readOnly[f.Name] {
			continue
		}
		key := slices.Contains(o.Kind.Resource.Key, f.Name)
		if f.Ref != nil && f.Ref.Assigned {
			if ref, ok := v.(Ref); ok {
				e.note(o, f.Name, displayValue(ref, 0)+" must be assigned to an interface of it, which no manifest can do", false)
			}
			continue
		}
		written, why := e.written(o, f, v)
		if why == "" && namesake && slices.Contains(extra, f.Name) {
			why = e.circular(o.Kind, f.Name, v)
		}
		if why == "" && sealedLook(written) {
			why = "it begins with " + cipherPrefix + ", and in a manifest that is what sops encrypted"
		}
		if why != "" {
			e.note(o, f.Name, why, true)
			if key || slices.Contains(o.Kind.Required, f.Name) || namesake && slices.Contains(extra, f.Name) {
				return nil, false
			}
			continue
		}
		if !key && !(namesake && slices.Contains(extra, f.Name)) && leftOut(f, written) {
			continue
		}
		if written == nil && !f.Nullable && !key {
			continue
		}
		fields = append(fields, ExportedField{f.Name, written})
	}
	return e.valid(o, fields)
}

// cipherPrefix begins an encrypted value: no text of a manifest may.
const cipherPrefix = "ENC["

func sealedLook(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.HasPrefix(v, cipherPrefix)
	case []any:
		return slices.ContainsFunc(v, sealedLook)
	case map[string]any:
		for _, x := range v {
			if sealedLook(x) {
				return true
			}
		}
	}
	return false
}

// leftOut reports whether a value says nothing: none where the schema knows no
// default that the server would fill in. In a JSON field only null is none.
func leftOut(f *schema.Field, v any) bool {
	return f.Default == nil && (v == nil || f.Class != schema.JSON && Empty(v))
}

// valid drops what the rules of the kind do not take, and notes it where it says
// something. ok is false when the rest is refused as well.
func (e *exporting) valid(o *Object, fields []ExportedField) (_ []ExportedField, ok bool) {
	form := schema.Whole
	if o.Kind.Resource.Mode == schema.Singleton {
		form = schema.Partial
	}
	for {
		value := make(map[string]any, len(fields))
		for _, f := range fields {
			value[f.Name] = forSchema(f.Value)
		}
		problems := e.set.Validate(o.Kind, value, form)
		if len(problems) == 0 {
			return fields, true
		}
		dropped := false
		for _, p := range problems {
			i := slices.IndexFunc(fields, func(f ExportedField) bool { return f.Name == p.Field })
			needed := slices.Contains(o.Kind.Resource.Key, p.Field) || slices.Contains(o.Kind.Required, p.Field)
			if i >= 0 && !Empty(fields[i].Value) || i < 0 || needed {
				e.note(o, p.Field, "a manifest with what the server has is refused: it "+p.Message, true)
			}
			if i >= 0 && !needed {
				fields = slices.Delete(fields, i, i+1)
				dropped = true
			}
		}
		if !dropped {
			return nil, false
		}
	}
}

// Empty reports whether a plain value is null, or text, a list or a mapping
// without anything in it.
func Empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// readOnlyHere lists the fields of a kind that this server does not let be set.
func (e *exporting) readOnlyHere(k *schema.Kind) (map[string]bool, error) {
	if known, ok := e.readOnly[k.Name]; ok {
		return known, nil
	}
	e.readOnly[k.Name] = map[string]bool{}
	ability, err := e.server.Describe(e.ctx, k.Name)
	if errors.Is(err, ErrForbidden) || errors.Is(err, ErrNoKind) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for name, f := range ability.Fields {
		if f.ReadOnly {
			e.readOnly[k.Name][name] = true
		}
	}
	return e.readOnly[k.Name], nil
}

// written is a value of a field in the form that a manifest uses. why says what
// speaks against it.
func (e *exporting) written(o *Object, f *schema.Field, v any) (out any, why string) {
	switch f.Class {
	case schema.Reference:
		if ref, ok := v.(Ref); ok {
			return e.reference(ref, 0)
		}
	case schema.ReferenceSet:
		list, _ := v.([]any)
		refs := make([]any, 0, len(list))
		for _, item := range list {
			ref, ok := item.(Ref)
			if !ok {
				return nil, "it holds something that is no reference"
			}
			value, why := e.reference(ref, 0)
			if why != "" {
				return nil, why
			}
			refs = append(refs, value)
		}
		slices.SortFunc(refs, func(a, b any) int { return strings.Compare(string(appendExact(nil, a)), string(appendExact(nil, b))) })
		return refs, ""
	case schema.Map:
		return e.entries(o, f, v), ""
	case schema.List:
		if list, ok := v.([]any); ok && f.Set {
			return sortedSet(f, list), ""
		}
	}
	return v, ""
}

// reference is a reference as a manifest writes it: the key where one field is
// the whole key, else a map of the key's fields, and of those that tell
// namesakes apart where there are any. The form depends on the kind and not on
// which other objects there are, so that those don't change this one's manifest.
func (e *exporting) reference(r Ref, depth int) (out any, why string) {
	if r.Target == nil {
		return nil, fmt.Sprintf("it refers to a %s (id %d) that the token may not view", r.Kind, r.Row)
	}
	k := r.Target.Kind
	if len(k.Resource.Key) == 0 || depth > maxKeyDepth {
		return nil, fmt.Sprintf("it refers to a %s, which no manifest can name", r.Kind)
	}
	if others, several := e.ambiguous(r.Target); several {
		return nil, fmt.Sprintf("it refers to %s, which can't be told from its namesake%s", r.Target.Label(), others)
	}
	names := slices.Clone(k.Resource.Key)
	if at := r.Target.place(); e.shared[k.Name][at] {
		names = append(names, extraUnique(k)...)
	}
	selector := make(map[string]any, len(names))
	for _, name := range names {
		v, ok := r.Target.Fields[name]
		if !ok {
			return nil, fmt.Sprintf("it refers to %s, of which there are several", r.Target.Label())
		}
		if inner, isRef := v.(Ref); isRef {
			if why = e.circular(k, name, v); why == "" {
				v, why = e.reference(inner, depth+1)
			}
			if why != "" {
				return nil, fmt.Sprintf("it refers to %s, whose %s can't be written: %s", r.Target.Label(), name, why)
			}
		}
		selector[name] = v
	}
	if why = e.unmade(r.Target, depth); why != "" {
		return nil, why
	}
	if len(names) == 1 && selector[names[0]] != nil && selector[names[0]] != "" {
		return selector[names[0]], ""
	}
	return selector, ""
}

// entries are the custom fields of an object that a manifest can hold: not our
// own record, no references, which are numbers there, and null only where the
// server would fill in a default.
func (e *exporting) entries(o *Object, f *schema.Field, v any) map[string]any {
	live, _ := v.(map[string]any)
	out := make(map[string]any, len(live))
	for name, value := range live {
		if name == MarkerField || value == nil && e.defaults[name] == nil {
			continue
		}
		if e.refersByNumber(name, value) {
			e.note(o, f.Name+"."+name, "it refers to an object by its number, which no other NetBox has", true)
			continue
		}
		out[name] = e.customValue(name, value)
		if e.types[name] == "" && string(appendExact(nil, out[name])) != string(appendExact(nil, value)) {
			e.note(o, f.Name+"."+name, "it may be a choice, or JSON that looks like one: the token may not read the custom fields", false)
		}
	}
	return out
}

// customValue is a custom field's live value as a manifest declares it.
func (e *exporting) customValue(name string, v any) any {
	if e.types[name] == "json" {
		return v
	}
	return customValue(v)
}

// refersByNumber reports whether a custom field holds objects. Where its type is
// not known, it is told by its form.
func (e *exporting) refersByNumber(name string, v any) bool {
	switch e.types[name] {
	case "object", "multiobject":
		return !Empty(v)
	case "":
		return looksNested(v)
	}
	return false
}

func looksNested(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		_, numbered := v["id"].(Number)
		return numbered && v["url"] != nil
	case []any:
		return len(v) > 0 && slices.ContainsFunc(v, looksNested)
	}
	return false
}
