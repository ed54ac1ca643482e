package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// propertyFile is one property of a schema file as it stands.
type propertyFile struct {
	Comment     string     `json:"$comment"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Type        oneOrMany  `json:"type"`
	Enum        []any      `json:"enum"`
	Format      string     `json:"format"`
	ReadOnly    bool       `json:"readOnly"`
	WriteOnly   bool       `json:"writeOnly"`
	UniqueItems bool       `json:"uniqueItems"`
	Items       *itemsFile `json:"items"`
	Additional  *bool      `json:"additionalProperties"`
	MinLength   *int       `json:"minLength"`
	MaxLength   *int       `json:"maxLength"`
	MinItems    *int       `json:"minItems"`
	MaxItems    *int       `json:"maxItems"`
	Minimum     *float64   `json:"minimum"`
	Maximum     *float64   `json:"maximum"`
	MultipleOf  *float64   `json:"multipleOf"`
	Pattern     string     `json:"pattern"`
	Default     any        `json:"default"`
	Examples    []any      `json:"examples"`
	AllOf       []ruleFile `json:"allOf"`
	Not         *notFile   `json:"not"`
	Ref         *Ref       `json:"x-ref"`
	Synced      *Synced    `json:"x-synced"`
	Destination bool       `json:"x-destination"`
}

type itemsFile struct {
	Type      oneOrMany `json:"type"`
	Enum      []any     `json:"enum"`
	Format    string    `json:"format"`
	MinLength *int      `json:"minLength"`
	MaxLength *int      `json:"maxLength"`
	Ref       *Ref      `json:"x-ref"`
}

type notFile struct {
	Description string    `json:"description"`
	Type        oneOrMany `json:"type"`
	Enum        []any     `json:"enum"`
}

// oneOrMany is the JSON Schema keyword type: a name or a list of names.
type oneOrMany []string

// UnmarshalJSON accepts both forms.
func (o *oneOrMany) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*o = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(o))
}

func parseField(name string, raw json.RawMessage) (*Field, error) {
	var p propertyFile
	if err := strictDecode(raw, &p); err != nil {
		return nil, err
	}
	f := &Field{
		Name: name, Title: p.Title, Description: p.Description,
		Format: p.Format, ReadOnly: p.ReadOnly, WriteOnly: p.WriteOnly, Set: p.UniqueItems,
		Destination: p.Destination, Synced: p.Synced, Ref: p.Ref, Default: p.Default,
		MinLength: p.MinLength, MaxLength: p.MaxLength, Minimum: p.Minimum, Maximum: p.Maximum,
	}
	for _, t := range p.Type {
		if t != "null" {
			f.Types = append(f.Types, t)
		}
	}
	f.Nullable = p.nullable()
	for _, v := range p.Enum {
		if s, ok := v.(string); ok {
			f.Enum = append(f.Enum, s)
		} else if v != nil {
			return nil, errors.New("enum may hold text and null only")
		}
	}
	if p.Items != nil && p.Items.Ref != nil {
		if f.Ref != nil {
			return nil, errors.New("x-ref stands on the property and on its items")
		}
		f.Ref = p.Items.Ref
	}
	f.Rules = p.rules()
	class, err := p.class(name)
	if err != nil {
		return nil, err
	}
	f.Class = class
	return f, f.check()
}

// nullable reports whether the keywords let null pass.
func (p *propertyFile) nullable() bool {
	if len(p.Type) > 0 {
		return slices.Contains(p.Type, "null")
	}
	if p.Not == nil {
		return len(p.Enum) == 0 || slices.Contains(p.Enum, nil)
	}
	return !slices.Contains(p.Not.Type, "null") && !slices.Contains(p.Not.Enum, nil)
}

// rules says in words what the keywords without a place in Field ask.
func (p *propertyFile) rules() []string {
	var out []string
	for _, r := range p.AllOf {
		out = append(out, r.Description)
	}
	if p.Not != nil {
		out = append(out, p.Not.Description)
	}
	if p.MultipleOf != nil {
		out = append(out, stepMessage(strconv.FormatFloat(*p.MultipleOf, 'f', -1, 64)))
	}
	return slices.DeleteFunc(out, func(text string) bool { return text == "" })
}

// class derives how values of the property are handled.
func (p *propertyFile) class(name string) (Class, error) {
	types := slices.DeleteFunc(slices.Clone(p.Type), func(t string) bool { return t == "null" })
	switch {
	case p.Ref != nil:
		return Reference, nil
	case p.Items != nil && p.Items.Ref != nil:
		return ReferenceSet, nil
	case len(types) == 0 && p.Enum == nil:
		return JSON, nil
	case len(types) != 1:
		return "", errors.New("a property has one type beside null, unless it is a reference")
	}
	switch types[0] {
	case "string":
		return p.textClass()
	case "boolean":
		return Boolean, nil
	case "integer":
		return Integer, nil
	case "number":
		return Decimal, nil
	case "array":
		return List, nil
	case "object":
		if name == "custom_fields" {
			return Map, nil
		}
		return JSON, nil
	}
	return "", fmt.Errorf("unknown type %q", types[0])
}

func (p *propertyFile) textClass() (Class, error) {
	switch p.Format {
	case "date-time":
		return Time, nil
	case formatAddress, formatInterface, formatPrefix:
		return Address, nil
	case "":
	default:
		return "", fmt.Errorf("unknown format %q", p.Format)
	}
	if p.Enum != nil {
		return Choice, nil
	}
	return Text, nil
}

func (f *Field) check() error {
	switch {
	case f.Title == "":
		return errors.New("title is missing")
	case f.Description == "":
		return errors.New("description is missing")
	case f.ReadOnly && f.WriteOnly:
		return errors.New("readOnly and writeOnly exclude each other")
	case f.ReadOnly && f.Required:
		return errors.New("a readOnly property can't be required")
	case f.Class == ReferenceSet && !f.Set:
		return errors.New("a list of references needs uniqueItems")
	case f.Ref != nil && f.Ref.Kind == "":
		return errors.New("x-ref.kind is missing")
	case f.Ref != nil && !slices.Contains([]string{"cascade", "null", "refuse"}, f.Ref.OnDelete):
		return fmt.Errorf("x-ref.onDelete %q is not cascade, null or refuse", f.Ref.OnDelete)
	}
	return nil
}
