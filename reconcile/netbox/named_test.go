package netbox

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// A part of a long list is looked up by name, of a short one all of it is read.
func TestObjectsAreLookedUpByNameWhereThatCostsLess(t *testing.T) {
	long := table{ids: upTo(20_000), max: 1000, cursors: true, names: true}
	old := long
	old.cursors, old.ranges = false, true
	deaf := long
	deaf.names = false
	for _, c := range []struct {
		name     string
		version  string
		table    table
		ids      []int // asked for by name
		partly   bool
		requests int
		says     string
	}{
		{"a few of many", "4.7.3", long, []int{5, 1500, 19_999, 77_777}, true, 3, "looking objects up by name"},
		{"a few of many on an older server", "4.5.9", old, []int{5, 1500, 19_999}, true, 4, "looking objects up by name"},
		{"so many that request lines would be too long", "4.7.3", long, upTo(1000), true, 2 + 3, "looking objects up by name"},
		{"so many that the whole list is cheaper", "4.7.3", long, upTo(15_000), false, 2 + 19, "would cost more"},
		{"all on the first page", "4.7.3", table{ids: upTo(900), max: 1000, cursors: true, names: true}, []int{5}, false, 1, ""},
		{"one page more", "4.7.3", table{ids: upTo(1500), max: 1000, cursors: true, names: true}, []int{5}, false, 2, ""},
		{"a server that does not know the filter", "4.7.3", deaf, []int{5, 1500}, false, 2 + 1 + 19, "ignores a filter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			f := newFake(t, c.version, c.table.serve)
			logged := func(o *Config) {
				o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			ids, cov, err := readIDs(client(t, f.URL, logged), reconcile.Query{Kind: "Thing", Fields: []string{"count"},
				Named: map[string][]string{"name": names(c.ids...)}})
			require.NoError(t, err)
			require.Equal(t, c.partly, cov.Partly)
			require.Equal(t, c.requests, cov.Requests)
			require.Len(t, f.requests(), c.requests)
			require.True(t, slices.IsSorted(ids))
			want := c.table.ids
			if c.partly {
				want = append(upTo(min(1000, c.ids[0]*1000)), c.ids...) // the first page comes whole
				if c.table.ranges {
					want = append(upTo(2000), c.ids...) // and a second one, which shows that ranges are heeded
				}
				slices.Sort(want)
				want = slices.DeleteFunc(slices.Compact(want), func(id int) bool { return id > 20_000 })
			}
			require.Empty(t, cmp.Diff(want, ids))
			require.Equal(t, len(want), cov.Rows)
			for _, h := range f.requests() {
				require.LessOrEqual(t, len("GET "+h.path+"?"+h.query+" HTTP/1.1"), maxRequestLine)
			}
			require.Contains(t, log.String(), c.says)
		})
	}
}

// What a filter can't ask for is no reason to miss an object.
func TestNamesThatNoFilterCanAskFor(t *testing.T) {
	for name, value := range map[string]string{"a word that means nothing": "null", "a name longer than a request line": strings.Repeat("n", 4000)} {
		t.Run(name, func(t *testing.T) {
			b := &table{ids: upTo(5000), max: 1000, cursors: true, names: true}
			f := newFake(t, "4.7.3", b.serve)
			ids, cov, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing", Named: map[string][]string{"name": {"n4000", value}}})
			require.NoError(t, err)
			require.False(t, cov.Partly)
			require.Len(t, ids, 5000)
		})
	}
}

// Namesakes all come, also such as are made or go meanwhile, and each once.
func TestNamesakesAndListsThatChange(t *testing.T) {
	b := &table{ids: upTo(9000), max: 1000, cursors: true}
	b.row = func(id int) string {
		return fmt.Sprintf(`{"id": %d, "name": "n%d", "address": "2001:DB8::%x"}`, id, id%4500, id%4500)
	}
	served := 0
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		if wanted := r.URL.Query()["name"]; wanted != nil || r.URL.Query()["address"] != nil {
			all := b.ids
			defer func() { b.ids = all }()
			b.ids = slices.DeleteFunc(slices.Clone(all), func(id int) bool {
				return !contains(wanted, fmt.Sprintf("n%d", id%4500)) && !contains(r.URL.Query()["address"], fmt.Sprintf("2001:db8::%x", id%4500))
			})
		}
		b.serve(w, r)
		if served++; served == 2 {
			b.ids = slices.DeleteFunc(b.ids, func(id int) bool { return id < 900 })
		}
	})
	ids, cov, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing", Named: map[string][]string{
		"name": {"n3000", " n3000 ", "n4000"}, "address": {"2001:0db8::0fa0", "2001:db8::1"}}}) // the first is n4000's
	require.NoError(t, err)
	require.True(t, cov.Partly)
	require.Empty(t, cmp.Diff([]int{3000, 4000, 4501, 7500, 8500}, ids[1000:]))
}

func TestNamesAreTextsOrAddresses(t *testing.T) {
	f := newFake(t, "4.7.3", nil)
	for _, field := range []string{"count", "password", "core", "nope"} {
		_, err := client(t, f.URL).Read(context.Background(), reconcile.Query{Kind: "Thing", Named: map[string][]string{field: {"x"}}}, nil)
		require.ErrorContains(t, err, "named by "+field)
	}
	require.Empty(t, f.requests())
}
