package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The bundle is one schema for a document of any kind, made for editors: it
// completes and explains, and it is never stricter than the program, which
// knows more (what patches bring, what references lead to), but for one thing:
// the required fields belong into the document that declares an object. Two definitions a
// kind: K.fields has the properties, K adds what an object needs as a whole,
// and K.selector is how others refer to it.

// apiVersion is the one value of a manifest's apiVersion.
const apiVersion = "proxbox-sync/v1"

// object is a JSON object that keeps the order of its members, so that editors
// offer fields in the order of the kinds' files.
type object []member

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// obj builds an object of names and values in turn.
func obj(pairs ...any) object {
	o := make(object, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		o = append(o, member{pairs[i].(string), mustJSON(pairs[i+1])})
	}
	return o
}

// mustJSON encodes what this file builds, which can't fail.
func mustJSON(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("bundle: %v", err))
	}
	return b
}

func defRef(name string) object { return obj("$ref", "#/$defs/"+name) }

func (s *Set) bundle() ([]byte, error) {
	var names, texts []string
	var dispatch []object
	defs := obj("metadata", metadataSchema())
	for _, k := range s.sorted {
		fields, whole, err := kindDefs(k)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.Name, err)
		}
		defs = append(defs, obj(k.Name+".selector", selectorSchema(k))...)
		if k.Resource.Mode == Lookup {
			continue
		}
		defs = append(defs, obj(k.Name+".fields", fields, k.Name, whole)...)
		names = append(names, k.Name)
		texts = append(texts, k.Description)
		dispatch = append(dispatch, dispatchOn(k.Name))
	}
	doc := obj(
		"$schema", draft,
		"$id", kindURL("manifest"),
		"title", "proxbox-sync manifest",
		"description", "One document of a proxbox-sync manifest: an object, or several of one kind.",
		"type", "object",
		"required", []string{"apiVersion", "kind"},
		"properties", obj(
			"apiVersion", obj("description", "Version of this form.", "const", apiVersion),
			"kind", obj("description", "What the objects are.", "type", "string", "enum", names, "enumDescriptions", texts),
			"metadata", defRef("metadata"),
			"spec", obj("description", "The object's fields, by the API's own names.", "type", "object"),
			"defaults", obj("description", "Fields that every entry of items has unless it says otherwise.", "type", "object"),
			"items", obj("description", "The fields of several objects of the kind.", "type", "array", "items", obj("type", "object")),
			"sops", obj("description", "What sops keeps in an encrypted file.", "type", "object"),
		),
		"additionalProperties", false,
		"dependentRequired", obj("defaults", []string{"items"}),
		"oneOf", []object{
			obj("required", []string{"spec"}, "not", obj("required", []string{"items"})),
			obj("required", []string{"items"}, "not", obj("required", []string{"spec"})),
		},
		"allOf", dispatch,
		"$defs", defs,
	)
	var out bytes.Buffer
	if err := json.Indent(&out, mustJSON(doc), "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// dispatchOn applies a kind's definitions. Required fields and rules hold for
// an object that stands alone: not for a patch, nor for an object that somebody
// else made or that is given up, and not for an entry that defaults complete.
func dispatchOn(kind string) object {
	fields, whole, off := defRef(kind+".fields"), defRef(kind), obj("const", false)
	withItems := func(item object) object {
		return obj("properties", obj("items", obj("items", item)))
	}
	return obj(
		"if", obj("required", []string{"kind"}, "properties", obj("kind", obj("const", kind))),
		"then", obj(
			"properties", obj("spec", fields, "defaults", fields, "items", obj("items", fields)),
			"if", obj("properties", obj("metadata", obj("properties", obj(
				"patch", off, "existing", off, "absent", off, "release", off)))),
			"then", obj(
				"properties", obj("spec", whole),
				"if", obj("required", []string{"defaults"}),
				"else", withItems(whole),
			),
		),
	)
}

func metadataSchema() object {
	flag := func(text string) object { return obj("description", text, "type", "boolean") }
	return obj(
		"description", "How proxbox-sync treats the objects of this document.",
		"type", "object",
		"properties", obj(
			"protect", flag("Never deleted by this tool, also when the manifest is gone."),
			"ignoreChanges", obj(
				"description", "Fields that are set on create and not compared afterwards; a dotted path names a part of a JSON field.",
				"type", "array", "items", obj("type", "string", "minLength", 1),
			),
			"existing", flag("Made by someone else, such as the plugin's synchronisation: it must exist, only the fields written here are managed, and it is never created or deleted."),
			"createOnly", flag("Created when it is missing, never updated afterwards."),
			"absent", flag("Must not exist: it is deleted."),
			"release", flag("Not managed any more: the marker goes, the object stays."),
			"renamedFrom", obj("description", "The old key of an object that is to be renamed in place."),
			"ignoreRisks", obj(
				"description", "Risk rules that are not applied to the objects of this document; the reason is shown in every report.",
				"type", "array", "items", obj(
					"type", "object",
					"required", []string{"code", "reason"},
					"properties", obj(
						"code", obj("description", "Code of the rule, as lint shows it.", "type", "string", "minLength", 1),
						"reason", obj("description", "Why the risk is taken.", "type", "string", "minLength", 1),
					),
					"additionalProperties", false,
				),
			),
			"patch", flag("Merged over the document of the same kind and key, which has the other fields: for secrets in a file of their own."),
		),
		"additionalProperties", false,
	)
}

// kindDefs makes a kind's two definitions of its file.
func kindDefs(k *Kind) (fields, whole object, err error) {
	members, err := objectMembers(k.Raw)
	if err != nil {
		return nil, nil, err
	}
	props := object{}
	whole = obj("$ref", "#/$defs/"+k.Name+".fields")
	for _, m := range members {
		switch m.name {
		case "properties":
			if props, err = bundleProperties(k, m.value); err != nil {
				return nil, nil, err
			}
		case "required":
			whole = append(whole, m)
		case "allOf":
			rules, err := lastingRules(m.value)
			if err != nil {
				return nil, nil, err
			}
			if len(rules) > 0 {
				whole = append(whole, obj("allOf", rules)...)
			}
		}
	}
	fields = obj(
		"title", k.Title, "description", k.Description, "type", "object",
		"properties", props, "additionalProperties", false,
	)
	return fields, whole, nil
}

// lastingRules returns the rules of an allOf that hold for one document: those
// that a patch, by adding fields, could not satisfy.
func lastingRules(raw json.RawMessage) ([]json.RawMessage, error) {
	var rules, out []json.RawMessage
	if err := json.Unmarshal(raw, &rules); err != nil {
		return nil, err
	}
	for _, r := range rules {
		var rule any
		if err := json.Unmarshal(r, &rule); err != nil {
			return nil, err
		}
		if !asksForFields(rule) {
			out = append(out, r)
		}
	}
	return out, nil
}

// asksForFields reports whether a rule has, outside its condition, a required
// field, or a condition that a field is missing.
func asksForFields(rule any) bool {
	switch rule := rule.(type) {
	case []any:
		return slices.ContainsFunc(rule, asksForFields)
	case map[string]any:
		for keyword, v := range rule {
			switch keyword {
			case "required":
				return true
			case "if", "not": // the other way round
				if refuses(v) {
					return true
				}
			default:
				if asksForFields(v) {
					return true
				}
			}
		}
	}
	return false
}

// refuses reports whether a condition may cease to hold with more fields.
func refuses(condition any) bool {
	m, _ := condition.(map[string]any)
	not, ok := m["not"]
	return ok && asksForFields(not)
}

func bundleProperties(k *Kind, raw json.RawMessage) (object, error) {
	members, err := objectMembers(raw)
	if err != nil {
		return nil, err
	}
	var out object
	for _, m := range members {
		f := k.Field(m.name)
		if f == nil || f.ReadOnly {
			continue // not to be written: editors do not offer it
		}
		keywords, err := objectMembers(m.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		out = append(out, member{m.name, mustJSON(bundleProperty(f, keywords))})
	}
	return out, nil
}

// bundleProperty relaxes one property.
func bundleProperty(f *Field, keywords []member) object {
	drop := []string{}
	switch {
	case f.Class == Reference:
		drop = []string{"type"}
	case f.Class == ReferenceSet:
		drop = []string{"items"}
	case f.WriteOnly: // it may stand as ENC[…], which no limit is meant for, or be left as null
		drop = []string{"type", "minLength", "maxLength", "allOf", "enum"}
	case f.Class == Time, f.Class == Address: // formats that editors do not have
		drop = []string{"format"}
	}
	var out object
	for _, m := range keywords {
		if !strings.HasPrefix(m.name, "x-") && !slices.Contains(drop, m.name) {
			out = append(out, m)
		}
	}
	switch {
	case f.WriteOnly:
		return append(out, obj("type", append(slices.Clone(f.Types), "null"))...)
	case f.substantial():
		return append(out, obj("pattern", `\S`)...)
	}
	switch f.Class {
	case Reference:
		if !f.Nullable {
			return append(out, defRef(f.Ref.Kind+".selector")...)
		}
		return append(out, obj("anyOf", []object{defRef(f.Ref.Kind + ".selector"), obj("type", "null")})...)
	case ReferenceSet:
		return append(out, obj("items", defRef(f.Ref.Kind+".selector"))...)
	case Map:
		return append(out, obj("propertyNames", obj("not", obj("const", "proxbox_sync")))...)
	case Time, Address:
		return append(out, obj("pattern", looseForms[f.Format])...)
	}
	return out
}

// looseForms stand for formats where only a pattern is at hand.
var looseForms = map[string]string{
	"date-time":     `^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?\s*$`,
	formatAddress:   `^[^/]+$`,
	formatInterface: `/[0-9]{1,3}\s*$`,
	formatPrefix:    `/[0-9]{1,3}\s*$`,
}

// selectorSchema is how others refer to an object of the kind: by the last
// field of its key, or by a mapping of any of its fields.
func selectorSchema(k *Kind) object {
	key := k.Resource.Key
	text := "The " + k.Title
	if len(key) > 0 {
		text += ", by its " + key[len(key)-1] + ", or as a mapping of fields that only one has: {" + strings.Join(key, ", ") + "}"
	}
	props := object{}
	for _, f := range k.Fields {
		if f.WriteOnly || f.Class == Map || f.Class == JSON {
			continue
		}
		prop := obj("description", f.Description)
		if f.Ref != nil && f.Class == Reference {
			prop = append(prop, obj("anyOf", []object{defRef(f.Ref.Kind + ".selector"), obj("type", "null")})...)
		}
		props = append(props, member{f.Name, mustJSON(prop)})
	}
	props = append(props, obj("id", obj("description", "Database id: not portable between servers.", "type", "integer", "minimum", 1))...)
	return obj(
		"description", text+".",
		"type", []string{"string", "integer", "object"},
		"properties", props, "additionalProperties", false,
	)
}
