package netbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Whether to try again and how long to wait are the two functions below; what
// may be tried again is decided where the answer is looked at: reads always,
// writes only while they cannot have arrived.

const (
	maxAttempts = 6
	firstWait   = 500 * time.Millisecond
	maxWait     = 30 * time.Second
)

// retryAfter is what a Retry-After header asks for.
type retryAfter struct {
	given bool
	wait  time.Duration
}

// parseRetryAfter reads both forms: seconds, and an HTTP date.
func parseRetryAfter(h http.Header, now time.Time) retryAfter {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return retryAfter{}
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return retryAfter{given: true, wait: time.Duration(n) * time.Second} //nolint:gosec // 31 bits
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return retryAfter{}
	}
	return retryAfter{given: true, wait: max(0, at.Sub(now))}
}

// busy reports whether a status says that the server, or a proxy in front of
// it, may answer the same request later.
func busy(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// waitBefore returns how long to wait before a repetition: what the server asks
// for, else exponential backoff with full jitter.
func waitBefore(attempt int, after retryAfter) time.Duration {
	if after.given {
		return after.wait
	}
	ceiling := min(firstWait<<attempt, maxWait)
	return rand.N(ceiling) + time.Millisecond //nolint:gosec // jitter needs no secrecy
}

// again calls do until it succeeds, fails for good or has used up the timeout.
// do says with a transient error that it may be repeated. work bounds the
// requests themselves and wait the pauses between them: they differ for writes,
// which are finished after an interrupt but not begun again.
func (c *Client) again(work, wait context.Context, do func(context.Context) error) error {
	return c.againWithin(c.timeout, work, wait, do)
}

func (c *Client) againWithin(timeout time.Duration, work, wait context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(work, timeout, ErrTimeout)
	defer cancel()
	start := c.now()
	for attempt := 0; ; attempt++ {
		err := do(ctx)
		var t *transient
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrTimeout) {
			return fmt.Errorf("%w (waited %s)", ErrTimeout, timeout)
		}
		if !errors.As(err, &t) {
			return err
		}
		if attempt+1 >= maxAttempts {
			return givenUp(t.err, fmt.Sprintf("tried %d times", attempt+1))
		}
		pause := waitBefore(attempt, t.after)
		if left := timeout - c.now().Sub(start); pause >= left {
			return givenUp(t.err, pastTimeout(pause, t.after, timeout))
		}
		if err := wait.Err(); err != nil {
			return context.Cause(wait)
		}
		if err := c.sleep(wait, pause); err != nil {
			return err
		}
		c.stats.retries.Add(1)
	}
}

// pastTimeout says that there is no time left for another try.
func pastTimeout(pause time.Duration, after retryAfter, timeout time.Duration) string {
	pause = pause.Round(time.Millisecond)
	if after.given {
		return fmt.Sprintf("Retry-After asks to wait %s, longer than --timeout allows, which is %s", pause, timeout)
	}
	return fmt.Sprintf("the next try, after %s, would be past the timeout of %s", pause, timeout)
}

// givenUp is a failure that outlasted all repetitions. The server being away
// concerns every request.
func givenUp(err error, note string) error {
	var e *Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w (%s)", err, note)
	}
	last := *e
	last.note, last.stop = note, true
	return &last
}
