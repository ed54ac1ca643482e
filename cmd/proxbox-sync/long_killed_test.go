package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A NetBox whose processes are killed in the middle of a write of a restore,
// database and all, and that is started again, is restored by the same command.
func TestLongANetBoxKilledDuringARestoreIsRestoredByTheSameCommand(t *testing.T) {
	n := newOwnNetBox(t)
	n.emptied()
	for _, write := range []int64{1, 2, 5, 8, 9} {
		t.Run(fmt.Sprintf("in its write %d", write), func(t *testing.T) {
			name := fmt.Sprintf("k%d", write)
			target, err := url.Parse(n.env["NETBOX_URL"])
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
			first := restoreRun(t, way.URL, n.env["NETBOX_TOKEN"], "long", name)(t, "restore", "--auto-approve", "--parallelism=1", "--timeout=10s")
			require.Contains(t, []int{int(exitError), int(exitPartly)}, first.code, first.stdout+first.stderr)
			require.GreaterOrEqual(t, writes.Load(), write, "it came so far: %s%s", first.stdout, first.stderr)
			require.NoError(t, <-killed)
			n.up()
			run := restoreRun(t, n.env["NETBOX_URL"], n.env["NETBOX_TOKEN"], "long", name)
			second := run(t, "restore", "--auto-approve", "--approve-connections")
			require.Equal(t, int(exitDone), second.code, second.stdout+second.stderr)
			require.Contains(t, second.stdout, "Restore: everything is back: 12 objects as the manifests say.")
			n.holds(t, run, map[string]int{"ClusterType": 1, "Cluster": 1, "ProxmoxStorage": 3, "ProxmoxEndpoint": 1, "FastAPIEndpoint": 1,
				"ProxmoxNode": 1, "VirtualMachine": 1}, name)
		})
	}
}

// holds checks that there is no twin of anything.
func (n *ownNetBox) holds(t *testing.T, run func(*testing.T, ...string) outcome, want map[string]int, name string) {
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
