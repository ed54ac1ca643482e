package main

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// shows compares what the server shows of a field with what was declared,
// without the product's own decoder.
func shows(f *schema.Field, raw, want any) bool {
	if object, ok := raw.(map[string]any); ok && f.Class == schema.Choice {
		raw = object["value"]
	}
	if isNothing(want) && f.Class != schema.JSON {
		return isNothing(raw)
	}
	switch f.Class {
	case schema.Text, schema.Choice:
		return raw == strings.TrimSpace(want.(string))
	case schema.Time:
		return instant(raw).Equal(instant(want))
	case schema.Address:
		return address(raw) == address(want)
	case schema.Reference:
		return rowOf(raw) == rowOf(want)
	case schema.ReferenceSet:
		return slices.Equal(rowsOf(raw), rowsOf(want))
	case schema.List:
		return f.Set && sameSet(raw, want) || equal(raw, want)
	case schema.Map:
		have, _ := raw.(map[string]any)
		for name, v := range want.(map[string]any) {
			if !equal(have[name], v) {
				return false
			}
		}
		return true
	}
	return equal(raw, want)
}

func isNothing(v any) bool {
	list, isList := v.([]any)
	return v == nil || v == "" || isList && len(list) == 0
}

func instant(v any) time.Time {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t, _ = time.Parse(time.DateOnly, text)
	}
	return t.Truncate(time.Microsecond)
}

func address(v any) string {
	text, _ := v.(string)
	if object, ok := v.(map[string]any); ok {
		text, _ = object["address"].(string)
	}
	if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
		return p.String()
	}
	a, _ := netip.ParseAddr(strings.TrimSpace(text))
	return a.String()
}

func rowOf(v any) reconcile.RowID {
	if object, ok := v.(map[string]any); ok {
		v = object["id"]
	}
	switch x := v.(type) {
	case *thing:
		return x.row
	case whole:
		return x.row
	case numbered:
		return x.row
	}
	n, _ := v.(json.Number)
	id, _ := n.Int64()
	return reconcile.RowID(id)
}

func rowsOf(v any) []reconcile.RowID {
	rows := []reconcile.RowID{}
	list, _ := v.([]any)
	for _, item := range list {
		rows = append(rows, rowOf(item))
	}
	slices.Sort(rows)
	return rows
}

func sameSet(a, b any) bool {
	x, _ := a.([]any)
	y, _ := b.([]any)
	return len(x) == len(y) && !slices.ContainsFunc(x, func(v any) bool {
		return !slices.ContainsFunc(y, func(w any) bool { return equal(v, w) })
	})
}

// equal compares JSON values, numbers by value.
func equal(a, b any) bool {
	if x, ok := rational(a); ok {
		y, ok := rational(b)
		return ok && x.Cmp(y) == 0
	}
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name := range a {
			if w, ok := b[name]; !ok || !equal(a[name], w) {
				return false
			}
		}
		return true
	case *thing:
		return a == b
	}
	if _, ok := b.([]any); ok {
		return false
	}
	if _, ok := b.(map[string]any); ok {
		return false
	}
	return a == b
}

func rational(v any) (*big.Rat, bool) {
	switch v := v.(type) {
	case json.Number:
		return new(big.Rat).SetString(string(v))
	case reconcile.Number:
		return new(big.Rat).SetString(string(v))
	}
	return nil, false
}
