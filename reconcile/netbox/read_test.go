package netbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestPaging(t *testing.T) {
	for _, tc := range []struct {
		name     string
		version  string
		table    table
		rows     []reconcile.RowID
		requests int
	}{
		{"by cursor", "4.7.3", table{ids: upTo(2500), max: 1000, cursors: true}, nil, 4},
		{"by cursor, ids with gaps", "4.6.0", table{ids: []int{3, 900, 70_000}, max: 1000, cursors: true}, nil, 1},
		{"by cursor, ten pages", "4.7.3", table{ids: upTo(10_000), max: 1000, cursors: true}, nil, 11},
		{"by cursor, smaller pages than asked for", "4.7.3", table{ids: upTo(250), max: 100, cursors: true}, nil, 4},
		{"by range of ids", "4.5.9", table{ids: upTo(2500), max: 1000, ranges: true}, nil, 3},
		{"by range of ids, many pages", "4.5.9", table{ids: upTo(9500), max: 1000, ranges: true}, nil, 11},
		{"by offset, each page begins with the last row of the one before", "4.5.9", table{ids: upTo(2500), max: 1000}, nil, 4},
		{"by offset, smaller pages than asked for", "4.5.9", table{ids: upTo(25), max: 10}, nil, 4},
		{"by offset, one row a page", "4.5.9", table{ids: upTo(5), max: 1}, nil, 7},
		{"no rows", "4.7.3", table{max: 1000, cursors: true}, nil, 1},
		{"no rows by offset", "4.5.9", table{max: 1000}, nil, 1},
		{"a server that promises cursors and has none", "4.7.3", table{ids: upTo(1500), max: 1000, ranges: true}, nil, 3},
		{"a server that does not tell its version", "", table{ids: upTo(1500), max: 1000, cursors: true, ranges: true}, nil, 2},
		{"exactly one page", "4.7.3", table{ids: upTo(1000), max: 1000, cursors: true}, nil, 1},
		{"a page and a row", "4.7.3", table{ids: upTo(1001), max: 1000, cursors: true}, nil, 2},
		{"no ids at all are asked for", "4.7.3", table{ids: upTo(9), max: 1000, cursors: true}, []reconcile.RowID{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, tc.version, tc.table.serve)
			ids, cov, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing", Rows: tc.rows})
			require.NoError(t, err)
			want := tc.table.ids
			if tc.rows != nil {
				want = nil
			}
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Error(diff)
			}
			require.True(t, cov.Complete)
			require.Equal(t, len(want), cov.Rows)
			require.Equal(t, tc.requests, cov.Requests)
			require.Len(t, f.requests(), tc.requests)
		})
	}
}

