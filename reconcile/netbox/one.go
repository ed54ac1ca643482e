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
		if o, err := c.compareVersion(ctx, t, w); err != nil || o.Verdict != "" {
			return o, err
		}
	}
	work := context.WithoutCancel(ctx) // what is under way is finished
	err = c.again(work, ctx, func(work context.Context) error {
		resp, sent, err := c.send(work, q)
		switch {
		case err != nil && (!sent || isRedirect(err)):
			return err
		case err != nil:
			o = reconcile.Outcome{Verdict: reconcile.Uncertain, Err: unwrapTransient(err)}
			return nil
		}
		defer resp.Body.Close()
		after := parseRetryAfter(resp.Header, c.now())
		if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable && after.given {
			return &transient{err: c.answerError(resp, scrub, t.known), after: after}
		}
		o, stop = c.outcome(t, w, resp, scrub)
		return nil
	})
	if err != nil {
		return c.unsent(err)
	}
	return o, stop
}

// compareVersion stands in for If-Match where the server has none (NetBox before
// 4.6): it looks at the object right before the write. A change in between
// is not noticed; the window is one request long. An outcome without a verdict
// means that nothing speaks against the write.
func (c *Client) compareVersion(ctx context.Context, t *target, w reconcile.Write) (o reconcile.Outcome, stop error) {
	version, found := "", false
	q := reconcile.Query{Kind: t.kind.Name, Fields: []string{}, Rows: []reconcile.RowID{w.Row}}
	_, err := c.Read(ctx, q, func(r reconcile.Row) error {
		version, found = r.Version, true
		return nil
	})
	switch {
	case err != nil:
		return c.unsent(err)
	case !found:
		return reconcile.Outcome{Verdict: reconcile.Refused, Status: http.StatusNotFound,
			Messages: []reconcile.FieldMessage{{Text: "it is not there any more, or the token may not see it"}}}, nil
	case version != w.IfVersion:
		return reconcile.Outcome{Verdict: reconcile.Conflict}, nil
	}
	return reconcile.Outcome{}, nil
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
			return q, nil, errors.New("it has no id")
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
			return q, nil, errors.New("its fields cannot be written as JSON")
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
	o.Verdict = reconcile.Refused
	e := c.answerError(resp, s, t.known)
	o.Messages = e.Messages
	if e.Err == reconcile.ErrForbidden && len(o.Messages) > 0 && //nolint:errorlint // ErrToken is another matter
		strings.HasPrefix(o.Messages[0].Text, "You do not have permission") {
		o.Messages = append(o.Messages, reconcile.FieldMessage{
			Text: "the token needs write access and the permission " + t.kind.Resource.Permission(permissionOf[t.op]),
		})
	}
	if len(o.Messages) == 0 {
		o.Messages = []reconcile.FieldMessage{{Text: e.Error()}}
	}
	if e.stop {
		return o, e
	}
	return o, nil
}

var permissionOf = map[reconcile.Operation]string{
	reconcile.OpCreate: "add", reconcile.OpUpdate: "change", reconcile.OpDelete: "delete",
}

// success checks that an answer speaks of the object that was written.
func (c *Client) success(t *target, w reconcile.Write, resp *http.Response, o reconcile.Outcome, s *scrubber) reconcile.Outcome {
	o.Verdict = reconcile.Done
	if t.op == reconcile.OpDelete {
		return o
	}
	uncertain := func(reason string) reconcile.Outcome {
		o.Verdict, o.Row = reconcile.Uncertain, w.Row
		o.Err = &Error{Status: o.Status, Request: o.Request, Reason: reason}
		return o
	}
	if !isJSON(resp) {
		return uncertain(s.notJSON(resp))
	}
	var object struct {
		ID          json.Number `json:"id"`
		URL         string      `json:"url"`
		LastUpdated string      `json:"last_updated"`
	}
	body := &cappedReader{r: resp.Body, total: c.limits.small, row: c.limits.small}
	data, err := io.ReadAll(body)
	if err != nil || json.Unmarshal(data, &object) != nil {
		return uncertain("the answer broke off or could not be read")
	}
	id, ok := rowID(object.ID)
	switch {
	case !ok:
		return uncertain("the answer names no object")
	case w.Row != 0 && id != w.Row,
		object.URL != "" && !strings.HasSuffix(strings.TrimSuffix(object.URL, "/"), fmt.Sprintf("/%s/%d", t.path, id)):
		return uncertain("the answer is about another object")
	}
	o.Row, o.Version = id, object.LastUpdated
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
