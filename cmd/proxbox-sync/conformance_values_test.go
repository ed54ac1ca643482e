package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// table is testdata/conformance/fields.json: what the schema can't say about
// values. Names are Kind.field or *.field. In texts {p} is the test's prefix,
// {n} a number that is never used twice, {ip4} and {ip6} addresses never used
// twice; "@Kind" is a reference, {"@Kind": {…}} one to an object with these fields.
var table = sync.OnceValue(loadTable)

type fieldTable struct {
	// Values are the values to walk through, in place of generated ones.
	Values map[string][]any `json:"values"`
	// Also are fields that a kind's smallest object needs beside the required ones.
	Also map[string]map[string]any `json:"also"`
	// With are fields that must have certain values for a field to be changed, or
	// changed to one value: Kind.field=value.
	With map[string]map[string]any `json:"with"`
	// Refused are values that the schema lets pass and every server refuses.
	Refused map[string][]any `json:"refused"`
	// Exact are texts that the server does not trim.
	Exact []string `json:"exact"`
	// Interfaces are references to an address that has to be on an interface of
	// the object: what to make behind the tool's back for that.
	Interfaces map[string]interfaceEntry `json:"interfaces"`
	// Refer names nullable references that a smallest object has to have.
	Refer []string `json:"refer"`
	// Lookup says how objects of the kinds are made that are only looked up:
	// the body of a POST; "@Kind" is a reference.
	Lookup map[string]map[string]any `json:"lookup"`
	// Fresh are fields that want a new object for each value, since they depend on
	// what can't be changed afterwards.
	Fresh []string `json:"fresh"`
	// Untouched are fields that are left alone on a real server, with the reason.
	Untouched map[string]string `json:"untouched"`
}

type interfaceEntry struct {
	Path   string `json:"path"`   // list path of the interfaces
	Holder string `json:"holder"` // their field that refers to the object
	Type   string `json:"type"`   // their object type
}

func loadTable() fieldTable {
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "conformance", "fields.json"))
	if err != nil {
		panic(err)
	}
	var t fieldTable
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		panic(fmt.Sprintf("fields.json: %v", err))
	}
	return t
}

// lookupField finds the entry of a field in one part of the table.
func lookupField[V any](part map[string]V, kind *schema.Kind, field string) (V, bool) {
	if v, ok := part[kind.Name+"."+field]; ok {
		return v, true
	}
	v, ok := part["*."+field]
	return v, ok
}

// fill puts names and addresses of the test's own into a value of the table.
func (m *maker) fill(v any) any {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "@") {
			return m.target(m.w.set.Kind(v[1:]), 0)
		}
		if strings.Contains(v, "{") {
			m.n++
			v = strings.NewReplacer("{p}", m.w.tag, "{n}", strconv.FormatInt(int64(m.n), 36),
				"{ip4}", m.address4(), "{ip6}", m.address6()).Replace(v)
		}
		return v
	case json.Number:
		return number(v.String())
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = m.fill(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for name := range v {
			filled := m.fill(v[name])
			if strings.HasPrefix(name, "@") {
				return m.own(m.w.set.Kind(name[1:]), filled.(map[string]any))
			}
			out[name] = filled
		}
		return out
	}
	return v
}

// own makes a target with fields of its own.
func (m *maker) own(kind *schema.Kind, fields map[string]any) *thing {
	m.t.Helper()
	x := m.minimal(kind).with(fields)
	m.order = append(m.order, x)
	return x
}

// seed makes different tests use different addresses.
func (m *maker) seed() uint32 {
	var h uint32
	for _, c := range m.w.tag {
		h = h*36 + uint32(c)
	}
	return h
}

func (m *maker) address4() string {
	h := m.seed() + uint32(m.n)
	return netip.AddrFrom4([4]byte{10, byte(h >> 16), byte(h >> 8), byte(h)}).String()
}

func (m *maker) address6() string {
	return fmt.Sprintf("2001:db8:%x:%x::%x", m.seed()>>16, m.seed()&0xffff, m.n)
}

