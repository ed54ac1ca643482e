package netbox

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Client talks to one NetBox. It is safe for concurrent use. Printing one shows
// no secret: token and headers are kept behind closures.
type Client struct {
	base        *url.URL // its path without a slash at the end
	kinds       *schema.Set
	token       func() string // value of the Authorization header
	headers     func() http.Header
	own         *scrubber // what no message may repeat: token and headers
	transport   http.RoundTripper
	fresh       http.RoundTripper // the same with a connection for each request
	timeout     time.Duration
	parallelism int
	batchSize   int
	userAgent   string
	log         *slog.Logger
	now         func() time.Time
	sleep       func(context.Context, time.Duration) error
	limits      limits
	reads       chan struct{} // a place for each page that is read at a time

	// Each mutex guards what follows it, also while that is fetched.
	naming   sync.Mutex
	instance *reconcile.Instance
	nameless error // why there is none, so that nobody tries for as long again
	listing  sync.Mutex
	roots    map[string]map[string]bool // paths that a root document lists, by its own path
	rootless map[string]error           // why there are none
	learning sync.Mutex
	filters  map[string]bool // whether lists heed a filter, by "path?filter"

	generation atomic.Int32 // NetBox's major*1000 + minor, 0 while unknown
	etags      atomic.Bool  // an answer had an ETag
	tls        atomic.Pointer[tls.ConnectionState]
	taken      atomic.Int64 // weight of the rows that were handed over
	stats      struct{ requests, retries, received atomic.Int64 }
}

var _ reconcile.Server = (*Client)(nil)

// limits keep a hostile or broken server from costing memory or time.
type limits struct {
	body  int64 // bytes of one answer, decompressed
	row   int64 // bytes of one row
	small int64 // bytes of an answer that is not a list
	depth int   // nesting inside a row
	rows  int   // rows of one read
	pages int   // pages of one read
	taken int64 // what all reads of a run hand over, as it is counted by weight
}

var defaultLimits = limits{body: 512 << 20, row: 16 << 20, small: 32 << 20, depth: 200, rows: 5_000_000, pages: 100_000, taken: defaultReadLimit}

// weight is about what a row of so many bytes of JSON takes in memory.
func weight(size int64) int64 { return 1000 + 2*size }

// Stats counts what a client has done so far.
type Stats struct {
	Requests int64 // sent, repeated ones and redirects included
	Retries  int64 // requests that repeated an earlier one
	Received int64 // bytes of answers read, decompressed
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	return Stats{
		Requests: c.stats.requests.Load(),
		Retries:  c.stats.retries.Load(),
		Received: c.stats.received.Load(),
	}
}

// call is one request to be made.
type call struct {
	method  string
	path    string // below the API root, without slashes at the ends; "" is the root
	query   string // encoded
	body    []byte
	ifMatch string
	scrub   *scrubber // of a write: knows the secrets in its body as well
	many    bool      // a write of many objects
}

// cleared is the scrubber for what is said of the answer to a request.
func (q call) cleared(own *scrubber) *scrubber {
	if q.scrub != nil {
		return q.scrub
	}
	return own
}

// minHeaderSecret tells a header's value that may be a secret from one like "1"
// or "https", which would hide every message.
const minHeaderSecret = 8

// ownSecrets are what no message may repeat, whatever was sent.
func (c *Client) ownSecrets() []string {
	_, token, _ := strings.Cut(c.token(), " ")
	list := []string{token}
	if _, secret, ok := strings.Cut(token, "."); ok {
		list = append(list, secret)
	}
	for _, values := range c.headers() {
		for _, v := range values {
			if len(v) >= minHeaderSecret {
				list = append(list, v)
			}
		}
	}
	return list
}

// url is the address of a path below the API root.
func (c *Client) url(path, query string) *url.URL {
	u := *c.base
	u.Path += "/api/"
	if path != "" {
		u.Path += path + "/"
	}
	u.RawQuery = query
	return &u
}

const maxRedirects = 5

// send makes a request and returns the answer with its body capped. A GET or
// OPTIONS follows redirects within the same scheme, host and port; nothing else
// is ever followed, since the token and the body would go along. sent is false
// when an error came before the request can have reached the server.
func (c *Client) send(ctx context.Context, q call) (resp *http.Response, sent bool, err error) {
	target := c.url(q.path, q.query)
	for hop := 0; ; hop++ {
		resp, sent, err = c.exchange(ctx, q, target)
		if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 {
			return resp, sent, err
		}
		next, err := c.redirect(q, target, resp)
		_ = resp.Body.Close()
		if err != nil {
			return nil, true, err
		}
		if hop == maxRedirects {
			return nil, true, &Error{Status: resp.StatusCode, Reason: "the server redirects in a circle", stop: true}
		}
		target = next
	}
}

