package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// faultyWay is a way to a server on which something goes wrong with one request,
// or with all from that one on.
type faultyWay struct {
	next  http.Handler
	other http.Handler // knows what an answer for another object is
	url   string
	tls   *httptest.Server // its certificate; nil for http

	process *os.Process // that a signal is sent to

	strange net.Listener // what a redirect leads to; nothing must ever connect to it
	heard   atomic.Int32

	mu       sync.Mutex
	listener net.Listener
	server   *http.Server
	fault    *fault
	at       int  // the index of the request that it hits, from 0 on
	stays    bool // and those behind it
	seen     []request
	hits     []request
}

func newFaultyWay(t testing.TB, next http.Handler, f *fault) *faultyWay {
	t.Helper()
	w := &faultyWay{next: next, other: next}
	var err error
	w.strange, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		for {
			c, err := w.strange.Accept()
			if err != nil {
				return
			}
			w.heard.Add(1)
			_ = c.Close()
		}
	}()
	scheme := "http://"
	if f != nil && f.tls {
		scheme = "https://"
		w.tls = httptest.NewUnstartedServer(nil)
		w.tls.StartTLS()
	}
	w.listen(t, "127.0.0.1:0")
	w.url = scheme + w.listener.Addr().String()
	t.Cleanup(func() {
		_ = w.strange.Close()
		_ = w.server.Close()
		if w.tls != nil {
			w.tls.Close()
		}
	})
	return w
}

// listen takes connections, also again at the address where it took none.
func (w *faultyWay) listen(t testing.TB, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	w.listener, w.server = l, &http.Server{Handler: w} //nolint:gosec // of a test
	if w.tls != nil {
		w.server.TLSConfig = w.tls.TLS
		go func(s *http.Server) { _ = s.ServeTLS(l, "", "") }(w.server)
		return
	}
	go func(s *http.Server) { _ = s.Serve(l) }(w.server)
}

// goesWrong plans a fault; nil mends everything.
func (w *faultyWay) goesWrong(t testing.TB, f *fault, at int, stays bool) {
	t.Helper()
	w.mu.Lock()
	w.fault, w.at, w.stays, w.seen, w.hits = f, at, stays, nil, nil
	w.mu.Unlock()
	if f == nil {
		w.opens(t)
	} else if f.refuses {
		w.server.SetKeepAlivesEnabled(false)
		if at == 0 {
			w.closes()
		}
	}
}

// closes makes the system refuse connections.
func (w *faultyWay) closes() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		w.hits = append(w.hits, request{})
		_ = w.listener.Close()
		w.listener = nil
	}
}

func (w *faultyWay) opens(t testing.TB) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener == nil {
		_ = w.server.Close()
		_, address, _ := strings.Cut(w.url, "://")
		w.listen(t, address)
	}
}

// reopening is where a run writes its log: a connection that was refused once is
// not refused again.
type reopening struct {
	t    testing.TB
	way  *faultyWay
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *reopening) Write(data []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.Contains(data, []byte("status=0 ")) && !r.way.stays {
		r.way.opens(r.t)
	}
	return r.text.Write(data)
}

func (r *reopening) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (w *faultyWay) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	n := len(w.seen)
	q := request{r.Method, strings.Trim(strings.TrimPrefix(r.URL.Path, "/api"), "/"), r.URL.RawQuery}
	w.seen = append(w.seen, q)
	f := w.fault
	if f != nil && (n < w.at || n > w.at && !w.stays) {
		f = nil
	}
	if f != nil {
		w.hits = append(w.hits, q)
	}
	refuses := w.fault != nil && w.fault.refuses && n == w.at-1
	w.mu.Unlock()
	switch {
	case refuses:
		w.closes() // this connection stays until it has its answer
		w.next.ServeHTTP(rw, r)
	case f == nil || f.refuses:
		w.next.ServeHTTP(rw, r)
	default:
		f.happens(&hit{way: w, rw: rw, r: r, body: body})
	}
}

// hit is a request that something goes wrong with.
type hit struct {
	way  *faultyWay
	rw   http.ResponseWriter
	r    *http.Request
	body []byte
}

// act lets the server do what it was asked and keeps its answer.
func (h *hit) act() *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	h.way.next.ServeHTTP(answer, h.r)
	return answer
}

// reset breaks the connection in the way that a crash of the server does.
func (h *hit) reset() {
	conn, _, err := h.rw.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

func (h *hit) answer(status int, contentType, body string) {
	h.rw.Header().Set("Content-Type", contentType)
	h.rw.WriteHeader(status)
	_, _ = io.WriteString(h.rw, body)
}

// pass hands on an answer with another body.
func (h *hit) pass(a *httptest.ResponseRecorder, body []byte) {
	for name, values := range a.Header() {
		if name != "Content-Length" {
			h.rw.Header()[name] = values
		}
	}
	h.rw.WriteHeader(a.Code)
	_, _ = h.rw.Write(body)
}
