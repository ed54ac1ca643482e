package sandbox

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// appendJSON writes a value as the server does: no spaces, text beyond ASCII as
// it is, floats as Python writes them, times in UTC.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendString(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		return append(b, pyFloat(v)...)
	case number:
		return append(b, v...)
	case json.Number:
		return append(b, v...)
	case time.Time:
		return appendString(b, wireTime(v))
	case raw:
		return append(b, v...)
	case *object:
		return appendMembers(b, v.names, v.values)
	case map[string]any:
		return appendMembers(b, sortedNames(v), v)
	case []any:
		b = append(b, '[')
		for i, x := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, x)
		}
		return append(b, ']')
	case []string:
		list := make([]any, len(v))
		for i, x := range v {
			list[i] = x
		}
		return appendJSON(b, list)
	case secret:
		// Nothing shows a write-only field; this is the net below that.
		return append(b, "null"...)
	}
	panic("sandbox: a value of a type that is never stored")
}

func appendMembers(b []byte, names []string, values map[string]any) []byte {
	b = append(b, '{')
	for i, n := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, n), ':')
		b = appendJSON(b, values[n])
	}
	return append(b, '}')
}

// raw is JSON text that is ready.
type raw []byte

func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < 0x20:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// pyFloat is Python's repr of a float: 10.0, 0.5, 1e+16.
func pyFloat(f float64) string {
	if f == 0 {
		if math.Signbit(f) {
			return "-0.0"
		}
		return "0.0"
	}
	if a := math.Abs(f); a < 1e-4 || a >= 1e16 {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		return s
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func wireTime(t time.Time) string {
	if t.Nanosecond() == 0 {
		return t.UTC().Format("2006-01-02T15:04:05Z")
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// isoTime is Python's isoformat, as ETags have it.
func isoTime(t time.Time) string {
	return strings.TrimSuffix(wireTime(t), "Z") + "+00:00"
}

// storedJSON is what a JSON field gives back: PostgreSQL keeps numbers as exact
// decimals, and Python wrote the floats among them.
func storedJSON(v any) any {
	switch v := v.(type) {
	case number:
		if !v.isFloat() {
			return v
		}
		s := pyFloat(v.float())
		if strings.Contains(s, "e") {
			s = strconv.FormatFloat(v.float(), 'f', -1, 64)
		}
		return number(s)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = storedJSON(x)
		}
		return out
	case *object:
		out := newObject()
		for _, n := range v.names {
			out.set(n, storedJSON(v.values[n]))
		}
		return out
	}
	return v
}

// pyRepr is Python's repr of a value that came as JSON.
func pyRepr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return pyBool(v)
	case string:
		return pyQuote(v)
	case number:
		if v.isFloat() {
			return pyFloat(v.float())
		}
		return string(v)
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = pyRepr(x)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *object:
		parts := make([]string, len(v.names))
		for i, n := range v.names {
			parts[i] = pyQuote(n) + ": " + pyRepr(v.values[n])
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return ""
}

// pyStr is Python's str of a value that came as JSON.
func pyStr(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return pyRepr(v)
}

func pyBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

func pyQuote(s string) string {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	b := []byte{q}
	for _, r := range s {
		switch {
		case r == rune(q) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < 0x20 || r == 0x7f:
			b = append(b, `\x`...)
			b = append(b, "0123456789abcdef"[r>>4], "0123456789abcdef"[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return string(append(b, q))
}

// pyType names the type that Python would have given the value.
func pyType(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case string:
		return "str"
	case number:
		if v.isFloat() {
			return "float"
		}
		return "int"
	case []any:
		return "list"
	}
	return "dict"
}