// A list that changes while it is read: each object that was there all the time
// has to come, and none twice.
func TestPagingWhileRowsVanish(t *testing.T) {
	for _, tc := range []struct {
		name    string
		cursors bool
		change  func(ids []int) []int // after the first page
		want    func(all []int) []int
	}{
		{
			"rows of the first page vanish", false,
			func(ids []int) []int { return ids[30:] },
			func(all []int) []int { return all },
		},
		{
			"so many rows vanish that the next page would lie past the end", false,
			func(ids []int) []int { return ids[245:] },
			func(all []int) []int { return append(slices.Clone(all[:100]), all[245:]...) },
		},
		{
			"rows come at the end", false,
			func(ids []int) []int { return append(ids, 1001, 1002) },
			func(all []int) []int { return append(slices.Clone(all), 1001, 1002) },
		},
		{
			"rows vanish under a cursor", true,
			func(ids []int) []int { return ids[30:] },
			func(all []int) []int { return all },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &table{ids: upTo(250), max: 100, cursors: tc.cursors}
			served := 0
			f := newFake(t, map[bool]string{true: "4.7.3", false: "4.5.9"}[tc.cursors], func(w http.ResponseWriter, r *http.Request) {
				b.serve(w, r)
				if served++; served == 1 {
					b.ids = tc.change(b.ids)
				}
			})
			ids, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
			require.NoError(t, err)
			if diff := cmp.Diff(tc.want(upTo(250)), ids); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadAsksForWhatIsNeededOnly(t *testing.T) {
	query := func(t *testing.T, q reconcile.Query) url.Values {
		t.Helper()
		f := newFake(t, "4.7.3", (&table{max: 1000, cursors: true}).serve)
		_, _, err := readIDs(client(t, f.URL), q)
		require.NoError(t, err)
		require.Len(t, f.requests(), 1)
		v, err := url.ParseQuery(f.requests()[0].query)
		require.NoError(t, err)
		return v
	}
	t.Run("the fields named", func(t *testing.T) {
		v := query(t, reconcile.Query{Kind: "Thing", Fields: []string{"name", "core"}})
		require.Equal(t, url.Values{"fields": {"id,last_updated,name,core"}, "limit": {"1000"}, "ordering": {"id"}}, v)
	})
	t.Run("all fields but secrets", func(t *testing.T) {
		v := query(t, reconcile.Query{Kind: "Thing"})
		require.Contains(t, v.Get("fields"), "custom_fields")
		require.NotContains(t, v.Get("fields"), "password")
	})
	t.Run("a secret asked for by name is left out", func(t *testing.T) {
		require.Equal(t, "id,last_updated", query(t, reconcile.Query{Kind: "Thing", Fields: []string{"password"}}).Get("fields"))
	})
	t.Run("filters for what means the same everywhere", func(t *testing.T) {
		v := query(t, reconcile.Query{Kind: "Thing", Fields: []string{}, Search: "x y", Where: map[string]any{
			"name": " n1 ", "mode": "a", "on": true, "count": reconcile.Number("5"), "core": reconcile.RowID(7),
			"at": "2026-11-22T10:00:00Z", "ratio": nil,
		}})
		require.Equal(t, "x y", v.Get("q"))
		for name, want := range map[string]string{"name": "n1", "mode": "a", "on": "true", "count": "5", "core_id": "7", "at": "", "ratio": "", "core": ""} {
			require.Equal(t, want, v.Get(name), name)
		}
	})
	t.Run("no filter for words with a meaning of their own", func(t *testing.T) {
		require.False(t, query(t, reconcile.Query{Kind: "Thing", Where: map[string]any{"name": "null"}}).Has("name"))
	})
}

func TestReadRefusesWrongQueries(t *testing.T) {
	f := newFake(t, "4.7.3", nil)
	c := client(t, f.URL)
	for name, q := range map[string]reconcile.Query{
		"an unknown field":            {Kind: "Thing", Fields: []string{"nope"}},
		"a search by a secret":        {Kind: "Thing", Where: map[string]any{"password": "x"}},
		"a search by what is not one": {Kind: "Thing", Where: map[string]any{"nope": "x"}},
	} {
		_, _, err := readIDs(c, q)
		require.Error(t, err, name)
	}
	_, _, err := readIDs(c, reconcile.Query{Kind: "Nope"})
	require.ErrorIs(t, err, reconcile.ErrNoKind)
	require.Empty(t, f.requests())
}

func TestRowsAreCheckedAgainstTheQuery(t *testing.T) {
	row := func(id int) string {
		return fmt.Sprintf(`{"id": %d, "name": "n%d", "address": "2001:DB8::1", "at": "2026-11-22T12:00:00+02:00", "core": {"id": %d, "display": "x"}, "cores": [1], "ratio": 1.0}`, id, id%3, id%2+1)
	}
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		// A server that knows none of the filters.
		r.URL.RawQuery = "limit=1000&start=1"
		(&table{ids: upTo(6), max: 1000, cursors: true, row: row}).serve(w, r)
	})
	for _, tc := range []struct {
		name  string
		where map[string]any
		rows  []reconcile.RowID
		want  []int
	}{
		{"by text", map[string]any{"name": "n1"}, nil, []int{1, 4}},
		{"by reference", map[string]any{"core": reconcile.RowID(2)}, nil, []int{1, 3, 5}},
		{"by an address in another spelling", map[string]any{"address": "2001:db8:0::1"}, nil, upTo(6)},
		{"by an instant in another zone", map[string]any{"at": "2026-11-22T10:00:00Z"}, nil, upTo(6)},
		{"by a number", map[string]any{"ratio": reconcile.Number("1")}, nil, upTo(6)},
		{"by ids", nil, []reconcile.RowID{9, 5, 2, 5}, []int{2, 5}},
		{"by what no row has", map[string]any{"name": "zzz"}, nil, nil},
		{"by empty", map[string]any{"mode": nil}, nil, upTo(6)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var ids []int
			_, err := client(t, f.URL).Read(context.Background(), reconcile.Query{Kind: "Thing", Fields: []string{"count"}, Where: tc.where, Rows: tc.rows},
				func(r reconcile.Row) error {
					ids = append(ids, int(r.ID))
					require.Empty(t, r.Fields, "a field that was read only to be checked")
					return nil
				})
			require.NoError(t, err)
			if diff := cmp.Diff(tc.want, ids); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAFilterThatIsRefusedIsLeftOut(t *testing.T) {
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("core_id") {
			answer(w, 400, `{"core_id": ["Select a valid choice. 9 is not one of the available choices."]}`)
			return
		}
		(&table{ids: upTo(3), max: 1000, cursors: true}).serve(w, r)
	})
	ids, cov, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing", Where: map[string]any{"core": reconcile.RowID(9)}})
	require.NoError(t, err)
	require.Empty(t, ids)
	require.Equal(t, 2, cov.Requests)
}

func TestManyIDsStayBelowTheRequestLine(t *testing.T) {
	all := upTo(5000)
	for i := range all {
		all[i] += 1_000_000
	}
	f := newFake(t, "4.7.3", (&table{ids: all, max: 1000, cursors: true}).serve)
	rows := make([]reconcile.RowID, 0, 2000)
	for i := range 2000 {
		rows = append(rows, reconcile.RowID(all[i*2]))
	}
	slices.Reverse(rows)
	ids, _, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing", Rows: rows})
	require.NoError(t, err)
	require.Len(t, ids, 2000)
	require.True(t, slices.IsSorted(ids))
	for _, h := range f.requests() {
		require.LessOrEqual(t, len("GET "+h.path+"?"+h.query+" HTTP/1.1"), maxRequestLine)
	}
}

func TestCoverageNamesTheFieldsThatRowsHad(t *testing.T) {
	f := newFake(t, "4.7.3", (&table{ids: upTo(2), max: 1000, cursors: true}).serve)
	_, cov, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
	require.NoError(t, err)
	if diff := cmp.Diff(map[string]bool{"name": true}, cov.Fields); diff != "" {
		t.Error(diff)
	}
}

func TestAListThatShowsLessThanItCounts(t *testing.T) {
	f := newFake(t, "4.5.9", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, `{"count": 10, "next": null, "results": [{"id": 1}]}`)
	})
	_, cov, err := readIDs(client(t, f.URL), reconcile.Query{Kind: "Thing"})
	require.NoError(t, err)
	require.False(t, cov.Complete)
	require.Contains(t, cov.Why, "counts 10")
}

