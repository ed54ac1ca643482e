package netbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Rules of a write:
//
//   - It is sent again only while it cannot have been carried out: the
//     connection never came about, or the server asks to come back later before
//     it looked at the request (429, 503 with Retry-After).
//   - Whatever may have arrived without a clear answer is Uncertain and left to
//     the caller, who looks first.
//   - A success is one only when the answer speaks of the object asked for.

// one carries out one write. stop is an error that concerns every write.
func (c *Client) one(ctx context.Context, t *target, w reconcile.Write) (o reconcile.Outcome, stop error) {
	q, scrub, err := c.request(ctx, t, w)
	if err != nil {
		return c.unsent(err)
	}
	if q.ifMatch == "" && w.IfVersion != "" && w.Row != 0 {
		seen, err := c.look(ctx, t, []reconcile.RowID{w.Row})
		if err != nil {
			return c.unsent(err)
		}
		if o := seen.judge(w); o.Verdict != "" {
			return o, nil
		}
	}
	c.deliver(ctx, t, q, func(resp *http.Response) { o, stop = c.outcome(t, w, resp, scrub) },
		func(failed reconcile.Outcome, err error) { o, stop = failed, err })
	return o, stop
}

// deliver sends a write, again only while it cannot have been carried out, and
// hands over its answer, or what became of it without one.
func (c *Client) deliver(
	ctx context.Context, t *target, q call, answered func(*http.Response), failed func(reconcile.Outcome, error),
) {
	// One that was told to come back later speaks for all.
	if pause := time.Unix(0, t.until.Load()).Sub(c.now()); pause > 0 {
		if err := c.sleep(ctx, min(pause, c.timeout)); err != nil {
			failed(c.unsent(err))
			return
		}
	}
	work := context.WithoutCancel(ctx) // what is under way is finished
	err := c.againWithin(c.timeoutOf(t), work, ctx, func(work context.Context) error {
		resp, sent, err := c.send(work, q)
		switch {
		case err != nil && (!sent || isRedirect(err)):
			return err
		case err != nil:
			failed(reconcile.Outcome{Verdict: reconcile.Uncertain, Err: unwrapTransient(err)}, nil)
			return nil
		}
		defer resp.Body.Close()
		after := parseRetryAfter(resp.Header, c.now())
		if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable && after.given {
			t.until.Store(c.now().Add(after.wait).UnixNano())
			return &transient{err: c.answerError(resp, q.scrub, t.known), after: after}
		}
		answered(resp)
		return nil
	})
	if err != nil {
		failed(c.unsent(err))
	}
}

// unsent is the outcome of a write that did not arrive.
func (c *Client) unsent(err error) (reconcile.Outcome, error) {
	o := reconcile.Outcome{Verdict: reconcile.NotSent, Err: err}
	var e *Error
	if errors.As(err, &e) {
		o.Status, o.Request = e.Status, e.Request
		if e.stop {
			return o, err
		}
	}
	if errors.Is(err, ErrTimeout) {
		return o, err // the server cannot be reached, or hands out no connection
	}
	return o, nil
}

func isRedirect(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status >= 300 && e.Status <= 399
}

func unwrapTransient(err error) error {
	var t *transient
	if errors.As(err, &t) {
		return t.err
	}
	return err
}

// known tells the scrubber of the schema.
func (t *target) known(field string) knownField {
	f := t.kind.Field(field)
	return knownField{exists: f != nil, secret: f != nil && f.WriteOnly}
}

// request makes the request of a write.
func (c *Client) request(ctx context.Context, t *target, w reconcile.Write) (call, *scrubber, error) {
	q := call{method: http.MethodPost, path: t.path}
	body, secrets, err := encodeFields(t.kind, w.Fields)
	if err != nil {
		return q, nil, err
	}
	if t.op != reconcile.OpCreate {
		row := w.Row
		if row == 0 && t.kind.Resource.Mode == schema.Singleton {
			if row, err = c.materialize(ctx, t); err != nil {
				return q, nil, err
			}
		}
		if row <= 0 {
			return q, nil, errNoID
		}
		q.path += "/" + strconv.FormatInt(int64(row), 10)
		q.method = http.MethodPatch
		q.ifMatch = c.guard(w.IfVersion)
	}
	if t.op == reconcile.OpDelete {
		q.method, body = http.MethodDelete, map[string]any{}
	}
	if m := message(w.Message); m != "" {
		body["changelog_message"] = m
	}
	if len(body) > 0 || t.op != reconcile.OpDelete {
		if q.body, err = json.Marshal(body); err != nil {
			return q, nil, errNotJSON
		}
	}
	q.scrub = c.own.with(secrets)
	return q, q.scrub, nil
}

// guard is the If-Match of a write, "" where the server does not know it.
func (c *Client) guard(version string) string {
	if modern, known := c.modern(); version == "" || known && !modern && !c.etags.Load() {
		return ""
	}
	tag, ok := etag(version)
	if !ok {
		return ""
	}
	return tag
}

// maxChangelogMessage is what NetBox's change log holds.
const maxChangelogMessage = 200

// message makes a text fit for the change log: printable, on one line, capped.
func message(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, " "))
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > maxChangelogMessage {
		runes = append(runes[:maxChangelogMessage-1], '…')
	}
	return string(runes)
}

