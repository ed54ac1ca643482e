package netbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// A server that sends what it got back in its refusal, in whatever encoding.
func TestNoRefusalRepeatsASecret(t *testing.T) {
	secret := "pa\"ss'wö\\rd<&>\n+/= §canary"
	echoes := map[string]func(body string) string{
		"the body as it came":      func(body string) string { return quoted(body) },
		"the secret alone":         func(string) string { return quoted(secret) },
		"trimmed and cut":          func(string) string { return quoted("value too long: " + secret[:14] + "…") },
		"in the request's address": func(string) string { return quoted("https://h/?p=" + url.QueryEscape(secret)) },
	}
	for name, encode := range encoders {
		echoes["encoded as "+name] = func(string) string { return quoted("no: " + encode(secret) + "!") }
	}
	var shape string
	var status int
	var echo func(string) string
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		answer(w, status, fmt.Sprintf(shape, echo(string(data))))
	})
	c := client(t, f.URL)
	for name, e := range echoes {
		echo = e
		t.Run(name, func(t *testing.T) {
			for _, shape = range []string{
				`{"name": [%s]}`, `{"__all__": [%s]}`, `{"detail": %s}`, `{"password": [%s]}`, `{"config": {"deep": [%s]}}`,
				`[%s]`, `%s`, `{%s: ["is not a field"]}`, `{"config": {%s: ["x"]}}`, `{"unknown": %s}`, `{"error": %s, "exception": %[1]s}`,
			} {
				for _, status = range []int{400, 403, 500} {
					out, err := writeAll(t, c, "Thing", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{
						"name": "x", "password": reconcile.NewSecret(secret, ""),
					}})
					text := fmt.Sprintf("%+v %v %v", out, err, out[0].Err)
					if strings.Contains(text, "canary") || strings.Contains(text, "pa\"ss") || newScrubber([]string{secret}).repeats(text) {
						t.Errorf("shape %s, status %d: the secret came out", shape, status)
					}
				}
			}
		})
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func TestMessagesStayUsefulBesideASecret(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want []reconcile.FieldMessage
	}{
		"a known field":        {`{"count": ["A valid integer is required."]}`, []reconcile.FieldMessage{{Field: "count", Text: "A valid integer is required."}}},
		"the secret's field":   {`{"password": ["too weak: hunter"]}`, []reconcile.FieldMessage{{Field: "password", Text: withheldSecret}}},
		"an unknown field":     {`{"hunter": ["no such thing"]}`, []reconcile.FieldMessage{{Text: withheld}}},
		"a standard sentence":  {`{"__all__": ["Box thing with this Name and Address already exists."]}`, []reconcile.FieldMessage{{Text: "Box thing with this Name and Address already exists."}}},
		"a sentence of others": {`{"detail": "JSON parse error - hunter"}`, []reconcile.FieldMessage{{Text: withheld}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) { answer(w, 400, tc.body) })
			out, err := writeAll(t, client(t, f.URL), "Thing", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{
				"password": reconcile.NewSecret("correct horse battery staple", ""),
			}})
			require.NoError(t, err)
			if diff := cmp.Diff(tc.want, out[0].Messages); diff != "" {
				t.Error(diff)
			}
			require.Equal(t, "11111111-2222-3333-4444-555555555555", out[0].Request)
		})
	}
}
