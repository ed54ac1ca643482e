package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// TestLongFaultsOnNetBox is TestFaults in front of the real NetBox that the
// environment names, or of one of its own, with a small story: each fault at two of its
// requests in turn, under names of its own, which are deleted in the end. A run
// takes such a server ten seconds: all of them would take half a day.
func TestLongFaultsOnNetBox(t *testing.T) {
	long(t)
	var w *world
	if address := os.Getenv(envNetBoxURL); address != "" {
		w = newRealWorld(t, address)
	} else {
		w = newOwnNetBox(t).emptied()
	}
	w.marking(t)
	requests := w.meets(t, "none", nil, 0)
	runs := 0
	for i, f := range faults() {
		for _, at := range []int{i % requests, requests - 1 - i%5} {
			t.Run(fmt.Sprintf("%s, request %d", f.name, at), func(t *testing.T) { w.meets(t, fmt.Sprintf("%d-%d", i, at), f, at) })
			runs++
		}
	}
	t.Logf("faults on a real NetBox: %d faults, %d runs", len(faults()), runs)
}

// meets applies the story with a fault and then without, and returns the number of
// its requests.
func (w *world) meets(t *testing.T, name string, f *fault, at int) int {
	t.Helper()
	tag := w.tag + "f" + name
	file := filepath.Join(t.TempDir(), "m.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(killedStory, "{p}", tag)), 0o600))
	way := newFaultyWay(t, w.traffic, f)
	g := &ground{dir: t.TempDir(), kinds: w.set.Kinds(), apply: []string{"apply", "--auto-approve", "--parallelism=1", "--owner", tag, file}}
	g.token = w.token
	var args []string
	if f != nil {
		args = f.args
	}
	way.goesWrong(t, f, at, false)
	first := g.faulty(t, way, args)
	requests := len(way.seen)
	if f != nil && len(way.hits) > 0 {
		g.reported(t, faultCase{fault: f, at: at}, way.hits[0], first)
	}
	require.Zero(t, way.heard.Load())
	way.goesWrong(t, nil, 0, false)
	second := g.faulty(t, way, nil)
	require.Equal(t, int(exitDone), second.code, second.stdout+second.stderr)
	way.goesWrong(t, nil, 0, false)
	third := g.faulty(t, way, nil)
	require.Equal(t, int(exitDone), third.code, third.stdout+third.stderr)
	require.Contains(t, third.stdout, "No changes.")
	for _, out := range []outcome{first, second, third} {
		require.NotContains(t, out.stdout+out.stderr, "canary-killed")
		require.NotContains(t, out.stdout+out.stderr, w.token)
	}
	got := map[string]int{}
	for _, name := range []string{"ClusterType", "Cluster", "ProxmoxStorage", "ProxmoxEndpoint"} {
		page := w.must(t, http.MethodGet, w.path(t, w.set.Kind(name))+"?limit=1000", nil)
		for _, row := range page["results"].([]any) {
			if text, _ := row.(map[string]any)["name"].(string); text == tag || strings.HasPrefix(text, tag+"-") {
				got[name]++
			}
		}
	}
	require.Empty(t, cmp.Diff(map[string]int{"ClusterType": 1, "Cluster": 1, "ProxmoxStorage": 3, "ProxmoxEndpoint": 1}, got))
	return requests
}
