package netbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// shelf is a list of things that takes lists of writes, all or nothing. It is
// what the tests below let answer wrongly; how real servers answer is shown by
// the conformance tests.
type shelf struct {
	next   int
	bad    func(entry map[string]any) string // why an entry is refused
	refuse func(w http.ResponseWriter, entries []map[string]any, why []string)
	answer func(rows []json.RawMessage) []json.RawMessage
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	var entries []map[string]any
	if json.Unmarshal(data, &entries) != nil {
		var one map[string]any
		_ = json.Unmarshal(data, &one)
		if why := s.bad(one); why != "" {
			answer(w, 400, fmt.Sprintf(`{"name": [%q]}`, why))
			return
		}
		s.next++
		answer(w, 201, string(s.row(one)))
		return
	}
	why := make([]string, len(entries))
	for i, e := range entries {
		if s.bad != nil {
			why[i] = s.bad(e)
		}
	}
	if slices.ContainsFunc(why, func(text string) bool { return text != "" }) {
		s.refuse(w, entries, why)
		return
	}
	var rows []json.RawMessage
	for _, e := range entries {
		s.next++
		rows = append(rows, s.row(e))
	}
	if s.answer != nil {
		rows = s.answer(rows)
	}
	text, _ := json.Marshal(rows)
	answer(w, 201, string(text))
}

func (s *shelf) row(fields map[string]any) json.RawMessage {
	row := map[string]any{"id": s.next, "url": fmt.Sprintf("/api/plugins/box/things/%d/", s.next), "last_updated": "2026-11-22T09:54:20Z"}
	for name, v := range fields {
		row[name] = v
	}
	text, _ := json.Marshal(row)
	return text
}

func named(names ...string) []reconcile.Write {
	list := make([]reconcile.Write, len(names))
	for i, name := range names {
		list[i].Fields = map[string]any{"name": name}
	}
	return list
}

func TestAnswersToABatchArePairedByWhatIdentifiesAnObject(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func([]json.RawMessage) []json.RawMessage
		want   []reconcile.Verdict
		rows   []reconcile.RowID
	}{
		{"in the order sent", nil, []reconcile.Verdict{reconcile.Done, reconcile.Done, reconcile.Done}, []reconcile.RowID{1, 2, 3}},
		{"sorted in another way", func(rows []json.RawMessage) []json.RawMessage {
			slices.Reverse(rows)
			return rows
		}, []reconcile.Verdict{reconcile.Done, reconcile.Done, reconcile.Done}, []reconcile.RowID{1, 2, 3}},
		{"one that is none of them", func(rows []json.RawMessage) []json.RawMessage {
			rows[1] = json.RawMessage(`{"id": 9, "name": "else"}`)
			return rows
		}, []reconcile.Verdict{reconcile.Done, reconcile.Uncertain, reconcile.Done}, []reconcile.RowID{1, 0, 3}},
		{"one twice", func(rows []json.RawMessage) []json.RawMessage {
			rows[1] = rows[0]
			return rows
		}, []reconcile.Verdict{reconcile.Done, reconcile.Uncertain, reconcile.Done}, []reconcile.RowID{1, 0, 3}},
		{"one of another kind", func(rows []json.RawMessage) []json.RawMessage {
			rows[2] = json.RawMessage(`{"id": 3, "name": "c", "url": "/api/plugins/box/others/3/"}`)
			return rows
		}, []reconcile.Verdict{reconcile.Done, reconcile.Done, reconcile.Uncertain}, []reconcile.RowID{1, 2, 0}},
		{"one too few", func(rows []json.RawMessage) []json.RawMessage { return rows[1:] },
			[]reconcile.Verdict{reconcile.Uncertain, reconcile.Uncertain, reconcile.Uncertain}, []reconcile.RowID{0, 0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.7.3", (&shelf{answer: tc.answer}).ServeHTTP)
			out, err := writeAll(t, client(t, f.URL), "Thing", reconcile.OpCreate, named("a", "b", "c")...)
			require.NoError(t, err)
			require.Len(t, f.requests(), 1)
			for i := range tc.want {
				require.Equal(t, tc.want[i], out[i].Verdict, "%d: %+v", i, out[i])
				require.Equal(t, tc.rows[i], out[i].Row)
				if out[i].Verdict == reconcile.Done {
					require.Equal(t, string(rune('a'+i)), out[i].Fields["name"])
				}
			}
		})
	}
}

