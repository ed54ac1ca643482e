package schema

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// ruleKeyword is the Keyword of a problem whose message is the description of
// the rule that was broken.
const ruleKeyword = "rule"

// Numbers beyond these bounds make the validator's exact arithmetic slow or
// panic. They are far beyond what any field of the server holds.
const (
	maxNumberText = 400
	maxExponent   = 400
)

// validate runs one form of a kind's rules over a value.
func (s *Set) validate(k *Kind, value map[string]any, form Form) (problems []Problem) {
	c := s.compiled[k.Name].get(k)
	if c.err != nil {
		return []Problem{{Keyword: "schema", Message: "can't be checked: the schema of this kind does not compile"}}
	}
	rules := c.forms[form]
	if rules == nil {
		return nil
	}
	defer func() {
		// A panic in the library may carry the value, so its text is dropped.
		if recover() != nil {
			problems = []Problem{{Keyword: "schema", Message: "can't be checked: a value is of a form that the checks do not know"}}
		}
	}()
	w := walker{kind: k, rules: rules, rootRule: form == Create, noted: map[Problem]bool{}, unbearable: map[string]bool{}}
	instance := w.bounded("", value)
	if form == Whole {
		w.missing(value)
	}
	if form != Create {
		w.blank(value)
	}
	if err := rules.schema.Validate(instance); err != nil {
		ve, ok := err.(*jsonschema.ValidationError)
		if !ok {
			return []Problem{{Keyword: "schema", Message: "can't be checked: a value is of a form that the checks do not know"}}
		}
		w.collect(ve, value)
	}
	return w.result()
}

// walker turns the validator's tree of errors into problems.
type walker struct {
	rootRule bool // the description of the root is a rule's
	kind     *Kind
	rules    *ruleset
	problems []Problem
	noted    map[Problem]bool // the same
	// unbearable are the pointers of numbers that were not passed on.
	unbearable map[string]bool
}

// bounded returns the value, or a copy of it in which the numbers that the
// validator can't bear are noted and replaced.
func (w *walker) bounded(pointer string, v any) any {
	if bearable(v) {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, x := range v {
			out[name] = w.bounded(pointer+"/"+escapePointer(name), x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = w.bounded(pointer+"/"+strconv.Itoa(i), x)
		}
		return out
	case json.Number:
		w.add(Problem{Pointer: pointer, Keyword: "type", Message: "is a number out of all bounds"})
		w.unbearable[pointer] = true
		return json.Number("0")
	}
	return v
}

// bearable reports whether all numbers in a value are of reasonable size.
func bearable(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			if !bearable(x) {
				return false
			}
		}
	case []any:
		for _, x := range v {
			if !bearable(x) {
				return false
			}
		}
	case json.Number:
		return reasonable(string(v))
	}
	return true
}

// reasonable reports whether the text is a JSON number of bearable size.
func reasonable(text string) bool {
	if len(text) > maxNumberText || !json.Valid([]byte(text)) {
		return false
	}
	i := strings.IndexAny(text, "eE")
	if i < 0 {
		return true
	}
	exp, err := strconv.Atoi(text[i+1:])
	return err == nil && exp <= maxExponent && exp >= -maxExponent
}

// missing notes the required fields that are not there: the validator's own
// error names them only in its text.
func (w *walker) missing(value map[string]any) {
	for _, name := range w.kind.Required {
		if _, ok := value[name]; !ok {
			w.add(Problem{Field: name, Keyword: "required", Message: "is required"})
		}
	}
}

// blank notes white space where the server wants a text: it would take it for
// an empty one.
func (w *walker) blank(value map[string]any) {
	for _, f := range w.kind.Fields {
		text, ok := value[f.Name].(string)
		if ok && f.substantial() && text != "" && strings.TrimSpace(text) == "" {
			w.add(Problem{Pointer: "/" + escapePointer(f.Name), Keyword: "minLength", Message: "must not be blank"})
		}
	}
}

// substantial reports whether a text must have more than white space.
func (f *Field) substantial() bool {
	return f.Class == Text && !f.WriteOnly && f.MinLength != nil && *f.MinLength > 0
}

// collect walks down to the leaves. On the way it stops at a rule, whose
// description stands for all that is below, and at a choice between forms.
func (w *walker) collect(e *jsonschema.ValidationError, value map[string]any) {
	if text, ok := w.ruleText(e.KeywordLocation); ok {
		w.add(Problem{Pointer: e.InstanceLocation, Keyword: ruleKeyword, Message: text})
		return
	}
	keyword := lastToken(e.KeywordLocation)
	if len(e.Causes) > 0 && keyword != "anyOf" && keyword != "oneOf" {
		for _, cause := range e.Causes {
			w.collect(cause, value)
		}
		return
	}
	if e.KeywordLocation == "/required" {
		return // noted by missing, by name
	}
	if w.unbearable[e.InstanceLocation] {
		return // said already
	}
	at, _ := lookup(value, e.InstanceLocation)
	m := w.message(e.KeywordLocation, keyword, at)
	w.add(Problem{Pointer: e.InstanceLocation, Keyword: keyword, Message: m.text, Hint: m.hint})
}

// ruleText returns the description of the branch of an allOf that a keyword
// stands in, or of the schema under a not. The root's own description is no
// rule, except for x-resource.create, which has a rule at its root.
func (w *walker) ruleText(location string) (string, bool) {
	tokens := strings.Split(strings.TrimPrefix(location, "/"), "/")
	for i, t := range tokens {
		switch {
		case t == "allOf" && i+1 < len(tokens):
			if text := w.description(tokens[:i+2]); text != "" {
				return text, true
			}
		case t == "not":
			if text := w.description(tokens[:i+1]); text != "" {
				return text, true
			}
		}
	}
	if root, _ := w.rules.doc.(map[string]any); w.rootRule && location != "" {
		text, ok := root["description"].(string)
		return text, ok
	}
	return "", false
}

func (w *walker) description(tokens []string) string {
	node, ok := lookup(w.rules.doc, "/"+strings.Join(tokens, "/"))
	if !ok {
		return ""
	}
	m, _ := node.(map[string]any)
	text, _ := m["description"].(string)
	return text
}

// add notes a problem, once, and nothing but the type for a secret, whose text
// is not looked at.
func (w *walker) add(p Problem) {
	if p.Field == "" && p.Pointer != "" {
		p.Field, _, _ = strings.Cut(p.Pointer[1:], "/")
		p.Field = unescapePointer(p.Field)
	}
	if f := w.kind.Field(p.Field); f != nil && f.WriteOnly && p.Pointer != "" && p.Keyword != "type" {
		return
	}
	if !w.noted[p] {
		w.noted[p] = true
		w.problems = append(w.problems, p)
	}
}

// result sorts the problems and keeps, of several at one place, those that say
// the most: a wrong type makes choice and rule beside the point.
func (w *walker) result() []Problem {
	typed, keyed := map[string]bool{}, map[string]bool{}
	for _, p := range w.problems {
		typed[p.Pointer] = typed[p.Pointer] || p.Keyword == "type"
		keyed[p.Pointer] = keyed[p.Pointer] || p.Keyword != ruleKeyword
	}
	out := slices.DeleteFunc(w.problems, func(p Problem) bool {
		if p.Pointer == "" {
			return false
		}
		return typed[p.Pointer] && p.Keyword != "type" || keyed[p.Pointer] && p.Keyword == ruleKeyword
	})
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Pointer, b.Pointer), cmp.Compare(a.Keyword, b.Keyword),
			cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message),
		)
	})
	return out
}
