package sandbox

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// filterSpec is one query parameter that a list understands.
type filterSpec struct {
	class string   // text, number, boolean, time, choice, ref, one, host, member; a 1 at the end: only the last value counts
	path  []string // field, or a field of the field's target
}

// filterClassOf is the filter of a derived field.
func filterClassOf(f fieldData) string {
	return map[string]string{"text": "text", "slug": "text", "integer": "number", "float": "number", "boolean": "boolean",
		"time": "time", "choice": "choice", "reference": "one", "ip": "text", "interface": "host", "prefix": "text"}[f.As]
}

func (m *model) compileFilters() error {
	m.filters = map[string]filterSpec{"id": {class: "number", path: []string{"id"}}}
	for _, stamp := range m.Stamps {
		m.filters[stamp] = filterSpec{class: "time", path: []string{stamp}}
	}
	if f := m.byName["tags"]; f != nil && f.As == "references" {
		m.filters["tag"] = filterSpec{class: "ref", path: []string{"tags", "slug"}}
		m.filters["tag_id"] = filterSpec{class: "ref", path: []string{"tags"}}
	}
	for name, text := range m.Filters {
		class, path, ok := strings.Cut(text, ":")
		if !ok {
			path = name
		}
		steps := strings.Split(path, ".")
		if m.byName[steps[0]] == nil {
			if slices.Contains(m.Without, steps[0]) || m.Fields[steps[0]].As == "" {
				continue
			}
			return fmt.Errorf("filter %s is about no field", name)
		}
		m.filters[name] = filterSpec{class: class, path: steps}
	}
	return nil
}

// matcher tells whether a row is wanted.
type matcher func(r *row) bool

// lookups are the suffixes of a filter's name: name__ic=abc.
var lookups = map[string]func(have, want string) bool{
	"":    func(have, want string) bool { return have == want },
	"ie":  strings.EqualFold,
	"ic":  func(have, want string) bool { return strings.Contains(strings.ToLower(have), strings.ToLower(want)) },
	"isw": func(have, want string) bool { return strings.HasPrefix(strings.ToLower(have), strings.ToLower(want)) },
	"iew": func(have, want string) bool { return strings.HasSuffix(strings.ToLower(have), strings.ToLower(want)) },
	"regex": func(have, want string) bool {
		ok, err := regexp.MatchString(want, have)
		return err == nil && ok
	},
	"iregex": func(have, want string) bool {
		ok, err := regexp.MatchString("(?i)"+want, have)
		return err == nil && ok
	},
}