func TestBatchesAreCut(t *testing.T) {
	long := strings.Repeat("x", maxBatchBytes/4)
	limited := func(list []reconcile.Write, most ...int) []reconcile.Write {
		for i := range most {
			list[i].Batch = most[i]
		}
		return list
	}
	for _, tc := range []struct {
		name string
		list []reconcile.Write
		size int
		want []int // how many in each request; 0 for one alone
	}{
		{"evenly, by the batch size", named(strings.Split(strings.Repeat("n ", 249)+"n", " ")...), 100, []int{84, 84, 82}},
		{"by the size of their body", named(long+"1", long+"2", long+"3", long+"4", long+"5"), 100, []int{3, 2}},
		{"one that is larger alone goes alone", named("a", strings.Repeat(long, 5), "b"), 100, []int{0, 0, 0}},
		{"as their caller wants", limited(named("a", "b", "c", "d", "e", "f"), 2, 2, 1, 0, 0, 3), 100, []int{2, 0, 3}},
		{"one each", named("a", "b"), 1, []int{0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.7.3", (&shelf{bad: func(map[string]any) string { return "" }}).ServeHTTP)
			c := client(t, f.URL, func(cfg *Config) { cfg.Parallelism, cfg.BatchSize = 1, tc.size })
			out, err := writeAll(t, c, "Thing", reconcile.OpCreate, tc.list...)
			require.NoError(t, err)
			require.Len(t, out, len(tc.list))
			var got []int
			for _, h := range f.requests() {
				var entries []any
				_ = json.Unmarshal([]byte(h.body), &entries)
				got = append(got, len(entries))
				require.True(t, len(entries) == 0 || len(h.body) <= maxBatchBytes)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestASmallListIsSharedAmongTheWorkers(t *testing.T) {
	c := &Client{batchSize: 100, parallelism: 4}
	for n, want := range map[int]int{1: 1, 9: 9, 19: 19, 20: 10, 40: 10, 100: 25, 400: 100, 401: 81, 1000: 100} {
		require.Equal(t, want, c.sizeFor(n), "%d", n)
	}
}

// A server that takes long gets less at a time, before a timeout leaves the fate
// of a whole batch unknown.
func TestBatchesOfASlowServerGetSmaller(t *testing.T) {
	cl := newClock()
	var sizes []int
	s := &shelf{answer: func(rows []json.RawMessage) []json.RawMessage {
		sizes = append(sizes, len(rows))
		_ = cl.sleep(context.Background(), time.Duration(len(rows))*time.Second)
		return rows
	}}
	f := newFake(t, "4.7.3", s.ServeHTTP)
	c := client(t, f.URL, func(cfg *Config) {
		cfg.Now, cfg.Sleep, cfg.Timeout, cfg.Parallelism = cl.now, cl.sleep, time.Minute, 1
	})
	out, err := writeAll(t, c, "Thing", reconcile.OpCreate, named(strings.Split(strings.Repeat("n ", 399)+"n", " ")...)...)
	require.NoError(t, err)
	require.Len(t, out, 400)
	require.Equal(t, 100, sizes[0])
	require.LessOrEqual(t, slices.Max(sizes[3:]), 15, "a quarter of the timeout")
}

// A worker that is told to slow down speaks for all: the other one waits as well.
func TestWhoIsToldToSlowDownSpeaksForAll(t *testing.T) {
	var (
		cl         = newClock()
		told, both = make(chan struct{}), make(chan struct{})
		waiting    sync.Once
		sleeps     atomic.Int64
		early      atomic.Int64
		first      = cl.now()
	)
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), `"told"`) && sleeps.Load() == 0:
			w.Header().Set("Retry-After", "30")
			answer(w, 429, `{}`)
			return
		case cl.now().Equal(first):
			<-told
			if early.Add(1) > 1 {
				waiting.Do(func() { close(both) })
			}
		}
		answer(w, 201, `{"id": 7}`)
	})
	c := client(t, f.URL, func(cfg *Config) {
		cfg.Now, cfg.Parallelism, cfg.BatchSize = cl.now, 2, 1
		cfg.Sleep = func(ctx context.Context, d time.Duration) error {
			switch sleeps.Add(1) {
			case 1:
				close(told)
				<-both
			case 2:
				waiting.Do(func() { close(both) })
			}
			return cl.sleep(ctx, d)
		}
	})
	names := append([]string{"told"}, strings.Split(strings.Repeat("n ", 19)+"n", " ")...)
	out, err := writeAll(t, c, "Thing", reconcile.OpCreate, named(names...)...)
	require.NoError(t, err)
	require.Len(t, out, 21)
	require.LessOrEqual(t, early.Load(), int64(1), "the one that was under way")
	require.Equal(t, []time.Duration{30 * time.Second, 30 * time.Second}, cl.slept)
}

