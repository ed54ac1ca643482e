package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/examples"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// ground is what an apply of the datacenter example begins with: objects of
// others, and on some an earlier state of the example.
type ground struct {
	generation string
	dir        string   // of the example
	key        string   // that decrypts its secrets
	token      string   // of a real NetBox
	apply      []string // the command under test
	kinds      []*schema.Kind
	writes     []written // that make it
	foreign    map[string]string
	want       map[string][]string // what is there in the end
	secrets    []string
	requests   []request // of an apply without faults
}

// written is a request that changed something.
type written struct{ method, uri, authorization, body string }

// smallPage makes pages of so few rows that lists have several.
const smallPage = 4

// stopped is a clock: what a ground has is the same each time, its times included.
func stopped() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) }

// foreignObjects are namesakes and neighbours of the example's, {n} being who made
// them.
const foreignObjects = `apiVersion: proxbox-sync/v1
kind: Tag
spec: {name: "{n}", slug: "{n}"}
---
apiVersion: proxbox-sync/v1
kind: ClusterType
spec: {name: "{n}", slug: "{n}"}
---
apiVersion: proxbox-sync/v1
kind: Cluster
items: [{name: "{n}", type: "{n}", status: active}, {name: "{n}-2", type: "{n}", status: active}]
---
apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
items:
  - {name: "{n}", domain: "{n}.example.net", mode: cluster, username: netbox@pve, token_name: sync, token_value: canary-foreign}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxCluster
spec: {endpoint: "{n}", name: "{n}", mode: cluster, netbox_cluster: "{n}"}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxNode
items: [{endpoint: "{n}", name: "{n}", ip_address: 192.0.2.200}, {endpoint: "{n}", name: ams1-pve1, ip_address: 192.0.2.201}]
---
apiVersion: proxbox-sync/v1
kind: VirtualMachine
spec: {name: "{n}", cluster: "{n}", status: active}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxStorage
defaults: {cluster: "{n}", storage_type: dir}
items: [{name: pbs}, {name: local}, {name: "{n}"}]
---
apiVersion: proxbox-sync/v1
kind: VMBackup
spec: {storage: "{n}", virtual_machine: "{n}", subtype: qemu, format: zst, volume_id: "{n}", vmid: 100}
`

// formerObjects were once in the example's repository.
const formerObjects = `apiVersion: proxbox-sync/v1
kind: ProxmoxStorage
defaults: {cluster: ams1-prod, storage_type: dir}
items: [{name: former-1}, {name: former-2}, {name: former-3}]
---
apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
spec: {name: former, domain: former.example.net, mode: cluster, username: netbox@pve, token_name: sync, token_value: canary-former}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxNode
spec: {endpoint: former, name: former, ip_address: 192.0.2.202}
`

// exampleCopy is an example repository in a folder of the test's.
func exampleCopy(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(exampleDir, name))))
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755)) // where the search for a project file ends
	return dir
}

// grounds are those of a generation: one where nothing of the example is there,
// and one where it has to create, change and delete. They stay in the example's
// folder, for which the working directory is set.
func grounds(t *testing.T, generation string) map[string]*ground {
	t.Helper()
	key, err := examples.Files.ReadFile("datacenter/" + examples.ThrowAwayKey)
	require.NoError(t, err)
	former, now := exampleCopy(t, "datacenter"), exampleCopy(t, "datacenter")
	require.NoError(t, os.WriteFile(filepath.Join(former, "inventory", "former.yaml"), []byte(formerObjects), 0o600))
	outside := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(outside, ".git"), 0o755))
	fresh := &ground{generation: generation, dir: now, key: string(key), apply: []string{"apply", "--auto-approve", "--parallelism=1"}}
	for _, k := range schema.Embedded().Kinds() {
		if k.Resource.Mode != schema.Lookup {
			fresh.kinds = append(fresh.kinds, k)
		}
	}
	w := newSandboxWorldWith(t, sandbox.Options{Generation: generation, Kinds: schema.Embedded(), MaxPage: smallPage, Clock: stopped})
	record := &recording{next: w.next}
	w.next = record
	w.marking(t)
	for _, who := range []string{"nobody", "other"} {
		file := filepath.Join(outside, who+".yaml")
		require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(foreignObjects, "{n}", who)), 0o600))
		args := []string{"apply", "--auto-approve", "--parallelism=1", file}
		if who != "nobody" {
			args = append(args, "--owner", who)
		}
		t.Chdir(outside)
		done(t, fresh.run(t, w.url, args...))
	}
	fresh.writes = record.list()
	fresh.foreign = fresh.exactly(w.sandbox)
	fresh.settle(t)

	// The same later: some of it was deleted, some changed by hand, some is no
	// longer wanted.
	t.Chdir(former)
	done(t, fresh.run(t, w.url, fresh.apply...))
	w.drifted(t)
	later := *fresh
	later.apply = append(slices.Clone(fresh.apply), "--prune", "--max-deletes=20")
	later.writes = record.list()
	later.settle(t)
	t.Chdir(now)
	return map[string]*ground{"where nothing is there": fresh, "where much is there": &later}
}

