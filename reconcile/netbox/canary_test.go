package netbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// listening is a server to which no request may come.
func listening(t *testing.T) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var heard atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Add(1) }))
	t.Cleanup(s.Close)
	return s, &heard
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	other, heard := listening(t)
	for _, code := range []int{301, 302, 303, 307, 308} {
		for name, location := range map[string]string{
			"another port":          other.URL + "/api/dcim/cores/",
			"another host's name":   strings.Replace(other.URL, "127.0.0.1", "localhost", 1),
			"without a scheme":      strings.TrimPrefix(other.URL, "http:"),
			"with a user":           strings.Replace(other.URL, "http://", "http://user:pass@", 1),
			"another scheme":        "https://" + other.Listener.Addr().String() + "/",
			"what is no web at all": "file:///etc/passwd",
		} {
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", location)
				w.WriteHeader(code)
			})
			c := client(t, f.URL)
			_, _, err := readIDs(c, reconcile.Query{Kind: "Core"})
			require.ErrorContains(t, err, "redirects", "%s, %d", name, code)
			require.NotContains(t, err.Error(), "pass@")
			for _, op := range []reconcile.Operation{reconcile.OpCreate, reconcile.OpUpdate, reconcile.OpDelete} {
				row := reconcile.RowID(7)
				if op == reconcile.OpCreate {
					row = 0
				}
				_, err := writeAll(t, c, "Core", op, reconcile.Write{Row: row})
				require.ErrorContains(t, err, "redirects", "%s, %d", name, code)
			}
		}
	}
	require.Zero(t, heard.Load())
}

func TestTheListOfPathsLeadsNowhereElse(t *testing.T) {
	other, heard := listening(t)
	f := newFake(t, "4.7.3", (&table{ids: upTo(3), max: 1, cursors: true}).serve)
	inner := f.Config.Handler
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/plugins/box/") {
			answer(w, 200, `{"things": "`+other.URL+`/api/plugins/box/things/"}`)
			return
		}
		inner.ServeHTTP(w, r)
	})
	ids, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
	require.NoError(t, err)
	require.Equal(t, upTo(3), ids) // and next named a stranger three times
	require.Zero(t, heard.Load())
}

func TestRedirectsOnTheSameServer(t *testing.T) {
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/circle/"):
			http.Redirect(w, r, "/circle/", http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/moved"):
			answer(w, 200, `{"count": null, "results": [{"id": 1}]}`)
		case strings.Contains(r.URL.RawQuery, "q=circle"):
			http.Redirect(w, r, "/circle/", http.StatusFound)
		case strings.Contains(r.URL.RawQuery, "q=nowhere"):
			w.WriteHeader(http.StatusFound)
		default:
			http.Redirect(w, r, "/moved/?"+r.URL.RawQuery, http.StatusPermanentRedirect)
		}
	})
	ids, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Core"})
	require.NoError(t, err)
	require.Equal(t, []int{1}, ids)
	for _, h := range f.requests() {
		require.Equal(t, "right", h.auth)
	}
	_, _, err = readIDs(client(t, f.URL), reconcile.Query{Kind: "Core", Search: "circle"})
	require.ErrorContains(t, err, "in a circle")
	_, _, err = readIDs(client(t, f.URL), reconcile.Query{Kind: "Core", Search: "nowhere"})
	require.ErrorContains(t, err, "without saying where")
}

func TestAnUpgradeToHTTPSIsSaidNotFollowed(t *testing.T) {
	f := newFake(t, "4.7.3", nil)
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
	})
	_, err := client(t, f.URL).Instance(context.Background())
	require.ErrorContains(t, err, "set the URL to it")
	require.ErrorContains(t, err, "https://"+f.Listener.Addr().String())
}

func TestNoCookieIsKept(t *testing.T) {
	var cookies atomic.Int32
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" {
			cookies.Add(1)
		}
		http.SetCookie(w, &http.Cookie{Name: "sessionid", Value: "x"})
		(&table{ids: upTo(3), max: 1, cursors: true}).serve(w, r)
	})
	_, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Core"})
	require.NoError(t, err)
	require.Zero(t, cookies.Load())
}