func TestReadStopsAtTheCallersError(t *testing.T) {
	f := newFake(t, "4.7.3", (&table{ids: upTo(2500), max: 1000, cursors: true}).serve)
	enough := errors.New("enough")
	calls := 0
	_, err := client(t, f.URL).Read(context.Background(), reconcile.Query{Kind: "Thing"}, func(reconcile.Row) error {
		calls++
		return enough
	})
	require.Equal(t, enough, err)
	require.Equal(t, 1, calls)
	require.Len(t, f.requests(), 1)
}

func TestPaths(t *testing.T) {
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		(&table{ids: upTo(1), max: 1000, cursors: true}).serve(w, r)
	})
	c := client(t, f.URL+"/tools/netbox")
	for kind, want := range map[string]string{
		"Thing": "/tools/netbox/api/plugins/box/things/",
		"Alone": "/tools/netbox/api/plugins/box/deep/alone/",
		"Core":  "/tools/netbox/api/dcim/cores/",
	} {
		_, _, err := readIDs(c, reconcile.Query{Kind: kind})
		require.NoError(t, err)
		got := f.requests()
		require.Equal(t, want, got[len(got)-1].path)
	}
	// two root documents and one list for each kind: nothing twice
	require.EqualValues(t, 5, c.Stats().Requests)
}

