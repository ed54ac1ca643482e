package netbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

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
	// The generation decides how pages are asked for.
	if _, err := c.Instance(ctx); err != nil {
		return cov, err
	}
	path, err := c.pathOf(ctx, k)
	if err != nil {
		return cov, err
	}
	r, err := c.newReading(k, path, q)
	if err != nil {
		return cov, err
	}
	for _, ids := range c.chunks(r) {
		p := &pager{c: c, r: r, ids: ids, row: row, cov: &cov}
		if err := p.run(ctx); err != nil {
			var stopped *callerError
			if errors.As(err, &stopped) {
				return cov, stopped.err
			}
			return cov, viewPermission(err, k)
		}
	}
	return cov, nil
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

// pager reads one list from its first page to its last. Where to continue
// follows from the rows that came: the server's next link says only whether
// there is more, so that it can neither lead elsewhere nor in a circle.
//
// By cursor (NetBox 4.6 and later) a page begins after the last id. By offset,
// with ordering=id, rows that vanish meanwhile would shift later ones onto a
// page that was read already; so each page begins with the last row of the one
// before, and when that row is not there any more, reading goes back a page.
type pager struct {
	c   *Client
	r   *reading
	ids []string
	row func(reconcile.Row) error
	cov *reconcile.Coverage

	last    reconcile.RowID // of the rows that came
	seen    int             // rows that came, repeated ones left out
	offset  int             // of the next page
	overlap bool            // the next page has to begin with a row that came already
	pages   int
	cursor  bool
	began   bool // a page was read to its end
}

// page is what an answer said of itself.
type page struct {
	count   *int64 // nil by cursor
	more    bool
	rows    int
	results bool
}

// Reasons to ask again in another way.
var (
	errNoCursor = errors.New("the server does not page by cursor")
	errShifted  = errors.New("rows vanished between two pages")
)

func (p *pager) run(ctx context.Context) error {
	p.cursor, _ = p.c.modern()
	for {
		p.pages++
		if p.pages > p.c.limits.pages {
			return &Error{Reason: "the list has no end: too many pages"}
		}
		pg, err := p.fetch(ctx)
		switch {
		case errors.Is(err, errNoCursor):
			p.cursor = false
			continue
		case errors.Is(err, errShifted):
			p.offset = max(0, p.offset-pageSize)
			p.overlap = p.offset > 0
			continue
		case err != nil && p.r.filtered && !p.began && isStatus(err, http.StatusBadRequest):
			// A filter that this server refuses, for example the id of an object
			// that is gone: every row is checked anyway.
			p.r.filtered, p.r.params = false, p.c.parameters(p.r, false)
			continue
		case err != nil:
			return err
		}
		p.began = true
		if done, err := p.advance(pg); done || err != nil {
			return err
		}
	}
}

func isStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// advance moves on to the next page.
func (p *pager) advance(pg page) (done bool, err error) {
	if !pg.more {
		if !p.cursor && pg.count != nil && int64(p.offset+pg.rows) < *pg.count {
			p.cov.Complete = false
			p.cov.Why = fmt.Sprintf("the server counts %d objects and shows %d", *pg.count, p.offset+pg.rows)
		}
		return true, nil
	}
	if pg.rows == 0 {
		return false, &Error{Reason: "the server says that there is more, but shows nothing"}
	}
	if !p.cursor {
		// A server that shows one row a page leaves no room for an overlap.
		p.overlap = pg.rows > 1
		p.offset += max(1, pg.rows-1)
	}
	return false, nil
}

// query is the page to ask for next.
func (p *pager) query() string {
	params := append([]string(nil), p.r.params...)
	params = append(params, p.ids...)
	params = append(params, "limit="+strconv.Itoa(pageSize))
	if p.cursor {
		return strings.Join(append(params, "start="+strconv.FormatInt(int64(p.last)+1, 10)), "&")
	}
	params = append(params, "ordering=id")
	if p.offset > 0 {
		params = append(params, "offset="+strconv.Itoa(p.offset))
	}
	return strings.Join(params, "&")
}

// fetch reads one page. After a connection that broke in the middle it goes on
// behind the last row that came.
func (p *pager) fetch(ctx context.Context) (page, error) {
	var pg page
	err := p.c.again(ctx, ctx, func(ctx context.Context) error {
		pg = page{}
		p.cov.Requests++
		resp, err := p.c.fetch(ctx, call{method: http.MethodGet, path: p.r.path, query: p.query()})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body := &cappedReader{r: resp.Body, total: p.c.limits.body, row: p.c.limits.row}
		err = p.decode(body, &pg)
		var (
			caller *callerError
			own    *Error
		)
		switch {
		case err == nil, errors.Is(err, errNoCursor), errors.Is(err, errShifted),
			errors.As(err, &caller), errors.As(err, &own):
			return err
		}
		return p.c.bodyError(ctx, resp, body, err)
	})
	return pg, err
}

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
			if p.cursor && pg.count != nil {
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
	previous := reconcile.RowID(0)
	for dec.More() {
		var fields map[string]any
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
		if pg.rows++; pg.rows == 1 && p.overlap && id > p.last {
			return errShifted
		}
		if id <= p.last {
			continue // came with an earlier page
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
	if p.seen++; p.seen > p.c.limits.rows {
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
