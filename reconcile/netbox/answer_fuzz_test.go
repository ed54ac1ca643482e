package netbox

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// stub answers every request of a list the same, and the others as a NetBox does.
type stub struct {
	status      int
	contentType string
	body        []byte
	asked       int
}

func (s *stub) RoundTrip(r *http.Request) (*http.Response, error) {
	status, contentType, body := 200, "application/json", s.body
	switch path := strings.Trim(r.URL.Path, "/"); {
	case strings.HasSuffix(path, "status"):
		body = []byte(`{"netbox-version": "4.7.3", "plugins": {}}`)
	case strings.HasSuffix(path, "api"):
		body = []byte(`{"plugins": "http://x/api/plugins/", "core": "http://x/api/core/"}`)
	case strings.HasSuffix(path, "/box"):
		body = []byte(`{"things": "http://x/api/plugins/box/things/"}`)
	case strings.HasSuffix(path, "plugins"):
		body = []byte(`{"box": "http://x/api/plugins/box/"}`)
	default:
		status, contentType = s.status, s.contentType
		s.asked++
	}
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}

// FuzzAnswer reads a list from a server that says whatever it likes. What comes
// out are rows in order, each once, or an error that does not repeat the token;
// and no answer makes the client ask without end.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"count": 2, "next": null, "results": [{"id": 1, "name": "a", "core": {"id": 3, "display": "x"}}, {"id": 2, "mode": {"value": "a", "label": "A"}}]}`,
		`{"count": null, "next": "http://elsewhere/?start=3", "results": [{"id": 1}, {"id": 2}]}`,
		`{"count": null, "next": "?start=1", "results": [{"id": 1}]}`, `{"count": 1e9, "next": "?offset=0&limit=1", "results": []}`,
		`{"results": [{"id": 2}, {"id": 1}]}`, `{"results": [{"id": 1}, {"id": 1}]}`, `{"results": [null]}`, `[]`, `{`, "", `{"detail": "` + testTokenV1 + `"}`,
		`<html>` + testTokenV1 + `</html>`, `{"results": {"id": 1}}`, `{"results": [{"id": 9223372036854775807}], "next": "?start=9223372036854775808"}`,
	} {
		f.Add(uint16(200), "application/json", []byte(body))
		f.Add(uint16(403), "application/json", []byte(body))
	}
	f.Add(uint16(200), "text/html", []byte("log in"))
	f.Add(uint16(301), "application/json", []byte("{}"))
	set := kinds(f)
	f.Fuzz(func(t *testing.T, status uint16, contentType string, body []byte) {
		s := &stub{status: 100 + int(status)%500, contentType: contentType, body: body}
		c, err := New(Config{URL: "http://127.0.0.1", Token: reconcile.NewSecret(testTokenV1, ""), Kinds: set, Transport: s,
			Sleep: func(context.Context, time.Duration) error { return nil }, Parallelism: 1})
		require.NoError(t, err)
		c.limits.pages, c.limits.rows = 20, 1000
		last := reconcile.RowID(0)
		rows := 0
		coverage, err := c.Read(context.Background(), reconcile.Query{Kind: "Thing"}, func(r reconcile.Row) error {
			require.Greater(t, r.ID, last, "rows come in order, each once")
			last = r.ID
			rows++
			return nil
		})
		require.LessOrEqual(t, s.asked, 200)
		require.LessOrEqual(t, rows, 1000)
		if err != nil {
			require.NotContains(t, err.Error(), testTokenV1)
			require.Less(t, len(err.Error()), 8192, "an answer must not fill a report")
			return
		}
		require.Equal(t, 200, s.status, "only a 200 is a list")
		require.Equal(t, rows, coverage.Rows)
	})
}
