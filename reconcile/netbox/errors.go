package netbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strings"

	"proxbox-sync/reconcile"
)

// ErrToken is behind the error when the server refuses the token itself, not
// what is done with it. It is a reconcile.ErrForbidden as well, without its text:
// what the token may do was never looked at.
var ErrToken error = tokenError{}

type tokenError struct{}

func (tokenError) Error() string { return "the server refused the token" }
func (tokenError) Unwrap() error { return reconcile.ErrForbidden }

// ErrTimeout is behind the error when a request, with its retries, took longer
// than the configured timeout.
var ErrTimeout = errors.New("no answer in time")

// Error is a request that did not give what was asked. Its text holds nothing
// of the body but the server's messages, cleared of secrets; control characters
// in it are render's business.
type Error struct {
	Doing    string // "reading ProxmoxStorage", "" while not known
	Status   int    // 0 when there was no answer
	Messages []reconcile.FieldMessage
	Request  string // X-Request-ID
	Reason   string // ours; "" when the messages say it
	Err      error  // what callers may test for, or nil

	note string // added to the text
	stop bool   // concerns every request, not only this one
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Doing != "" {
		b.WriteString(e.Doing + ": ")
	}
	switch {
	case e.Reason != "":
		b.WriteString(e.Reason)
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	default:
		fmt.Fprintf(&b, "the server answered HTTP %d", e.Status)
	}
	for i, m := range e.Messages {
		b.WriteString(map[bool]string{true: ": ", false: "; "}[i == 0])
		if m.Field != "" {
			b.WriteString(m.Field + ": ")
		}
		b.WriteString(m.Text)
	}
	if e.Request != "" && e.Status >= 500 {
		b.WriteString(" (request " + e.Request + ")")
	}
	if e.note != "" {
		b.WriteString(" (" + e.note + ")")
	}
	return b.String()
}

// Unwrap returns what the error is, for errors.Is.
func (e *Error) Unwrap() error { return e.Err }

// doing adds to an error what was being done.
func doing(what string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Doing != "" {
			return err
		}
		named := *e
		named.Doing = what
		return &named
	}
	return fmt.Errorf("%s: %w", what, err)
}

// stops reports whether an error means that further requests are useless.
func stops(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.stop
}

// transient marks a failure that a repetition may mend.
type transient struct {
	err   error
	after retryAfter
}

func (t *transient) Error() string { return t.err.Error() }
func (t *transient) Unwrap() error { return t.err }

func isDialError(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// networkError says what happened to a request without an answer. The texts of
// net/http may quote what the server sent, so only those of the network, of
// name resolution and of TLS are passed on.
func (c *Client) networkError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	permanent := func(reason string) error { return &Error{Reason: reason, stop: true} }
	var (
		verify    *tls.CertificateVerificationError
		unknown   x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		dns       *net.DNSError
		op        *net.OpError
		timeout   net.Error
		temporary = func(reason string) error { return &transient{err: &Error{Reason: reason}} }
	)
	switch {
	case errors.Is(err, errProxy):
		return permanent(errProxy.Error())
	case errors.As(err, &unknown):
		return permanent("the server's certificate is signed by an authority that is not trusted: give that authority's certificate with --ca-file")
	case errors.As(err, &hostname):
		return permanent("the server's certificate is not for the host " + c.base.Hostname())
	case errors.As(err, &invalid), errors.As(err, &verify):
		return permanent("the server's certificate is not valid: " + c.own.clean(err.Error(), "it could not be verified"))
	case errors.As(err, &record):
		return permanent("the server does not speak TLS at this address: http where https is expected?")
	case errors.As(err, &op) && op.Op == "remote error":
		return permanent("TLS with the server failed (" + op.Err.Error() + "): it may need a client certificate, or know no TLS but older than 1.2")
	case strings.HasPrefix(err.Error(), "tls: "):
		return permanent("TLS with the server failed (" + err.Error() + "): it may know no TLS but older than 1.2")
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return permanent("the host " + c.base.Hostname() + " has no address")
		}
		return temporary("the address of " + c.base.Hostname() + " could not be looked up")
	case errors.As(err, &op) && op.Op == "dial", c.base.Scheme == "http" && errors.As(err, &op):
		return temporary("the connection to " + c.base.Host + " failed: " + op.Err.Error())
	case errors.As(err, &op):
		// A server that misses a client certificate may close before it says so.
		return temporary("the connection to " + c.base.Host + " broke: " + op.Err.Error() + "; does a proxy in front ask for a client certificate?")
	case errors.As(err, &timeout) && timeout.Timeout():
		return temporary("the server did not answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return temporary("the connection was closed before the answer was complete")
	}
	return temporary("the answer was not valid HTTP, or the connection broke")
}

