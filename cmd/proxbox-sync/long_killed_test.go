package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// killedNetBox is a real NetBox of the test's own, which it kills and starts again.
type killedNetBox struct {
	env        []string
	url, token string
}

func newKilledNetBox(t *testing.T) *killedNetBox {
	t.Helper()
	if os.Getenv("PROXBOX_SYNC_TEST_LONG") == "" {
		t.Skip("left out: it takes long; make test-long runs it")
	}
	caches, err := os.UserCacheDir()
	require.NoError(t, err)
	own := cmp.Or(os.Getenv("PROXBOX_SYNC_TEST_LONG_CACHE"), filepath.Join(caches, "proxbox-sync-long"))
	n := &killedNetBox{env: append(os.Environ(), "PROXBOX_SYNC_CACHE="+own)}
	// The dump of the usual one spares the migration.
	if dumps, _ := filepath.Glob(filepath.Join(caches, "proxbox-sync", "*", "*.dump")); len(dumps) > 0 {
		n.env = append(n.env, "NETBOX_DUMP_SEED="+dumps[len(dumps)-1])
	}
	t.Cleanup(func() { n.script(t, "down.sh", "--purge") })
	n.script(t, "down.sh", "--purge")
	n.up(t)
	return n
}

func (n *killedNetBox) script(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := n.try(name, args...)
	require.NoError(t, err)
	return out
}

func (n *killedNetBox) try(name string, args ...string) (string, error) {
	c := exec.Command(filepath.Join("..", "..", "testdata", "netbox", name), args...)
	c.Env = n.env
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%s %v: %w: %s", name, args, err, errs.String())
	}
	return strings.TrimSpace(string(out)), err
}

// up starts it, the first time or again.
func (n *killedNetBox) up(t *testing.T) {
	t.Helper()
	n.script(t, "up.sh")
	file := n.script(t, "up.sh", "--env-path")
	out, err := exec.Command("bash", "-c", `. "$0" && printf '%s %s' "$NETBOX_URL" "$NETBOX_TOKEN"`, file).Output()
	require.NoError(t, err)
	n.url, n.token, _ = strings.Cut(string(out), " ")
	require.NotEmpty(t, n.token)
}

// A NetBox whose processes are killed in the middle of a write of a restore,
// database and all, and that is started again, is restored by the same command.
func TestLongANetBoxKilledDuringARestoreIsRestoredByTheSameCommand(t *testing.T) {
	n := newKilledNetBox(t)
	for _, write := range []int64{1, 2, 5, 8, 9} {
		t.Run(fmt.Sprintf("in its write %d", write), func(t *testing.T) {
			name := fmt.Sprintf("k%d", write)
			target, err := url.Parse(n.url)
			require.NoError(t, err)
			var writes atomic.Int64
			killed := make(chan error, 1)
			proxy := httputil.NewSingleHostReverseProxy(target)
			proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
			way := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet && r.Method != http.MethodOptions && writes.Add(1) == write {
					go func() {
						_, err := n.try("down.sh", "--kill")
						killed <- err
					}()
				}
				proxy.ServeHTTP(w, r)
			}))
			defer way.Close()
			first := restoreRun(t, way.URL, n.token, "long", name)(t, "restore", "--auto-approve", "--parallelism=1", "--timeout=10s")
			require.Contains(t, []int{int(exitError), int(exitPartly)}, first.code, first.stdout+first.stderr)
			require.GreaterOrEqual(t, writes.Load(), write, "it came so far: %s%s", first.stdout, first.stderr)
			require.NoError(t, <-killed)
			n.up(t)
			run := restoreRun(t, n.url, n.token, "long", name)
			second := run(t, "restore", "--auto-approve", "--approve-connections")
			require.Equal(t, int(exitDone), second.code, second.stdout+second.stderr)
			require.Contains(t, second.stdout, "Restore: everything is back: 12 objects as the manifests say.")
			n.holds(t, run, map[string]int{"ClusterType": 1, "Cluster": 1, "ProxmoxStorage": 3, "ProxmoxEndpoint": 1, "FastAPIEndpoint": 1,
				"ProxmoxNode": 1, "VirtualMachine": 1}, name)
		})
	}
}

// holds checks that there is no twin of anything.
func (n *killedNetBox) holds(t *testing.T, run func(*testing.T, ...string) outcome, want map[string]int, name string) {
	t.Helper()
	for kind, objects := range want {
		got := run(t, "get", kind, "--format", "json")
		require.Equal(t, int(exitDone), got.code, got.stderr)
		var page struct {
			Objects []struct{ Spec struct{ Name string } }
		}
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &page))
		count := 0
		for _, o := range page.Objects {
			if o.Spec.Name == name || strings.HasPrefix(o.Spec.Name, name+"-") {
				count++
			}
		}
		require.Equal(t, objects, count, kind)
	}
}
