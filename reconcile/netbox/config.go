package netbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Config is what a Client is made of. It prints as its type's name, since
// headers may carry secrets.
type Config struct {
	// URL is NetBox's address, with its sub-path if it has one; a trailing /api
	// is left off.
	URL string
	// Token is a v1 token (40 letters and digits) or a v2 token (nbt_KEY.TOKEN).
	Token reconcile.Secret
	// CAFile is PEM text of the certificates to trust in place of the system's.
	CAFile []byte
	// ClientCert and ClientKey are PEM text of a certificate to show to a proxy
	// in front, and its key.
	ClientCert []byte
	ClientKey  reconcile.Secret
	// Headers are sent with every request, for a proxy in front.
	Headers http.Header
	// Timeout bounds one request with all its retries. Default 60 s.
	Timeout time.Duration
	// Parallelism is how many writes, or batches of them, may be under way at
	// once. Default 4.
	Parallelism int
	// BatchSize is how many writes go in one request at most. Default 100.
	BatchSize int
	// ReadLimit is how much a run takes in from lists at most, in bytes of memory as
	// they are estimated. Default 1 GiB.
	ReadLimit int64
	// AllowHTTP permits plain http to hosts other than this one.
	AllowHTTP bool
	// AllowedOrigins are the servers (scheme://host[:port]) that may be talked
	// to; empty means any.
	AllowedOrigins []string
	UserAgent      string // default "proxbox-sync"
	// Log receives one debug record a request: never headers, bodies or tokens.
	Log   *slog.Logger
	Kinds *schema.Set

	// Transport, Now and Sleep replace the network and the clock in tests.
	Transport http.RoundTripper
	Now       func() time.Time
	Sleep     func(context.Context, time.Duration) error
}

// Format prints nothing of the settings.
func (Config) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("netbox.Config")) }

// LogValue logs nothing of the settings.
func (Config) LogValue() slog.Value { return slog.StringValue("netbox.Config") }

// ErrOrigin is behind the error of New for a server that the allowed origins
// do not name.
var ErrOrigin = errors.New("the server is not among the allowed origins")

// ConfigError is a setting that cannot be used. Its text never holds the value
// of a secret one.
type ConfigError struct {
	Setting string // "url", "token", "ca-file", "client-cert", "header", "allowed-origins", "kinds"
	Reason  string
	Err     error // ErrOrigin, or nil
}

func (e *ConfigError) Error() string { return e.Setting + ": " + e.Reason }

// Unwrap returns the sentinel behind the error, if there is one.
func (e *ConfigError) Unwrap() error { return e.Err }

const (
	defaultTimeout     = 60 * time.Second
	defaultParallelism = 4
	// From 50 to 100 on, a row costs the server the same; larger batches only take
	// longer to answer, and are more to look up when the answer is lost.
	defaultBatchSize = 100
	defaultReadLimit = 1 << 30
	maxParallelism   = 64
)

// New makes a client. It sends no request.
func New(cfg Config) (*Client, error) {
	base, err := parseURL(cfg.URL, cfg.AllowHTTP)
	if err != nil {
		return nil, err
	}
	if err := checkOrigin(base, cfg.AllowedOrigins); err != nil {
		return nil, err
	}
	token, err := parseToken(cfg.Token)
	if err != nil {
		return nil, err
	}
	if err := checkHeaders(cfg.Headers); err != nil {
		return nil, err
	}
	if cfg.Kinds == nil {
		return nil, &ConfigError{Setting: "kinds", Reason: "there are none"}
	}
	c := &Client{
		base:        base,
		kinds:       cfg.Kinds,
		token:       token,
		headers:     hide(cfg.Headers.Clone()),
		timeout:     or(cfg.Timeout, defaultTimeout),
		parallelism: min(or(cfg.Parallelism, defaultParallelism), maxParallelism),
		batchSize:   or(cfg.BatchSize, defaultBatchSize),
		userAgent:   or(cfg.UserAgent, "proxbox-sync"),
		log:         cfg.Log,
		now:         cfg.Now,
		sleep:       cfg.Sleep,
		limits:      defaultLimits,
		roots:       map[string]map[string]bool{},
		rootless:    map[string]error{},
		filters:     map[string]bool{},
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.sleep == nil {
		c.sleep = sleep
	}
	if cfg.ReadLimit > 0 {
		c.limits.taken = cfg.ReadLimit
	}
	c.reads = make(chan struct{}, c.parallelism)
	c.own = newScrubber(c.ownSecrets())
	c.transport = cfg.Transport
	if c.transport == nil {
		if c.transport, err = newTransport(cfg, c.parallelism); err != nil {
			return nil, err
		}
	}
	c.fresh = c.transport
	if kept, ok := c.transport.(*http.Transport); ok {
		fresh := kept.Clone()
		fresh.DisableKeepAlives = true
		c.fresh = fresh
	}
	return c, nil
}

// or returns v, or the default where v is zero or negative.
func or[T int | time.Duration | string](v, fallback T) T {
	var zero T
	if v <= zero {
		return fallback
	}
	return v
}

// hide keeps a value where printing the struct that holds the function does
// not show it.
func hide[T any](v T) func() T { return func() T { return v } }

func parseURL(text string, allowHTTP bool) (*url.URL, error) {
	bad := func(reason string) error { return &ConfigError{Setting: "url", Reason: reason} }
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, bad("there is none: say which NetBox to talk to, for example https://netbox.example.net")
	}
	u, err := url.Parse(text) // its error would repeat a password in the URL
	switch {
	case err != nil:
		return nil, bad("not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, bad("it has to begin with https:// or http://")
	case u.User != nil:
		return nil, bad("user names and passwords do not belong into the URL: use a token")
	case u.Hostname() == "":
		return nil, bad("it names no host")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, bad("it has a query or a fragment: give the address of NetBox alone")
	case u.RawPath != "":
		return nil, bad("its path has escaped characters")
	case u.Scheme == "http" && !allowHTTP && !loopback(u.Hostname()):
		return nil, bad("plain http sends the token in the clear: use https, or allow http with --allow-http")
	}
	p := strings.TrimSuffix(path.Clean("/"+u.Path), "/")
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(p, "/api")}, nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// origin is scheme, host and port of a URL, in one spelling.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), port)
}

