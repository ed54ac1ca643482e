package netbox

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// writeAll writes a list and returns the outcomes by index.
func writeAll(t testing.TB, c *Client, kind string, op reconcile.Operation, list ...reconcile.Write) (map[int]reconcile.Outcome, error) {
	t.Helper()
	out := map[int]reconcile.Outcome{}
	err := c.Write(context.Background(), kind, op, list, func(i int, o reconcile.Outcome) {
		require.NotContains(t, out, i, "an outcome given twice")
		out[i] = o
	})
	return out, err
}

func thing(id int, version string) string {
	return fmt.Sprintf(`{"id": %d, "url": "http://h/api/plugins/box/things/%d/", "name": "x", "last_updated": %q, "password": "canary"}`, id, id, version)
}

func TestWriteRequests(t *testing.T) {
	const version = "2026-11-22T09:54:20.450672Z"
	for _, tc := range []struct {
		name   string
		server string
		op     reconcile.Operation
		write  reconcile.Write
		want   heard
	}{
		{
			"a create", "4.7.3", reconcile.OpCreate,
			reconcile.Write{Message: "why", Fields: map[string]any{
				"name": "x", "count": reconcile.Number("9007199254740993"), "core": reconcile.RowID(3), "on": true, "ratio": nil,
				"cores": []any{reconcile.RowID(1), reconcile.RowID(2)}, "password": reconcile.NewSecret(`p"w`, ""),
				"config": map[string]any{"a": []any{reconcile.Number("1.5"), "s", nil}}, "at": "2026-11-01T00:00:00Z",
			}},
			heard{method: "POST", path: "/api/plugins/box/things/", body: `{"at":"2026-11-01T00:00:00Z","changelog_message":"why","config":{"a":[1.5,"s",null]},"core":3,"cores":[1,2],"count":9007199254740993,"name":"x","on":true,"password":"p\"w","ratio":null}`},
		},
		{
			"an update without a guard", "4.7.3", reconcile.OpUpdate,
			reconcile.Write{Row: 7, Fields: map[string]any{"name": "y"}},
			heard{method: "PATCH", path: "/api/plugins/box/things/7/", body: `{"name":"y"}`},
		},
		{
			"an update with a guard", "4.7.3", reconcile.OpUpdate,
			reconcile.Write{Row: 7, IfVersion: version, Fields: map[string]any{"name": "y"}},
			heard{method: "PATCH", path: "/api/plugins/box/things/7/", body: `{"name":"y"}`, ifMatch: `W/"2026-11-22T09:54:20.450672+00:00"`},
		},
		{
			"a guard for a server that does not tell its version", "", reconcile.OpUpdate,
			reconcile.Write{Row: 7, IfVersion: "2026-11-22T11:54:20+02:00", Fields: map[string]any{"name": "y"}},
			heard{method: "PATCH", path: "/api/plugins/box/things/7/", body: `{"name":"y"}`, ifMatch: `W/"2026-11-22T09:54:20+00:00"`},
		},
		{
			"a delete with guard and message", "4.7.3", reconcile.OpDelete,
			reconcile.Write{Row: 7, IfVersion: version, Message: "gone\r\nwith\x1b[31m " + strings.Repeat("x", 300)},
			heard{
				method: "DELETE", path: "/api/plugins/box/things/7/", ifMatch: `W/"2026-11-22T09:54:20.450672+00:00"`,
				body: `{"changelog_message":"gone with [31m ` + strings.Repeat("x", 184) + `…"}`,
			},
		},
		{
			"a delete without a message has no body", "4.7.3", reconcile.OpDelete,
			reconcile.Write{Row: 7},
			heard{method: "DELETE", path: "/api/plugins/box/things/7/"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, tc.server, func(w http.ResponseWriter, r *http.Request) {
				switch r.Method {
				case "POST":
					answer(w, 201, thing(7, version))
				case "PATCH":
					answer(w, 200, thing(7, version))
				default:
					w.WriteHeader(204)
				}
			})
			out, err := writeAll(t, client(t, f.URL), "Thing", tc.op, tc.write)
			require.NoError(t, err)
			require.Equal(t, reconcile.Done, out[0].Verdict, out[0].Err)
			require.EqualValues(t, 7, out[0].Row)
			if tc.op != reconcile.OpDelete {
				require.Equal(t, version, out[0].Version)
			}
			tc.want.auth = "right"
			if diff := cmp.Diff([]heard{tc.want}, f.requests(), cmp.AllowUnexported(heard{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A server without If-Match is looked at right before the write.
func TestWritesAreGuardedWithoutETags(t *testing.T) {
	for _, tc := range []struct {
		name, rows string
		want       reconcile.Verdict
		sent       bool
	}{
		{"an object that is as planned is written", thing(7, "2026-11-22T09:54:20.450672Z"), reconcile.Done, true},
		{"one that changed meanwhile is a conflict", thing(7, "2026-11-22T10:00:00Z"), reconcile.Conflict, false},
		{"one that is gone is refused", "", reconcile.Refused, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const version = "2026-11-22T09:54:20.450672Z"
			f := newFake(t, "4.5.9", func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "PATCH" {
					answer(w, 200, thing(7, version))
					return
				}
				answer(w, 200, `{"count":1,"next":null,"previous":null,"results":[`+tc.rows+`]}`)
			})
			out, err := writeAll(t, client(t, f.URL), "Thing", reconcile.OpUpdate,
				reconcile.Write{Row: 7, IfVersion: version, Fields: map[string]any{"name": "y"}})
			require.NoError(t, err)
			require.Equal(t, tc.want, out[0].Verdict, out[0].Err)
			sent := slices.ContainsFunc(f.requests(), func(h heard) bool { return h.method == "PATCH" })
			require.Equal(t, tc.sent, sent)
		})
	}
}

func TestVerdicts(t *testing.T) {
	html := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<html>canary-body</html>")
		}
	}
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answer(w, status, body) }
	}
	cut := func(before string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, before)
				_ = conn.Close()
			}
		}
	}
	const head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
	for _, tc := range []struct {
		name    string
		op      reconcile.Operation
		serve   http.HandlerFunc
		verdict reconcile.Verdict
		says    string // in messages or error
		stops   bool
	}{
		{"created", reconcile.OpCreate, says(201, thing(9, "")), reconcile.Done, "", false},
		{"updated", reconcile.OpUpdate, says(200, thing(7, "")), reconcile.Done, "", false},
		{"deleted", reconcile.OpDelete, says(204, ""), reconcile.Done, "", false},
		{"refused for a field", reconcile.OpCreate, says(400, `{"name": ["This field is required."]}`), reconcile.Refused, "name: This field is required.", false},
		{"refused as a whole", reconcile.OpCreate, says(400, `{"__all__": ["Box thing with this Name already exists."]}`), reconcile.Refused, "already exists", false},
		{"refused without a word", reconcile.OpCreate, says(400, ``), reconcile.Refused, "HTTP 400", false},
		{"not found", reconcile.OpUpdate, says(404, `{"detail": "No Thing matches the given query."}`), reconcile.Refused, "No Thing matches", false},
		{"in use", reconcile.OpDelete, says(409, `{"detail": "Unable to delete object. 1 dependent objects were found: pve (18)"}`), reconcile.Refused, "pve (18)", false},
		{"method not allowed", reconcile.OpDelete, says(405, `{"detail": "Method \"DELETE\" not allowed."}`), reconcile.Refused, "not allowed", false},
		{"changed meanwhile", reconcile.OpUpdate, says(412, `{"detail": "Precondition failed."}`), reconcile.Conflict, "Precondition", false},
		{"too large for a proxy", reconcile.OpCreate, html(413), reconcile.Refused, "larger than", false},
		{"no permission", reconcile.OpCreate, says(403, `{"detail": "You do not have permission to perform this action."}`), reconcile.Refused, "netbox_box.add_thing", false},
		{"no permission to change", reconcile.OpUpdate, says(403, `{"detail": "You do not have permission to perform this action."}`), reconcile.Refused, "netbox_box.change_thing", false},
		{"no sensitive-data access", reconcile.OpUpdate, says(403, `{"detail": "Sensitive data access is not authorized."}`), reconcile.Refused, "Sensitive data", false},
		{"a token that is refused", reconcile.OpUpdate, says(403, `{"detail": "Token expired"}`), reconcile.Refused, "Token expired", true},
		{"no login", reconcile.OpUpdate, says(401, `{"detail": "x"}`), reconcile.Refused, "x", true},
		{"a proxy that asks for a login", reconcile.OpUpdate, html(403), reconcile.Refused, "login page", true},
		{"an internal error", reconcile.OpUpdate, says(500, `{"error": "boom"}`), reconcile.Uncertain, "boom", false},
		{"a failure page", reconcile.OpUpdate, html(500), reconcile.Uncertain, "HTTP 500", false},
		{"a bad gateway", reconcile.OpUpdate, html(502), reconcile.Uncertain, "HTTP 502", false},
		{"a gateway's timeout", reconcile.OpCreate, html(504), reconcile.Uncertain, "HTTP 504", false},
		{"unavailable without a promise", reconcile.OpCreate, html(503), reconcile.Uncertain, "HTTP 503", false},
		{"a login page for success", reconcile.OpCreate, html(200), reconcile.Uncertain, "login page", false},
		{"a success that is no JSON", reconcile.OpCreate, says(201, `{`), reconcile.Uncertain, "could not be read", false},
		{"a success without an object", reconcile.OpCreate, says(201, `{}`), reconcile.Uncertain, "names no object", false},
		{"a success about another object", reconcile.OpUpdate, says(200, thing(8, "")), reconcile.Uncertain, "another object", false},
		{"a success about another kind", reconcile.OpCreate, says(201, `{"id": 7, "url": "/api/plugins/box/others/7/"}`), reconcile.Uncertain, "another object", false},
		{"no answer", reconcile.OpCreate, cut(""), reconcile.Uncertain, "closed", false},
		{"half a head", reconcile.OpUpdate, cut("HTTP/1.1 201 Cre"), reconcile.Uncertain, "", false},
		{"half a body", reconcile.OpCreate, cut(head + `{"id": 7`), reconcile.Uncertain, "broke off", false},
		{"what is no HTTP", reconcile.OpDelete, cut("canary-body\r\n\r\n"), reconcile.Uncertain, "not valid HTTP", false},
		{"a redirect on the same server", reconcile.OpCreate, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere/", http.StatusTemporaryRedirect)
		}, reconcile.NotSent, "redirects a write", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.7.3", tc.serve)
			w := reconcile.Write{Fields: map[string]any{"name": "x"}}
			if tc.op != reconcile.OpCreate {
				w.Row = 7
			}
			out, err := writeAll(t, client(t, f.URL), "Thing", tc.op, w)
			require.Equal(t, tc.stops, err != nil, "%v", err)
			o := out[0]
			require.Equal(t, tc.verdict, o.Verdict)
			text := fmt.Sprint(o.Err)
			for _, m := range o.Messages {
				text += " " + m.Field + ": " + m.Text
			}
			require.Contains(t, text, tc.says)
			require.NotContains(t, text, "canary-body")
			require.Len(t, f.requests(), 1, "sent once, whatever came back")
			switch tc.verdict {
			case reconcile.Uncertain, reconcile.NotSent:
				require.Error(t, o.Err)
			case reconcile.Refused:
				require.NotEmpty(t, o.Messages)
			}
		})
	}
}

