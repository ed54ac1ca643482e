package schema

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed *.json
var files embed.FS

// Set is all kinds that a program knows. It is safe for concurrent use.
type Set struct {
	kinds  map[string]*Kind
	sorted []*Kind
	// compiled has an entry for each kind, filled when it is first needed.
	compiled map[string]*compiled
}

// Embedded returns the kinds that are part of the program. It panics when an
// embedded file is broken, which a test excludes.
func Embedded() *Set { return embedded() }

// Load reads every *.json file in the root of fsys as one kind, named by its
// file. It reports every mistake of every file: an unknown vendor keyword, a
// key or required field that is no property, a reference to a kind that is not
// in the set, a schema that does not compile.
func Load(fsys fs.FS) (*Set, error) {
	s, errs := load(fsys)
	if s != nil {
		for _, k := range s.sorted {
			c := s.compiled[k.Name]
			if err := errors.Join(c.get(k).err, c.getLint(k).lintErr); err != nil {
				errs = append(errs, fmt.Errorf("%s.json: %w", k.Name, err))
			}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

// Kind returns the kind of that name, or nil.
func (s *Set) Kind(name string) *Kind { return s.kinds[name] }

// Kinds returns all kinds, sorted by name.
func (s *Set) Kinds() []*Kind { return s.sorted }

// Form selects the rules that a value is checked against.
type Form int

// The forms of a validation.
const (
	// Whole is an object as a create needs it: required fields and conditional rules.
	Whole Form = iota
	// Partial is some fields of an object that somebody else completes
	// (metadata.existing, metadata.patch): no required fields, no rules across fields.
	Partial
	// Create is what x-resource.create asks of an object that is about to be
	// created, beyond Whole. It checks nothing where a kind has no such rules.
	Create
)

// Problem is one way in which a value breaks the rules of its kind. The text
// never contains the value.
type Problem struct {
	Pointer string // JSON pointer into the value; for a missing field, to its parent
	Field   string // top-level field concerned, empty for a rule across fields
	Keyword string // JSON Schema keyword that failed ("type", "enum", "required", …)
	Message string // lower case, for people, without the value: `must be one of "a", "b"`
	Hint    string // what to do, may be empty
}

// Validate checks the fields of one object of a kind. value holds plain JSON
// values (nil, bool, string, json.Number, []any, map[string]any); references
// are as written, a scalar or a selector map; a secret is represented by any
// string (its text is not looked at). Unknown fields are not its business.
// The result is sorted by pointer and keyword.
func (s *Set) Validate(k *Kind, value map[string]any, form Form) []Problem {
	return s.validate(k, value, form)
}

// Lints returns the rules of x-lint whose when the object matches. Those about
// several objects are the hub's business.
func (s *Set) Lints(k *Kind, value map[string]any) []Lint { return s.lints(k, value) }

// Bundle returns one JSON Schema (2020-12) for a manifest document of any
// kind, dispatching on kind, for editors' YAML language servers. It relaxes the
// kinds' schemas for items, defaults, patch, existing, the forms of references
// and ENC[…] strings.
func (s *Set) Bundle() ([]byte, error) { return s.bundle() }

// Nearest returns the candidate that is most like name, or "" when none is
// near enough to be a likely slip.
func Nearest(name string, candidates []string) string { return nearest(name, candidates) }
