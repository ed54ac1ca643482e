package netbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Read implements reconcile.Server. Coverage.Complete speaks of paging alone:
// whether the token sees every object of a kind is nothing that a server tells.
// Errors do not name the kind: that is the caller's part.
func (c *Client) Read(ctx context.Context, q reconcile.Query, row func(reconcile.Row) error) (reconcile.Coverage, error) {
	cov := reconcile.Coverage{Complete: true}
	k, err := c.kind(q.Kind)
	if err != nil {
		return cov, err
	}
	if q.Rows != nil && len(q.Rows) == 0 {
		return cov, nil
	}
	path, err := c.pathOf(ctx, k)
	if err != nil {
		return cov, err
	}
	r, err := c.newReading(k, path, q)
	if err != nil {
		return cov, err
	}
	if r.only != nil {
		err = c.readParts(ctx, r, c.chunks(r), row, &cov)
	} else {
		err = c.readList(ctx, r, row, &cov)
	}
	var stopped *callerError
	if errors.As(err, &stopped) {
		return cov, stopped.err
	}
	return cov, viewPermission(err, k)
}

// viewPermission names the permission that a refused read needs.
func viewPermission(err error, k *schema.Kind) error {
	var e *Error
	if errors.As(err, &e) && e.Err == reconcile.ErrForbidden { //nolint:errorlint // ErrToken is another matter
		named := *e
		named.Reason = "the token may not read it: it needs the permission " + k.Resource.Permission("view")
		return &named
	}
	return err
}

// callerError carries an error of the row callback past the retries.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }

// decode reads a list document as a stream, a row at a time.
func (p *pager) decode(body *cappedReader, pg *page) error {
	dec := json.NewDecoder(body)
	dec.UseNumber()
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		switch name {
		case "count":
			if err := dec.Decode(&pg.count); err != nil {
				return err
			}
			if p.mode == byCursor && pg.count != nil {
				return errNoCursor
			}
		case "next":
			var next *string
			if err := dec.Decode(&next); err != nil {
				return err
			}
			pg.more = next != nil && *next != ""
		case "results":
			pg.results = true
			if err := p.decodeRows(dec, body, pg); err != nil {
				return err
			}
		default:
			var skipped json.RawMessage
			if err := dec.Decode(&skipped); err != nil {
				return err
			}
		}
	}
	if err := expect(dec, json.Delim('}')); err != nil {
		return err
	}
	if !pg.results {
		return &Error{Reason: "the answer is not a list of objects"}
	}
	if p.overlap && pg.rows == 0 {
		return errShifted
	}
	return nil
}

func expect(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if token != want {
		return &Error{Reason: "the answer is not a list of objects"}
	}
	return nil
}

func (p *pager) decodeRows(dec *json.Decoder, body *cappedReader, pg *page) error {
	if err := expect(dec, json.Delim('[')); err != nil {
		return err
	}
	previous, from := reconcile.RowID(0), p.last
	for dec.More() {
		var fields map[string]any
		begins := dec.InputOffset()
		if err := dec.Decode(&fields); err != nil {
			return rowError(err)
		}
		body.row = p.c.limits.row
		number, _ := fields["id"].(json.Number)
		id, ok := rowID(number)
		if !ok {
			return &Error{Reason: "the server shows an object without an id"}
		}
		if id <= previous {
			return &Error{Reason: "the server does not sort by id: objects could be missed"}
		}
		previous = id
		pg.rows++
		switch {
		case pg.rows == 1 && p.overlap && id > p.last:
			return errShifted
		case p.mode == byRange && id <= from:
			return errNoRange
		case id <= p.last:
			continue // came with an earlier page
		case p.to > 0 && id > p.to:
			return errBeyond
		}
		pg.news = true
		if p.c.taken.Add(weight(dec.InputOffset()-begins)) > p.c.limits.taken {
			return &Error{Reason: fmt.Sprintf("the server sends more than the %d MiB that a run takes in: if it has that many objects, raise --read-limit, or narrow the run with --select",
				p.c.limits.taken>>20), stop: true}
		}
		if err := p.deliver(id, fields); err != nil {
			return err
		}
	}
	return expect(dec, json.Delim(']'))
}

// rowError keeps errors of reading apart from rows of another shape.
func rowError(err error) error {
	var shape *json.UnmarshalTypeError
	if errors.As(err, &shape) {
		return &Error{Reason: "the answer is not a list of objects"}
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// deliver decodes one row, checks it against what was asked, and hands it over.
func (p *pager) deliver(id reconcile.RowID, fields map[string]any) error {
	p.last = id
	if p.seen++; int(p.r.seen.Add(1)) > p.c.limits.rows {
		return &Error{Reason: "the list has no end: too many objects"}
	}
	if p.r.only != nil && !p.r.only[id] {
		return nil
	}
	version, _ := fields["last_updated"].(string)
	out := reconcile.Row{ID: id, Version: version, Fields: make(map[string]any, len(p.r.wanted))}
	if p.cov.Fields == nil {
		p.cov.Fields = map[string]bool{}
	}
	for _, f := range p.r.wanted {
		wire, there := fields[f.Name]
		if !there {
			continue
		}
		plain, label, err := decodeField(f, wire, p.c.limits.depth)
		if err != nil {
			return &Error{Reason: fmt.Sprintf("object %d: %s", id, err)}
		}
		out.Fields[f.Name] = plain
		p.cov.Fields[f.Name] = true
		if label != "" {
			if out.Labels == nil {
				out.Labels = map[string]string{}
			}
			out.Labels[f.Name] = label
		}
	}
	if fits, err := p.fits(fields); err != nil || !fits {
		return err
	}
	if p.r.strays != nil && !p.r.isNamed(fields) {
		return p.r.strays()
	}
	p.cov.Rows++
	if err := p.row(out); err != nil {
		return &callerError{err}
	}
	return nil
}

// fits reports whether a row is among those asked for: servers ignore filters
// that they do not know.
func (p *pager) fits(fields map[string]any) (bool, error) {
	for name, want := range p.r.where {
		f := p.r.kind.Field(name)
		plain, _, err := decodeField(f, fields[name], p.c.limits.depth)
		if err != nil {
			return false, &Error{Reason: err.Error()}
		}
		if !sameValue(f, want, plain) {
			return false, nil
		}
	}
	return true, nil
}