// values are the values that a field is walked through: two different ones, or
// every choice, without null and empty.
func (m *maker) values(kind *schema.Kind, f *schema.Field) []any {
	m.t.Helper()
	list, ok := lookupField(table().Values, kind, f.Name)
	if ok {
		list = m.fill(list).([]any)
	} else {
		list = m.generate(kind, f)
	}
	refused, _ := lookupField(table().Refused, kind, f.Name)
	list = slices.DeleteFunc(list, func(v any) bool { return slices.ContainsFunc(refused, func(r any) bool { return equal(v, r) }) })
	for _, v := range list {
		if problems := m.w.set.Validate(kind, map[string]any{f.Name: forSchema(v)}, schema.Partial); len(problems) > 0 {
			m.t.Errorf("%s.%s = %v: %v: give values that the schema takes in fields.json", kind.Name, f.Name, v, problems)
			return list[:1]
		}
	}
	return list
}

// forSchema is a value as the schema's checks take it.
func forSchema(v any) any {
	switch v := v.(type) {
	case reconcile.Number:
		return json.Number(v)
	case reconcile.Secret:
		return reconcile.Redacted
	case *thing, whole, numbered:
		return fmt.Sprintf("%p", v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = forSchema(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for name := range v {
			out[name] = forSchema(v[name])
		}
		return out
	}
	return v
}

// generate makes values from what the schema says of a field.
func (m *maker) generate(kind *schema.Kind, f *schema.Field) []any {
	m.t.Helper()
	switch f.Class {
	case schema.Text:
		return m.texts(f)
	case schema.Choice:
		var list []any
		for _, choice := range f.Enum {
			if choice != "" {
				list = append(list, choice)
			}
		}
		return list
	case schema.Boolean:
		return []any{true, false}
	case schema.Integer:
		return []any{within(f, 7), largest(f)}
	case schema.Decimal:
		return []any{within(f, 2.5), within(f, 10)}
	case schema.Time:
		return []any{"2024-02-29T23:59:59Z", "2025-07-01T02:03:04.000506+02:00"}
	case schema.Address:
		return m.fill(map[string][]any{
			"ip-address":   {"{ip4}", "{ip6}"},
			"ip-interface": {"{ip4}/24", "{ip6}/64"},
			"ip-prefix":    {"{ip4}/32", "{ip6}/128"},
		}[f.Format]).([]any)
	case schema.Reference:
		to := m.w.set.Kind(f.Ref.Kind)
		return []any{m.target(to, 0), m.target(to, 1)}
	case schema.ReferenceSet:
		to := m.w.set.Kind(f.Ref.Kind)
		a, b := m.target(to, 0), m.target(to, 1)
		return []any{[]any{a}, []any{b, a}}
	case schema.List:
		return []any{[]any{"b", "a"}, []any{"c"}}
	case schema.JSON:
		return slices.DeleteFunc([]any{
			jsonValue(`{"a": [1, 2.5, "ü", null, true, {"b": []}], "10": {"c": -1}}`), jsonValue(`[{"vmid": 100}, " x "]`),
			jsonValue(`{}`), jsonValue(`{"a": 1e3}`),
		}, func(v any) bool { return len(m.w.set.Validate(kind, map[string]any{f.Name: v}, schema.Partial)) > 0 })
	}
	m.t.Fatalf("no values for a field of class %s", f.Class)
	return nil
}

func jsonValue(text string) any { return decode([]byte(text)) }

// texts are a short text and one as long as it may be, with what needs escaping.
func (m *maker) texts(f *schema.Field) []any {
	m.n++
	short := m.w.tag + strconv.FormatInt(int64(m.n), 36)
	m.n++
	long := m.w.tag + strconv.FormatInt(int64(m.n), 36) + ` é "q" 'a' <b>&amp; {x} \n %s`
	if f.MaxLength == nil {
		return []any{short, long + "\n  second line\n\n雪 end"}
	}
	runes := []rune(long + strings.Repeat("=", max(0, *f.MaxLength-len([]rune(long)))))
	return []any{limited(short, *f.MaxLength), strings.TrimSpace(string(runes[:*f.MaxLength-1])) + "."}
}

func limited(s string, n int) string { return s[max(0, len(s)-n):] }

// within moves a number into a field's limits.
func within(f *schema.Field, x float64) reconcile.Number {
	if f.Minimum != nil {
		x = max(x, *f.Minimum)
	}
	if f.Maximum != nil {
		x = min(x, *f.Maximum)
	}
	return number(strconv.FormatFloat(x, 'f', -1, 64))
}

// largest is the largest number that a field takes, or one beyond 32 bits.
func largest(f *schema.Field) reconcile.Number {
	if f.Maximum == nil || *f.Maximum > 1<<53 {
		return "9007199254740993" // not exact as a float64
	}
	return within(f, *f.Maximum)
}
