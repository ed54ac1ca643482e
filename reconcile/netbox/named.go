package netbox

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// What reading costs a server, in rows of a list: a request beside its rows, and a
// row that is looked up by name.
const (
	requestCost = 100
	namedCost   = 2
)

// errIgnored says that a filter does not narrow a list.
var errIgnored = errors.New("the server ignores a filter")

// lookUp reads those of the rows behind a first page that Query.Named is about,
// by filters, where that costs less than the parts that hold all of them. done is
// false where it does not, or where the server ignores a filter.
func (c *Client) lookUp(ctx context.Context, first *pager, left int64, parts int) (done bool, err error) {
	r := &first.r
	if r.named == nil {
		return false, nil
	}
	lookups, values := c.lookups(r, first.last)
	whole := int64(parts)*requestCost + left
	cost := int64(len(lookups))*requestCost + int64(values)*namedCost
	say := func(message string) {
		c.log.LogAttrs(ctx, slog.LevelDebug, message, slog.String("kind", r.kind.Name), slog.Int64("objects", left+int64(first.seen)),
			slog.Int("wanted", values), slog.Int("lookups", len(lookups)), slog.Int("pages", parts))
	}
	if lookups == nil || cost >= whole {
		say("reading the whole list: looking its objects up by name would cost more")
		return false, nil
	}
	say("looking objects up by name: reading the whole list would cost more")
	var found []reconcile.Row
	var strays atomic.Int64
	looking := *r
	looking.strays = func() error {
		if strays.Add(1) > int64(values+pageSize/10) {
			return errIgnored
		}
		return nil
	}
	cov := reconcile.Coverage{Complete: true}
	err = c.readParts(ctx, &looking, lookups, func(row reconcile.Row) error {
		found = append(found, row)
		return nil
	}, &cov)
	first.cov.Requests += cov.Requests
	if errors.Is(err, errIgnored) || errors.Is(err, errNoCursor) {
		say("reading the whole list: the server ignores a filter")
		return false, nil
	}
	if err != nil {
		return false, err
	}
	cov.Requests, cov.Partly = 0, true
	slices.SortFunc(found, func(a, b reconcile.Row) int { return cmp.Compare(a.ID, b.ID) })
	found = slices.CompactFunc(found, func(a, b reconcile.Row) bool { return a.ID == b.ID })
	cov.Rows = len(found)
	add(first.cov, cov)
	for _, row := range found {
		if err := first.row(row); err != nil {
			return false, &callerError{err}
		}
	}
	return true, nil
}

// lookups are the parts of a list that hold the rows which Query.Named is about:
// as many values of a field as a request line has room for. They are nil where a
// value can't be asked for.
func (c *Client) lookups(r *reading, after reconcile.RowID) (parts []part, values int) {
	room := c.room(r)
	for _, name := range sortedKeys(r.named) {
		var x part
		used := 0
		for _, value := range sortedKeys(r.named[name]) {
			p, ok := filter(r.kind.Field(name), value)
			if !ok || len(p) > room {
				return nil, 0
			}
			if used += len(p) + 1; used > room {
				parts, x, used = append(parts, x), part{}, len(p)+1
			}
			x.after, x.params = after, append(x.params, p)
			values++
		}
		if len(x.params) > 0 {
			parts = append(parts, x)
		}
	}
	return parts, values
}

// isNamed reports whether a row is among those that Query.Named is about.
func (r *reading) isNamed(fields map[string]any) bool {
	for name, values := range r.named {
		text, ok := fields[name].(string)
		if ok && values[nameOf(r.kind.Field(name), text)] {
			return true
		}
	}
	return false
}

// nameOf is one spelling of a value, for all that mean the same.
func nameOf(f *schema.Field, text string) string {
	text = strings.TrimSpace(text)
	if f.Class != schema.Address {
		return text
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.String()
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return a.String()
	}
	return text
}
