package netbox

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestAnInterruptFinishesWhatIsUnderWay(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		answer(w, 201, thing(7, ""))
	})
	var verdicts []reconcile.Verdict
	err := client(t, f.URL, func(cfg *Config) { cfg.Parallelism, cfg.BatchSize = 1, 1 }).Write(ctx, "Thing", reconcile.OpCreate, make([]reconcile.Write, 5),
		func(_ int, o reconcile.Outcome) { verdicts = append(verdicts, o.Verdict) })
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []reconcile.Verdict{reconcile.Done}, verdicts)
	require.Len(t, f.requests(), 1)
}

func TestAnInterruptEndsTheWaitForAnotherTry(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		answer(w, 429, `{}`)
	})
	var outcomes []reconcile.Outcome
	err := client(t, f.URL, func(cfg *Config) { cfg.Parallelism, cfg.BatchSize = 1, 1 }).Write(ctx, "Thing", reconcile.OpCreate, make([]reconcile.Write, 5),
		func(_ int, o reconcile.Outcome) { outcomes = append(outcomes, o) })
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, outcomes, 1)
	require.Equal(t, reconcile.NotSent, outcomes[0].Verdict)
	require.Len(t, f.requests(), 1)
}

func TestWhatIsNeverSent(t *testing.T) {
	f := newFake(t, "4.7.3", nil)
	c := client(t, f.URL)
	for _, tc := range []struct {
		name string
		kind string
		op   reconcile.Operation
	}{
		{"a create of the settings", "Lone", reconcile.OpCreate},
		{"a delete of the settings", "Lone", reconcile.OpDelete},
		{"a write of what is only looked up", "Seen", reconcile.OpUpdate},
		{"an unknown operation", "Thing", "upsert"},
		{"an unknown kind", "Nope", reconcile.OpCreate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := writeAll(t, c, tc.kind, tc.op, reconcile.Write{Row: 1})
			require.Error(t, err)
			require.Empty(t, out)
		})
	}
	for _, tc := range []struct {
		name  string
		op    reconcile.Operation
		write reconcile.Write
		wrong string
	}{
		{"a secret that is not decrypted", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{"password": reconcile.SealedSecret("ENC[…]")}}, "not decrypted"},
		{"a field of another kind", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{"nope": "x"}}, "no field nope"},
		{"a reference that was never resolved", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{"core": reconcile.Ref{}}}, "core"},
		{"a number that is none", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{"count": reconcile.Number(`1,"x":2`)}}, "count"},
		{"an update of nothing", reconcile.OpUpdate, reconcile.Write{}, "no id"},
		{"a delete of nothing", reconcile.OpDelete, reconcile.Write{Row: -1}, "no id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := writeAll(t, c, "Thing", tc.op, tc.write)
			require.NoError(t, err)
			require.Equal(t, reconcile.NotSent, out[0].Verdict)
			require.ErrorContains(t, out[0].Err, tc.wrong)
		})
	}
	require.Empty(t, f.requests())
}

func TestSettings(t *testing.T) {
	for _, tc := range []struct {
		name  string
		list  string
		paths []string
	}{
		{"whose row is there", `{"count": 1, "results": [{"id": 1}]}`, []string{"GET /api/plugins/box/settings/", "PATCH /api/plugins/box/settings/1/"}},
		{"whose row the server has still to make", `{"count": 0, "results": []}`, []string{"GET /api/plugins/box/settings/", "GET /api/plugins/box/settings/runtime/", "PATCH /api/plugins/box/settings/1/"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.5.9", func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == "PATCH":
					answer(w, 200, `{"id": 1, "url": "/api/plugins/box/settings/1/"}`)
				case strings.HasSuffix(r.URL.Path, "/runtime/"):
					answer(w, 200, `{"id": 1, "encryption_key": "canary-key"}`)
				default:
					answer(w, 200, tc.list)
				}
			})
			out, err := writeAll(t, client(t, f.URL), "Lone", reconcile.OpUpdate, reconcile.Write{Fields: map[string]any{"name": "x"}})
			require.NoError(t, err)
			require.Equal(t, reconcile.Done, out[0].Verdict)
			require.EqualValues(t, 1, out[0].Row)
			var paths []string
			for _, h := range f.requests() {
				paths = append(paths, h.method+" "+h.path)
			}
			if diff := cmp.Diff(tc.paths, paths); diff != "" {
				t.Error(diff)
			}
		})
	}
}
