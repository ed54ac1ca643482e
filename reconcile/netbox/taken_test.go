package netbox

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// TestARunTakesInSoMuch ends a run on a server that shows new rows without end, small
// or large ones, by the limit that a run has, long before memory ends.
func TestARunTakesInSoMuch(t *testing.T) {
	for _, tc := range []struct {
		name  string
		limit int64 // 0: as it is
		size  int   // of a row's name
		most  int   // rows
	}{
		{"small rows, the limit as it is", 0, 1, 1 << 30 / 1000},
		{"large rows", 64 << 20, 100_000, 64 << 20 / 200_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const rows = 2000
			page := 0
			name := strings.Repeat("n", tc.size)
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
				start := 1
				_, _ = fmt.Sscan(r.URL.Query().Get("start"), &start)
				page++
				var b strings.Builder
				for i := range rows {
					if i > 0 {
						b.WriteByte(',')
					}
					fmt.Fprintf(&b, `{"id": %d, "name": %q}`, start+i, name)
				}
				answer(w, 200, `{"count": null, "next": "more", "results": [`+b.String()+`]}`)
			})
			c := client(t, f.URL, func(cfg *Config) { cfg.ReadLimit, cfg.Parallelism = tc.limit, 1 })
			n := 0
			_, err := c.Read(context.Background(), reconcile.Query{Kind: "Thing", Fields: []string{"name"}}, func(reconcile.Row) error { n++; return nil })
			require.ErrorContains(t, err, "MiB that a run takes in: if it has that many objects, raise --read-limit")
			require.LessOrEqual(t, n, tc.most)
			require.Greater(t, n, tc.most/2, "much less was taken in than may be")

			// The limit is that of the run, and not of one list.
			_, err = c.Read(context.Background(), reconcile.Query{Kind: "Core"}, func(reconcile.Row) error { return nil })
			require.ErrorContains(t, err, "raise --read-limit")
		})
	}
}