// matchers compiles the query. errs holds what is wrong with it, by parameter;
// parameters that the list doesn't know are ignored, as NetBox ignores them.
func (s *Server) matchers(m *model, q url.Values) (list []matcher, errs *object) {
	errs = newObject()
	for _, name := range sortedNames(q) {
		values := slices.DeleteFunc(slices.Clone(q[name]), func(v string) bool { return v == "" })
		if len(values) == 0 {
			continue
		}
		if strings.HasSuffix(name, "_by_request") {
			if !uuidPattern.MatchString(values[len(values)-1]) {
				errs.set(name, []any{"Enter a valid UUID."})
			}
			list = append(list, func(*row) bool { return false })
			continue
		}
		base, lookup, _ := strings.Cut(name, "__")
		spec, ok := m.filters[base]
		if !ok {
			continue
		}
		if strings.HasSuffix(spec.class, "1") || spec.class == "one" || spec.class == "boolean" {
			values = values[len(values)-1:]
		}
		match, problem := s.matcher(m, spec, lookup, values)
		if problem != "" {
			errs.set(name, []any{problem})
		} else if match != nil {
			list = append(list, match)
		}
	}
	if text := strings.TrimSpace(last(q, "q")); text != "" && len(m.Search) > 0 {
		list = append(list, m.searcher(text))
	}
	return list, errs
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$`)

func (m *model) searcher(text string) matcher {
	text = strings.ToLower(text)
	var paths [][]string
	for _, p := range m.Search {
		paths = append(paths, strings.Split(p, "."))
	}
	return func(r *row) bool {
		for _, p := range paths {
			v, _ := lookup(m, r, p)
			if strings.Contains(strings.ToLower(plainText(v)), text) {
				return true
			}
		}
		return false
	}
}

func (s *Server) matcher(m *model, spec filterSpec, look string, values []string) (matcher, string) {
	if look == "empty" {
		want := strings.EqualFold(values[0], "true")
		return func(r *row) bool { return filled(s.at(m, r, spec.path)) != want }, ""
	}
	if look == "n" {
		match, problem := s.matcher(m, spec, "", values)
		if problem != "" || match == nil {
			return nil, problem
		}
		return func(r *row) bool { return !match(r) }, ""
	}
	class := strings.TrimSuffix(spec.class, "1")
	if look != "" && !slices.Contains([]string{"number", "time", "text", "host"}, class) {
		return nil, ""
	}
	switch class {
	case "number", "time":
		return s.comparing(m, spec, look, values)
	case "boolean":
		word := values[0]
		if !slices.Contains([]string{"true", "True", "false", "False"}, word) {
			return nil, ""
		}
		return func(r *row) bool { return s.at(m, r, spec.path) == strings.EqualFold(word, "true") }, ""
	case "ref", "one":
		return s.referring(m, spec, values)
	case "choice":
		return s.choosing(m, spec, values)
	case "member":
		return func(r *row) bool {
			list, _ := s.at(m, r, spec.path).([]any)
			return slices.ContainsFunc(values, func(v string) bool { return slices.Contains(list, any(v)) })
		}, ""
	}
	return s.texting(m, spec, look, values)
}

// at is the stored value at a path; of a reference the target's id.
func (s *Server) at(m *model, r *row, path []string) any {
	switch path[0] {
	case "created":
		return r.created
	case "last_updated":
		return r.updated
	}
	v, to := lookup(m, r, path)
	if to != nil {
		return to.r.id
	}
	return v
}

func (s *Server) texting(m *model, spec filterSpec, look string, values []string) (matcher, string) {
	negated := strings.HasPrefix(look, "n") && lookups[look] == nil
	test := lookups[strings.TrimPrefix(look, map[bool]string{true: "n", false: ""}[negated])]
	if test == nil {
		return nil, ""
	}
	return func(r *row) bool {
		v := s.at(m, r, spec.path)
		hit := slices.ContainsFunc(values, func(want string) bool {
			if want == "null" && look == "" {
				return v == nil
			}
			if spec.class == "host" && look == "" && !strings.Contains(want, "/") {
				return hostOf(plainText(v)) == want
			}
			return v != nil && test(plainText(v), want)
		})
		return hit != negated
	}, ""
}

func (s *Server) comparing(m *model, spec filterSpec, look string, values []string) (matcher, string) {
	tests := map[string]func(int) bool{
		"": func(c int) bool { return c == 0 }, "gt": func(c int) bool { return c > 0 }, "gte": func(c int) bool { return c >= 0 },
		"lt": func(c int) bool { return c < 0 }, "lte": func(c int) bool { return c <= 0 },
	}
	test := tests[look]
	if test == nil {
		return nil, ""
	}
	var wanted []any
	for _, text := range values {
		if strings.HasPrefix(spec.class, "time") {
			t, ok := parseTime(text)
			if !ok {
				return nil, "Enter a valid date/time."
			}
			wanted = append(wanted, t)
			continue
		}
		n, ok := filterNumber(m.byName[spec.path[0]], text)
		if !ok {
			return nil, "Enter a whole number."
		}
		wanted = append(wanted, n)
	}
	if spec.path[0] == "id" && look == "" {
		ids := map[any]bool{}
		for _, n := range wanted {
			ids[n] = true
		}
		return func(r *row) bool { return ids[r.id] }, ""
	}
	return func(r *row) bool {
		v := s.at(m, r, spec.path)
		if v == nil {
			return false
		}
		return slices.ContainsFunc(wanted, func(want any) bool {
			if t, ok := v.(time.Time); ok {
				w, _ := want.(time.Time)
				return test(t.Compare(w))
			}
			return test(compareValues(v, want))
		})
	}, ""
}

// filterNumber reads a number for a field; for an id the field is nil.
func filterNumber(f *field, text string) (any, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil || f == nil || f.As == "integer" {
		return n, err == nil
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil
}

func (s *Server) choosing(m *model, spec filterSpec, values []string) (matcher, string) {
	f := m.byName[spec.path[0]]
	for _, v := range values {
		if f.choiceOf(v) == nil && v != "null" {
			return nil, "Select a valid choice. " + v + " is not one of the available choices."
		}
	}
	return s.texting(m, spec, "", values)
}

// referring matches rows by what they refer to. A value that is no target's is
// an error, in the words of Django's single and multiple choices.
func (s *Server) referring(m *model, spec filterSpec, values []string) (matcher, string) {
	f := m.byName[spec.path[0]]
	if f.target == nil {
		return nil, ""
	}
	wanted := map[int64]bool{}
	null := false
	for _, text := range values {
		if text == "null" && spec.class == "ref" {
			null = true
			continue
		}
		id, ok := f.targetBy(spec.path[1:], text)
		if !ok && spec.class == "one" {
			return nil, "Select a valid choice. That choice is not one of the available choices."
		}
		if !ok {
			return nil, "Select a valid choice. " + text + " is not one of the available choices."
		}
		wanted[id] = true
	}
	return func(r *row) bool {
		ids := refIDs(r.values[f.name])
		if len(ids) == 0 {
			return null
		}
		return slices.ContainsFunc(ids, func(id int64) bool { return wanted[id] })
	}, ""
}

// targetBy finds the target with that id, or with that text in its field.
func (f *field) targetBy(path []string, text string) (int64, bool) {
	if len(path) == 0 {
		id, err := strconv.ParseInt(text, 10, 64)
		return id, err == nil && f.target.rows[id] != nil
	}
	for id, r := range f.target.rows {
		if v, _ := lookup(f.target, r, path); v != nil && plainText(v) == text {
			return id, true
		}
	}
	return 0, false
}
