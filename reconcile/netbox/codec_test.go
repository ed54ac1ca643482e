package netbox

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

func parse(t testing.TB, text string) any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	require.NoError(t, dec.Decode(&v))
	return v
}

func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		name  string
		class schema.Class
		wire  string
		want  any
		label string
	}{
		{"text as it is", schema.Text, `" a\u0000b "`, " a\x00b ", ""},
		{"null", schema.Text, `null`, nil, ""},
		{"null of a reference", schema.Reference, `null`, nil, ""},
		{"null of a set", schema.ReferenceSet, `null`, nil, ""},
		{"a choice with its label", schema.Choice, `{"value": "cluster", "label": "Cluster"}`, "cluster", ""},
		{"a choice as its value", schema.Choice, `"cluster"`, "cluster", ""},
		{"a choice that is empty", schema.Choice, `{"value": null, "label": null}`, nil, ""},
		{"a choice that is a number", schema.Integer, `{"value": 4, "label": "IPv4"}`, reconcile.Number("4"), ""},
		{"a truth value", schema.Boolean, `true`, true, ""},
		{"a large integer", schema.Integer, `9007199254740993`, reconcile.Number("9007199254740993"), ""},
		{"an integral float", schema.Decimal, `10.0`, reconcile.Number("10"), ""},
		{"a decimal shown as text", schema.Decimal, `"2.50"`, reconcile.Number("2.5"), ""},
		{"digits in a text field stay text", schema.Text, `"010"`, "010", ""},
		{"a time in UTC", schema.Time, `"2026-11-01T00:00:00Z"`, "2026-11-01T00:00:00Z", ""},
		{"a time with microseconds", schema.Time, `"2026-11-01T00:00:00.450600Z"`, "2026-11-01T00:00:00.4506Z", ""},
		{"a time with an offset", schema.Time, `"2026-11-01T02:00:00+02:00"`, "2026-11-01T00:00:00Z", ""},
		{"a time with nanoseconds", schema.Time, `"2026-11-01T00:00:00.123456789Z"`, "2026-11-01T00:00:00.123456Z", ""},
		{"a time that is none", schema.Time, `"soon"`, "soon", ""},
		{"a reference as object", schema.Reference, `{"id": 7, "display": "pve (1)", "name": "pve"}`, reconcile.RowID(7), "pve (1)"},
		{"a reference as number", schema.Reference, `7`, reconcile.RowID(7), ""},
		{"references of both forms", schema.ReferenceSet, `[{"id": 7}, 8]`, []any{reconcile.RowID(7), reconcile.RowID(8)}, ""},
		{"no references", schema.ReferenceSet, `[]`, []any{}, ""},
		{"a list", schema.List, `["a", 1, null]`, []any{"a", reconcile.Number("1"), nil}, ""},
		{"a list of choices", schema.List, `[{"value": "a", "label": "A"}]`, []any{"a"}, ""},
		{
			"JSON is not interpreted", schema.JSON, `{"mode": {"value": 1.50, "label": "x"}, "l": [1e2, "2026-11-01T02:00:00+02:00"]}`,
			map[string]any{
				"mode": map[string]any{"value": reconcile.Number("1.5"), "label": "x"},
				"l":    []any{reconcile.Number("100"), "2026-11-01T02:00:00+02:00"},
			}, "",
		},
		{"custom fields are not interpreted", schema.Map, `{"a": {"id": 1}}`, map[string]any{"a": map[string]any{"id": reconcile.Number("1")}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, label, err := decodeField(&schema.Field{Name: "f", Class: tc.class}, parse(t, tc.wire), 200)
			require.NoError(t, err)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			require.Equal(t, tc.label, label)
		})
	}
}

func TestDecodeRefusesOtherShapes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		class schema.Class
		wire  string
	}{
		{"a reference that is text", schema.Reference, `"7"`},
		{"a reference without an id", schema.Reference, `{"name": "x"}`},
		{"a reference to a fraction", schema.Reference, `1.5`},
		{"a reference to zero", schema.Reference, `0`},
		{"a reference beyond 64 bits", schema.Reference, `99999999999999999999`},
		{"a set that is one reference", schema.ReferenceSet, `7`},
		{"a set with null in it", schema.ReferenceSet, `[null]`},
		{"a list that is text", schema.List, `"a"`},
		{"text that is an object", schema.Text, `{"a": 1}`},
		{"a number that costs memory", schema.Decimal, `1e1000001`},
		{"JSON nested too deep", schema.JSON, strings.Repeat("[", 300) + strings.Repeat("]", 300)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := decodeField(&schema.Field{Name: "f", Class: tc.class}, parse(t, tc.wire), 200)
			require.ErrorContains(t, err, "shows f")
		})
	}
}

