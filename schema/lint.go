package schema

import (
	"errors"
	"fmt"
	"regexp"
)

// lintCode is the form of a rule's code. Kinds begin with a capital letter, so
// that neither can be taken for the other.
var lintCode = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// checkLint checks the rules of x-lint by themselves.
func checkLint(rules []Lint) []error {
	var errs []error
	seen := map[string]bool{}
	for i, l := range rules {
		add := func(bad bool, format string, args ...any) {
			if bad {
				errs = append(errs, fmt.Errorf("x-lint %d: "+format, append([]any{i}, args...)...))
			}
		}
		add(!lintCode.MatchString(l.Code), "code must be lower-case words, joined by hyphens")
		add(seen[l.Code], "code %q stands twice", l.Code)
		add(l.Field == "" || l.Message == "" || l.Description == "", "needs field, message and description")
		add(l.Severity != "warning" && l.Severity != "info", `severity must be "warning" or "info"`)
		add((len(l.When) == 0) == (len(l.Same) == 0), "needs either when or same")
		for _, fields := range l.Same {
			add(len(fields) == 0, "same has an empty set of fields")
		}
		seen[l.Code] = true
	}
	return errs
}

// getLint compiles the risk rules of a kind when first needed: most commands
// don't look at them.
func (c *compiled) getLint(k *Kind) *compiled {
	c.lintOnce.Do(func() {
		c.lintErr = c.compileLint(k)
	})
	return c
}

func (c *compiled) compileLint(k *Kind) error {
	registerFormats()
	for i, l := range k.Lint {
		if len(l.When) == 0 {
			c.lint = append(c.lint, nil)
			continue
		}
		doc, err := decodeDocument(l.When)
		if err != nil {
			return fmt.Errorf("x-lint %s: %w", l.Code, err)
		}
		if len(doc) == 0 {
			return fmt.Errorf("x-lint %s: %w", l.Code, errors.New("when matches every object"))
		}
		r, err := compileDocument(fmt.Sprintf("%s:lint:%d", k.Name, i), doc)
		if err != nil {
			return fmt.Errorf("x-lint %s: %w", l.Code, err)
		}
		c.lint = append(c.lint, r.schema)
	}
	return nil
}

// lints returns the rules of x-lint that a value matches.
func (s *Set) lints(k *Kind, value map[string]any) (out []Lint) {
	c := s.compiled[k.Name].getLint(k)
	if c.lintErr != nil {
		return nil
	}
	defer func() {
		if recover() != nil { // a value of a form that validate refuses
			out = nil
		}
	}()
	w := walker{kind: k, noted: map[Problem]bool{}, unbearable: map[string]bool{}}
	instance := w.bounded("", value)
	for i, l := range k.Lint {
		if c.lint[i] != nil && c.lint[i].Validate(instance) == nil {
			out = append(out, l)
		}
	}
	return out
}
