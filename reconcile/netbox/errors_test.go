package netbox

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestErrorBodies(t *testing.T) {
	m := func(pairs ...string) (list []reconcile.FieldMessage) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, reconcile.FieldMessage{Field: pairs[i], Text: pairs[i+1]})
		}
		return list
	}
	for _, tc := range []struct {
		name, body string
		want       []reconcile.FieldMessage
	}{
		{"fields with lists", `{"port": ["too large", "odd"], "mode": ["bad"]}`, m("mode", "bad", "port", "too large", "port", "odd")},
		{"a field with a text", `{"id": "no"}`, m("id", "no")},
		{"the whole object", `{"__all__": ["exists"]}`, m("", "exists")},
		{"the whole object, as serializers say it", `{"non_field_errors": ["exists"]}`, m("", "exists")},
		{"a detail", `{"detail": "Precondition failed."}`, m("", "Precondition failed.")},
		{"an internal error", `{"error": "boom", "exception": "X", "netbox_version": "4", "python_version": "3"}`, m("", "boom")},
		{"nested objects", `{"custom_fields": {"a": ["x"], "b": {"__all__": ["y"]}}}`, m("custom_fields.a", "x", "custom_fields.b", "y")},
		{"a list of objects under a field", `{"tags": [{}, {"slug": ["x"]}]}`, m("tags.1.slug", "x")},
		{"a list of one object per entry", `{"tags": [{"slug": ["x"]}]}`, m("tags.slug", "x")},
		{"a list of texts", `["a", "b"]`, m("", "a", "", "b")},
		{"a text", `"a"`, m("", "a")},
		{"numbers and truth values", `{"a": [1, true, null]}`, m("a", "1", "a", "true")},
		{"empty", ``, nil},
		{"null", `null`, nil},
		{"no JSON", `<html>`, nil},
		{"deeper than anybody needs", `{"a":` + strings.Repeat("[", 5000) + `"x"` + strings.Repeat("]", 5000) + `}`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, parseErrorBody([]byte(tc.body))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	body := `{"a": [` + strings.Repeat(`"`+strings.Repeat("ö", 4000)+`",`, 3) + `"end"], "b": [` + strings.TrimSuffix(strings.Repeat(`["x"],`, 500), ",") + `]}`
	got := newScrubber(nil).messages(parseErrorBody([]byte(body)), func(string) knownField { return knownField{exists: true} })
	require.LessOrEqual(t, len(got), maxMessages)
	for _, m := range got {
		require.LessOrEqual(t, len(m.Text), maxMessageLength+len("…"))
		require.True(t, utf8.ValidString(m.Text))
	}
}

func TestScrubberKnowsASecretInEveryForm(t *testing.T) {
	secret := " s3cret/with \"awkward\" 'chars' & ünïcode \\ "
	s := newScrubber([]string{secret})
	trimmed := strings.TrimSpace(secret)
	for name, text := range map[string]string{
		"plain":                     "x" + secret + "x",
		"trimmed":                   "x" + trimmed + "x",
		"in capitals":               strings.ToUpper(trimmed),
		"JSON":                      quoted(secret),
		"JSON in ASCII":             `s3cret/with \"awkward\" 'chars' & \u00fcn\u00efcode`,
		"JSON with escaped slashes": `s3cret\/with \"awkward\" 'chars' & ünïcode`,
		"Python":                    `'s3cret/with "awkward" \'chars\' & ünïcode'`,
		"HTML":                      `s3cret/with &quot;awkward&quot; &#x27;chars&#x27; &amp; ünïcode \`,
		"a query":                   url.QueryEscape(trimmed),
		"a path":                    url.PathEscape(trimmed),
		"base64":                    base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 in a longer text":   base64.StdEncoding.EncodeToString([]byte("user:" + trimmed + ":more")),
		"base64, one further":       base64.URLEncoding.EncodeToString([]byte("users:" + trimmed)),
		"base64, two further":       base64.RawURLEncoding.EncodeToString([]byte("theuser:" + trimmed)),
		"a piece":                   "…" + trimmed[3:16] + "…",
	} {
		t.Run(name, func(t *testing.T) {
			if !s.repeats(text) {
				t.Error("not found")
			}
		})
	}
	for name, text := range map[string]string{
		"an ordinary sentence": "This field may not be blank.",
		"empty":                "",
		"a word of the secret": "the value has awkward chars",
	} {
		t.Run(name, func(t *testing.T) { require.False(t, s.repeats(text)) })
	}
	require.False(t, newScrubber([]string{"", "  "}).repeats("anything"))
	require.True(t, newScrubber([]string{"p"}).repeats("your p is short"), "a short secret is one as well")
	require.True(t, newScrubber([]string{"line one of a key\nline two of a key"}).repeats("bad: line two of a key"))
	require.True(t, newScrubber([]string{"päss"}).repeats(`p\u00e4ss`))
	require.True(t, newScrubber([]string{"p😀ss"}).repeats(`p\ud83d\ude00ss`))
}

// FuzzErrorBody feeds the reader of refusals whatever a server may send: what
// is kept is bounded and never repeats the secret.
func FuzzErrorBody(f *testing.F) {
	for _, seed := range []string{
		`{"name": ["x correct horse"]}`, `{"detail": "correct horse battery"}`, `[{"a": {"b": "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"}}]`,
		`{"correct horse battery": 1}`, `"correct%20horse%20battery"`, `{"password": {"correct horse battery": []}}`,
	} {
		f.Add([]byte(seed))
	}
	const secret = "correct horse battery"
	s := newScrubber(nil).with([]string{secret})
	t := &target{kind: kinds(f).Kind("Thing")}
	f.Fuzz(func(tt *testing.T, data []byte) {
		got := s.messages(parseErrorBody(data), t.known)
		if len(got) > maxMessages {
			tt.Errorf("%d messages", len(got))
		}
		for _, m := range got {
			if s.repeats(m.Field) || s.repeats(m.Text) {
				tt.Error("the secret came out")
			}
		}
	})
}