// What is read and sent back unchanged means the same to the server.
func TestEncodeIsTheWayBack(t *testing.T) {
	k := kinds(t).Kind("Thing")
	for name, tc := range map[string]struct {
		wire map[string]string
		want string
	}{
		"every class": {
			map[string]string{
				"name": `" x"`, "count": `10.0`, "ratio": `2.5`, "on": `false`, "mode": `{"value": "a", "label": "A"}`,
				"at": `"2026-11-01T02:00:00+02:00"`, "address": `"192.0.2.1"`, "core": `{"id": 3, "display": "c"}`,
				"cores": `[{"id": 1}, 2]`, "words": `["a"]`, "config": `{"a": [1, {"b": null}]}`, "custom_fields": `{"x": 1e3}`,
			},
			`{"address":"192.0.2.1","at":"2026-11-01T00:00:00Z","config":{"a":[1,{"b":null}]},"core":3,"cores":[1,2],"count":10,"custom_fields":{"x":1000},"mode":"a","name":" x","on":false,"ratio":2.5,"words":["a"]}`,
		},
		"nulls": {
			map[string]string{"ratio": `null`, "core": `null`, "at": `null`, "words": `null`},
			`{"at":null,"core":null,"ratio":null,"words":null}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			fields := map[string]any{}
			for field, wire := range tc.wire {
				v, _, err := decodeField(k.Field(field), parse(t, wire), 200)
				require.NoError(t, err)
				fields[field] = v
			}
			body, secrets, err := encodeFields(k, fields)
			require.NoError(t, err)
			require.Empty(t, secrets)
			got, err := json.Marshal(body)
			require.NoError(t, err)
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEncodeNotesEverySecret(t *testing.T) {
	_, secrets, err := encodeFields(kinds(t).Kind("Thing"), map[string]any{
		"password": "plain text in a secret field",
		"config":   map[string]any{"deep": []any{reconcile.NewSecret("inside", "")}},
		"name":     "no secret",
	})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"plain text in a secret field", "inside"}, secrets)

	body, secrets, err := encodeFields(kinds(t).Kind("Thing"), map[string]any{"password": ""})
	require.NoError(t, err)
	require.Empty(t, secrets, "clearing a secret sends none")
	require.Equal(t, map[string]any{"password": ""}, body)
}

func TestETag(t *testing.T) {
	for _, tc := range []struct{ name, version, want string }{
		{"with microseconds", "2026-11-22T09:54:20.450672Z", `W/"2026-11-22T09:54:20.450672+00:00"`},
		{"with trailing zeros", "2026-11-22T09:54:20.450000Z", `W/"2026-11-22T09:54:20.450000+00:00"`},
		{"without microseconds", "2026-11-22T09:54:20Z", `W/"2026-11-22T09:54:20+00:00"`},
		{"from a server in another zone", "2026-11-22T11:54:20.450672+02:00", `W/"2026-11-22T09:54:20.450672+00:00"`},
		{"none", "", ""},
		{"what is no time", `"; x`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := etag(tc.version)
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.want != "", ok)
		})
	}
}

// FuzzRow feeds the decoder of rows whatever a server may send. What it accepts
// must be plain, and must survive the way back.
func FuzzRow(f *testing.F) {
	for _, seed := range []string{
		`{"id": 1, "name": "x", "core": {"id": 2, "display": "d"}, "cores": [1], "config": {"a": [1, 2.5e3]}, "at": "2026-11-01"}`,
		`{"mode": {"value": "a", "label": "A"}, "count": "12", "ratio": 1e400, "words": [{"value": null, "label": 1}]}`,
		`{"custom_fields": {"": {"": []}}, "on": "yes", "address": 4}`,
		`[]`, `null`, `{"count": -0.0}`,
	} {
		f.Add([]byte(seed))
	}
	set := kinds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.UseNumber()
		var row map[string]any
		if dec.Decode(&row) != nil {
			return
		}
		k := set.Kind("Thing")
		plain := map[string]any{}
		for _, field := range k.Fields {
			v, _, err := decodeField(field, row[field.Name], 200)
			if err == nil && !field.WriteOnly {
				plain[field.Name] = v
			}
		}
		body, secrets, err := encodeFields(k, plain)
		require.NoError(t, err)
		require.Empty(t, secrets)
		text, err := json.Marshal(body)
		require.NoError(t, err)
		again := parse(t, string(text)).(map[string]any)
		for name, v := range plain {
			got, _, err := decodeField(k.Field(name), again[name], 200)
			require.NoError(t, err)
			if diff := cmp.Diff(v, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	})
}
