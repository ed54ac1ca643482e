package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

const dyingRepository = killedStory + `---
apiVersion: proxbox-sync/v1
kind: PluginSettings
spec: {proxmox_timeout: 17}
---
apiVersion: proxbox-sync/v1
kind: FastAPIEndpoint
spec: {name: "{p}", domain: fast.example.net}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxCluster
spec: {endpoint: "{p}", name: "{p}", mode: cluster, netbox_cluster: "{p}"}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxNode
spec: {endpoint: "{p}", name: "{p}", ip_address: 192.0.2.7}
---
apiVersion: proxbox-sync/v1
kind: VirtualMachine
spec: {name: "{p}", cluster: "{p}", status: active}
---
apiVersion: proxbox-sync/v1
kind: VMBackup
spec: {storage: "{p}-a", virtual_machine: "{p}", subtype: qemu, format: zst, volume_id: "{p}", vmid: 100}
`

// The server dies in the middle of a restore, after each of its writes in turn, the
// last of them carried out and not answered. Once it is there again the same
// command ends as one that nothing happened to.
func TestARestoreDuringWhichTheServerDiesIsFinishedByTheSameCommand(t *testing.T) {
	whole, code := restoredAfterDeath(t, -1)
	require.Equal(t, exitDone, code, "the server did not die")
	require.Equal(t, []string{"created", "created", "created"}, whole["ProxmoxStorage"][1:])
	n := 0
	for {
		got, code := restoredAfterDeath(t, n)
		require.Empty(t, cmp.Diff(whole, got), "after %d writes", n)
		if code == exitDone {
			break
		}
		n++
	}
	require.Greater(t, n, 9, "writes of a restore")
	t.Logf("the server died after each of %d writes", n)
}

// restoredAfterDeath restores on a server that dies after n writes, and again when
// it is back. It returns what is there then, and how the first run ended.
func restoredAfterDeath(t *testing.T, n int) (map[string][]string, exitCode) {
	t.Helper()
	server, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
	require.NoError(t, err)
	dying := &mortal{next: server, left: n}
	front := httptest.NewServer(dying)
	defer front.Close()
	run := restoreRun(t, front.URL, scriptToken, "p", "p")
	first := run(t, "restore", "--auto-approve", "--approve-connections", "--parallelism=1", "--timeout=100ms")
	if first.code != int(exitDone) {
		require.Contains(t, []int{int(exitError), int(exitPartly)}, first.code, first.stdout+first.stderr)
		require.NotContains(t, first.stdout, "everything is back")
	}
	dying.revive()
	second := run(t, "restore", "--auto-approve", "--approve-connections", "--parallelism=1")
	require.Equal(t, int(exitDone), second.code, "after %d writes: %s%s", n, second.stdout, second.stderr)
	require.Contains(t, second.stdout, "Restore: everything is back: 12 objects as the manifests say.")
	require.NotContains(t, second.stdout, "Wait for their connection")
	require.Contains(t, run(t, "plan", "--detailed-exitcode").stdout, "No changes.")
	secret, ok := server.PlainSecret("ProxmoxEndpoint", 1, "password")
	require.True(t, ok)
	require.Equal(t, "canary-killed", secret)
	return restoredState(t, front.URL, run), exitCode(first.code)
}

// restoreRun returns how to run a command on a repository of one's own; no secret
// of it may be in what it prints.
func restoreRun(t *testing.T, url, token, owner, name string) func(*testing.T, ...string) outcome {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, projectName), []byte("owner: "+owner+"\nmanifests: [m.yaml]\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.yaml"), []byte(strings.ReplaceAll(dyingRepository, "{p}", name)), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o700))
	env := []string{"HOME=" + dir, "PROXBOX_SYNC_URL=" + url, "PROXBOX_SYNC_TOKEN=" + token, "PROXBOX_SYNC_ALLOW_PLAINTEXT_SECRETS=true"}
	return func(t *testing.T, args ...string) outcome {
		t.Helper()
		switch args[0] {
		case "restore":
			args = append(args, dir)
		case "plan":
			args = append(args, "--owner", owner, filepath.Join(dir, "m.yaml"))
		}
		got := runWith(t.Context(), env, args...)
		require.NotContains(t, got.stdout+got.stderr, "canary-killed")
		return got
	}
}

// restoredState is what a server has of each kind in the form of manifests, without
// numbers and times, and what its markers say of where it comes from.
func restoredState(t *testing.T, url string, run func(*testing.T, ...string) outcome) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, k := range schema.Embedded().Kinds() {
		if !strings.Contains(dyingRepository, "kind: "+k.Name+"\n") {
			continue
		}
		got := run(t, "get", k.Name, "--format", "yaml")
		require.Equal(t, int(exitDone), got.code, got.stderr)
		out[k.Name] = append(out[k.Name], got.stdout)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/"+k.Resource.Paths[0]+"/", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", authorization(scriptToken))
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		var page struct {
			Results []struct {
				CustomFields map[string]struct{ Origin string } `json:"custom_fields"`
			}
		}
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&page))
		require.NoError(t, answer.Body.Close())
		for _, row := range page.Results {
			out[k.Name] = append(out[k.Name], row.CustomFields[reconcile.MarkerField].Origin)
		}
	}
	return out
}

// mortal is a server that dies after some writes: the last of them is carried out
// and not answered, and from then on nothing is.
type mortal struct {
	next http.Handler
	mu   sync.Mutex
	left int // writes; negative: it lives
	dead bool
}

func (m *mortal) revive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left, m.dead = -1, false
}

func (m *mortal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	writes := r.Method != http.MethodGet && r.Method != http.MethodOptions
	last := false
	if writes && m.left >= 0 && !m.dead {
		m.left--
		last, m.dead = m.left == 0, m.left <= 0
	}
	dead := m.dead
	m.mu.Unlock()
	switch {
	case last:
		m.next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case dead:
		panic(http.ErrAbortHandler)
	}
	m.next.ServeHTTP(w, r)
}
