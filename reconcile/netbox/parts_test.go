package netbox

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// shifting is a list that changes after each of its answers.
type shifting struct {
	mu     sync.Mutex
	table  *table
	change func(answered int, b *table)
	served int
}

func (s *shifting) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.serve(w, r)
	s.served++
	s.change(s.served, s.table)
}

// Whatever comes and goes between two pages, each object that was there all the
// time comes exactly once, and in order.
func TestPagesAtTheSameTimeWhileTheListChanges(t *testing.T) {
	for name, kind := range map[string]struct {
		version string
		table   table
	}{
		"by cursor":                      {"4.7.3", table{cursors: true}},
		"by range of ids":                {"4.5.9", table{ranges: true}},
		"by offset":                      {"4.5.9", table{}},
		"a cursor that is promised only": {"4.6.0", table{ranges: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(60) {
				random := rand.New(rand.NewPCG(seed, 7))
				b := kind.table
				b.max = 5 + random.IntN(20)
				for id := 1; len(b.ids) < 20+random.IntN(300); id += 1 + random.IntN(1+int(seed%4)*3) {
					b.ids = append(b.ids, id)
				}
				all, gone := slices.Clone(b.ids), map[int]bool{}
				next := all[len(all)-1] + 1
				s := &shifting{table: &b, change: func(_ int, b *table) {
					for range random.IntN(4) {
						if i := random.IntN(len(b.ids) + 1); i < len(b.ids) && len(b.ids) > 5 {
							gone[b.ids[i]] = true
							b.ids = slices.Delete(slices.Clone(b.ids), i, i+1)
						}
					}
					for range random.IntN(3) {
						b.ids, next = append(b.ids, next), next+1+random.IntN(3)
					}
				}}
				f := newFake(t, kind.version, s.serve)
				got, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
				require.NoError(t, err)
				require.True(t, slices.IsSorted(got))
				require.Equal(t, got, slices.Compact(slices.Clone(got)), "none twice")
				for _, id := range all {
					if !gone[id] {
						require.Contains(t, got, id, "seed %d", seed)
					}
				}
			}
		})
	}
}

// Pages are asked for at the same time: none is answered before another one came.
func TestPagesAreReadAtTheSameTime(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		table   table
		alone   int // requests before the first two that come together
	}{
		"by cursor":       {"4.7.3", table{ids: upTo(5000), max: 1000, cursors: true}, 2},
		"by range of ids": {"4.5.9", table{ids: upTo(5000), max: 1000, ranges: true}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			met, came := make(chan struct{}), 0
			f := newFake(t, c.version, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				came++
				mine := came
				if mine == c.alone+2 {
					close(met)
				}
				mu.Unlock()
				if mine == c.alone+1 {
					select {
					case <-met:
					case <-time.After(10 * time.Second):
						t.Error("the next page is asked for only when this one was answered")
					}
				}
				c.table.serve(w, r)
			})
			ids, cov, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.table.ids, ids))
			require.Equal(t, 6, cov.Requests, "five pages, and how far they go")
		})
	}
}

// Ids with large gaps cost no more requests than pages, and one for each part.
func TestPartsOfSparseLists(t *testing.T) {
	ids := make([]int, 9000)
	for i := range ids {
		ids[i] = 1 + i*i
	}
	f := newFake(t, "4.7.3", (&table{ids: ids, max: 1000, cursors: true}).serve)
	got, cov, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(ids, got))
	require.LessOrEqual(t, cov.Requests, 2+8+defaultParallelism)
}

func TestOnePageAtATime(t *testing.T) {
	f := newFake(t, "4.7.3", (&table{ids: upTo(4500), max: 1000, cursors: true}).serve)
	one := func(c *Config) { c.Parallelism = 1 }
	_, cov, err := readIDs(client(t, f.URL, one), reconcile.Query{Kind: "Thing"})
	require.NoError(t, err)
	require.Equal(t, 5, cov.Requests)
}

func TestTheRestOfAListThatBreaks(t *testing.T) {
	b := &table{ids: upTo(5000), max: 1000, cursors: true}
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("start") == "3001" {
			answer(w, 500, `{"detail": "out of order"}`)
			return
		}
		b.serve(w, r)
	})
	ids, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
	require.ErrorContains(t, err, "500")
	require.LessOrEqual(t, len(ids), 3000)
	require.True(t, slices.IsSorted(ids))
}

// A server may say anything of how far a list goes.
func TestAListThatGoesOnForever(t *testing.T) {
	for name, extent := range map[string]string{
		"far more than anybody has": `{"count": 900000000000, "next": null, "results": [{"id": 9}]}`,
		"an id beyond all":          `{"count": 3000, "next": null, "results": [{"id": 9223372036854775807}]}`,
		"an id that was read":       `{"count": 3000, "next": null, "results": [{"id": 1}]}`,
		"less than was read":        `{"count": -1, "next": null, "results": [{"id": 3000}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := &table{ids: upTo(3000), max: 1000, cursors: true}
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("ordering") == "-id" {
					answer(w, 200, extent)
					return
				}
				b.serve(w, r)
			})
			ids, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
			require.LessOrEqual(t, len(f.requests()), 20)
			if err == nil {
				require.Empty(t, cmp.Diff(b.ids, ids))
				return
			}
			require.ErrorContains(t, err, "too many objects")
		})
	}
}

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		name       string
		last, next reconcile.RowID // of the first page, of the whole
		left       int64
		want       string
	}{
		{"dense", 1000, 3500, 2500, "1000-2000 2000-3000 3000-3500"},
		{"dense, a page and a row", 1000, 2001, 1001, "1000-2000 2000-2001"},
		{"some are missing", 1000, 5000, 3600, "1000-2000 2000-3000 3000-4000 4000-5000"},
		{"most are missing", 1000, 1_001_000, 5000, "1000-251000 251000-501000 501000-751000 751000-1001000"},
		{"few pages, most are missing", 1000, 1_001_000, 1500, "1000-501000 501000-1001000"},
	} {
		p := &pager{last: c.last, size: 1000}
		var got []string
		for _, x := range p.divide(c.left, c.next, 4) {
			got = append(got, fmt.Sprintf("%d-%d", x.after, x.to))
		}
		require.Equal(t, c.want, strings.Join(got, " "), c.name)
	}
}

// names are those of the fake's rows.
func names(ids ...int) []string {
	var list []string
	for _, id := range ids {
		list = append(list, "n"+strconv.Itoa(id))
	}
	return list
}
