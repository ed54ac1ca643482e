package netbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"proxbox-sync/reconcile"
)

// noRow is an id that no object has: the largest of NetBox's smaller columns.
const noRow = reconcile.RowID(1<<31 - 1)

// Count implements reconcile.Server with one request of one row. NetBox ignores
// filters that it doesn't know and then counts the whole list. So where a count
// is not zero, the same filter is asked once for a row that can't exist: a
// server that heeds it refuses that, or finds nothing. (The count without the
// filter would tell less: all rows may well be this object's.) What was learned
// of a filter is remembered. The token may not see all rows: no server tells.
func (c *Client) Count(ctx context.Context, path, filter string, row reconcile.RowID) (int, error) {
	if !pathForm.MatchString(path) || filter == "" {
		return 0, fmt.Errorf("counting at %q: this is not a path and a filter", path)
	}
	listed, err := c.lists(ctx, path)
	if err != nil {
		return 0, err
	}
	if !listed {
		return 0, fmt.Errorf("%w: %s is not listed", reconcile.ErrNoKind, path)
	}
	n, err := c.count(ctx, path, filter, row)
	if err != nil || n == 0 {
		return 0, err
	}
	heeded, err := c.heeds(ctx, path, filter)
	if err != nil {
		return 0, err
	}
	if !heeded {
		return 0, fmt.Errorf("%w: the server ignores the filter %s of %s", reconcile.ErrForbidden, filter, path)
	}
	return n, nil
}

// heeds reports whether a list is narrowed by a filter.
func (c *Client) heeds(ctx context.Context, path, filter string) (bool, error) {
	if heeded, known := c.heeded(path, filter); known {
		return heeded, nil
	}
	n, err := c.count(ctx, path, filter, noRow)
	if err != nil && !isStatus(err, http.StatusBadRequest) {
		return false, err
	}
	heeded := err != nil || n == 0
	c.heed(path, filter, heeded)
	return heeded, nil
}

// heeded says what is known of a filter of a list.
func (c *Client) heeded(path, filter string) (yes, known bool) {
	c.learning.Lock()
	defer c.learning.Unlock()
	yes, known = c.filters[path+"?"+filter]
	return yes, known
}

func (c *Client) heed(path, filter string, yes bool) {
	c.learning.Lock()
	defer c.learning.Unlock()
	c.filters[path+"?"+filter] = yes
}

// count asks a list for the number of its rows. A filter that is refused for a
// row which exists is one that takes something else than ids.
func (c *Client) count(ctx context.Context, path, filter string, row reconcile.RowID) (int, error) {
	var list struct {
		Count *int `json:"count"`
	}
	query := parameter(filter, fmt.Sprint(int64(row))) + "&fields=id&limit=1"
	_, err := c.getJSON(ctx, call{path: path, query: query}, &list)
	var e *Error
	switch {
	case err == nil && (list.Count == nil || *list.Count < 0):
		return 0, &Error{Doing: "counting at " + path, Reason: "the server did not say how many there are", Err: reconcile.ErrForbidden}
	case err == nil:
		return *list.Count, nil
	case !errors.As(err, &e) || stops(err):
		return 0, doing("counting at "+path, err)
	}
	named := *e
	named.Doing = "counting at " + path
	switch e.Status {
	case http.StatusNotFound:
		named.Err = reconcile.ErrNoKind
	case http.StatusBadRequest:
		named.Err = reconcile.ErrForbidden
	}
	return 0, &named
}
