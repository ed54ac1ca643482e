package netbox

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

const (
	testTokenV1 = "0123456789abcdef0123456789abcdef01234567"
	testTokenV2 = "nbt_abcdefghijkl.ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponm"
)

// kinds are invented: a kind of a plugin with fields of every class, a
// singleton, one with side effects, one of the core, and one to look up.
func kinds(t testing.TB) *schema.Set {
	t.Helper()
	set, err := loadKinds()
	require.NoError(t, err)
	return set
}

var loadKinds = sync.OnceValues(func() (*schema.Set, error) {
	file := func(name, resource, properties string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(`{
			"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:proxbox-sync:v1:` + name + `",
			"title": "` + name + `", "description": "invented", "type": "object",
			"x-resource": ` + resource + `, "required": [], "unevaluatedProperties": false,
			"properties": {` + properties + `}}`)}
	}
	field := func(name, rest string) string {
		return `"` + name + `": {"title": "t", "description": "d", ` + rest + `}`
	}
	thing := strings.Join([]string{
		field("name", `"type": "string"`),
		field("count", `"type": "integer"`),
		field("ratio", `"type": ["number", "null"]`),
		field("on", `"type": "boolean"`),
		field("mode", `"type": "string", "enum": ["a", "b"]`),
		field("at", `"type": ["string", "null"], "format": "date-time"`),
		field("address", `"type": ["string", "null"], "format": "ip-address"`),
		field("core", `"type": ["string", "integer", "object", "null"], "x-ref": {"kind": "Core", "onDelete": "cascade"}`),
		field("cores", `"type": "array", "uniqueItems": true, "items": {"type": ["string", "integer", "object"], "x-ref": {"kind": "Core", "onDelete": "null"}}`),
		field("words", `"type": ["array", "null"], "items": {"type": "string"}`),
		field("config", `"type": "object"`),
		field("custom_fields", `"type": "object", "additionalProperties": true`),
		field("password", `"type": "string", "writeOnly": true`),
	}, ",")
	name := field("name", `"type": "string"`)
	return schema.Load(fstest.MapFS{
		"Thing.json": file("Thing", `{"paths": ["plugins/box/things", "plugins/box/deep/things"], "objectType": "netbox_box.thing", "key": ["name"], "unique": [], "mode": "managed",
			"approval": {"path": "authority", "target": {"kind": {"unset": "thing"}, "domain": {"fields": ["mode"], "unset": ""}, "port": {"fields": ["count"], "unset": 8006},
				"verify": {"fields": ["on"], "unset": true}, "ip": {"fields": ["address"], "unset": ""}, "identity": {"fields": ["name", "core"], "unset": ""}}}}`, thing),
		"Alone.json": file("Alone", `{"paths": ["plugins/box/deep/alone"], "objectType": "netbox_box.alone", "key": ["name"], "unique": [], "mode": "managed", "bulk": false}`, name),
		"Lone.json":  file("Lone", `{"paths": ["plugins/box/settings"], "objectType": "netbox_box.lone", "key": [], "unique": [], "mode": "singleton", "materialize": "runtime"}`, name),
		"Core.json":  file("Core", `{"paths": ["dcim/cores"], "objectType": "dcim.core", "key": ["name"], "unique": [], "mode": "managed"}`, name),
		"Seen.json":  file("Seen", `{"paths": ["users/seen"], "objectType": "users.seen", "key": ["name"], "unique": [], "mode": "lookup"}`, name),
	})
})

// heard is one request that a fake server got. auth is "right", "none" or
// "other": failing tests print it.
type heard struct {
	method, path, query, auth, ifMatch, body string
}

// fake is a server that answers the documents every client asks for, and leaves
// the rest to a handler of the test.
type fake struct {
	*httptest.Server
	version string // NetBox's; "" answers 403 on the status
	plugin  string // its version, "0.0.29.post6" where it is not set
	handler http.HandlerFunc

	mu    sync.Mutex
	heard []heard
}

