package render

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"proxbox-sync/reconcile"
)

// longValue is how many characters of one value are shown before it is cut.
const longValue = 1500

// barePattern matches texts that read as themselves without quotes, in a
// sentence as well as in YAML.
var barePattern = regexp.MustCompile(`^[\p{L}_/][\p{L}\p{N}_./@+-]*( [\p{L}\p{N}_./@+(-][\p{L}\p{N}_./@+)-]*)*$`)

// addressPattern matches addresses, versions and ids, which begin with a digit
// and read as nothing else.
var addressPattern = regexp.MustCompile(`^[0-9a-fA-F]+([.:][0-9a-fA-F]*){2,}(/[0-9]+)?$`)

// codePattern matches colours, ids and the like, which begin with a digit and
// hold a letter that no number has.
var codePattern = regexp.MustCompile(`^[0-9][0-9A-Za-z_.-]*[A-DF-Za-df-wyz_][0-9A-Za-z_.-]*$`)

// timePattern matches times as the hub writes them.
var timePattern = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$`)

// meansOther are words that YAML readers of one age or another take for
// something else than text.
var meansOther = map[string]bool{
	"null": true, "true": true, "false": true, "yes": true, "no": true, "on": true, "off": true,
	"y": true, "n": true,
}

// value writes a shown value on one line, for people: text without quotes
// where that can't be misread.
func value(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		if bare(v) || readsAsItself(v) {
			return v
		}
		return Quote(v)
	case reconcile.Number:
		return Escape(string(v))
	case []any, map[string]any:
		return flow(v, value)
	}
	return Escape(fmt.Sprint(v))
}

// flow writes a list or a mapping on one line, its parts by text.
func flow(v any, text func(any) string) string {
	var parts []string
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			parts = append(parts, text(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		for _, n := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, text(n)+": "+text(v[n]))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// readsAsItself reports whether people take a text without quotes for what it
// is, though a YAML reader may not.
func readsAsItself(s string) bool {
	return addressPattern.MatchString(s) || codePattern.MatchString(s) || timePattern.MatchString(s)
}

func bare(s string) bool {
	return len(s) <= 200 && barePattern.MatchString(s) && !meansOther[strings.ToLower(s)]
}

// short cuts a long text in its middle and says so.
func short(text string) string {
	n := length(text)
	if n <= longValue {
		return text
	}
	r := []rune(text)
	half := longValue / 2
	return string(r[:half]) + fmt.Sprintf(" … (%s characters left out) … ", thousands(n-2*half)) + string(r[n-half:])
}

// shortPair cuts two long texts so that the place where they first differ stays.
func shortPair(before, after string) (string, string) {
	if length(before) <= longValue && length(after) <= longValue {
		return before, after
	}
	a, b := []rune(before), []rune(after)
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	from := max(0, same-100)
	return window(a, from), window(b, from)
}

func window(r []rune, from int) string {
	from = min(from, len(r))
	to := min(len(r), from+longValue)
	out := string(r[from:to])
	if from > 0 {
		out = fmt.Sprintf("(%s characters alike) … ", thousands(from)) + out
	}
	if to < len(r) {
		out += fmt.Sprintf(" … (%s characters more)", thousands(len(r)-to))
	}
	return out
}

// thousands writes a number with commas: 12,345.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// place writes a position: file:line:column.
func place(p *position) string {
	switch {
	case p == nil || p.File == "":
		return ""
	case p.Line == 0:
		return Escape(p.File)
	}
	return fmt.Sprintf("%s:%d:%d", Escape(p.File), p.Line, p.Column)
}
