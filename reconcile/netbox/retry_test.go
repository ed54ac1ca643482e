package netbox

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestReadsAreTriedAgain(t *testing.T) {
	status := func(code int, retryAfter string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.WriteHeader(code)
		}
	}
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, text)
				_ = conn.Close()
			}
		}
	}
	for _, tc := range []struct {
		name  string
		fails http.HandlerFunc
		waits time.Duration // 0: between nothing and the first ceiling
	}{
		{"too many requests, seconds", status(429, "3"), 3 * time.Second},
		{"too many requests, a date", status(429, "Sun, 22 Nov 2026 10:00:05 GMT"), 5 * time.Second},
		{"a date that has passed", status(503, "Sun, 22 Nov 2026 09:00:05 GMT"), 0},
		{"what is neither", status(503, "soon"), 0},
		{"bad gateway", status(502, ""), 0},
		{"unavailable", status(503, ""), 0},
		{"gateway timeout", status(504, ""), 0},
		{"half an answer", raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{\"count\": null, \"results\": [{\"id\": 1}, {\"id\": 2"), 0},
		{"an answer that ends early without saying so", raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"count\": null, \"results\": [{\"id\": 1}, "), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			times := 0
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
				if times++; times == 1 {
					tc.fails(w, r)
					return
				}
				(&table{ids: upTo(5), max: 1000, cursors: true}).serve(w, r)
			})
			cl := newClock()
			c := client(t, f.URL, func(cfg *Config) { cfg.Now, cfg.Sleep = cl.now, cl.sleep })
			ids, cov, err := readIDs(c, reconcile.Query{Kind: "Thing"})
			require.NoError(t, err)
			if diff := cmp.Diff(upTo(5), ids); diff != "" {
				t.Error(diff)
			}
			require.Equal(t, 2, cov.Requests)
			require.Len(t, cl.slept, 1)
			if tc.waits != 0 {
				require.Equal(t, tc.waits, cl.slept[0])
			} else {
				require.LessOrEqual(t, cl.slept[0], firstWait+time.Millisecond)
			}
		})
	}
}

func TestReadsGiveUp(t *testing.T) {
	for _, tc := range []struct {
		name       string
		retryAfter string
		requests   int
		wrong      string
	}{
		{"after some tries", "", maxAttempts, "tried 6 times"},
		{"at once when asked to wait longer than the timeout", "61", 1, "asks to slow down and come back later (HTTP 503, no content type) (Retry-After asks to wait 1m1s, longer than --timeout allows, which is 1m0s)"},
		{"when the waits add up to the timeout", "25", 3, "longer than --timeout allows"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) {
				if tc.retryAfter != "" {
					w.Header().Set("Retry-After", tc.retryAfter)
				}
				w.WriteHeader(503)
			})
			cl := newClock()
			c := client(t, f.URL, func(cfg *Config) { cfg.Now, cfg.Sleep, cfg.Timeout = cl.now, cl.sleep, time.Minute })
			_, _, err := readIDs(c, reconcile.Query{Kind: "Core"})
			require.ErrorContains(t, err, tc.wrong)
			require.ErrorContains(t, err, "HTTP 503")
			require.Len(t, f.requests(), tc.requests)
		})
	}
}

func TestTooManyRequestsAreCalledSo(t *testing.T) {
	for _, tc := range []struct{ name, retryAfter, contentType, body, want string }{
		{"a proxy's page, with a time", "600", "text/html", "<html>",
			"the server, or a proxy in front of it, asks to slow down (HTTP 429, text/html) (Retry-After asks to wait 10m0s, longer than --timeout allows, which is 1m0s)"},
		{"a proxy's page, without one", "", "text/plain", "slow", "asks to slow down (HTTP 429, text/plain) (tried 6 times)"},
		{"the server's own words", "600", "application/json", `{"detail": "Request was throttled."}`,
			"HTTP 429: Request was throttled. (Retry-After asks to wait 10m0s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) {
				if tc.retryAfter != "" {
					w.Header().Set("Retry-After", tc.retryAfter)
				}
				w.Header().Set("Content-Type", tc.contentType)
				w.WriteHeader(429)
				_, _ = w.Write([]byte(tc.body))
			})
			cl := newClock()
			c := client(t, f.URL, func(cfg *Config) { cfg.Now, cfg.Sleep, cfg.Timeout = cl.now, cl.sleep, time.Minute })
			_, _, err := readIDs(c, reconcile.Query{Kind: "Core"})
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestWaitsGrowAndAreJittered(t *testing.T) {
	seen := map[time.Duration]bool{}
	for attempt := range 10 {
		for range 50 {
			d := waitBefore(attempt, retryAfter{})
			require.Positive(t, d)
			require.LessOrEqual(t, d, min(firstWait<<attempt, maxWait)+time.Millisecond)
			seen[d] = true
		}
	}
	require.Greater(t, len(seen), 100)
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]retryAfter{
		"":                              {},
		"0":                             {given: true},
		" 12 ":                          {given: true, wait: 12 * time.Second},
		"Sun, 22 Nov 2026 10:01:00 GMT": {given: true, wait: time.Minute},
		"-1":                            {},
		"1e9":                           {},
		"99999999999999999999":          {},
	} {
		require.Equal(t, want, parseRetryAfter(http.Header{"Retry-After": {text}}, now), strconv.Quote(text))
	}
}

func TestTheEndOfTheContextEndsReading(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	reason := fmt.Errorf("interrupted by the test")
	f := newFake(t, "4.7.3", func(_ http.ResponseWriter, r *http.Request) {
		cancel(reason)
		<-r.Context().Done()
	})
	c := client(t, f.URL)
	_, err := c.Read(ctx, reconcile.Query{Kind: "Core"}, func(reconcile.Row) error { return nil })
	require.ErrorIs(t, err, reason)
	require.Len(t, f.requests(), 1)
}

func TestTimeout(t *testing.T) {
	f := newFake(t, "4.7.3", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := client(t, f.URL)
	_, err := c.Instance(context.Background())
	require.NoError(t, err)
	c.timeout = 20 * time.Millisecond
	_, _, err = readIDs(c, reconcile.Query{Kind: "Core"})
	require.ErrorIs(t, err, ErrTimeout)

	out, err := writeAll(t, c, "Core", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{"name": "x"}})
	require.NoError(t, err)
	require.Equal(t, reconcile.Uncertain, out[0].Verdict)
	require.ErrorIs(t, out[0].Err, ErrTimeout)
}

func TestConnectionErrorsSayWhatToDo(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := listener.Addr().String()
	require.NoError(t, listener.Close())
	f := newFake(t, "4.7.3", nil)
	for _, tc := range []struct{ name, url, wrong string }{
		{"nobody listens", "http://" + closed, "connection refused (tried 6 times)"},
		{"https where http is spoken", "https://" + f.Listener.Addr().String(), "does not speak TLS"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := client(t, tc.url).Instance(context.Background())
			require.ErrorContains(t, err, tc.wrong)
		})
	}
}