// materialize returns the id of a singleton, and makes the server create it
// where it does not exist yet. Of that answer only the id is kept: older servers
// show a key in it.
func (c *Client) materialize(ctx context.Context, t *target) (reconcile.RowID, error) {
	var list struct {
		Results []struct {
			ID json.Number `json:"id"`
		} `json:"results"`
	}
	if _, err := c.getJSON(ctx, call{path: t.path, query: "fields=id&limit=1"}, &list); err != nil {
		return 0, err
	}
	if len(list.Results) > 0 {
		if id, ok := rowID(list.Results[0].ID); ok {
			return id, nil
		}
	}
	if t.kind.Resource.Materialize == "" {
		return 0, errors.New("the server does not have the object yet")
	}
	var one struct {
		ID json.Number `json:"id"`
	}
	if _, err := c.getJSON(ctx, call{path: t.path + "/" + t.kind.Resource.Materialize}, &one); err != nil {
		return 0, err
	}
	if id, ok := rowID(one.ID); ok {
		return id, nil
	}
	return 0, errors.New("the server did not make the object")
}

// outcome reads the answer to a write that arrived.
func (c *Client) outcome(t *target, w reconcile.Write, resp *http.Response, s *scrubber) (reconcile.Outcome, error) {
	o := reconcile.Outcome{Status: resp.StatusCode, Request: requestID(resp), Row: w.Row}
	switch code := resp.StatusCode; {
	case code >= 200 && code <= 299:
		return c.success(t, w, resp, o, s), nil
	case code >= 500 || code == http.StatusRequestTimeout:
		o.Verdict = reconcile.Uncertain
		e := c.answerError(resp, s, t.known)
		o.Messages, o.Err = e.Messages, e
		return o, nil
	case code == http.StatusPreconditionFailed:
		o.Verdict = reconcile.Conflict
		o.Messages = c.answerError(resp, s, t.known).Messages
		return o, nil
	}
	return c.refused(t, o, c.answerError(resp, s, t.known))
}

// refused is the outcome of a write that the server said no to.
func (c *Client) refused(t *target, o reconcile.Outcome, e *Error) (reconcile.Outcome, error) {
	o.Verdict = reconcile.Refused
	o.Messages = t.explained(e.Messages)
	if len(o.Messages) == 0 {
		o.Messages = []reconcile.FieldMessage{{Text: e.Error()}}
	}
	if e.stop {
		return o, e
	}
	return o, nil
}

const lacksPermission = "You do not have permission to perform this action"

// explained adds which permission is missing where the server says only that one is.
func (t *target) explained(list []reconcile.FieldMessage) []reconcile.FieldMessage {
	if len(list) > 0 && strings.HasPrefix(list[0].Text, lacksPermission) {
		list = append(list, reconcile.FieldMessage{
			Text: "the token needs write access and the permission " + t.kind.Resource.Permission(permissionOf[t.op]),
		})
	}
	return list
}

var permissionOf = map[reconcile.Operation]string{
	reconcile.OpCreate: "add", reconcile.OpUpdate: "change", reconcile.OpDelete: "delete",
}

// success checks that an answer speaks of the object that was written.
func (c *Client) success(t *target, w reconcile.Write, resp *http.Response, o reconcile.Outcome, s *scrubber) reconcile.Outcome {
	if t.op == reconcile.OpDelete && resp.StatusCode == http.StatusNoContent {
		o.Verdict = reconcile.Done
		return o
	}
	data, reason := c.successBody(resp, s)
	if reason != "" {
		return uncertain(o, reason)
	}
	done := c.written(t, w, data, o)
	if t.op == reconcile.OpCreate && done.Verdict == reconcile.Done && !speaksOf(t.kind, w, done) {
		return uncertain(o, "the answer is about another object")
	}
	return done
}

// uncertain is the outcome of a write whose success does not say what it should.
func uncertain(o reconcile.Outcome, reason string) reconcile.Outcome {
	o.Verdict = reconcile.Uncertain
	o.Err = &Error{Status: o.Status, Request: o.Request, Reason: reason}
	return o
}

// successBody reads the answer of a success; reason is why there is none.
func (c *Client) successBody(resp *http.Response, s *scrubber) (data []byte, reason string) {
	if !isJSON(resp) {
		return nil, s.notJSON(resp)
	}
	body := &cappedReader{r: resp.Body, total: c.limits.small, row: c.limits.small}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, unreadable
	}
	return data, ""
}

const unreadable = "the answer broke off or could not be read"

// written checks one object of an answer against the write that it should be of.
func (c *Client) written(t *target, w reconcile.Write, data []byte, o reconcile.Outcome) reconcile.Outcome {
	var object struct {
		ID          json.Number `json:"id"`
		URL         string      `json:"url"`
		LastUpdated string      `json:"last_updated"`
	}
	if json.Unmarshal(data, &object) != nil {
		return uncertain(o, unreadable)
	}
	id, ok := rowID(object.ID)
	switch {
	case !ok:
		return uncertain(o, "the answer names no object")
	case w.Row != 0 && id != w.Row,
		object.URL != "" && !strings.HasSuffix(strings.TrimSuffix(object.URL, "/"), fmt.Sprintf("/%s/%d", t.path, id)):
		return uncertain(o, "the answer is about another object")
	}
	o.Verdict, o.Row, o.Version = reconcile.Done, id, object.LastUpdated
	o.Fields = c.answered(t.kind, w.Fields, data)
	return o
}

// answered decodes the fields of an answer that were written, so that one which
// the server dropped silently is noticed. Write-only fields are not looked at:
// an older server shows some of them.
func (c *Client) answered(k *schema.Kind, written map[string]any, data []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var object map[string]any
	if d.Decode(&object) != nil {
		return nil
	}
	fields := make(map[string]any, len(written))
	for name := range written {
		f := k.Field(name)
		wire, there := object[name]
		if f == nil || f.WriteOnly || !there {
			continue
		}
		plain, _, err := decodeField(f, wire, c.limits.depth)
		if err != nil {
			return nil
		}
		fields[name] = plain
	}
	return fields
}