func TestWritesThatMayBeSentAgain(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first http.HandlerFunc
		waits time.Duration // 0: some time
	}{
		{"too many requests", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			answer(w, 429, `{"detail": "Request was throttled."}`)
		}, 7 * time.Second},
		{"too many requests, for how long is not said", func(w http.ResponseWriter, _ *http.Request) { answer(w, 429, `{}`) }, 0},
		{"unavailable with a promise", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "Sun, 22 Nov 2026 10:00:09 GMT")
			w.WriteHeader(503)
		}, 9 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			times := 0
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
				if times++; times == 1 {
					tc.first(w, r)
					return
				}
				answer(w, 201, thing(7, ""))
			})
			cl := newClock()
			c := client(t, f.URL, func(cfg *Config) { cfg.Now, cfg.Sleep = cl.now, cl.sleep })
			out, err := writeAll(t, c, "Thing", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{"name": "x"}})
			require.NoError(t, err)
			require.Equal(t, reconcile.Done, out[0].Verdict)
			require.Len(t, f.requests(), 2)
			require.Len(t, cl.slept, 1)
			if tc.waits != 0 {
				require.Equal(t, tc.waits, cl.slept[0])
			}
			require.EqualValues(t, 1, c.Stats().Retries)
		})
	}
}

// deaf refuses connections once it is told to.
type deaf struct {
	http.Transport
	off atomic.Bool
}

