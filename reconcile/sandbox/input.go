package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A value of a request becomes a stored one field by field. The texts are those
// of Django REST Framework and NetBox.

const (
	msgRequired = "This field is required."
	msgNull     = "This field may not be null."
	msgBlank    = "This field may not be blank."
)

// parse reads a value for a field. errs is nil, or what the answer says of the
// field: mostly a list of texts.
func (w *writer) parse(f *field, v any) (stored any, errs any) {
	if v == nil && f.As != "choice" {
		if !f.Null {
			return nil, []any{msgNull}
		}
		return nil, nil
	}
	read := parsers[f.As]
	if read == nil {
		return nil, nil
	}
	stored, errs = read(w, f, v)
	if errs == nil && f.WriteOnly {
		if text, ok := stored.(string); ok {
			stored = newSecret(text)
		}
	}
	return stored, errs
}

// parsers by fieldData.As. "custom fields" is not among them: they are merged,
// see customfields.go.
var parsers map[string]func(w *writer, f *field, v any) (any, any)

func init() {
	parsers = map[string]func(w *writer, f *field, v any) (any, any){
		"text": readText, "slug": readText, "integer": readInteger, "float": readFloat, "decimal": readDecimal,
		"boolean": readBoolean, "time": readTime, "choice": readChoice, "plain choice": readPlainChoice,
		"ip": readIP, "interface": readInterface, "prefix": readPrefix, "object types": readObjectTypes,
		"json":       readAny,
		"reference":  func(w *writer, f *field, v any) (any, any) { return w.reference(f, v) },
		"references": readReferences,
		"pk":         readPK,
	}
}

func readText(_ *writer, f *field, v any) (any, any) {
	switch v.(type) {
	case string, number:
	default:
		return nil, []any{"Not a valid string."}
	}
	s := pyStr(v)
	if !f.Untrimmed {
		s = strings.TrimSpace(s)
	}
	if f.Lower {
		s = strings.ToLower(s)
	}
	if s == "" {
		switch {
		case f.EmptyIsNull:
			return nil, nil
		case !f.Blank:
			return nil, []any{msgBlank}
		}
		return s, nil
	}
	var errs []any
	if n := utf8.RuneCountInString(s); f.ModelMaxLength > 0 && n > f.ModelMaxLength {
		errs = append(errs, fmt.Sprintf("Ensure this value has at most %d characters (it has %d).", f.ModelMaxLength, n))
	}
	if f.Check == "domain" && !isDomain(s) {
		errs = append(errs, s+" is not a valid domain name")
	}
	if f.Check == "node name" {
		if text := nodeNameProblem(s); text != "" {
			errs = append(errs, text)
		}
	}
	if f.As == "slug" && !slugPattern.MatchString(s) {
		errs = append(errs, `Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.`)
	}
	if f.pattern != nil && !f.pattern.MatchString(s) {
		for _, text := range f.PatternErrors {
			errs = append(errs, text)
		}
	}
	if f.MaxLength > 0 && utf8.RuneCountInString(s) > f.MaxLength {
		errs = append(errs, fmt.Sprintf("Ensure this field has no more than %d characters.", f.MaxLength))
	}
	if strings.ContainsRune(s, 0) {
		errs = append(errs, "Null characters are not allowed.")
	}
	if errs != nil {
		return nil, errs
	}
	return s, nil
}

