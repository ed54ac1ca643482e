package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

const killedStory = `apiVersion: proxbox-sync/v1
kind: ClusterType
spec: {name: "{p}", slug: "{p}"}
---
apiVersion: proxbox-sync/v1
kind: Cluster
spec: {name: "{p}", type: "{p}", status: active}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxStorage
defaults: {cluster: "{p}"}
items: [{name: "{p}-a", content: images}, {name: "{p}-b"}, {name: "{p}-c"}]
---
apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
spec: {name: "{p}", domain: pve.example.net, mode: cluster, username: netbox@pve, token_name: sync, password: canary-killed}
`

// An apply is killed after each of its requests in turn, the last of them carried
// out by the server and not answered. The same saved plan finishes it.
func TestConformanceAKilledApplyIsFinishedByTheSamePlan(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		n := 0
		for w.killed(t, n) {
			n++
		}
		require.Greater(t, n, 8, "requests of an apply")
		t.Logf("killed after each of %d requests", n-1)
	})
}

// killed applies a plan, kills that once the server has handled n requests, and
// applies it again. It reports false when the run ended before that.
func (w *world) killed(t *testing.T, n int) bool {
	t.Helper()
	tag := fmt.Sprintf("%sk%d", w.tag, n)
	dir := t.TempDir()
	file, plan := filepath.Join(dir, "m.yaml"), filepath.Join(dir, "plan.json")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(killedStory, "{p}", tag)), 0o600))
	way := newDeadlyWay(t, w.url)
	env := []string{"HOME=" + dir, "PROXBOX_SYNC_URL=" + way.url, "PROXBOX_SYNC_TOKEN=" + w.token, "PROXBOX_SYNC_OWNER=" + tag,
		"PROXBOX_SYNC_ALLOW_PLAINTEXT_SECRETS=true"}
	must := func(args ...string) string {
		got := runWith(t.Context(), env, append(args, file)...)
		require.Equal(t, int(exitDone), got.code, "%v after %d requests: %s%s", args, n, got.stdout, got.stderr)
		require.NotContains(t, got.stdout+got.stderr, "canary-killed")
		return got.stdout
	}
	must("plan", "--out", plan)

	c := exec.Command("proxbox-sync", "apply", "--auto-approve", "--plan", plan, "--parallelism", "1", file)
	c.Env = append(env, "PATH="+os.Getenv("PATH"), "NO_PROXY=*")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	way.kills(n, func() { _ = c.Process.Kill() })
	err := c.Run()
	way.kills(-1, nil)
	if err != nil {
		require.Contains(t, err.Error(), "killed", out.String())
		must("apply", "--auto-approve", "--plan", plan)
	}
	require.Contains(t, must("plan", "--detailed-exitcode"), "No changes.")
	got := map[string]int{}
	for _, name := range []string{"ClusterType", "Cluster", "ProxmoxStorage", "ProxmoxEndpoint"} {
		page := w.must(t, http.MethodGet, w.path(t, w.set.Kind(name))+"?limit=1000", nil)
		for _, row := range page["results"].([]any) {
			if text, _ := row.(map[string]any)["name"].(string); text == tag || strings.HasPrefix(text, tag+"-") {
				got[name]++
			}
		}
	}
	require.Empty(t, cmp.Diff(map[string]int{"ClusterType": 1, "Cluster": 1, "ProxmoxStorage": 3, "ProxmoxEndpoint": 1}, got), "after %d requests", n)
	return err != nil
}

// deadlyWay is a way to a server on which a process can be killed.
type deadlyWay struct {
	url  string
	mu   sync.Mutex
	left int // requests to be handled before the kill; negative: no kill
	kill func()
}

// kills ends a process after n requests of it, the last of them not answered.
func (d *deadlyWay) kills(n int, kill func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.kill = n, kill
}

func newDeadlyWay(t *testing.T, to string) *deadlyWay {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	d := &deadlyWay{left: -1}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		left, kill := d.left, d.kill
		if left > 0 {
			d.left--
		}
		d.mu.Unlock()
		switch {
		case left < 0 || left > 1:
			proxy.ServeHTTP(out, r)
			return
		case left == 1:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
		}
		kill()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}
