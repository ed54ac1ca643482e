package main

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
)

// batching is the product's client with a batch size of the test's choice.
func (w *world) batching(t testing.TB, size, parallel int) *netbox.Client {
	t.Helper()
	c, err := netbox.New(netbox.Config{URL: w.url, Token: reconcile.NewSecret(w.token, ""), Kinds: w.set, BatchSize: size, Parallelism: parallel,
		Timeout: 5 * time.Minute})
	require.NoError(t, err)
	return c
}

const storagePath = "plugins/proxbox/storage"

// sent carries out writes of storage through a client and returns their outcomes and the
// requests that it took: lists read, lists written, objects written alone.
func (w *world) sent(t *testing.T, c *netbox.Client, op reconcile.Operation, list []reconcile.Write) (
	outcomes []reconcile.Outcome, looks, batches, singles int,
) {
	t.Helper()
	_, err := c.Instance(t.Context())
	require.NoError(t, err)
	before := w.count()
	outcomes = make([]reconcile.Outcome, len(list))
	require.NoError(t, c.Write(t.Context(), "ProxmoxStorage", op, list, func(i int, o reconcile.Outcome) {
		require.Empty(t, outcomes[i].Verdict, "an outcome given twice")
		outcomes[i] = o
	}))
	for _, r := range w.since(before) {
		switch {
		case !strings.HasPrefix(r.Path, storagePath): // root documents
		case r.Method == http.MethodGet:
			looks++
		case r.Path == storagePath:
			batches++
		default:
			singles++
		}
	}
	return outcomes, looks, batches, singles
}

// creates are writes that create so many storages; those of bad are refused.
func (w *world) creates(cluster reconcile.RowID, n int, bad map[int]bool) []reconcile.Write {
	list := make([]reconcile.Write, n)
	for i := range list {
		name := storageName(w.tag, i)
		list[i] = reconcile.Write{Fields: map[string]any{"cluster": cluster, "name": name}, Message: "conformance " + name}
		if bad[i] {
			list[i].Fields["port"] = reconcile.Number("-1")
		}
	}
	return list
}

// updates are writes that change what was created; those of bad are refused.
func updates(made []reconcile.Outcome, bad map[int]bool) []reconcile.Write {
	list := make([]reconcile.Write, len(made))
	for i, o := range made {
		list[i] = reconcile.Write{Row: o.Row, IfVersion: o.Version, Fields: map[string]any{"content": "ours"}, Message: "conformance"}
		if bad[i] {
			list[i].Fields["port"] = reconcile.Number("-1")
		}
	}
	return list
}

func deletes(made []reconcile.Outcome) []reconcile.Write {
	list := make([]reconcile.Write, len(made))
	for i, o := range made {
		list[i] = reconcile.Write{Row: o.Row, IfVersion: o.Version, Message: "conformance"}
	}
	return list
}

func everyNth(n, step int) map[int]bool {
	out := map[int]bool{}
	for i := 0; i < n; i += step {
		out[i+step-1] = true
	}
	return out
}

// TestConformanceARefusedBatchIsNarrowed has 1, 2 and many bad objects in a batch
// of 100: every good one is written, every bad one named, and the requests grow
// with the bad ones only.
func TestConformanceARefusedBatchIsNarrowed(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		n := 100
		if w.real {
			n = 25 // so as not to take it for long
		}
		c := w.batching(t, n, 1)
		indexed := w.real || w.generation == "0.0.29.post6"
		for _, bad := range []map[int]bool{nil, {n - 1: true}, {0: true, n / 2: true}, everyNth(n, 5)} {
			w := w.fork()
			cluster := w.stored(t, 0)
			t.Run(fmt.Sprintf("%d bad ones", len(bad)), func(t *testing.T) {
				made, looks, batches, singles := w.sent(t, c, reconcile.OpCreate, w.creates(cluster, n, bad))
				agree(t, made, bad)
				require.Zero(t, looks+singles)
				require.Equal(t, 1+min(len(bad), 1), batches, "one more for the good ones")

				good, _, _, _ := w.sent(t, c, reconcile.OpCreate, w.corrected(cluster, n, bad))
				for i := range made {
					if bad[i] {
						made[i], good = good[0], good[1:]
					}
				}
				changed, looks, batches, singles := w.sent(t, c, reconcile.OpUpdate,
					updates(made, bad))
				agree(t, changed, bad)
				requests := batches + singles
				if indexed {
					require.LessOrEqual(t, requests, 2)
				} else {
					require.LessOrEqual(t, requests, narrowing(n, len(bad)))
				}
				require.LessOrEqual(t, looks, requests, "a look before each")

				for i, o := range changed {
					if !bad[i] {
						made[i] = o
					}
				}
				gone, _, batches, singles := w.sent(t, c, reconcile.OpDelete, deletes(made))
				agree(t, gone, nil)
				require.Equal(t, 1, batches+singles)
			})
		}
	})
}