var (
	slugPattern   = regexp.MustCompile(`^[-a-zA-Z0-9_]+$`)
	domainPattern = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z0-9]{2,}$`)
	hostPattern   = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)
	zeroFraction  = regexp.MustCompile(`\.0*\s*$`)
)

var (
	placeholder   = regexp.MustCompile(`\{([^{}]*)\}`)
	nodeName      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
	nodeNameParts = map[string]string{"node": "node", "cluster": "cluster", "cluster_slug": "cluster", "endpoint": "endpoint"}
)

// nodeNameProblem is what the plugin has against a template of device names.
func nodeNameProblem(s string) string {
	rendered := s
	for _, found := range placeholder.FindAllStringSubmatch(s, -1) {
		if nodeNameParts[found[1]] == "" {
			return "Unknown node device name placeholder: " + found[1] + "."
		}
		rendered = strings.ReplaceAll(rendered, found[0], nodeNameParts[found[1]])
	}
	switch {
	case !strings.Contains(s, "{node}"):
		return "Node device name template must contain {node}."
	case len(rendered) > 64 || !nodeName.MatchString(rendered):
		return "Rendered node device name must be 1-64 DNS-safe letters, digits, hyphens, or dots."
	}
	for label := range strings.SplitSeq(rendered, ".") {
		if len(label) > 63 || !nodeName.MatchString(label) {
			return "Rendered node device name contains an invalid DNS label."
		}
	}
	return ""
}

func isDomain(s string) bool { return domainPattern.MatchString(s) || hostPattern.MatchString(s) }

func readInteger(_ *writer, f *field, v any) (any, any) {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case number:
		text = pyRepr(v)
	}
	n, ok := new(big.Int).SetString(strings.TrimSpace(zeroFraction.ReplaceAllString(text, "")), 10)
	if !ok && f.Big {
		return nil, []any{"A valid biginteger is required."}
	}
	if !ok {
		return nil, []any{"A valid integer is required."}
	}
	low, high := bound(f.Min, math.MinInt64), bound(f.Max, math.MaxInt64)
	switch {
	case n.Cmp(high) > 0:
		return nil, []any{"Ensure this value is less than or equal to " + high.String() + "."}
	case n.Cmp(low) < 0:
		return nil, []any{"Ensure this value is greater than or equal to " + low.String() + "."}
	}
	return n.Int64(), nil
}

func bound(limit json.Number, otherwise int64) *big.Int {
	if n, ok := new(big.Int).SetString(limit.String(), 10); ok {
		return n
	}
	return big.NewInt(otherwise)
}

func readAny(_ *writer, f *field, v any) (any, any) {
	if _, ok := v.(*object); !ok && f.Dictionary {
		return nil, []any{`JSON data must be in object form. Example: {"foo": 123}`}
	}
	return storedJSON(v), nil
}

func readFloat(_ *writer, f *field, v any) (any, any) {
	var n float64
	var err error
	switch v := v.(type) {
	case bool:
		if v {
			n = 1
		}
	case number:
		n = v.float()
	case string:
		n, err = pyFloatOf(v)
	default:
		err = strconv.ErrSyntax
	}
	if err != nil {
		return nil, []any{"A valid number is required."}
	}
	return limited(f, n)
}

// pyFloatOf is Python's float() of a text: it takes the names of what is no
// number, and what is too large is infinite.
func pyFloatOf(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimLeft(strings.TrimSpace(text), "+-"), 64)
	if math.IsNaN(n) {
		return n, nil
	}
	n, err = strconv.ParseFloat(strings.TrimSpace(text), 64)
	if errors.Is(err, strconv.ErrRange) {
		err = nil
	}
	return n, err
}

func limited(f *field, n float64) (any, any) {
	if high, err := f.Max.Float64(); err == nil && n > high {
		return nil, []any{"Ensure this value is less than or equal to " + pyFloat(high) + "."}
	}
	if low, err := f.Min.Float64(); err == nil && n < low {
		return nil, []any{"Ensure this value is greater than or equal to " + pyFloat(low) + "."}
	}
	if f.Step > 0 && math.Mod(n, f.Step) != 0 {
		return nil, []any{f.StepError}
	}
	return n, nil
}

func readDecimal(_ *writer, f *field, v any) (any, any) {
	text := strings.TrimSpace(pyStr(v))
	if text == "" && f.Null {
		return nil, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return nil, []any{"A valid number is required."}
	}
	whole, part, _ := strings.Cut(strings.TrimLeft(strconv.FormatFloat(math.Abs(n), 'f', -1, 64), "0"), ".")
	if _, written, ok := strings.Cut(text, "."); ok && !strings.ContainsAny(text, "eE") {
		part = written
	}
	switch {
	case f.Digits > 0 && len(whole)+len(part) > f.Digits:
		return nil, []any{fmt.Sprintf("Ensure that there are no more than %d digits in total.", f.Digits)}
	case f.Digits > 0 && len(part) > f.Places:
		return nil, []any{fmt.Sprintf("Ensure that there are no more than %d decimal places.", f.Places)}
	case f.Digits > 0 && len(whole) > f.Digits-f.Places:
		return nil, []any{fmt.Sprintf("Ensure that there are no more than %d digits before the decimal point.", f.Digits-f.Places)}
	}
	return limited(f, n)
}

var (
	trueWords  = []string{"t", "T", "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "1"}
	falseWords = []string{"f", "F", "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "0"}
	nullWords  = []string{"null", "Null", "NULL", ""}
)

func readBoolean(_ *writer, f *field, v any) (any, any) {
	var word string
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		word = v
	case number:
		word = strconv.FormatFloat(v.float(), 'f', -1, 64)
	default:
		return nil, []any{"Must be a valid boolean."}
	}
	switch {
	case slices.Contains(trueWords, word):
		return true, nil
	case slices.Contains(falseWords, word):
		return false, nil
	case f.Null && slices.Contains(nullWords, word):
		return nil, nil
	}
	return nil, []any{"Must be a valid boolean."}
}

var timePattern = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d{1,6})\d{0,6})?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?$`)

func readTime(_ *writer, _ *field, v any) (any, any) {
	if s, ok := v.(string); ok {
		if t, ok := parseTime(s); ok {
			return t, nil
		}
	}
	return nil, []any{"Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."}
}

// parseTime reads a time as Django does: without an offset it is UTC, without a
// clock it is midnight.
func parseTime(s string) (time.Time, bool) {
	p := timePattern.FindStringSubmatch(s)
	if p == nil {
		return time.Time{}, false
	}
	clock, seconds, fraction, zone := p[2], p[3], p[4], p[5]
	if clock == "" {
		clock = "00:00"
	}
	if seconds == "" {
		seconds = ":00"
	}
	switch {
	case zone == "":
		zone = "Z"
	case len(zone) == 3:
		zone += ":00"
	case len(zone) == 5:
		zone = zone[:3] + ":" + zone[3:]
	}
	t, err := time.Parse(time.RFC3339Nano, p[1]+"T"+clock+seconds+"."+(fraction + "000000")[:6]+zone)
	return t.UTC(), err == nil
}

func readChoice(_ *writer, f *field, v any) (any, any) {
	switch v.(type) {
	case []any, *object:
		return nil, []any{`Value must be passed directly (e.g. "foo": 123); do not use a dictionary or list.`}
	}
	if v == nil && f.Null {
		return nil, nil
	}
	if v == nil || v == "" {
		if !f.Blank {
			return nil, []any{msgBlank}
		}
		return "", nil
	}
	if c := f.choiceOf(pyStr(v)); c != nil {
		return c.value, nil
	}
	return nil, []any{pyStr(v) + " is not a valid choice."}
}

func readPlainChoice(_ *writer, f *field, v any) (any, any) {
	if v == "" && f.Blank {
		return "", nil
	}
	if c := f.choiceOf(pyStr(v)); c != nil {
		return c.value, nil
	}
	return nil, []any{`"` + pyStr(v) + `" is not a valid choice.`}
}

func (f *field) choiceOf(text string) *choice {
	for i := range f.choices {
		if plainText(f.choices[i].value) == text {
			return &f.choices[i]
		}
	}
	return nil
}
