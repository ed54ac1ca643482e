package sandbox

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A body is read by a parser of its own, since the order of an object's members
// shows in error texts, numbers have to stay exact, and a client may look at the
// texts of Python's parser.

// number is a JSON number as written.
type number string

// object is a JSON object in the order it was written; a repeated name keeps its
// first place and its last value.
type object struct {
	names  []string
	values map[string]any
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(name string, v any) {
	if _, ok := o.values[name]; !ok {
		o.names = append(o.names, name)
	}
	o.values[name] = v
}

func (o *object) get(name string) (any, bool) {
	v, ok := o.values[name]
	return v, ok
}

// without returns a copy that lacks the named members.
func (o *object) without(names ...string) *object {
	out := newObject()
	for _, n := range o.names {
		drop := false
		for _, x := range names {
			drop = drop || n == x
		}
		if !drop {
			out.set(n, o.values[n])
		}
	}
	return out
}

const maxDepth = 900 // Python's own recursion limit is about there

type parser struct {
	text string
	pos  int
}

type parseError struct{ msg string }

func (e parseError) Error() string { return e.msg }

// parseJSON reads one JSON text. The error is Python's, position included.
func parseJSON(body []byte) (v any, err error) {
	if i := invalidUTF8(body); i >= 0 {
		return nil, parseError{fmt.Sprintf("'utf-8' codec can't decode byte 0x%02x in position %d: invalid start byte", body[i], i)}
	}
	p := &parser{text: string(body)}
	defer func() {
		if r := recover(); r != nil {
			pe, ok := r.(parseError)
			if !ok {
				panic(r)
			}
			v, err = nil, pe
		}
	}()
	p.space()
	v = p.value(0)
	p.space()
	if p.pos < len(p.text) {
		p.fail("Extra data", p.pos)
	}
	return v, nil
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func (p *parser) fail(msg string, at int) {
	before := p.text[:at]
	line := strings.Count(before, "\n") + 1
	col := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	panic(parseError{fmt.Sprintf("%s: line %d column %d (char %d)", msg, line, col, utf8.RuneCountInString(before))})
}

func (p *parser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) any {
	if depth > maxDepth {
		panic(parseError{"maximum recursion depth exceeded"})
	}
	start := p.pos
	rest := p.text[start:]
	switch {
	case rest == "":
		p.fail("Expecting value", start)
	case rest[0] == '"':
		return p.str()
	case rest[0] == '{':
		return p.object(depth)
	case rest[0] == '[':
		return p.array(depth)
	case rest[0] == '-' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9', rest[0] >= '0' && rest[0] <= '9':
		return p.number()
	}
	for _, w := range []struct {
		word string
		v    any
	}{{"null", nil}, {"true", true}, {"false", false}} {
		if strings.HasPrefix(rest, w.word) {
			p.pos += len(w.word)
			return w.v
		}
	}
	for _, w := range []string{"NaN", "Infinity", "-Infinity"} {
		if strings.HasPrefix(rest, w) {
			panic(parseError{"Out of range float values are not JSON compliant: '" + w + "'"})
		}
	}
	p.fail("Expecting value", start)
	return nil
}

func (p *parser) number() any {
	start := p.pos
	p.pos++
	for p.pos < len(p.text) && strings.IndexByte("0123456789.eE+-", p.text[p.pos]) >= 0 {
		p.pos++
	}
	// The longest prefix that is a number; what follows is somebody else's error.
	for !isNumber(p.text[start:p.pos]) {
		p.pos--
	}
	return number(p.text[start:p.pos])
}

func isNumber(s string) bool {
	digits := func(s string) (rest string, ok bool) {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return s[n:], n > 0
	}
	s = strings.TrimPrefix(s, "-")
	zero := strings.HasPrefix(s, "0")
	rest, ok := digits(s)
	if !ok || zero && len(s)-len(rest) > 1 {
		return false
	}
	if strings.HasPrefix(rest, ".") {
		if rest, ok = digits(rest[1:]); !ok {
			return false
		}
	}
	if rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		rest = rest[1:]
		if rest != "" && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		if rest, ok = digits(rest); !ok {
			return false
		}
	}
	return rest == ""
}

func (p *parser) str() string {
	begin := p.pos
	p.pos++
	var b strings.Builder
	for {
		if p.pos >= len(p.text) {
			p.fail("Unterminated string starting at", begin)
		}
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			return b.String()
		case c < 0x20:
			p.fail("Invalid control character at", p.pos)
		case c == '\\':
			p.escape(&b, begin)
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
}

func (p *parser) escape(b *strings.Builder, begin int) {
	at := p.pos
	if at+1 >= len(p.text) {
		p.fail("Unterminated string starting at", begin)
	}
	c := p.text[at+1]
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		b.WriteByte("\"\\/\b\f\n\r\t"[i])
		p.pos += 2
		return
	}
	if c != 'u' {
		p.fail("Invalid \\escape", at)
	}
	r := p.hex(at + 2)
	p.pos = at + 6
	if r >= 0xd800 && r < 0xdc00 && strings.HasPrefix(p.text[p.pos:], `\u`) {
		if low := p.hex(p.pos + 2); low >= 0xdc00 && low < 0xe000 {
			r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
			p.pos += 6
		}
	}
	b.WriteRune(r)
}

func (p *parser) hex(at int) rune {
	if at+4 <= len(p.text) {
		if n, err := strconv.ParseUint(p.text[at:at+4], 16, 32); err == nil {
			return rune(n)
		}
	}
	p.fail("Invalid \\uXXXX escape", at-1)
	return 0
}

func (p *parser) array(depth int) any {
	out := []any{}
	p.pos++
	p.space()
	if strings.HasPrefix(p.text[p.pos:], "]") {
		p.pos++
		return out
	}
	for {
		out = append(out, p.value(depth+1))
		p.space()
		switch {
		case strings.HasPrefix(p.text[p.pos:], ","):
			p.pos++
			p.space()
		case strings.HasPrefix(p.text[p.pos:], "]"):
			p.pos++
			return out
		default:
			p.fail("Expecting ',' delimiter", p.pos)
		}
	}
}

func (p *parser) object(depth int) any {
	out := newObject()
	p.pos++
	p.space()
	if strings.HasPrefix(p.text[p.pos:], "}") {
		p.pos++
		return out
	}
	for {
		if !strings.HasPrefix(p.text[p.pos:], `"`) {
			p.fail("Expecting property name enclosed in double quotes", p.pos)
		}
		name := p.str()
		p.space()
		if !strings.HasPrefix(p.text[p.pos:], ":") {
			p.fail("Expecting ':' delimiter", p.pos)
		}
		p.pos++
		p.space()
		out.set(name, p.value(depth+1))
		p.space()
		switch {
		case strings.HasPrefix(p.text[p.pos:], ","):
			p.pos++
			p.space()
		case strings.HasPrefix(p.text[p.pos:], "}"):
			p.pos++
			return out
		default:
			p.fail("Expecting ',' delimiter", p.pos)
		}
	}
}

// isFloat reports whether Python would read the number as a float.
func (n number) isFloat() bool { return strings.ContainsAny(string(n), ".eE") }

func (n number) float() float64 {
	f, _ := strconv.ParseFloat(string(n), 64)
	return f
}

func (n number) int() (*big.Int, bool) { return new(big.Int).SetString(string(n), 10) }
