package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The texts of problems. Rules for all of them: lower case, for people who know
// YAML and not JSON Schema, to be read behind the field's name, and never a
// part of the value. A hint may name one of the field's choices.

type message struct{ text, hint string }

// message words one leaf: the keyword at a location of the schema, and the
// value that broke it.
func (w *walker) message(location, keyword string, value any) message {
	limit, _ := lookup(w.rules.doc, location)
	switch keyword {
	case "type":
		return typeMessage(limit, w.isReference(location), value)
	case "enum":
		return enumMessage(limit, value)
	case "format":
		return message{text: formatMessage(fmt.Sprint(limit))}
	case "minLength":
		if fmt.Sprint(limit) == "1" {
			return message{text: "must not be empty"}
		}
		return message{text: fmt.Sprintf("must be at least %v characters", limit)}
	case "maxLength":
		return message{text: fmt.Sprintf("must be at most %v characters", limit)}
	case "minimum":
		return message{text: fmt.Sprintf("must be at least %v", limit)}
	case "maximum":
		return message{text: fmt.Sprintf("must be at most %v", limit)}
	case "multipleOf":
		return message{text: stepMessage(fmt.Sprint(limit))}
	case "minItems":
		return message{text: fmt.Sprintf("must have at least %v entries", limit)}
	case "maxItems":
		return message{text: fmt.Sprintf("must have at most %v entries", limit)}
	case "uniqueItems":
		return message{text: "must not name the same thing twice"}
	case "pattern":
		return message{text: fmt.Sprintf("must match the pattern %v", limit)}
	}
	return message{text: "is not allowed"}
}

// isReference reports whether the type at a location belongs to a reference.
func (w *walker) isReference(location string) bool {
	holder, _ := lookup(w.rules.doc, strings.TrimSuffix(location, "/type"))
	m, _ := holder.(map[string]any)
	return m["x-ref"] != nil
}

var typeNames = map[string]string{
	"string": "text", "integer": "a whole number", "number": "a number",
	"boolean": "true or false", "array": "a list", "object": "a mapping",
}

func typeMessage(want any, reference bool, value any) message {
	var types []string
	switch want := want.(type) {
	case string:
		types = []string{want}
	case []any:
		for _, t := range want {
			types = append(types, fmt.Sprint(t))
		}
	}
	nullable := slices.Contains(types, "null")
	types = slices.DeleteFunc(types, func(t string) bool { return t == "null" })
	got := typeOf(value)
	if value == nil {
		return message{text: "must not be null"}
	}
	what := "a reference: the target's key, or a mapping of its fields"
	if !reference {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = typeNames[t]
		}
		what = strings.Join(names, " or ")
	}
	text := "must be " + what
	if nullable {
		text += ", or null"
	}
	if got == "a number" && slices.Equal(types, []string{"integer"}) {
		return message{text: text}
	}
	return message{text: text + ", not " + got, hint: typeHint(types, reference, value)}
}

// typeHint says how to write what was probably meant. It tells the form of a
// text, never the text.
func typeHint(types []string, reference bool, value any) string {
	if reference || len(types) != 1 {
		return ""
	}
	switch v := value.(type) {
	case json.Number, bool:
		if types[0] == "string" {
			return "put it in quotes"
		}
	case string:
		if types[0] == "boolean" {
			return "write true or false, without quotes"
		}
		if _, err := strconv.ParseFloat(v, 64); err == nil && (types[0] == "integer" || types[0] == "number") {
			return "write it without quotes"
		}
	}
	if types[0] == "array" {
		return "write a list: [a, b]"
	}
	return ""
}

func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case string:
		return "text"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return "a number"
}

func enumMessage(limit, value any) message {
	choices, _ := limit.([]any)
	var names, quoted []string
	null, empty := false, false
	for _, c := range choices {
		switch c := c.(type) {
		case nil:
			null = true
		case string:
			if c == "" {
				empty = true
				continue
			}
			names = append(names, c)
			quoted = append(quoted, strconv.Quote(c))
		}
	}
	text := "must be one of " + strings.Join(quoted, ", ")
	switch {
	case null:
		text += ", or null"
	case empty:
		text += ", or empty"
	}
	m := message{text: text}
	if s, ok := value.(string); ok {
		if near := Nearest(s, names); near != "" {
			m.hint = fmt.Sprintf("did you mean %q?", near)
		}
	}
	return m
}

func formatMessage(format string) string {
	switch format {
	case "date-time":
		return "must be a time with its zone, such as 2026-01-31T04:00:00Z, or a date"
	case formatAddress:
		return "must be an IP address without mask, such as 192.0.2.7"
	case formatInterface:
		return "must be an IP address with its mask, such as 192.0.2.7/24"
	case formatPrefix:
		return "must be an IP network, such as 192.0.2.0/24"
	}
	return "must be a valid " + format
}

// stepMessage words multipleOf: our files use it for decimals.
func stepMessage(step string) string {
	f, err := strconv.ParseFloat(step, 64)
	for places := 1; err == nil && places <= 9; places++ {
		if f *= 10; f > 0.999999 && f < 1.000001 {
			if places == 1 {
				return "must have at most one decimal"
			}
			return fmt.Sprintf("must have at most %d decimals", places)
		}
	}
	return "must be a multiple of " + step
}