func TestTheLogHoldsNoSecret(t *testing.T) {
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-ID", "canary\nline")
		_, _ = w.Write([]byte(`{"password": "canary-answer"}`))
	})
	var log bytes.Buffer
	c := client(t, f.URL, func(cfg *Config) {
		cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 100}))
		cfg.Headers = http.Header{"X-Proxy-Key": {"canary-header"}}
	})
	_, _ = writeAll(t, c, "Thing", reconcile.OpCreate, reconcile.Write{
		Message: "canary-message", Fields: map[string]any{"password": reconcile.NewSecret("canary-body", "")},
	})
	_, _, _ = readIDs(c, reconcile.Query{Kind: "Thing"})
	require.Contains(t, log.String(), "path=/api/plugins/box/things/")
	require.Contains(t, log.String(), "method=POST")
	require.NotContains(t, log.String(), "canary")
	require.NotContains(t, log.String(), testTokenV1)
}

func TestHeadersOfAProxyAreSentWithEveryRequest(t *testing.T) {
	var without atomic.Int32
	f := newFake(t, "4.7.3", nil)
	table := &table{ids: upTo(3), max: 1, cursors: true}
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cf-Access-Client-Id") != "me" || r.Header.Get("User-Agent") != "tester/1" {
			without.Add(1)
		}
		f.handler = table.serve
		f.ServeHTTP(w, r)
	})
	c := client(t, f.URL, func(cfg *Config) {
		cfg.Headers, cfg.UserAgent = http.Header{"cf-access-client-id": {"me"}}, "tester/1"
	})
	_, _, err := readIDs(c, reconcile.Query{Kind: "Thing"})
	require.NoError(t, err)
	require.Zero(t, without.Load())
}

// authority is a certificate authority made for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	var der []byte
	a.key, der = certificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	var err error
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func certificate(t *testing.T, template *x509.Certificate, by *authority) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(48*time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	return key, der
}

func (a *authority) issue(t *testing.T, host string) (cert, key []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	k, der := certificate(t, template, a)
	private, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

// secure serves a fake over TLS with a certificate for host.
func secure(t *testing.T, a *authority, host string, change func(*tls.Config), heard *atomic.Int32) string {
	t.Helper()
	f := newFake(t, "4.7.3", nil)
	return secureWith(t, a, host, change, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard.Add(1)
		f.ServeHTTP(w, r)
	}))
}

func secureWith(t *testing.T, a *authority, host string, change func(*tls.Config), handler http.Handler) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = true
	cert, key := a.issue(t, host)
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}} //nolint:gosec // a test serves old versions too
	if change != nil {
		change(s.TLS)
	}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestTLS(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	clientCert, clientKey := a.issue(t, "client")
	wantsClient := func(c *tls.Config) {
		c.ClientAuth = tls.RequireAndVerifyClientCert
		c.ClientCAs = x509.NewCertPool()
		c.ClientCAs.AppendCertsFromPEM(a.pem)
	}
	for _, tc := range []struct {
		name   string
		host   string
		server func(*tls.Config)
		config func(*Config)
		wrong  string
	}{
		{"an authority given as file", "127.0.0.1", nil, func(c *Config) { c.CAFile = a.pem }, ""},
		{"an authority nobody knows", "127.0.0.1", nil, func(*Config) {}, "not trusted"},
		{"another authority", "127.0.0.1", nil, func(c *Config) { c.CAFile = stranger.pem }, "not trusted"},
		{"a certificate for another host", "netbox.example", nil, func(c *Config) { c.CAFile = a.pem }, "not for the host"},
		{"TLS 1.1", "127.0.0.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, func(c *Config) { c.CAFile = a.pem }, "older than 1.2"},
		{"a client certificate", "127.0.0.1", wantsClient, func(c *Config) {
			c.CAFile, c.ClientCert, c.ClientKey = a.pem, clientCert, reconcile.NewSecret(string(clientKey), "")
		}, ""},
		{"no client certificate where one is needed", "127.0.0.1", wantsClient, func(c *Config) { c.CAFile = a.pem }, "client certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var heard atomic.Int32
			c := client(t, secure(t, a, tc.host, tc.server, &heard), tc.config)
			got, err := c.Instance(context.Background())
			if tc.wrong != "" {
				require.ErrorContains(t, err, tc.wrong)
				require.Zero(t, heard.Load(), "the request went out all the same")
				return
			}
			require.NoError(t, err)
			require.Equal(t, "4.7.3", got.NetBoxVersion)
		})
	}
}

func TestAProxyAddressWithAPasswordIsNotPrinted(t *testing.T) {
	c, err := New(Config{URL: "https://netbox.example.net", Token: reconcile.NewSecret(testTokenV1, ""), Kinds: kinds(t)})
	require.NoError(t, err)
	transport, ok := c.transport.(*http.Transport)
	require.True(t, ok)
	transport.Proxy = nil // the environment is read once a process: ask what becomes of its error
	text := c.networkError(context.Background(), errProxy).Error()
	require.Contains(t, text, "proxy address")
}
