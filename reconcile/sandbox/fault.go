package sandbox

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong with a request.
type Fault struct {
	// Method and Path say which requests it concerns; empty means any. A Path
	// that ends in * is a prefix, any other the whole path, sub-path included.
	Method string
	Path   string
	// Nth is the first such request that it hits, counted from 1 and from when
	// the fault was planned; 0 is the first.
	Nth int
	// Times is how many it hits from there on; 0 is one, -1 all of them.
	Times int

	// Delay waits before anything else, until the request is given up.
	Delay time.Duration
	// Act lets the server do what was asked before the fault shows: an answer
	// that gets lost.
	Act bool
	// Drop breaks the connection without an answer.
	Drop bool
	// Status, Header and Body are answered instead of the true answer. A Body
	// without a Content-Type in Header is HTML, as proxies have it.
	Status int
	Header map[string]string
	Body   string
	// Truncate breaks the connection after so many bytes of the answer's body.
	Truncate int
}

type plannedFault struct {
	Fault
	seen int
}

// Inject plans a fault. Of several that a request matches, the first planned one
// that is due hits it.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &plannedFault{Fault: f})
}

// planFault counts the request and returns the fault that hits it, or nil.
func (s *Server) planFault(r *http.Request) *plannedFault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hit *plannedFault
	for _, f := range s.faults {
		if !f.matches(r) {
			continue
		}
		f.seen++
		from, times := max(f.Nth, 1), f.Times
		if times == 0 {
			times = 1
		}
		if due := f.seen >= from && (times < 0 || f.seen < from+times); due && hit == nil {
			hit = f
		}
	}
	return hit
}

func (f *Fault) matches(r *http.Request) bool {
	if f.Method != "" && f.Method != r.Method {
		return false
	}
	prefix, open := strings.CutSuffix(f.Path, "*")
	return f.Path == "" || open && strings.HasPrefix(r.URL.Path, prefix) || f.Path == r.URL.Path
}

// before lets happen what comes before the server acts. It returns false when
// the request is done with.
func (f *Fault) before(w http.ResponseWriter, r *http.Request, s *Server, id string) bool {
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.Act || !f.Drop && f.Status == 0 {
		return true
	}
	f.instead(w, s, id)
	return false
}

// instead answers what the fault says, or not at all.
func (f *Fault) instead(w http.ResponseWriter, s *Server, id string) {
	if f.Drop {
		panic(http.ErrAbortHandler)
	}
	a := answer{status: f.Status, header: f.Header, body: []byte(f.Body), html: f.Header["Content-Type"] == ""}
	a.send(w, s, id)
}

// after spoils the true answer.
func (f *Fault) after(w http.ResponseWriter, _ *http.Request, s *Server, id string, a answer) {
	switch {
	case f.Drop || f.Status != 0:
		f.instead(w, s, id)
	case f.Truncate > 0 && f.Truncate < len(a.body):
		whole := len(a.body)
		a.body = a.body[:f.Truncate]
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Request-ID", id)
		h.Set("Content-Length", strconv.Itoa(whole))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
		if fl, ok := w.(http.Flusher); ok {
			fl.Flush()
		}
		panic(http.ErrAbortHandler)
	default:
		a.send(w, s, id)
	}
}

// Request is one request that the server got.
type Request struct {
	Method string
	Path   string
	Query  string // as sent, not decoded
	Bytes  int    // length of the body; its text is not kept, it may hold secrets
	Status int    // of the answer, 0 where the connection was broken first
	ID     string // X-Request-ID of the answer
}

// Requests returns the requests so far, oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *Server) note(c *call, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, Request{Method: c.req.Method, Path: c.path, Query: c.req.URL.RawQuery, Bytes: len(c.body), Status: status, ID: c.id})
}