// What an older server passes over is noticed by looking, or said.
func TestDeletesThatAnOlderServerPassesOver(t *testing.T) {
	for _, tc := range []struct {
		version string
		looks   int
		want    reconcile.Verdict
	}{{"4.5.9", 2, reconcile.Refused}, {"4.6.2", 2, reconcile.Refused}, {"4.7.3", 1, reconcile.Done}, {"", 2, reconcile.Refused}} {
		left := []int{1, 2, 3}
		f := newFake(t, tc.version, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				left = []int{2}
				w.WriteHeader(http.StatusNoContent)
				return
			}
			(&table{ids: left, max: 1000, cursors: tc.version != "4.5.9", row: func(id int) string {
				return fmt.Sprintf(`{"id": %d, "last_updated": "v"}`, id)
			}}).serve(w, r)
		})
		var list []reconcile.Write
		for id := range 3 {
			list = append(list, reconcile.Write{Row: reconcile.RowID(id + 1), IfVersion: "v"})
		}
		out, err := writeAll(t, client(t, f.URL), "Thing", reconcile.OpDelete, list...)
		require.NoError(t, err)
		require.Equal(t, tc.want, out[1].Verdict, "%s: %+v", tc.version, out[1])
		require.Equal(t, reconcile.Done, out[0].Verdict)
		require.Equal(t, tc.looks+1, len(f.requests()))
	}
}

// A kind whose writes have side effects goes one at a time, and may take longer.
func TestWritesWithSideEffectsGoAloneAndMayTakeLonger(t *testing.T) {
	var slept atomic.Int64
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) {
		if slept.Add(1) == 1 {
			w.Header().Set("Retry-After", "100") // more than the timeout
			answer(w, 429, `{}`)
			return
		}
		answer(w, 201, `{"id": 7, "name": "x"}`)
	})
	cl := newClock()
	c := client(t, f.URL, func(cfg *Config) { cfg.Now, cfg.Sleep, cfg.Timeout = cl.now, cl.sleep, time.Minute })
	out, err := writeAll(t, c, "Alone", reconcile.OpCreate, named("x", "x", "x")...)
	require.NoError(t, err)
	require.Equal(t, reconcile.Done, out[0].Verdict, "%+v", out[0])
	require.Len(t, f.requests(), 4)
}

// TestWritesOfManyGetAConnectionEach lets a server of several processes hand each of
// them to a free one; what is small shares a connection.
func TestWritesOfManyGetAConnectionEach(t *testing.T) {
	bulk, others := map[string]int{}, map[string]int{}
	s := &shelf{}
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			bulk[r.RemoteAddr]++
			s.ServeHTTP(w, r)
			return
		}
		others[r.RemoteAddr]++
		answer(w, 200, `{"count": 0, "next": null, "results": []}`)
	})
	c := client(t, f.URL, func(cfg *Config) { cfg.BatchSize, cfg.Parallelism = 2, 1 })
	for range 3 {
		_, err := c.Read(context.Background(), reconcile.Query{Kind: "Thing"}, func(reconcile.Row) error { return nil })
		require.NoError(t, err)
	}
	out, err := writeAll(t, c, "Thing", reconcile.OpCreate, named("a", "b", "c", "d", "e", "f")...)
	require.NoError(t, err)
	require.Len(t, out, 6)
	require.Len(t, bulk, 3, "a connection for each batch")
	require.Len(t, others, 1, "reads share one")
	for address := range bulk {
		require.NotContains(t, others, address)
	}
}
