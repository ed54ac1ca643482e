package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"proxbox-sync/schema"
)

// The one normal form. Two values of a field are equal exactly when their
// canonical bytes are: difference, digest and equality all share it.
//
//   - Numbers are exact integers as text, integral floats as integers, else the
//     shortest float64 (Number has that form already).
//   - Times are instants in UTC with microseconds; a date alone is its midnight.
//   - Addresses count by meaning, not by spelling.
//   - Text is trimmed as the server trims it, and "" is null: NetBox stores
//     either, depending on the field, and means the same. Not so inside JSON.
//   - A reference is its target. Sets are sorted, without repetitions; an empty
//     list is null.

// canonical returns the normal form of a value of a field, for comparison
// within a run: a reference is the row of its target where it has one.
func canonical(f *schema.Field, v any) string {
	return string(appendCanonical(nil, f, v))
}

// portable returns the normal form of a value for a digest that outlives the
// run: a reference is the key of its target.
func portable(f *schema.Field, v any) string {
	return string(appendCanonical(nil, f, byKey(v)))
}

// byKey replaces references by the keys of their targets.
func byKey(v any) any {
	switch v := v.(type) {
	case Ref:
		if v.Target == nil {
			return v
		}
		target := v.Target.declared()
		key, ok := target.keyText()
		if !ok {
			return v
		}
		return targetKey{target.Kind.Name, key}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = byKey(v[i])
		}
		return out
	}
	return v
}

// targetKey is a reference in portable form.
type targetKey struct{ kind, key string }

func appendCanonical(b []byte, f *schema.Field, v any) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	switch f.Class {
	case schema.Text, schema.Choice:
		if s, ok := v.(string); ok {
			return appendText(b, strings.TrimSpace(s))
		}
	case schema.Time:
		if s, ok := v.(string); ok {
			return strconv.AppendQuote(b, normalTime(s))
		}
	case schema.Address:
		if s, ok := v.(string); ok {
			return appendText(b, normalAddress(s))
		}
	case schema.Reference:
		return appendReference(b, v)
	case schema.ReferenceSet, schema.List:
		if list, ok := v.([]any); ok {
			return appendList(b, f, list)
		}
	}
	return appendExact(b, v)
}

func appendText(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return strconv.AppendQuote(b, s)
}

func appendList(b []byte, f *schema.Field, list []any) []byte {
	if len(list) == 0 {
		return append(b, "null"...)
	}
	texts := make([]string, len(list))
	for i, item := range list {
		if f.Class == schema.ReferenceSet {
			texts[i] = string(appendReference(nil, item))
		} else {
			texts[i] = string(appendExact(nil, item))
		}
	}
	if f.Set || f.Class == schema.ReferenceSet {
		slices.Sort(texts)
		texts = slices.Compact(texts)
	}
	b = append(b, '[')
	for i, t := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, t...)
	}
	return append(b, ']')
}

// appendReference writes what a reference points at: the server's row where
// there is one, so that a target that is only spelled differently is the same.
func appendReference(b []byte, v any) []byte {
	ref, ok := v.(Ref)
	if !ok {
		if s, ok := v.(Selector); ok {
			return appendSelector(b, s)
		}
		return appendExact(b, v)
	}
	row, kind := ref.Row, ref.Kind
	if ref.Target != nil {
		row, kind = ref.Target.liveRow(), ref.Target.Kind.Name
	}
	b = append(b, kind...)
	if row != 0 {
		return strconv.AppendInt(append(b, '#'), int64(row), 10)
	}
	return append(append(b, '+'), ref.Target.identity()...)
}

// appendSelector writes a reference that is not resolved yet as it was written,
// in one spelling: fields sorted, scalars as maps of one field.
func appendSelector(b []byte, s Selector) []byte {
	b = append(append(b, s.Kind...), '?')
	if s.Row != 0 {
		return strconv.AppendInt(b, int64(s.Row), 10)
	}
	return appendExact(b, s.Fields)
}

// appendExact writes any plain value with its keys sorted and nothing else changed.
func appendExact(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return strconv.AppendQuote(b, v)
	case Number:
		return append(b, v...)
	case RowID:
		return strconv.AppendInt(append(b, '#'), int64(v), 10)
	case Secret:
		return strconv.AppendQuote(append(b, "secret:"...), v.cipher)
	case Ref:
		return appendReference(b, v)
	case targetKey:
		return append(append(append(b, v.kind...), '='), v.key...)
	case Selector:
		return appendSelector(b, v)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendExact(b, item)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendExact(append(strconv.AppendQuote(b, k), ':'), v[k])
		}
		return append(b, '}')
	default:
		return fmt.Appendf(b, "%T", v) // never plain text of something unknown
	}
}

// liveEntry is the live value of a custom field as a manifest would declare it that
// declares another value, wanted. Only a field of JSON is declared by a mapping, and
// shown as it is.
func liveEntry(live, wanted any) any {
	if holdsMapping(wanted) {
		return live
	}
	return customValue(live)
}

func holdsMapping(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return true
	case []any:
		return slices.ContainsFunc(v, holdsMapping)
	}
	return false
}

// customValue is the value of a custom field that is not one of JSON as it is
// written: the server shows an object field as a nested object where an id is
// written, and a selection with its label where the value alone is.
func customValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if id, ok := v["id"].(Number); ok && v["url"] != nil {
			return id
		}
		if _, labelled := v["label"].(string); labelled && len(v) == 2 && v["value"] != nil {
			return v["value"] // a selection, with its label
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = customValue(v[i])
		}
		return out
	}
	return v
}

func normalTime(s string) string {
	t, ok := parseTime(s)
	if !ok {
		return strings.TrimSpace(s)
	}
	return t.UTC().Truncate(time.Microsecond).Format("2006-01-02T15:04:05.000000Z")
}

// parseTime reads a time as manifests write it and as the server answers it:
// RFC 3339, also with a blank for the T, without an offset (UTC), or a date.
func parseTime(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

var timeLayouts = []string{
	time.RFC3339Nano,
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	"2006-01-02",
}

func normalAddress(s string) string {
	s = strings.TrimSpace(s)
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return s
}
