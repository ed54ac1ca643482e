package netbox

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"

	"proxbox-sync/reconcile"
)

// readList reads all of a list. Its first page tells whether there is more, and
// the newest row how much: the rest is then read in parts at the same time, or
// looked up where that costs less.
func (c *Client) readList(ctx context.Context, r *reading, row func(reconcile.Row) error, cov *reconcile.Coverage) error {
	first := c.newPager(r, part{}, row, cov)
	for !first.began || first.mode == byRange && !first.ranged {
		if done, err := first.next(ctx); done || err != nil {
			return err
		}
	}
	if first.mode == byOffset || first.short() || c.parallelism == 1 && r.named == nil {
		return first.run(ctx)
	}
	count, newest, err := c.extent(ctx, &first.r, cov)
	if err != nil {
		return err
	}
	left := count - int64(first.seen)
	if newest <= first.last || left <= int64(first.size) {
		return first.run(ctx)
	}
	parts := first.divide(left, newest, c.parallelism)
	if done, err := c.lookUp(ctx, first, left, len(parts)); done || err != nil {
		return err
	}
	before := cov.Rows
	err = c.readParts(ctx, &first.r, parts, row, cov)
	if errors.Is(err, errNoCursor) && cov.Rows == before {
		first.mode = byRange
		return first.run(ctx)
	}
	return err
}

// extent asks for the newest row of a list, and how many there are.
func (c *Client) extent(ctx context.Context, r *reading, cov *reconcile.Coverage) (count int64, newest reconcile.RowID, err error) {
	var list struct {
		Count   int64
		Results []struct{ ID reconcile.RowID }
	}
	params := append([]string{"fields=id", "ordering=-id", "limit=1"}, r.params[1:]...)
	cov.Requests++
	if _, err := c.getJSON(ctx, call{method: http.MethodGet, path: r.path, query: strings.Join(params, "&")}, &list); err != nil {
		return 0, 0, err
	}
	if len(list.Results) == 0 {
		return 0, 0, nil
	}
	if list.Count > int64(c.limits.rows) {
		return 0, 0, &Error{Reason: "the list has no end: too many objects"}
	}
	return list.Count, list.Results[0].ID, nil
}

// short reports whether one page more is known to be all.
func (p *pager) short() bool { return p.left != nil && *p.left <= int64(p.size) }

// divide cuts what comes after the rows that were read into parts by id. Where
// ids are dense, a part is no more than one page; where many are missing, one for
// each that works at it. What is made meanwhile is not waited for.
func (p *pager) divide(left int64, newest reconcile.RowID, workers int) []part {
	size := int64(p.size)
	width, pages := int64(newest-p.last), (left-1)/size+1
	n := (width-1)/size + 1
	if n > pages+pages/4+1 {
		n = max(1, min(int64(workers), pages))
		size = (width-1)/n + 1
	}
	parts := make([]part, n)
	for i := range parts {
		parts[i].after = p.last + reconcile.RowID(int64(i)*size)
		parts[i].to = parts[i].after + reconcile.RowID(size)
	}
	parts[n-1].to = newest
	return parts
}

// readParts reads parts of a list at the same time and hands their rows over in
// the order of the parts. No more of them are in memory than are read at once.
func (c *Client) readParts(ctx context.Context, r *reading, parts []part, row func(reconcile.Row) error, cov *reconcile.Coverage) error {
	if len(parts) == 1 {
		return c.newPager(r, parts[0], row, cov).run(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	read := make([]chan *piece, len(parts))
	for i := range read {
		read[i] = make(chan *piece, 1)
	}
	ahead := make(chan struct{}, c.parallelism)
	wg.Go(func() {
		for i, x := range parts {
			select {
			case ahead <- struct{}{}:
			case <-ctx.Done():
				return
			}
			wg.Go(func() { read[i] <- c.readPiece(ctx, r, x) })
		}
	})
	for i := range parts {
		var x *piece
		select {
		case x = <-read[i]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		add(cov, x.cov)
		if x.err != nil {
			return x.err
		}
		for _, one := range x.rows {
			if err := row(one); err != nil {
				return &callerError{err}
			}
		}
		<-ahead
	}
	return nil
}

// piece is a part that was read.
type piece struct {
	rows []reconcile.Row
	cov  reconcile.Coverage
	err  error
}

func (c *Client) readPiece(ctx context.Context, r *reading, x part) *piece {
	out := &piece{cov: reconcile.Coverage{Complete: true}}
	out.err = c.newPager(r, x, func(row reconcile.Row) error {
		out.rows = append(out.rows, row)
		return nil
	}, &out.cov).run(ctx)
	return out
}

// add counts what a part of a list covers among the whole.
func add(cov *reconcile.Coverage, x reconcile.Coverage) {
	cov.Rows, cov.Requests = cov.Rows+x.Rows, cov.Requests+x.Requests
	cov.Partly = cov.Partly || x.Partly
	if !x.Complete {
		cov.Complete, cov.Why = false, x.Why
	}
	if cov.Fields == nil {
		cov.Fields = x.Fields
		return
	}
	maps.Copy(cov.Fields, x.Fields)
}