func checkOrigin(base *url.URL, allowed []string) error {
	for _, text := range allowed {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil ||
			strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return &ConfigError{Setting: "allowed-origins", Reason: "every entry is scheme://host or scheme://host:port"}
		}
		if origin(u) == origin(base) {
			return nil
		}
	}
	if len(allowed) == 0 {
		return nil
	}
	return &ConfigError{Setting: "url", Err: ErrOrigin, Reason: origin(base) + " is not among the allowed origins"}
}

var (
	// NetBox up to 4.4 makes v1 tokens of 40 hexadecimal digits, later ones of
	// any letters and digits.
	tokenV1 = regexp.MustCompile(`^[0-9A-Za-z]{40}$`)
	tokenV2 = regexp.MustCompile(`^nbt_[0-9A-Za-z]+\.[0-9A-Za-z]{20,}$`)
)

// parseToken returns the value of the Authorization header.
func parseToken(token reconcile.Secret) (func() string, error) {
	text, ok := token.Reveal()
	text = strings.TrimSpace(text)
	switch {
	case !ok || text == "":
		return nil, &ConfigError{Setting: "token", Reason: "there is none"}
	case tokenV2.MatchString(text):
		return hide("Bearer " + text), nil
	case tokenV1.MatchString(text):
		return hide("Token " + text), nil
	}
	return nil, &ConfigError{Setting: "token", Reason: "it does not look like a NetBox token: 40 letters and digits, or nbt_KEY.TOKEN"}
}

// reservedHeaders are the client's own business.
var reservedHeaders = []string{
	"Authorization", "Host", "Cookie", "Accept", "Accept-Encoding", "Accept-Language", "Connection", "Content-Encoding", "Content-Length",
	"Content-Type", "Expect", "If-Match", "If-None-Match", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

func checkHeaders(h http.Header) error {
	for name, values := range h {
		bad := func(reason string) error { return &ConfigError{Setting: "header", Reason: reason} }
		if !headerName.MatchString(name) {
			return bad("a header's name is letters, digits and hyphens")
		}
		if slices.Contains(reservedHeaders, http.CanonicalHeaderKey(name)) {
			return bad(http.CanonicalHeaderKey(name) + " cannot be set: the client sets it itself")
		}
		for _, v := range values {
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return bad("the value of " + http.CanonicalHeaderKey(name) + " has control characters")
			}
		}
	}
	return nil
}

func newTransport(cfg Config, conns int) (http.RoundTripper, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(cfg.CAFile) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(cfg.CAFile) {
			return nil, &ConfigError{Setting: "ca-file", Reason: "it holds no certificate in PEM form"}
		}
	}
	key, _ := cfg.ClientKey.Reveal()
	if len(cfg.ClientCert) > 0 || key != "" {
		pair, err := tls.X509KeyPair(cfg.ClientCert, []byte(key))
		if err != nil {
			return nil, &ConfigError{Setting: "client-cert", Reason: "certificate and key have to be a pair in PEM form, the key not encrypted"}
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			u, err := http.ProxyFromEnvironment(r)
			if err != nil { // it would repeat a password in the address
				return nil, errProxy
			}
			return u, nil
		},
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    15 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        conns + 2, // reads may run beside the writes
		MaxIdleConnsPerHost:    conns + 2,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}, nil
}

var errProxy = errors.New("the proxy address in the environment is not a URL")

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