func (d *deaf) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.off.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connection refused")}
	}
	return d.Transport.RoundTrip(r)
}

func TestAServerThatIsAwayStopsTheRun(t *testing.T) {
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) { answer(w, 201, thing(7, "")) })
	d := &deaf{}
	c := client(t, f.URL, func(cfg *Config) { cfg.Transport, cfg.Parallelism, cfg.BatchSize = d, 1, 1 })
	_, err := c.Instance(context.Background())
	require.NoError(t, err)
	_, err = c.pathOf(context.Background(), c.kinds.Kind("Thing"))
	require.NoError(t, err)
	d.off.Store(true)
	list := make([]reconcile.Write, 20)
	out, err := writeAll(t, c, "Thing", reconcile.OpCreate, list...)
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, "tried 6 times")
	require.Len(t, out, 1, "the others were not tried")
	require.Equal(t, reconcile.NotSent, out[0].Verdict)
	require.Empty(t, f.requests())
}

func TestWritesRunSideBySideUnlessTheyHaveSideEffects(t *testing.T) {
	for _, tc := range []struct {
		kind string
		want int
	}{{"Thing", 3}, {"Alone", 1}} {
		t.Run(tc.kind, func(t *testing.T) {
			var (
				mu        sync.Mutex
				now, most int
				reached   = make(chan struct{})
			)
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				now++
				most = max(most, now)
				if now == tc.want {
					select {
					case <-reached:
					default:
						close(reached)
					}
				}
				mu.Unlock()
				<-reached // so that the first ones wait for each other
				mu.Lock()
				now--
				mu.Unlock()
				answer(w, 200, `{"id": `+strings.Split(r.URL.Path, "/")[len(strings.Split(r.URL.Path, "/"))-2]+`}`)
			})
			list := make([]reconcile.Write, 12)
			for i := range list {
				list[i] = reconcile.Write{Row: reconcile.RowID(i + 1), Fields: map[string]any{"name": "x"}}
			}
			out, err := writeAll(t, client(t, f.URL, func(cfg *Config) { cfg.Parallelism, cfg.BatchSize = 3, 1 }), tc.kind, reconcile.OpUpdate, list...)
			require.NoError(t, err)
			require.Len(t, out, 12)
			for i, o := range out {
				require.Equal(t, reconcile.Done, o.Verdict)
				require.EqualValues(t, i+1, o.Row)
			}
			require.Equal(t, tc.want, most)
		})
	}
}