func TestKindsThatTheServerDoesNotHave(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		is     error
		wrong  string
	}{
		{"no plugin", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound); page200(w, "<html>") }, reconcile.ErrNoKind, "plugins/box/things"},
		{"a root that lists other paths", func(w http.ResponseWriter) { answer(w, 200, `{"x": "http://h/api/plugins/box/x/"}`) }, reconcile.ErrNoKind, ""},
		{"a root that lists paths outside of the API", func(w http.ResponseWriter) {
			answer(w, 200, `{"things": "http://h/plugins/box/things/", "b": "http://h/api/plugins/other/things/", "c": "javascript:alert(1)"}`)
		}, reconcile.ErrNoKind, ""},
		{"a root that the token may not see", func(w http.ResponseWriter) {
			answer(w, 403, `{"detail": "You do not have permission to perform this action."}`)
		}, reconcile.ErrForbidden, "list of paths"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := newFake(t, "4.7.3", nil)
			server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/box/") {
					tc.answer(w)
					return
				}
				server.ServeHTTP(w, r)
			})
			_, _, err := readIDs(client(t, server.URL), reconcile.Query{Kind: "Thing"})
			require.ErrorIs(t, err, tc.is)
			require.ErrorContains(t, err, tc.wrong)
		})
	}
}

func TestInstance(t *testing.T) {
	t.Run("versions are asked for once", func(t *testing.T) {
		f := newFake(t, "4.7.3", nil)
		c := client(t, f.URL+"/sub/")
		for range 2 {
			got, err := c.Instance(context.Background())
			require.NoError(t, err)
			if diff := cmp.Diff(reconcile.Instance{URL: f.URL + "/sub", NetBoxVersion: "4.7.3", PluginVersion: "0.0.29.post6"}, got); diff != "" {
				t.Error(diff)
			}
		}
		require.EqualValues(t, 1, c.Stats().Requests)
	})
	t.Run("a status that the token may not read leaves them unknown", func(t *testing.T) {
		f := newFake(t, "", nil)
		got, err := client(t, f.URL).Instance(context.Background())
		require.NoError(t, err)
		require.Equal(t, reconcile.Instance{URL: f.URL}, got)
	})
	for name, tc := range map[string]struct{ body, wrong string }{
		"JSON of something else": {`{"status": "ok"}`, "is this NetBox?"},
		"a wrong token":          {`{"detail": "Invalid v2 token"}`, "refused the token"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "", nil)
			f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				answer(w, map[bool]int{true: 403, false: 200}[strings.Contains(tc.body, "token")], tc.body)
			})
			_, err := client(t, f.URL).Instance(context.Background())
			require.ErrorContains(t, err, tc.wrong)
		})
	}
}

// BenchmarkRead reads 10,000 objects of a dozen fields over loopback.
func BenchmarkRead(b *testing.B) {
	row := func(id int) string {
		return fmt.Sprintf(`{"id": %d, "last_updated": "2026-11-22T09:54:20.450672Z", "name": "object-%d", "count": %d, "ratio": 2.5, "on": true,
			"mode": {"value": "a", "label": "A"}, "at": "2026-11-22T09:54:20Z", "core": {"id": 3, "url": "http://h/api/dcim/cores/3/", "display": "c3", "name": "c3"},
			"cores": [{"id": 1, "display": "c1"}, {"id": 2, "display": "c2"}], "config": {"a": [1, 2, {"b": null}]}, "custom_fields": {"x": null}}`, id, id, id)
	}
	var pages []string
	for first := 1; first <= 10_000; first += 1000 {
		rows := make([]string, 0, 1000)
		for id := first; id < first+1000; id++ {
			rows = append(rows, row(id))
		}
		next := `"more"`
		if first > 9000 {
			next = `null`
		}
		pages = append(pages, `{"count": null, "next": `+next+`, "results": [`+strings.Join(rows, ",")+`]}`)
	}
	f := newFake(b, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		var start int
		_, _ = fmt.Sscan(r.URL.Query().Get("start"), &start)
		answer(w, 200, pages[start/1000])
	})
	c := client(b, f.URL)
	b.ReportAllocs()
	for b.Loop() {
		ids, _, err := readIDs(c, reconcile.Query{Kind: "Thing"})
		if err != nil || len(ids) != 10_000 {
			b.Fatal(len(ids), err)
		}
	}
}
