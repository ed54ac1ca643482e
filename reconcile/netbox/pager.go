package netbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"proxbox-sync/reconcile"
)

// paging is how the pages of a list are asked for.
type paging int

const (
	byStart  paging = iota // from the beginning: every server counts the list then
	byCursor               // from an id on: NetBox 4.6 and later
	byRange                // the same by a filter, on older ones
	byOffset               // where the server heeds neither
)

// rangeFilter is the filter of byRange.
const rangeFilter = "id__gte"

// pager reads one list, or a part of it, from its first page to its last. Where
// to continue follows from the rows that came: the server's next link says only
// whether there is more, so that it can neither lead elsewhere nor in a circle.
//
// By cursor and by range a page begins after the last id: whatever comes or goes
// meanwhile, no row is passed over and none comes twice. By offset, with
// ordering=id, rows that vanish meanwhile would shift later ones onto a page that
// was read already; so each page begins with the last row of the one before, and
// when that row is not there any more, reading goes back a page.
type pager struct {
	part
	c    *Client
	r    reading // its own: what a server refuses is left out from then on
	row  func(reconcile.Row) error
	cov  *reconcile.Coverage
	mode paging

	last    reconcile.RowID // of the rows that came
	seen    int             // rows that came, repeated ones left out
	offset  int             // of the next page
	overlap bool            // the next page has to begin with a row that came already
	pages   int
	size    int    // rows of the largest page
	left    *int64 // rows that come after those, where the server says so
	began   bool   // a page was read to its end
	ranged  bool   // a page came as its range asked for
}

// part is a piece of a list that is read on its own: rows after one id up to
// another, and what else narrows it.
type part struct {
	after, to reconcile.RowID // to is 0 for no end
	params    []string
}

func (c *Client) newPager(r *reading, x part, row func(reconcile.Row) error, cov *reconcile.Coverage) *pager {
	p := &pager{part: x, c: c, r: *r, row: row, cov: cov, last: x.after}
	p.goOn()
	return p
}

// goOn chooses how to ask for what follows the rows that came. The first answer
// told the server's generation.
func (p *pager) goOn() {
	if p.mode != byStart || p.last == 0 {
		return
	}
	p.mode = byCursor
	if modern, _ := p.c.modern(); !modern {
		p.mode = byRange
		if heeded, known := p.c.heeded(p.r.path, rangeFilter); known && !heeded {
			p.byOffset()
		}
	}
}

func (p *pager) byOffset() {
	p.mode, p.offset, p.overlap = byOffset, max(0, p.seen-1), p.seen > 0
}

// page is what an answer said of itself.
type page struct {
	count   *int64 // nil by cursor
	more    bool
	rows    int
	news    bool // one of them did not come before
	results bool
}

// Reasons to ask again in another way, or not at all.
var (
	errNoCursor = errors.New("the server does not page by cursor")
	errNoRange  = errors.New("the server ignores the filter by id")
	errShifted  = errors.New("rows vanished between two pages")
	errBeyond   = errors.New("the part ends here")
)

func (p *pager) run(ctx context.Context) error {
	for {
		if done, err := p.next(ctx); done || err != nil {
			return err
		}
	}
}

// next reads one page, asked for in whatever way the server takes.
func (p *pager) next(ctx context.Context) (done bool, err error) {
	for {
		p.pages++
		if p.pages > p.c.limits.pages {
			return false, &Error{Reason: "the list has no end: too many pages"}
		}
		pg, err := p.fetch(ctx)
		switch {
		case errors.Is(err, errBeyond):
			return true, nil
		case errors.Is(err, errNoCursor) && p.after == 0:
			p.mode = byRange
			continue
		case p.mode == byRange && (errors.Is(err, errNoRange) || isStatus(err, http.StatusBadRequest)):
			if p.after > 0 {
				return false, &Error{Reason: "the server heeds a filter by id now and then: objects could be missed"}
			}
			p.c.heed(p.r.path, rangeFilter, false)
			p.byOffset()
			continue
		case errors.Is(err, errShifted):
			p.offset = max(0, p.offset-pageSize)
			p.overlap = p.offset > 0
			continue
		case err != nil && p.r.filtered && !p.began && isStatus(err, http.StatusBadRequest):
			// A filter that this server refuses, for example the id of an object
			// that is gone: every row is checked anyway.
			p.r.filtered, p.r.params = false, p.c.parameters(&p.r, false)
			continue
		case err != nil:
			return false, err
		}
		return p.advance(pg)
	}
}

func isStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// advance moves on to the next page.
func (p *pager) advance(pg page) (done bool, err error) {
	p.ranged = p.ranged || p.began && p.mode == byRange
	p.began, p.size = true, max(p.size, pg.rows)
	if p.left = nil; pg.count != nil && p.mode != byOffset {
		left := *pg.count - int64(pg.rows)
		p.left = &left
	}
	if !pg.more {
		if pg.count != nil && int64(p.offset+pg.rows) < *pg.count {
			p.cov.Complete = false
			p.cov.Why = fmt.Sprintf("the server counts %d objects and shows %d", *pg.count, p.offset+pg.rows)
		}
		return true, nil
	}
	if pg.rows == 0 {
		return false, &Error{Reason: "the server says that there is more, but shows nothing"}
	}
	if !pg.news && p.mode != byOffset {
		return false, &Error{Reason: "the server says that there is more, but shows what it showed before"}
	}
	if p.mode == byOffset {
		// A server that shows one row a page leaves no room for an overlap.
		p.overlap = pg.rows > 1
		p.offset += max(1, pg.rows-1)
	}
	p.goOn()
	return p.to > 0 && p.last >= p.to, nil
}

// query is the page to ask for next.
func (p *pager) query() string {
	limit := int64(pageSize)
	if p.to > 0 {
		limit = min(limit, int64(p.to-p.last))
	}
	params := append(append([]string(nil), p.r.params...), p.params...)
	params = append(params, "limit="+strconv.FormatInt(limit, 10))
	next := strconv.FormatInt(int64(p.last)+1, 10)
	switch {
	case p.mode == byCursor:
		return strings.Join(append(params, "start="+next), "&")
	case p.mode == byRange:
		params = append(params, rangeFilter+"="+next)
	case p.mode == byOffset && p.offset > 0:
		params = append(params, "offset="+strconv.Itoa(p.offset))
	}
	return strings.Join(append(params, "ordering=id"), "&")
}

// fetch reads one page. After a connection that broke in the middle it goes on
// behind the last row that came.
func (p *pager) fetch(ctx context.Context) (page, error) {
	var pg page
	select {
	case p.c.reads <- struct{}{}:
		defer func() { <-p.c.reads }()
	case <-ctx.Done():
		return pg, context.Cause(ctx)
	}
	err := p.c.again(ctx, ctx, func(ctx context.Context) error {
		pg = page{}
		p.goOn() // behind the rows of an answer that broke off
		p.cov.Requests++
		resp, err := p.c.fetch(ctx, call{method: http.MethodGet, path: p.r.path, query: p.query()})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body := &cappedReader{r: resp.Body, total: p.c.limits.body, row: p.c.limits.row}
		if err = p.decode(body, &pg); err == nil || understood(err) {
			return err
		}
		return p.c.bodyError(ctx, resp, body, err)
	})
	return pg, err
}

// understood reports whether an error speaks of what an answer says, and not of
// its being no answer.
func understood(err error) bool {
	var (
		caller *callerError
		own    *Error
	)
	for _, known := range []error{errNoCursor, errNoRange, errShifted, errBeyond, errIgnored} {
		if errors.Is(err, known) {
			return true
		}
	}
	return errors.As(err, &caller) || errors.As(err, &own)
}
