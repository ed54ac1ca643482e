package netbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// indexed, listed and whole are the forms in which servers refuse a batch.
func indexed(w http.ResponseWriter, _ []map[string]any, why []string) {
	var errs []any
	for i, text := range why {
		if text != "" {
			errs = append(errs, map[string]any{"index": i, "errors": map[string]any{"name": []string{text}}})
		}
	}
	body, _ := json.Marshal(map[string]any{"detail": "some could not be created.", "errors": errs})
	answer(w, 400, string(body))
}

func listed(w http.ResponseWriter, _ []map[string]any, why []string) {
	list := make([]map[string]any, len(why))
	for i, text := range why {
		list[i] = map[string]any{}
		if text != "" {
			list[i]["name"] = []string{text}
		}
	}
	body, _ := json.Marshal(list)
	answer(w, 400, string(body))
}

func whole(w http.ResponseWriter, _ []map[string]any, why []string) {
	i := slices.IndexFunc(why, func(text string) bool { return text != "" })
	body, _ := json.Marshal(map[string]any{"name": []string{why[i]}})
	answer(w, 400, string(body))
}

func TestARefusedBatchIsNarrowed(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprintf("n%02d", i)
	}
	odd := func(w http.ResponseWriter, body string) { answer(w, 400, body) }
	for form, refuse := range map[string]func(http.ResponseWriter, []map[string]any, []string){
		"by index": indexed, "by place": listed, "the first one's messages alone": whole,
		"an index that is none": func(w http.ResponseWriter, _ []map[string]any, _ []string) {
			odd(w, `{"errors": [{"index": 1000, "errors": {"name": ["x"]}}]}`)
		},
		"an id where none can be": func(w http.ResponseWriter, _ []map[string]any, _ []string) {
			odd(w, `{"errors": [{"id": 3, "errors": {"name": ["x"]}}]}`)
		},
		"a list of another length": func(w http.ResponseWriter, e []map[string]any, why []string) { listed(w, e, append(why, "x")) },
		"nobody is to blame":       func(w http.ResponseWriter, e []map[string]any, _ []string) { listed(w, e, make([]string, len(e))) },
		"without a word":           func(w http.ResponseWriter, _ []map[string]any, _ []string) { odd(w, ``) },
	} {
		for _, bad := range [][]string{{"n00"}, {"n17", "n18"}, {"n03", "n50", "n99"}, names} {
			t.Run(fmt.Sprintf("%s, %d", form, len(bad)), func(t *testing.T) {
				s := &shelf{refuse: refuse, bad: func(e map[string]any) string {
					if name, _ := e["name"].(string); slices.Contains(bad, name) {
						return "no " + name
					}
					return ""
				}}
				f := newFake(t, "4.7.3", s.ServeHTTP)
				out, err := writeAll(t, client(t, f.URL, func(cfg *Config) { cfg.Parallelism = 1 }), "Thing", reconcile.OpCreate, named(names...)...)
				require.NoError(t, err)
				for i, name := range names {
					if !slices.Contains(bad, name) {
						require.Equal(t, reconcile.Done, out[i].Verdict)
						continue
					}
					require.Equal(t, reconcile.Refused, out[i].Verdict)
					require.Equal(t, []reconcile.FieldMessage{{Field: "name", Text: "no " + name}}, out[i].Messages)
					require.NotEmpty(t, out[i].Request)
				}
				most := 2
				if form != "by index" && form != "by place" {
					most = min(1+2*7*len(bad), 2*len(names)-1)
				}
				require.LessOrEqual(t, len(f.requests()), most)
			})
		}
	}
}

func TestWhatConcernsEveryWriteIsAskedOnce(t *testing.T) {
	for _, tc := range []struct {
		name, version, body string
		status, requests    int
		stops               bool
	}{
		{"no permission for the kind", "4.7.3", `{"detail": "You do not have permission to perform this action."}`, 403, 1, false},
		{"a token that is refused", "4.7.3", `{"detail": "Token expired"}`, 403, 1, true},
		{"a server that takes no lists", "4.7.3", `{"detail": "Method \"POST\" not allowed."}`, 405, 1 + 20, false},
		{"a server of 4.6 may mean one of them", "4.6.2", `{"detail": "You do not have permission to perform this action."}`, 403, 39, false},
		{"an old server may mean one of them", "4.5.9", `{"detail": "You do not have permission to perform this action."}`, 403, 39, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, tc.version, func(w http.ResponseWriter, _ *http.Request) { answer(w, tc.status, tc.body) })
			out, err := writeAll(t, client(t, f.URL, func(cfg *Config) { cfg.Parallelism = 1 }), "Thing", reconcile.OpCreate, make([]reconcile.Write, 20)...)
			require.Equal(t, tc.stops, err != nil)
			require.Len(t, f.requests(), tc.requests)
			require.Len(t, out, 20)
			for _, o := range out {
				require.Equal(t, reconcile.Refused, o.Verdict)
				require.NotEmpty(t, o.Messages)
			}
		})
	}
}

func TestAnInterruptEndsNarrowing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		indexed(w, nil, []string{"", "no", ""})
	})
	got := map[int]reconcile.Verdict{}
	err := client(t, f.URL).Write(ctx, "Thing", reconcile.OpCreate, named("a", "b", "c"), func(i int, o reconcile.Outcome) { got[i] = o.Verdict })
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, f.requests(), 1)
	require.Equal(t, map[int]reconcile.Verdict{1: reconcile.Refused}, got, "the good ones were not sent again")
}

// A server that sends back what it got, in every form that a refused or a
// failed batch has.
func TestNoRefusalOfABatchRepeatsASecret(t *testing.T) {
	const secret = "pa\"ss'wö\\rd<&>canary"
	for _, status := range []int{201, 400, 403, 409, 413, 500} {
		for _, shape := range []string{
			`{"detail": %[1]s, "errors": [{"index": 1, "errors": {"name": [%[1]s], "password": [%[1]s], %[1]s: ["x"]}}]}`,
			`{"detail": "x", "errors": [{"index": 1, "errors": {"__all__": [%[1]s], "id": [%[1]s]}}]}`,
			`[{}, {"name": [%[1]s]}, {"password": [%[1]s]}, {%[1]s: [%[1]s]}]`,
			`{"name": [%[1]s]}`, `[%[1]s]`, `%[1]s`, `[{"id": 1, "name": %[1]s}]`,
		} {
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("X-Request-ID", "canary")
				answer(w, status, fmt.Sprintf(shape, quoted(string(body)+secret)))
			})
			list := named("a", "b", "c", "d")
			for i := range list {
				list[i].Fields["password"] = reconcile.NewSecret(fmt.Sprint(secret, i), "")
			}
			out, err := writeAll(t, client(t, f.URL), "Thing", reconcile.OpCreate, list...)
			text := fmt.Sprintf("%+v %v", out, err)
			for _, o := range out {
				text += fmt.Sprint(o.Err)
			}
			require.NotContains(t, text, "canary", "%d %s", status, shape)
			require.Len(t, out, 4)
		}
	}
}