// narrowing bounds the requests that halving takes to find k bad ones among n.
func narrowing(n, k int) int {
	if k == 0 {
		return 1
	}
	return 1 + 2*k*int(math.Ceil(math.Log2(float64(n)/float64(k)))+1)
}

// corrected are creates of those that were refused, as they should be.
func (w *world) corrected(cluster reconcile.RowID, n int, bad map[int]bool) []reconcile.Write {
	var list []reconcile.Write
	for i, write := range w.creates(cluster, n, nil) {
		if bad[i] {
			list = append(list, write)
		}
	}
	return list
}

func agree(t *testing.T, outcomes []reconcile.Outcome, bad map[int]bool) {
	t.Helper()
	for i, o := range outcomes {
		if !bad[i] {
			require.Equal(t, reconcile.Done, o.Verdict, "%d: %+v", i, o)
			require.NotZero(t, o.Row)
			continue
		}
		require.Equal(t, reconcile.Refused, o.Verdict, "%d: %+v", i, o)
		require.NotEmpty(t, o.Request)
		require.Equal(t, "port", o.Messages[0].Field, "%+v", o.Messages)
	}
}

// TestConformanceABatchIsGuarded lets somebody else change one object and delete
// another right before a batch.
func TestConformanceABatchIsGuarded(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		c := w.batching(t, 100, 1)
		made, _, _, _ := w.sent(t, c, reconcile.OpCreate, w.creates(w.stored(t, 0), 12, nil))
		touch := func(i int) {
			w.must(t, http.MethodPatch, storagePath+"/"+itoa(made[i].Row), map[string]any{"pool": "theirs"})
		}
		touch(3)
		w.must(t, http.MethodDelete, storagePath+"/"+itoa(made[5].Row), nil)
		changed, looks, batches, singles := w.sent(t, c, reconcile.OpUpdate, updates(made, nil))
		require.Equal(t, []int{1, 1, 0}, []int{looks, batches, singles})
		for i, o := range changed {
			switch i {
			case 3:
				require.Equal(t, reconcile.Conflict, o.Verdict)
				require.Empty(t, w.must(t, http.MethodGet, storagePath+"/"+itoa(made[i].Row), nil)["content"])
			case 5:
				require.Equal(t, reconcile.Refused, o.Verdict)
				require.Equal(t, http.StatusNotFound, o.Status)
			default:
				require.Equal(t, reconcile.Done, o.Verdict, "%+v", o)
				require.Equal(t, "ours", o.Fields["content"], "what the server has is told for each")
				made[i] = o
			}
		}
		touch(4)
		gone, _, batches, singles := w.sent(t, c, reconcile.OpDelete, deletes(made))
		require.Equal(t, []int{1, 0}, []int{batches, singles})
		for i, o := range gone {
			want := map[int]reconcile.Verdict{3: reconcile.Conflict, 4: reconcile.Conflict, 5: reconcile.Refused}[i]
			if want == "" {
				want = reconcile.Done
			}
			require.Equal(t, want, o.Verdict, "%d: %+v", i, o)
		}
		left := w.must(t, http.MethodGet, storagePath+"?fields=id&q="+w.tag, nil)["results"].([]any)
		require.Len(t, left, 2)

		// Without a look the server, or its silence, tells what is not there.
		blind := []reconcile.Write{{Row: made[3].Row, Fields: map[string]any{"content": "x"}}, {Row: 987654321, Fields: map[string]any{"content": "x"}}}
		for _, op := range []reconcile.Operation{reconcile.OpUpdate, reconcile.OpDelete} {
			out, _, _, _ := w.sent(t, c, op, blind)
			require.Equal(t, reconcile.Done, out[0].Verdict, "%s: %+v", op, out[0])
			if op == reconcile.OpUpdate {
				require.Equal(t, reconcile.Refused, out[1].Verdict, "%+v", out[1])
				require.Equal(t, http.StatusNotFound, out[1].Status)
			}
		}
	})
}

