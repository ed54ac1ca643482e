package manifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

func TestReadsScalarsAsYAML12Does(t *testing.T) {
	for text, want := range map[string]struct {
		value any
		plain string
	}{
		"":                        {nil, ""},
		"~":                       {nil, ""},
		"null":                    {nil, ""},
		"NULL":                    {nil, ""},
		"nULL":                    {"nULL", ""},
		"true":                    {true, ""},
		"True":                    {true, ""},
		"FALSE":                   {false, ""},
		"tRUE":                    {"tRUE", ""},
		"yes":                     {"yes", "yes"},
		"On":                      {"On", "On"},
		"off":                     {"off", "off"},
		"N":                       {"N", "N"},
		"nO":                      {"nO", ""},
		"none":                    {"none", ""},
		"0":                       {reconcile.Number("0"), "0"},
		"-0":                      {reconcile.Number("0"), "-0"},
		"8006":                    {reconcile.Number("8006"), "8006"},
		"+7":                      {reconcile.Number("7"), "+7"},
		"-12":                     {reconcile.Number("-12"), "-12"},
		"1.50":                    {reconcile.Number("1.5"), "1.50"},
		"10.0":                    {reconcile.Number("10"), "10.0"},
		".5":                      {reconcile.Number("0.5"), ".5"},
		"5.":                      {reconcile.Number("5"), "5."},
		"1e3":                     {reconcile.Number("1000"), "1e3"},
		"0.5":                     {reconcile.Number("0.5"), "0.5"},
		"12345678901234567890123": {reconcile.Number("12345678901234567890123"), "12345678901234567890123"},
		`"8006"`:                  {"8006", ""},
		`'010'`:                   {"010", ""},
		`"yes"`:                   {"yes", ""},
		`""`:                      {"", ""},
		"|-\n    8006":            {"8006", ""},
		"!!str 8006":              {"8006", ""},
		"!!str":                   {"", ""},
		"!!int 7":                 {reconcile.Number("7"), "7"},
		"!!float 7":               {reconcile.Number("7"), "7"},
		"!!bool true":             {true, ""},
		"!!null ~":                {nil, ""},
		"2026-11-22":              {"2026-11-22", "2026-11-22"},
		"2026-11-22T10:00:00Z":    {"2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"},
		"12:30:45":                {"12:30:45", "12:30:45"},
		"190:20:30":               {"190:20:30", "190:20:30"},
		"00:16:3e:00:00:01":       {"00:16:3e:00:00:01", ""},
		"192.0.2.7/24":            {"192.0.2.7/24", ""},
		"1.2.3":                   {"1.2.3", ""},
		"1e":                      {"1e", ""},
		"1_a":                     {"1_a", ""},
		"+":                       {"+", ""},
		".":                       {".", ""},
		"..":                      {"..", ""},
		"-e5":                     {"-e5", ""},
		".e5":                     {".e5", ""},
		"0xzz":                    {"0xzz", ""},
		"0x":                      {"0x", ""},
		"inf":                     {"inf", ""},
		"NaN":                     {"NaN", ""},
		"on line":                 {"on line", ""},
	} {
		t.Run(text, func(t *testing.T) {
			docs, diags := read(head+"  x: "+text+"\n", manifest.Options{})
			require.Empty(t, diags)
			n := docs[0].Spec.Member("x")
			if diff := cmp.Diff(want.value, n.Value); diff != "" {
				t.Fatalf("value (-want +got):\n%s", diff)
			}
			require.Equal(t, want.plain, n.Plain)
		})
	}
}

func TestRefusesNumbersThatMeanSeveralThings(t *testing.T) {
	for text, code := range map[string]string{
		"010": "ambiguous-number", "-010": "ambiguous-number", "00": "ambiguous-number", "089": "ambiguous-number",
		"01.5": "ambiguous-number", "0o17": "ambiguous-number", "0x1F": "ambiguous-number", "0b11": "ambiguous-number",
		"1_000": "ambiguous-number", "1_0.5": "ambiguous-number", "0x_f": "ambiguous-number",
		".inf": "not-finite", "-.Inf": "not-finite", ".NAN": "not-finite",
		"1e1000001": "number-too-large", "-1e99999999999999999999": "number-too-large", "1e-1000001": "number-too-large", "1e400": "number-too-large",
		strings.Repeat("9", 600): "number-too-large",
		"!!int true":             "wrong-tag", "!!bool yes": "wrong-tag", "!!null x": "wrong-tag", "!!int 1.5": "wrong-tag", `!!int "7"`: "wrong-tag",
	} {
		t.Run(text, func(t *testing.T) {
			docs, diags := read(head+"  x: "+text+"\n", manifest.Options{})
			requireDiagnostics(t, diags, "4:6 "+code)
			require.NotEmpty(t, diags[0].Detail)
			require.Len(t, docs, 1, "the rest of the document is still checked")
			if len(text) > 2 {
				require.NotContains(t, diags[0].Summary+diags[0].Detail, text, "the text may be a secret")
			}
		})
	}
}

// A wrong number must not be called a text as well, where a number is wanted.
func TestKeepsANumberThatItRefusesANumber(t *testing.T) {
	for text, want := range map[string]reconcile.Number{
		"010": "10", "-010": "-10", "0x1F": "31", "0o17": "15", "1_000": "1000", ".inf": "1", "1e1000001": "1", "0xffffffffffffffffffff": "1",
	} {
		t.Run(text, func(t *testing.T) {
			docs, _ := read(head+"  x: "+text+"\n", manifest.Options{})
			require.Len(t, docs, 1)
			n := docs[0].Spec.Member("x")
			if diff := cmp.Diff(any(want), n.Value); diff != "" {
				t.Fatalf("value (-want +got):\n%s", diff)
			}
			require.Equal(t, text, n.Plain)
		})
	}
}

func TestMergesAndFollowsAliases(t *testing.T) {
	docs, diags := read(`apiVersion: proxbox-sync/v1
kind: Thing
spec:
  one: &one {a: 1, b: [x, {c: d}]}
  two: &two
    <<: *one
    a: 2
  three:
    <<: [*two, {z: 26, a: 3}]
    b: mine
  four: *one
  five: &t text
  six: [*t, *t]
`, manifest.Options{})
	require.Empty(t, diags)
	num := func(s string) reconcile.Number { return reconcile.Number(s) }
	one := map[string]any{"a": num("1"), "b": []any{"x", map[string]any{"c": "d"}}}
	want := map[string]any{
		"one": one, "four": one,
		"two":   map[string]any{"a": num("2"), "b": one["b"]},
		"three": map[string]any{"b": "mine", "a": num("2"), "z": num("26")},
		"five":  "text", "six": []any{"text", "text"},
	}
	if diff := cmp.Diff(want, value(docs[0].Spec)); diff != "" {
		t.Fatalf("spec (-want +got):\n%s", diff)
	}
	merged := docs[0].Spec.Member("three").Member("z")
	require.Equal(t, 9, merged.Pos.Line)
	require.Equal(t, "b", docs[0].Spec.Member("three").Members[0].Name)
}