// settle does without faults what the test does with them.
func (g *ground) settle(t *testing.T) {
	t.Helper()
	t.Chdir(g.dir)
	server := g.server(t)
	way := newFaultyWay(t, server, nil)
	done(t, g.run(t, way.url, g.apply...))
	g.requests = slices.Clone(way.seen)
	g.want = g.state(server)
	g.secrets = []string{scriptToken, sandboxToken, "canary-foreign", "canary-former", "AGE-SECRET-KEY-1"}
	for id := int64(1); id < 20; id++ {
		for _, field := range []string{"password", "token_value", "token_secret"} {
			for _, kind := range []string{"ProxmoxEndpoint", "NetBoxEndpoint", "FastAPIEndpoint"} {
				if plain, ok := server.PlainSecret(kind, id, field); ok && plain != "" {
					g.secrets = append(g.secrets, plain)
				}
			}
		}
	}
}

func done(t *testing.T, got outcome) {
	t.Helper()
	require.Equal(t, int(exitDone), got.code, "%s%s", got.stdout, got.stderr)
}

// drifted changes and deletes some of the example's objects by hand.
func (w *world) drifted(t *testing.T) {
	t.Helper()
	for path, change := range map[string]map[string]any{
		"plugins/proxbox/storage":           {"content": "drifted"},
		"plugins/proxbox/endpoints/proxmox": {"tags": []any{}},
		"virtualization/clusters":           {"status": "planned"},
		"plugins/proxbox/nodes":             nil,
		"plugins/proxbox/backups":           nil,
		"plugins/proxbox/snapshots":         nil,
		"dcim/devices":                      {"status": "offline"},
		"plugins/proxbox/replications":      nil,
		"virtualization/virtual-machines":   {"status": "staged"},
	} {
		status, answer := w.raw(t, http.MethodGet, path+"?limit=1000", nil)
		if status != http.StatusOK {
			continue
		}
		ids := []string{}
		for _, row := range answer.(map[string]any)["results"].([]any) {
			text, _ := json.Marshal(row)
			if !strings.Contains(string(text), "other") && !strings.Contains(string(text), "nobody") && !strings.Contains(string(text), "former") {
				ids = append(ids, fmt.Sprint(row.(map[string]any)["id"]))
			}
		}
		for _, id := range ids[:(len(ids)+1)/2] {
			if change == nil {
				w.raw(t, http.MethodDelete, path+"/"+id, nil)
			} else {
				w.must(t, http.MethodPatch, path+"/"+id, change)
			}
		}
	}
}

// recording notes the writes that pass.
type recording struct {
	next   http.Handler
	mu     sync.Mutex
	writes []written
}

func (r *recording) list() []written {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.writes)
}

func (r *recording) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	making := strings.HasSuffix(q.URL.Path, "/runtime/") // a GET that makes the settings
	if !making && (q.Method == http.MethodGet || q.Method == http.MethodOptions) {
		r.next.ServeHTTP(w, q)
		return
	}
	r.mu.Lock() // in their order
	defer r.mu.Unlock()
	body, _ := io.ReadAll(q.Body)
	q.Body = io.NopCloser(bytes.NewReader(body))
	r.writes = append(r.writes, written{q.Method, q.URL.RequestURI(), q.Header.Get("Authorization"), string(body)})
	r.next.ServeHTTP(w, q)
}

