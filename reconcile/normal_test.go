package reconcile

import (
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

func TestNormalForm(t *testing.T) {
	text := &schema.Field{Class: schema.Text}
	when := &schema.Field{Class: schema.Time}
	address := &schema.Field{Class: schema.Address}
	number := &schema.Field{Class: schema.Decimal}
	exact := &schema.Field{Class: schema.JSON}
	list := &schema.Field{Class: schema.List}
	set := &schema.Field{Class: schema.List, Set: true}
	refs := &schema.Field{Class: schema.ReferenceSet, Ref: &schema.Ref{Kind: "T"}}
	ref := &schema.Field{Class: schema.Reference, Ref: &schema.Ref{Kind: "T"}}
	kind := &schema.Kind{Name: "T"}
	live := &Object{Kind: kind, Row: 7}
	declared := &Object{Kind: kind, Peer: live}

	for _, c := range []struct {
		why   string
		field *schema.Field
		a, b  any
		equal bool
	}{
		{"text is trimmed as the server trims it", text, " a\n", "a", true},
		{"empty text is null", text, "", nil, true},
		{"blank text is empty text", text, "  ", nil, true},
		{"case counts", text, "A", "a", false},
		{"Unicode is not normalised", text, "\u00e9", "e\u0301", false},
		{"times are instants", when, "2026-11-01T12:00:00+02:00", "2026-11-01T10:00:00Z", true},
		{"times have microseconds", when, "2026-11-01T10:00:00.0000009Z", "2026-11-01T10:00:00Z", true},
		{"a date is its midnight in UTC", when, "2026-11-01", "2026-11-01T00:00:00Z", true},
		{"another second is another time", when, "2026-11-01T00:00:01Z", "2026-11-01T00:00:00Z", false},
		{"addresses count by meaning", address, "2001:DB8:0::1/64", "2001:db8::1/64", true},
		{"the mask counts", address, "192.0.2.1/24", "192.0.2.1/25", false},
		{"integral floats are integers", number, mustNumber("10.0"), mustNumber("10"), true},
		{"nothing is trimmed inside JSON", exact, map[string]any{"a": " x"}, map[string]any{"a": "x"}, false},
		{"empty is not null inside JSON", exact, map[string]any{"a": ""}, map[string]any{"a": nil}, false},
		{"an empty JSON list is not null", exact, []any{}, nil, false},
		{"keys have no order", exact, map[string]any{"a": true, "b": nil}, map[string]any{"b": nil, "a": true}, true},
		{"lists have one", list, []any{"a", "b"}, []any{"b", "a"}, false},
		{"sets have none", set, []any{"a", "b", "a"}, []any{"b", "a"}, true},
		{"an empty list is null", list, []any{}, nil, true},
		{"a reference is its target", ref, Ref{Target: declared, Kind: "T"}, Ref{Kind: "T", Row: 7}, true},
		{"another target is another reference", ref, Ref{Target: declared, Kind: "T"}, Ref{Kind: "T", Row: 8}, false},
		{"sets of references have no order", refs, []any{Ref{Kind: "T", Row: 8}, Ref{Target: live, Kind: "T"}},
			[]any{Ref{Target: declared, Kind: "T"}, Ref{Kind: "T", Row: 8}}, true},
		{"a string is not a number", exact, "1", Number("1"), false},
	} {
		t.Run(c.why, func(t *testing.T) {
			require.Equal(t, c.equal, canonical(c.field, c.a) == canonical(c.field, c.b),
				"%s and %s", canonical(c.field, c.a), canonical(c.field, c.b))
		})
	}
}

func mustNumber(s string) Number {
	n, err := ParseNumber(s)
	if err != nil {
		panic(err)
	}
	return n
}