// TestConformanceOrderOfBulkAnswers asks for rows against the order of their
// kind: creates are answered in the order sent, changes in the kind's own.
func TestConformanceOrderOfBulkAnswers(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		cluster := w.stored(t, 0)
		column := func(answer any, name string) (list []any) {
			for _, item := range answer.([]any) {
				list = append(list, item.(map[string]any)[name])
			}
			return list
		}
		status, answer := w.raw(t, http.MethodPost, storagePath, []any{
			map[string]any{"cluster": cluster, "name": "c"}, map[string]any{"cluster": cluster, "name": "a"}, map[string]any{"cluster": cluster, "name": "b"}})
		require.Equal(t, http.StatusCreated, status)
		require.Equal(t, []any{"c", "a", "b"}, column(answer, "name"))
		ids := column(answer, "id")
		status, answer = w.raw(t, http.MethodPatch, storagePath, []any{
			map[string]any{"id": ids[0], "content": "x"}, map[string]any{"id": ids[1], "name": "z"}, map[string]any{"id": ids[2], "content": "x"}})
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, []any{"b", "c", "z"}, column(answer, "name"))
	})
}

// TestConformanceMarkersInBatches has the server refuse one of several creates:
// neither it nor its marker is there, and each of the others has its own.
func TestConformanceMarkersInBatches(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s := w.story(t)
		w.must(t, http.MethodPost, "dcim/sites", map[string]any{"name": w.tag, "slug": w.tag})
		var sites []*thing
		for i := range 12 {
			name := fmt.Sprintf("%s-%d", w.tag, i)
			sites = append(sites, w.named("Site", map[string]any{"name": name, "slug": name}))
		}
		sites[7].fields["name"] = w.tag // which is taken
		before := w.count()
		report, err := s.once(w.owner(part), sites...)
		require.NoError(t, err)
		require.Equal(t, 11, report.Count(reconcile.Applied))
		require.LessOrEqual(t, len(w.writes(before)), 4)
		seen := map[any]bool{}
		for _, r := range report.Steps {
			var x *thing
			for _, candidate := range sites {
				if sameKey(r.Step.Change.Object(), candidate) {
					x = candidate
				}
			}
			if x == sites[7] {
				require.Equal(t, reconcile.Failed, r.Result)
				continue
			}
			require.Equal(t, reconcile.Applied, r.Result)
			x.row = r.Row
			marker := w.markerOf(t, x)
			require.Equal(t, w.tag, marker["owner"])
			require.False(t, seen[marker["key"]], "a marker of its own")
			seen[marker["key"]] = true
		}
		page := w.must(t, http.MethodGet, "dcim/sites?name="+w.tag, nil)
		require.Len(t, page["results"], 1, "the refused one is not there")
		require.Nil(t, page["results"].([]any)[0].(map[string]any)["custom_fields"].(map[string]any)[reconcile.MarkerField])
	})
}

// TestConformanceMessagesOfBatches reads the change log of the server.
func TestConformanceMessagesOfBatches(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		c := w.batching(t, 100, 1)
		made, _, _, _ := w.sent(t, c, reconcile.OpCreate, w.creates(w.stored(t, 0), 3, nil))
		changed, _, _, _ := w.sent(t, c, reconcile.OpUpdate, updates(made, nil))
		gone, _, _, _ := w.sent(t, c, reconcile.OpDelete, deletes(changed))
		agree(t, gone, nil)
		if !w.real {
			messages := map[string]int{}
			for _, change := range w.sandbox.Changes() {
				messages[change.Action+": "+change.Message]++
			}
			require.Equal(t, 1, messages["create: conformance "+storageName(w.tag, 1)])
			require.Equal(t, 3, messages["update: conformance"])
			require.Equal(t, 3, messages["delete: conformance"])
			return
		}
		for i, o := range []reconcile.Outcome{made[1], changed[1], gone[1]} {
			page := w.must(t, http.MethodGet, "core/object-changes?request_id="+o.Request+"&changed_object_id="+itoa(o.Row), nil)
			entries := page["results"].([]any)
			require.Len(t, entries, 1)
			want := "conformance"
			if i == 0 {
				want += " " + storageName(w.tag, 1)
			}
			require.Equal(t, want, entries[0].(map[string]any)["message"])
		}
	})
}
