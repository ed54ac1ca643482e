package reconcile_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing/iotest"
)

// wire carries requests to a handler, and breaks down as networks and proxies do.
type wire struct {
	handler http.Handler
	seen    map[string]int // faults, counted

	mu     sync.Mutex
	seed   uint64
	often  uint64         // one request in so many fails, 0 for none
	times  map[string]int // requests by what they ask for
	writes int
}

// breakDown lets requests fail from here on, the same ones for the same seed, in
// whatever order they come.
func (w *wire) breakDown(seed uint64, often int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seed, w.often, w.times = seed, uint64(often), map[string]int{}
}

// fate says what becomes of a request: 0 is well.
func (w *wire) fate(r *http.Request) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
		w.writes++
	}
	if w.often == 0 {
		return 0
	}
	what := r.Method + r.URL.RequestURI()
	w.times[what]++
	n := mix(fmt.Sprint(w.seed, what, w.times[what]))
	if n%(w.often+1) > 0 {
		return 0
	}
	w.seen["faults"]++
	return 1 + n>>32%uint64(len(fates))
}

// fates are what a request can meet with.
var fates = []struct {
	acts   bool // the server did what was asked for
	status int
	body   string
}{
	{acts: false}, {acts: true}, {acts: true}, // the connection is gone
	{status: 429}, {status: 500}, {status: 502}, {status: 503}, {status: 504},
	{acts: true, status: 502}, {acts: true, status: 504},
	{acts: true, status: 200, body: "<html>log in</html>"},
	{acts: true, status: 200, body: `[{"id"`}, // and then the connection is gone
}

// RoundTrip answers one request.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	n := w.fate(r)
	if n == 0 {
		return w.answer(r), nil
	}
	f := fates[n-1]
	if f.acts {
		w.answer(r)
	}
	if f.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	res := &http.Response{StatusCode: f.status, Status: http.StatusText(f.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/html"}}, Body: io.NopCloser(strings.NewReader(f.body)), ContentLength: -1, Request: r}
	if strings.HasPrefix(f.body, "[") {
		res.Header.Set("Content-Type", "application/json")
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader(f.body), iotest.ErrReader(io.ErrUnexpectedEOF)))
	}
	return res, nil
}

func (w *wire) answer(r *http.Request) *http.Response {
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:1"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if r.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	rec.Body = &bytes.Buffer{}
	w.handler.ServeHTTP(rec, in)
	res := rec.Result()
	res.Request = r
	return res
}

func mix(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	n := h.Sum64()
	n ^= n >> 31 // the last bytes alone hardly reach the low digits
	return n * 0x9E3779B97F4A7C15 >> 7
}
