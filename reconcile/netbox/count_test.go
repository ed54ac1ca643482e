package netbox

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestCountsAreOfTheFilterNotOfTheList(t *testing.T) {
	const refusal = `{"thing": ["Select a valid choice. That choice is not one of the available choices."]}`
	list := func(n int) string { return fmt.Sprintf(`{"count": %d, "next": null, "results": []}`, n) }
	for _, c := range []struct {
		why, path       string
		status          int
		here            string // answer for row 7
		nowhereStatus   int
		nowhere         string // answer for a row that can't exist
		want            int
		err             error
		requests, again int // of the first count, and of a second one
	}{
		{"none are none, whether the filter is heeded or not", "plugins/box/things", 200, list(0), 200, list(0), 0, nil, 1, 1},
		{"a filter that refuses a row which can't exist is heeded", "plugins/box/things", 200, list(3), 400, refusal, 3, nil, 2, 1},
		{"a filter that finds nothing for it is heeded", "dcim/cores", 200, list(3), 200, list(0), 3, nil, 2, 1},
		{"a filter that finds the same for it is ignored", "plugins/box/things", 200, list(3), 200, list(3), 0, reconcile.ErrForbidden, 2, 1},
		{"a filter that refuses the row takes no ids", "plugins/box/things", 400, refusal, 400, refusal, 0, reconcile.ErrForbidden, 1, 1},
		{"a plugin's path that is not listed", "plugins/box/others", 200, list(3), 200, list(0), 0, reconcile.ErrNoKind, 0, 0},
		{"a path of the core that is not there", "dcim/others", 404, `{"detail": "Not found."}`, 404, `{}`, 0, reconcile.ErrNoKind, 1, 1},
		{"a list that the token may not read", "dcim/cores", 403, `{"detail": "You do not have permission to perform this action."}`,
			403, `{}`, 0, reconcile.ErrForbidden, 1, 1},
		{"a list that does not count", "dcim/cores", 200, `{"count": null, "results": []}`, 200, `{}`, 0, reconcile.ErrForbidden, 1, 1},
	} {
		t.Run(c.why, func(t *testing.T) {
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, "1", r.URL.Query().Get("limit"))
				if r.URL.Query().Get("thing") == "7" {
					answer(w, c.status, c.here)
					return
				}
				answer(w, c.nowhereStatus, c.nowhere)
			})
			c1 := client(t, f.URL)
			for _, requests := range []int{c.requests, c.again} {
				before := len(f.requests())
				n, err := c1.Count(context.Background(), c.path, "thing", 7)
				require.ErrorIs(t, err, c.err)
				require.Equal(t, c.want, n)
				require.Equal(t, requests, len(f.requests())-before)
			}
		})
	}
}

func TestCountsAskOnlyPathsAndFilters(t *testing.T) {
	f := newFake(t, "4.7.3", func(http.ResponseWriter, *http.Request) { t.Error("nothing is to be asked") })
	for _, path := range []string{"", "../users", "dcim//cores", "dcim/cores?x=1"} {
		_, err := client(t, f.URL).Count(context.Background(), path, "thing", 7)
		require.ErrorContains(t, err, "not a path")
	}
	_, err := client(t, f.URL).Count(context.Background(), "dcim/cores", "", 7)
	require.ErrorContains(t, err, "not a path")
}