// redirect returns where to go next, or an error that says what to configure.
func (c *Client) redirect(q call, from *url.URL, resp *http.Response) (*url.URL, error) {
	fail := func(reason string) error {
		return &Error{Status: resp.StatusCode, Reason: q.cleared(c.own).clean(reason, "the server redirects to another address"), stop: true}
	}
	next, err := from.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fail("the server redirects without saying where to")
	}
	next.User, next.Fragment = nil, ""
	if origin(next) != origin(from) {
		return nil, fail("the server redirects to " + origin(next) + ", which is not followed: if that is NetBox, set the URL to it")
	}
	if q.method != http.MethodGet && q.method != http.MethodOptions {
		// No path: a login page's may hold what was written.
		return nil, fail("the server redirects a write, which is not followed: set the URL to NetBox's own address")
	}
	return next, nil
}

// exchange makes one request without following anything.
func (c *Client) exchange(ctx context.Context, q call, target *url.URL) (*http.Response, bool, error) {
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	// The connection is there: from now on the request may have arrived.
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := http.NewRequestWithContext(traced, q.method, target.String(), body)
	if err != nil {
		return nil, false, &Error{Reason: "the request could not be made", stop: true}
	}
	c.dress(req, q)
	c.stats.requests.Add(1)
	start := c.now()
	resp, err := c.carrier(q).RoundTrip(req)
	if err != nil {
		c.record(ctx, q, target, 0, start, 0, "")
		_, tells := c.transport.(*http.Transport) // another may not say when it connects
		sent := connected.Load() || !tells && !isDialError(err)
		return nil, sent, c.networkError(ctx, err)
	}
	c.learn(resp)
	if q.cleared(c.own).repeats(requestID(resp)) {
		resp.Header.Del("X-Request-ID") // which is shown
	}
	status, request := resp.StatusCode, requestID(resp)
	resp.Body = &countingBody{r: resp.Body, done: func(n int64) {
		c.stats.received.Add(n)
		c.record(ctx, q, target, status, start, n, request)
	}}
	return resp, true, nil
}

// carrier is what a request goes by. A server of several processes, as Gunicorn's,
// keeps a connection with one of them, however busy: for writes of many objects,
// which take seconds, a new one is worth its while. HTTP/2 has but one, and whoever
// speaks that spreads the requests itself.
func (c *Client) carrier(q call) http.RoundTripper {
	if state := c.tls.Load(); !q.many || state != nil && state.NegotiatedProtocol == "h2" {
		return c.transport
	}
	return c.fresh
}

// dress sets the headers of a request.
func (c *Client) dress(req *http.Request, q call) {
	for name, values := range c.headers() {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Set("Authorization", c.token())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Language", "en") // refusals of the token are known by their sentences
	req.Header.Set("User-Agent", c.userAgent)
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if q.ifMatch != "" {
		req.Header.Set("If-Match", q.ifMatch)
	}
}

func (c *Client) record(ctx context.Context, q call, target *url.URL, status int, start time.Time, n int64, request string) {
	c.log.LogAttrs(ctx, slog.LevelDebug, "request",
		slog.String("method", q.method),
		slog.String("path", target.Path),
		slog.String("query", target.RawQuery),
		slog.Int("sent", len(q.body)),
		slog.Int("status", status),
		slog.Int64("received", n),
		slog.Duration("duration", c.now().Sub(start)),
		slog.String("request", request),
	)
}

// learn notes what an answer says of the server's generation.
func (c *Client) learn(resp *http.Response) {
	if resp.Header.Get("ETag") != "" {
		c.etags.Store(true)
	}
	if g := generation(resp.Header.Get("API-Version")); g != 0 {
		c.generation.Store(g)
	}
	if resp.TLS != nil {
		c.tls.Store(resp.TLS)
	}
}

// generation turns "4.7" and "4.7.3" into 4007, and what is no version into 0.
func generation(version string) int32 {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return 0
	}
	major, err1 := strconv.ParseUint(parts[0], 10, 8)
	minor, err2 := strconv.ParseUint(parts[1], 10, 8)
	if err1 != nil || err2 != nil {
		return 0
	}
	return int32(major)*1000 + int32(minor) //nolint:gosec // both have eight bits
}

// etagGeneration is the NetBox that brought ETag, If-Match and cursor paging.
const etagGeneration = 4006

var requestIDForm = regexp.MustCompile(`^[0-9A-Za-z._:-]{1,64}$`)

// requestID returns an answer's X-Request-ID, "" where it is not one.
func requestID(resp *http.Response) string {
	id := resp.Header.Get("X-Request-ID")
	if !requestIDForm.MatchString(id) {
		return ""
	}
	return id
}

// countingBody counts what is read, and reads a little on closing so that the
// connection can be used again.
type countingBody struct {
	r    io.ReadCloser
	n    int64
	done func(n int64)
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	return n, err
}

func (b *countingBody) Close() error {
	if b.done == nil {
		return nil
	}
	_, _ = io.CopyN(io.Discard, b, 64<<10)
	err := b.r.Close()
	b.done(b.n)
	b.done = nil
	return err
}

// Format prints where the client leads and nothing else.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("netbox.Client(" + c.base.String() + ")"))
}

// LogValue logs where the client leads and nothing else.
func (c *Client) LogValue() slog.Value {
	return slog.StringValue("netbox.Client(" + c.base.String() + ")")
}
