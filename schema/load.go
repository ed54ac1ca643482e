package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

// kindFile is a schema file as it stands. Keywords that are not listed here or
// in propertyFile are mistakes, so that a misspelled one is found.
type kindFile struct {
	Schema      string     `json:"$schema"`
	ID          string     `json:"$id"`
	Comment     string     `json:"$comment"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Type        string     `json:"type"`
	Resource    *Resource  `json:"x-resource"`
	Lint        []Lint     `json:"x-lint"`
	Required    []string   `json:"required"`
	Properties  members    `json:"properties"`
	AllOf       []ruleFile `json:"allOf"`
	Unevaluated *bool      `json:"unevaluatedProperties"`
}

var embedded = sync.OnceValue(func() *Set {
	s, errs := load(files)
	if len(errs) > 0 {
		panic(fmt.Sprintf("embedded schema: %v", errors.Join(errs...)))
	}
	return s
})

// load reads the kinds without compiling their schemas.
func load(fsys fs.FS) (*Set, []error) {
	names, err := fs.Glob(fsys, "*.json")
	if err != nil {
		return nil, []error{fmt.Errorf("listing schema files: %w", err)}
	}
	s := &Set{kinds: map[string]*Kind{}, compiled: map[string]*compiled{}}
	var errs []error
	for _, name := range names {
		raw, err := fs.ReadFile(fsys, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading %s: %w", name, err))
			continue
		}
		k, problems := parseKind(strings.TrimSuffix(path.Base(name), ".json"), raw)
		for _, p := range problems {
			errs = append(errs, fmt.Errorf("%s: %w", name, p))
		}
		if k == nil {
			continue
		}
		s.kinds[k.Name] = k
		s.sorted = append(s.sorted, k)
		s.compiled[k.Name] = &compiled{}
	}
	slices.SortFunc(s.sorted, func(a, b *Kind) int { return strings.Compare(a.Name, b.Name) })
	for _, k := range s.sorted {
		for _, p := range s.checkLinks(k) {
			errs = append(errs, fmt.Errorf("%s.json: %w", k.Name, p))
		}
	}
	return s, errs
}

// parseKind reads one file. The kind is nil when there is too little to go on.
func parseKind(name string, raw []byte) (*Kind, []error) {
	var f kindFile
	if err := strictDecode(raw, &f); err != nil {
		return nil, []error{err}
	}
	k := &Kind{
		Name: name, Title: f.Title, Description: f.Description,
		Required: f.Required, Rules: ruleTexts(&f), Lint: f.Lint, Raw: json.RawMessage(raw),
		byName: make(map[string]*Field, len(f.Properties)),
	}
	errs := checkRoot(name, &f)
	if f.Resource == nil {
		return nil, append(errs, errors.New("x-resource is missing"))
	}
	k.Resource = *f.Resource
	for _, prop := range f.Properties {
		field, err := parseField(prop.name, prop.value)
		if err != nil {
			errs = append(errs, fmt.Errorf("property %s: %w", prop.name, err))
			continue
		}
		field.Required = slices.Contains(f.Required, prop.name)
		k.Fields = append(k.Fields, field)
		k.byName[prop.name] = field
	}
	return k, errs
}

func checkRoot(name string, f *kindFile) []error {
	var errs []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(f.Schema != draft, "$schema must be %q", draft)
	add(f.ID != kindURL(name), "$id must be %q", kindURL(name))
	add(f.Type != "object", `type must be "object"`)
	add(f.Title == "", "title is missing")
	add(f.Description == "", "description is missing")
	add(len(f.Properties) == 0, "properties is missing")
	errs = append(errs, checkLint(f.Lint)...)
	for i, rule := range f.AllOf {
		add(rule.Description == "", "allOf %d has no description, which is its message", i)
	}
	return errs
}

// ruleFile is the part of a rule that people see; the rest is JSON Schema.
type ruleFile struct{ Description string }

// UnmarshalJSON takes any keywords, unlike the strict decoding around it.
func (r *ruleFile) UnmarshalJSON(raw []byte) error {
	var f struct {
		Description string `json:"description"`
	}
	err := json.Unmarshal(raw, &f)
	r.Description = f.Description
	return err
}

// ruleTexts returns the rules across fields in words.
func ruleTexts(f *kindFile) []string {
	var out []string
	for _, r := range f.AllOf {
		out = append(out, r.Description)
	}
	if f.Resource == nil || len(f.Resource.Create) == 0 {
		return out
	}
	var create struct {
		Description string     `json:"description"`
		AllOf       []ruleFile `json:"allOf"`
	}
	if json.Unmarshal(f.Resource.Create, &create) != nil {
		return out // not compiling is reported elsewhere
	}
	for _, r := range append([]ruleFile{{create.Description}}, create.AllOf...) {
		if r.Description != "" {
			out = append(out, "To create one: "+r.Description)
		}
	}
	return out
}

// checkLinks checks what names something else: fields of the kind, and kinds of
// the set.
func (s *Set) checkLinks(k *Kind) []error {
	var errs []error
	field := func(where, name string) {
		if k.Field(name) == nil {
			errs = append(errs, fmt.Errorf("%s names %q, which is no property", where, name))
		}
	}
	kind := func(where, name string) {
		if s.kinds[name] == nil {
			errs = append(errs, fmt.Errorf("%s names %q, which is no kind", where, name))
		}
	}
	r := &k.Resource
	for _, name := range r.Key {
		field("x-resource.key", name)
	}
	for _, name := range slices.Concat(slices.Concat(r.Unique...), slices.Concat(r.AlsoUnique...)) {
		field("x-resource.unique", name)
	}
	for _, name := range k.Required {
		field("required", name)
	}
	for _, name := range r.After {
		kind("x-resource.after", name)
	}
	for _, c := range r.Cascades {
		if c.Kind != "" {
			kind("x-resource.cascades", c.Kind)
		}
		if c.Path == "" {
			errs = append(errs, errors.New("x-resource.cascades: path is missing"))
		}
	}
	if r.Approval != nil {
		for member, from := range r.Approval.Target {
			for _, name := range from.Fields {
				field("x-resource.approval: "+member, name)
			}
		}
	}
	for _, l := range k.Lint {
		for _, name := range append(slices.Concat(l.Same...), l.Field) {
			field("x-lint "+l.Code, name)
		}
	}
	for _, f := range k.Fields {
		if f.Ref != nil {
			kind("x-ref of "+f.Name, f.Ref.Kind)
		}
	}
	return append(errs, r.check()...)
}

// check checks x-resource by itself.
func (r *Resource) check() []error {
	var errs []error
	if len(r.Paths) == 0 {
		errs = append(errs, errors.New("x-resource.paths is empty"))
	}
	for _, p := range r.Paths {
		if p == "" || strings.Trim(p, "/") != p {
			errs = append(errs, fmt.Errorf("x-resource.paths: %q must be relative and without slashes at the ends", p))
		}
	}
	if a := r.Approval; a != nil && (a.Path == "" || strings.Trim(a.Path, "/") != a.Path || len(a.Target) == 0) {
		errs = append(errs, errors.New("x-resource.approval needs target, and a path without slashes at the ends"))
	}
	if r.ObjectType == "" {
		errs = append(errs, errors.New("x-resource.objectType is missing"))
	}
	switch r.Mode {
	case Managed, Lookup:
		if len(r.Key) == 0 {
			errs = append(errs, errors.New("x-resource.key is empty"))
		}
	case Singleton:
		if len(r.Key) > 0 {
			errs = append(errs, errors.New("x-resource.key: a singleton has none"))
		}
	default:
		errs = append(errs, fmt.Errorf("x-resource.mode %q is not managed, lookup or singleton", r.Mode))
	}
	for _, u := range r.Unique {
		for _, name := range r.Key {
			if !slices.Contains(u, name) {
				errs = append(errs, fmt.Errorf("x-resource.unique: %v lacks %q of the key and belongs into alsoUnique", u, name))
			}
		}
	}
	if r.Record && r.Mode != Managed {
		errs = append(errs, errors.New("x-resource.record is for managed kinds"))
	}
	if r.Prune != "" && r.Prune != "named" {
		errs = append(errs, fmt.Errorf("x-resource.prune %q is not \"named\"", r.Prune))
	}
	return errs
}

// strictDecode decodes exactly one JSON value and refuses unknown names.
func strictDecode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return decodeError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// decodeError rewords the standard library's text for an unknown name.
func decodeError(err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown keyword %s", name)
	}
	return err
}

type member struct {
	name  string
	value json.RawMessage
}

// members are those of a JSON object in the order of the text.
type members []member

// UnmarshalJSON keeps the order, which a map would lose.
func (m *members) UnmarshalJSON(raw []byte) (err error) {
	*m, err = objectMembers(raw)
	return err
}

// objectMembers splits a JSON object into its members in the order of the text.
// A name that stands twice is an error.
func objectMembers(raw []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var out []member
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if seen[name] {
			return nil, fmt.Errorf("%q stands twice", name)
		}
		seen[name] = true
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		out = append(out, member{name, v})
	}
	return out, nil
}