// htmlHint explains an answer that is not JSON.
func htmlHint(status int, contentType string) string {
	if contentType == "" {
		contentType = "no content type"
	}
	what := fmt.Sprintf("(HTTP %d, %s)", status, contentType)
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return "the request is larger than the server, or a proxy in front of it, takes " + what
	case status == http.StatusTooManyRequests:
		return "the server, or a proxy in front of it, asks to slow down " + what
	case status == http.StatusServiceUnavailable:
		return "the server, or a proxy in front of it, is not available and asks to slow down and come back later " + what
	case status >= 500:
		return "the server failed with a page that is not JSON " + what
	case status == http.StatusNotFound && strings.Contains(contentType, "html"):
		return "there is no API at this address: an HTML page where JSON should be " + what + ": check the URL and its sub-path"
	case status == http.StatusNotFound:
		return "there is no API at this address " + what + ": check the URL and its sub-path"
	case strings.Contains(contentType, "html"):
		return "an HTML page where JSON should be " + what + ": a login page, or a proxy in front of NetBox?"
	}
	return "the answer is not JSON " + what + ": is this NetBox?"
}

// notJSON explains an answer that is not JSON, without a secret that stands
// where its content type should.
func (s *scrubber) notJSON(resp *http.Response) string {
	if kind := contentType(resp); !s.repeats(kind) {
		return htmlHint(resp.StatusCode, kind)
	}
	return htmlHint(resp.StatusCode, "")
}

var contentTypeForm = regexp.MustCompile(`^[a-z0-9.+-]+/[a-z0-9.+-]+$`)

func contentType(resp *http.Response) string {
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || !contentTypeForm.MatchString(media) || len(media) > 60 {
		return ""
	}
	return media
}

func isJSON(resp *http.Response) bool {
	media := contentType(resp)
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

// tokenRefusals are the beginnings of NetBox's sentences about the token
// itself, as opposed to what it permits.
var tokenRefusals = []string{
	"invalid v1 token", "invalid v2 token", "invalid token", "token expired", "token disabled", "user inactive",
	"authentication credentials were not provided", "invalid authorization header", "source ip ",
	"client ip address could not be determined",
}

func refusesToken(status int, messages []reconcile.FieldMessage) bool {
	if status == http.StatusUnauthorized {
		return true
	}
	if status != http.StatusForbidden {
		return false
	}
	for _, m := range messages {
		for _, start := range tokenRefusals {
			if m.Field == "" && strings.HasPrefix(strings.ToLower(m.Text), start) {
				return true
			}
		}
	}
	return false
}

// answerError makes an error of an answer that is not a success. It reads the
// body; s clears what is kept of it.
func (c *Client) answerError(resp *http.Response, s *scrubber, known func(string) knownField) *Error {
	e, _ := c.answerOf(resp, s, known)
	return e
}

// answerOf returns the body as well, nil where it is not JSON.
func (c *Client) answerOf(resp *http.Response, s *scrubber, known func(string) knownField) (*Error, []byte) {
	e := &Error{Status: resp.StatusCode, Request: requestID(resp)}
	if !isJSON(resp) {
		e.Reason = s.notJSON(resp)
		if resp.StatusCode == http.StatusUnauthorized {
			e.Err, e.stop = ErrToken, true
		}
		// A proxy that asks for a login says so for every request.
		e.stop = e.stop || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusProxyAuthRequired
		return e, nil
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	e.Messages = s.messages(parseErrorBody(data), known)
	switch {
	case refusesToken(resp.StatusCode, e.Messages):
		e.Err, e.stop = ErrToken, true
	case resp.StatusCode == http.StatusForbidden:
		e.Err = reconcile.ErrForbidden
	}
	return e, data
}
