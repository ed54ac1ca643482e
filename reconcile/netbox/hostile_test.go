package netbox

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestAnswersThatAreNoList(t *testing.T) {
	deep := strings.Repeat("[", 1_000_000)
	for _, tc := range []struct{ name, body, wrong string }{
		{"a list without envelope", `[{"id": 1}]`, "not a list of objects"},
		{"no results", `{"count": null, "next": null}`, "not a list of objects"},
		{"results that are null", `{"count": null, "results": null}`, "not a list of objects"},
		{"rows that are numbers", `{"count": null, "results": [1]}`, "not a list of objects"},
		{"a row without an id", `{"count": null, "results": [{"name": "a"}]}`, "without an id"},
		{"an id that is text", `{"count": null, "results": [{"id": "1"}]}`, "without an id"},
		{"a negative id", `{"count": null, "results": [{"id": -1}]}`, "without an id"},
		{"rows out of order", `{"count": null, "results": [{"id": 2}, {"id": 1}]}`, "does not sort"},
		{"the same row twice", `{"count": null, "results": [{"id": 2}, {"id": 2}]}`, "does not sort"},
		{"a reference that is text", `{"count": null, "results": [{"id": 2, "core": "x"}]}`, "core"},
		{"a set that is an object", `{"count": null, "results": [{"id": 2, "cores": {}}]}`, "cores"},
		{"a scalar that is a list", `{"count": null, "results": [{"id": 2, "name": []}]}`, "name"},
		{"a number beyond all bounds", `{"count": null, "results": [{"id": 2, "count": 1e999999999}]}`, "count"},
		{"a field a million levels deep", `{"count": null, "results": [{"id": 2, "config": ` + deep, "not the JSON"},
		{"an unknown member a million levels deep", `{"x": ` + deep, "not the JSON"},
		{"deeper than any configuration", `{"count": null, "results": [{"id": 2, "config": {"a": ` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}}]}`, "nested too deep"},
		{"no JSON at all", `hello`, "not the JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, tc.body) })
			_, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
			require.ErrorContains(t, err, tc.wrong)
			require.Len(t, f.requests(), 1, "what will not get better is not asked again")
		})
	}
}

func TestCaps(t *testing.T) {
	small := func(c *Client, l limits) *Client {
		for _, p := range []struct{ to, from *int64 }{{&c.limits.body, &l.body}, {&c.limits.row, &l.row}} {
			if *p.from != 0 {
				*p.to = *p.from
			}
		}
		if l.rows != 0 {
			c.limits.rows = l.rows
		}
		if l.pages != 0 {
			c.limits.pages = l.pages
		}
		return c
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		start := 1
		_, _ = fmt.Sscan(r.URL.Query().Get("start"), &start)
		answer(w, 200, fmt.Sprintf(`{"count": null, "next": "more", "results": [{"id": %d}, {"id": %d}]}`, start, start+1))
	}
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, `{"count": null, "next": null, "results": [{"id": 1, "name": "`)
		_, _ = io.Copy(z, io.LimitReader(zeros{}, 8<<20))
		_, _ = io.WriteString(z, `"}]}`)
		_ = z.Close()
	}
	for _, tc := range []struct {
		name    string
		limits  limits
		handler http.HandlerFunc
		wrong   string
	}{
		{"pages without end", limits{pages: 20}, endless, "too many pages"},
		{"rows without end", limits{rows: 20}, endless, "too many objects"},
		{"a small answer that unpacks to a large one", limits{body: 1 << 20}, bomb, "larger than this program reads"},
		{"a single large row", limits{row: 1 << 20}, bomb, "larger than this program reads"},
		{"more promised, nothing shown", limits{}, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, `{"count": null, "next": "more", "results": []}`)
		}, "shows nothing"},
		{"more promised, the same shown", limits{}, func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, `{"count": null, "next": "more", "results": [{"id": 1}]}`)
		}, "shows what it showed before"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.7.3", tc.handler)
			_, _, err := readIDs(small(client(t, f.URL), tc.limits), reconcile.Query{Kind: "Thing"})
			require.ErrorContains(t, err, tc.wrong)
			require.LessOrEqual(t, len(f.requests()), 25)
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestAnswersOfOthers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		serve http.HandlerFunc
		is    error
		wrong string
	}{
		{"a login page", func(w http.ResponseWriter, _ *http.Request) { page200(w, "<html>canary-body") }, nil, "a login page"},
		{"a 404 page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(404)
		}, nil, "HTTP 404, text/html"},
		{"a failure page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(500)
		}, nil, "HTTP 500, text/html"},
		{"a wrong token", func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, `{"detail": "Invalid v1 token"}`) }, ErrToken, "the server refused the token: Invalid v1 token"},
		{"a 404 of no type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			w.WriteHeader(404)
		}, nil, "there is no API at this address (HTTP 404, no content type)"},
		{"a missing permission", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 403, `{"detail": "You do not have permission to perform this action."}`)
		}, reconcile.ErrForbidden, "netbox_box.view_thing"},
		{"an internal error", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 500, `{"error": "boom", "exception": "canary-body", "netbox_version": "4"}`)
		}, nil, "boom (request 11111111"},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, nil, "HTTP 204"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.7.3", tc.serve)
			_, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
			require.ErrorContains(t, err, tc.wrong)
			require.NotContains(t, err.Error(), "canary-body")
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
				require.ErrorIs(t, err, reconcile.ErrForbidden)
			}
			require.Len(t, f.requests(), 1)
		})
	}
}
