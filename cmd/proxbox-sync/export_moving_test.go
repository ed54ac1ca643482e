package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// moving is a server on which an object is changed right after each of the first
// reads of its list: somebody's synchronisation runs during the export.
type moving struct {
	next  http.Handler
	token string
	path  string

	mu    sync.Mutex
	left  int // changes to come
	count int
}

func (m *moving) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	m.next.ServeHTTP(rw, r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left == 0 || r.Method != http.MethodGet || r.URL.Path != "/api/plugins/proxbox/"+m.path+"/" {
		return
	}
	m.left--
	m.count++
	body := strings.NewReader(fmt.Sprintf(`{"%s": "state %d"}`, map[string]string{"storage": "server", "snapshots": "description"}[m.path], m.count))
	change := httptest.NewRequest(http.MethodPatch, r.URL.Path+"1/", body)
	change.Header.Set("Authorization", "Token "+m.token)
	change.Header.Set("Content-Type", "application/json")
	m.next.ServeHTTP(httptest.NewRecorder(), change)
}

// What changes while it is read is read again until it rests, whether a kind is
// held as a whole or handed on as it is read; what never rests is said.
func TestExportOfWhatChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path, kind string
		changes          int
		restless         bool
	}{
		{"objects that others refer to, changed twice", "storage", "ProxmoxStorage", 2, false},
		{"objects that others refer to, changed without end", "storage", "ProxmoxStorage", 1000, true},
		{"objects that nothing refers to, changed twice", "snapshots", "VMSnapshot", 2, false},
		{"objects that nothing refers to, changed without end", "snapshots", "VMSnapshot", 1000, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server, err := sandbox.New(sandbox.Options{Token: sandboxToken, Kinds: schema.Embedded()})
			require.NoError(t, err)
			m := &moving{next: server, token: sandboxToken, path: c.path}
			w := newWorld(t, m, schema.Embedded())
			w.token = sandboxToken
			w.must(t, http.MethodPost, "virtualization/cluster-types", map[string]any{"name": "p", "slug": "p"})
			cluster := w.must(t, http.MethodPost, "virtualization/clusters", map[string]any{"name": "c", "type": map[string]any{"slug": "p"}})
			machine := w.must(t, http.MethodPost, "virtualization/virtual-machines", map[string]any{"name": "web", "cluster": cluster["id"]})
			for _, name := range []string{"one", "two"} {
				w.must(t, http.MethodPost, "plugins/proxbox/storage", map[string]any{"name": name, "cluster": cluster["id"], "server": "state 0"})
				w.must(t, http.MethodPost, "plugins/proxbox/snapshots", map[string]any{"name": name, "vmid": 100, "node": "pve", "virtual_machine": machine["id"],
					"subtype": "qemu", "status": "active", "description": "state 0"})
			}
			m.left = c.changes

			out := filepath.Join(t.TempDir(), "out")
			code, stdout, stderr := w.command(t, "export", "--out", out, "--with-references")
			said := c.kind + ": objects changed each time they were read"
			text := strings.Join(strings.Fields(stdout+stderr), " ")
			require.Zero(t, code, text)
			if c.restless {
				require.Contains(t, text, said)
				require.Contains(t, text, "run it again once the plugin's synchronisation is done")
			} else {
				require.NotContains(t, text, said)
				require.Zero(t, m.left, "the object did not change while it was read")
			}
			var written []string
			for _, file := range filesIn(t, out) {
				for _, line := range strings.Split(file, "\n") {
					if _, state, ok := strings.Cut(line, ": state "); ok {
						written = append(written, state)
					}
				}
			}
			// Each object once, at the state in which it was read last.
			require.Len(t, written, 4)
			if !c.restless {
				require.ElementsMatch(t, []string{"0", "0", "0", "2"}, written)
				code, stdout, stderr = w.command(t, "plan", out, "--detailed-exitcode")
				require.Zero(t, code, stdout+stderr)
			}
		})
	}
}