// server is a new one that has what the ground has.
func (g *ground) server(t testing.TB) *sandbox.Server {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Generation: g.generation, Token: sandboxToken, Kinds: schema.Embedded(), MaxPage: smallPage, Clock: stopped})
	require.NoError(t, err)
	for _, w := range g.writes {
		q := httptest.NewRequest(w.method, w.uri, strings.NewReader(w.body))
		q.Header.Set("Authorization", w.authorization)
		q.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, q)
		require.Less(t, answer.Code, 400, "%s %s: %s", w.method, w.uri, answer.Body)
	}
	return s
}

// run runs a command in the example's folder.
func (g *ground) run(t testing.TB, url string, args ...string) outcome {
	t.Helper()
	return runWith(t.Context(), g.env(), append(args, "--url", url)...)
}

func (g *ground) env() []string {
	token := cmp.Or(g.token, sandboxToken)
	return []string{"HOME=" + g.dir, "PROXBOX_SYNC_TOKEN=" + token, "NETBOX_TOKEN=" + token, "SOPS_AGE_KEY=" + g.key,
		"PROXBOX_SYNC_ALLOW_PLAINTEXT_SECRETS=true"}
}

// list is everything that a server has of a kind.
func (g *ground) list(s http.Handler, k *schema.Kind) (out []map[string]any) {
	for _, path := range k.Resource.Paths {
		for id, done := 0, false; !done; {
			q := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/api/%s/?limit=1000&ordering=id&id__gt=%d", path, id), nil)
			q.Header.Set("Authorization", authorization(sandboxToken))
			a := httptest.NewRecorder()
			s.ServeHTTP(a, q)
			page, _ := decode(a.Body.Bytes()).(map[string]any)
			results, _ := page["results"].([]any)
			for _, row := range results {
				out = append(out, row.(map[string]any))
				_, _ = fmt.Sscan(fmt.Sprint(row.(map[string]any)["id"]), &id)
			}
			done = page["next"] == nil
		}
		if out != nil {
			return out
		}
	}
	return nil
}

// exactly is what a server shows of each object.
func (g *ground) exactly(s http.Handler) map[string]string {
	out := map[string]string{}
	for _, k := range g.kinds {
		if k.Resource.Mode == schema.Singleton {
			continue
		}
		for _, row := range g.list(s, k) {
			text, _ := json.Marshal(row)
			out[fmt.Sprintf("%s %v", k.Name, row["id"])] = string(text)
		}
	}
	return out
}

// state is what a server has of each kind, without what differs from run to run.
func (g *ground) state(s *sandbox.Server) map[string][]string {
	out := map[string][]string{}
	for _, k := range g.kinds {
		for _, row := range g.list(s, k) {
			var id int64
			_, _ = fmt.Sscan(fmt.Sprint(row["id"]), &id)
			for _, f := range k.Fields {
				plain, ok := s.PlainSecret(k.Name, id, f.Name)
				if shown, _ := row[f.Name].(string); f.WriteOnly && shown != "" {
					plain, ok = shown, true // by older plugins
				}
				if ok && madeUp.MatchString(plain) {
					plain = "made up by the server"
				}
				if ok {
					row[f.Name] = "secret: " + plain
				}
			}
			text, _ := json.Marshal(plainly(row))
			out[k.Name] = append(out[k.Name], string(text))
		}
		slices.Sort(out[k.Name])
	}
	return out
}

// madeUp are the keys and tokens that a server makes where it was given none.
var madeUp = regexp.MustCompile(`^[A-Za-z0-9_=-]{43,}$`)

// plainly leaves out numbers and times of rows, at every depth.
func plainly(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			if !slices.Contains([]string{"id", "url", "display_url", "created", "last_updated"}, name) {
				out[name] = plainly(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plainly(v[i])
		}
		return out
	}
	return v
}

// untouched says what became of the foreign objects, "" where they are as they were.
func (g *ground) untouched(s http.Handler) string {
	now := g.exactly(s)
	for name := range now {
		if _, foreign := g.foreign[name]; !foreign {
			delete(now, name)
		}
	}
	return gocmp.Diff(g.foreign, now)
}

func (g *ground) kind(name string) *schema.Kind {
	return g.kinds[slices.IndexFunc(g.kinds, func(k *schema.Kind) bool { return k.Name == name })]
}