func newFake(t testing.TB, version string, handler http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{version: version, handler: handler}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	f.mu.Lock()
	f.heard = append(f.heard, heard{
		r.Method, r.URL.Path, r.URL.RawQuery, whose(r), r.Header.Get("If-Match"), string(body),
	})
	f.mu.Unlock()
	if f.version != "" {
		w.Header().Set("API-Version", strings.Join(strings.SplitN(f.version, ".", 3)[:2], "."))
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/api/status/") && f.version == "":
		answer(w, http.StatusForbidden, `{"detail": "You do not have permission to perform this action."}`)
	case strings.HasSuffix(r.URL.Path, "/api/status/"):
		answer(w, 200, `{"netbox-version": "`+f.version+`", "plugins": {"netbox_proxbox": "`+or(f.plugin, "0.0.29.post6")+`"}}`)
	case strings.HasSuffix(r.URL.Path, "/api/plugins/box/"):
		answer(w, 200, `{"things": "http://elsewhere/other/api/plugins/box/things/", "settings": "/api/plugins/box/settings/",
			"deep": "http://elsewhere/api/plugins/box/deep/", "strange": "http://elsewhere/api/plugins/box/../../x/", "n": 1}`)
	case strings.HasSuffix(r.URL.Path, "/api/plugins/box/deep/"):
		answer(w, 200, `{"alone": "http://elsewhere/api/plugins/box/deep/alone/"}`)
	default:
		f.handler(w, r)
	}
}

func whose(r *http.Request) string {
	switch r.Header.Get("Authorization") {
	case "Token " + testTokenV1:
		return "right"
	case "":
		return "none"
	}
	return "other"
}

// requests are those that were heard, the documents of the start left out.
func (f *fake) requests() []heard {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []heard
	for _, h := range f.heard {
		if !strings.HasSuffix(h.path, "/status/") && !strings.HasSuffix(h.path, "/box/") && !strings.HasSuffix(h.path, "/deep/") {
			out = append(out, h)
		}
	}
	return out
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-ID", "11111111-2222-3333-4444-555555555555")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func page200(w http.ResponseWriter, html string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, html)
}

// clock is a time that only sleeping moves.
type clock struct {
	mu    sync.Mutex
	at    time.Time
	slept []time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)} }

// client makes a client of a server, with changes to its settings.
func client(t testing.TB, url string, change ...func(*Config)) *Client {
	t.Helper()
	cl := newClock()
	cfg := Config{
		URL: url, Token: reconcile.NewSecret(testTokenV1, ""), Kinds: kinds(t), Now: cl.now, Sleep: cl.sleep,
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	require.NoError(t, err)
	return c
}

// table is a list that a fake server pages through.
type table struct {
	ids     []int
	max     int  // MAX_PAGE_SIZE
	cursors bool // NetBox 4.6 and later
	ranges  bool // it heeds id__gte, as all versions seem to
	names   bool // it heeds name
	row     func(id int) string
}

func (b *table) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))
	limit = min(limit, b.max)
	var ids []int
	from, _ := strconv.Atoi(q.Get("id__gte"))
	for _, id := range b.ids {
		if only := q["id"]; only != nil && !contains(only, strconv.Itoa(id)) || b.ranges && id < from {
			continue
		}
		if only := q["name"]; b.names && only != nil && !contains(only, "n"+strconv.Itoa(id)) {
			continue
		}
		ids = append(ids, id)
	}
	if q.Get("ordering") == "-id" {
		slices.Reverse(ids)
	}
	if start, err := strconv.Atoi(q.Get("start")); err == nil && b.cursors {
		if q.Has("ordering") || q.Has("offset") {
			answer(w, 400, `["Ordering cannot be specified in conjunction with cursor-based pagination."]`)
			return
		}
		for len(ids) > 0 && ids[0] < start {
			ids = ids[1:]
		}
		b.write(w, nil, len(ids) >= limit, ids[:min(limit, len(ids))])
		return
	}
	count := len(ids)
	offset, _ := strconv.Atoi(q.Get("offset"))
	ids = ids[min(offset, len(ids)):]
	b.write(w, &count, len(ids) > limit, ids[:min(limit, len(ids))])
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (b *table) write(w http.ResponseWriter, count *int, more bool, ids []int) {
	rows := make([]json.RawMessage, len(ids))
	for i, id := range ids {
		if b.row != nil {
			rows[i] = json.RawMessage(b.row(id))
			continue
		}
		rows[i] = json.RawMessage(`{"id": ` + strconv.Itoa(id) + `, "name": "n` + strconv.Itoa(id) + `"}`)
	}
	var next *string
	if more {
		next = new(string)
		*next = "http://attacker.example/api/?limit=1"
	}
	data, _ := json.Marshal(map[string]any{"count": count, "next": next, "previous": nil, "results": rows})
	answer(w, 200, string(data))
}

func upTo(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i + 1
	}
	return ids
}

// readIDs reads a query and returns the ids that came.
func readIDs(c *Client, q reconcile.Query) ([]int, reconcile.Coverage, error) {
	var ids []int
	cov, err := c.Read(context.Background(), q, func(r reconcile.Row) error {
		ids = append(ids, int(r.ID))
		return nil
	})
	return ids, cov, err
}
