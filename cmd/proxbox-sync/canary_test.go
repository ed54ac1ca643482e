package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/render"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// everySecret has each write-only field of each kind, with the canary in it.
const everySecret = `apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
spec:
  name: pve
  domain: pve.example.net
  mode: cluster
  username: root@pam
  token_name: sync
  password: 'CANARY'
  token_value: 'CANARY'
---
apiVersion: proxbox-sync/v1
kind: NetBoxEndpoint
spec:
  name: netbox
  domain: netbox.example.net
  token_version: v2
  token_key: abcdefghijkl
  token_secret: 'CANARY'
---
apiVersion: proxbox-sync/v1
kind: FastAPIEndpoint
spec:
  name: backend
  domain: backend.example.net
  token: 'CANARY'
---
apiVersion: proxbox-sync/v1
kind: PluginSettings
spec:
  encryption_key: 'CANARY'
`

// loudServer is a sandbox that knows what arrived, and that can refuse every
// write by showing it.
type loudServer struct {
	mu      sync.Mutex
	inner   *running
	echoing bool
	arrived map[string]bool // fields that came with the canary
}

func (s *loudServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var sent map[string]any
	s.mu.Lock()
	if json.Unmarshal(body, &sent) == nil {
		for name, v := range sent {
			if v == canary {
				s.arrived[name] = true
			}
		}
	}
	echoing := s.echoing
	s.mu.Unlock()
	if echoing && r.Method != http.MethodGet && r.Method != http.MethodOptions {
		match := r.Method + " " + r.URL.Path
		s.inner.echo.Store(&match)
	}
	s.inner.ServeHTTP(w, r)
}

func (s *loudServer) echo(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.echoing = on
}

// No output of any command, in any format, at any log level, holds a secret.
func TestNoOutputHoldsASecret(t *testing.T) {
	box, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
	require.NoError(t, err)
	loud := &loudServer{inner: &running{sandbox: box}, arrived: map[string]bool{}}
	server := httptest.NewServer(loud)
	defer server.Close()
	file := writeFile(t, "m.yaml", strings.ReplaceAll(everySecret, "CANARY", canary))
	base := []string{"PROXBOX_SYNC_URL=" + server.URL, "PROXBOX_SYNC_TOKEN=" + scriptToken, "PROXBOX_SYNC_TIMEOUT=5s"}
	plainText := "PROXBOX_SYNC_ALLOW_PLAINTEXT_SECRETS=true"

	var runs []outcome
	check := func(env []string, args ...string) outcome {
		got := runWith(t.Context(), env, args...)
		for stream, text := range map[string]string{"stdout": got.stdout, "stderr": got.stderr} {
			if form := findCanary(text); form != "" {
				t.Errorf("%s of %v has the canary (%s)", stream, args, form)
			}
			if strings.Contains(text, scriptToken) {
				t.Errorf("%s of %v has the token", stream, args)
			}
		}
		runs = append(runs, got)
		return got
	}
	each := func(allow string, commands ...[]string) {
		for _, level := range []string{"debug", "info", "warn", "error"} {
			for _, form := range []string{"text", "json"} {
				env := append(append([]string{}, base...), allow, "PROXBOX_SYNC_LOG_LEVEL="+level, "PROXBOX_SYNC_LOG_FORMAT="+form, "PROXBOX_SYNC_FORMAT="+form)
				for _, args := range commands {
					check(env, args...)
				}
			}
		}
	}

	each("", []string{"validate", file}, []string{"plan", file}, []string{"apply", "--auto-approve", file})
	for _, r := range runs {
		require.Equal(t, int(exitSecrets), r.code, "plain text is refused")
	}
	formats := func() {
		for _, format := range render.Formats() {
			for _, args := range [][]string{{"plan", file}, {"plan", "--send-secrets", file}, {"drift", "--owner", "prod", file}, {"apply", "--auto-approve", "--send-secrets", file}} {
				report := filepath.Join(t.TempDir(), "report")
				check(append(base, plainText), append(args, "--format", format)...)
				check(append(base, plainText), append(args, "--report", format+"="+report)...)
				text, err := os.ReadFile(report)
				require.NoError(t, err)
				require.NotEmpty(t, text)
				require.Empty(t, findCanary(string(text)), "%v as %s", args, format)
				require.NotContains(t, string(text), scriptToken)
			}
		}
	}
	loud.echo(true)
	formats()
	each(plainText, []string{"validate", file}, []string{"plan", file}, []string{"plan", "--send-secrets", file},
		[]string{"apply", "--auto-approve", file})
	require.Equal(t, int(exitPartly), runs[len(runs)-1].code, runs[len(runs)-1].stderr)
	loud.echo(false)
	formats()
	each(plainText, []string{"apply", "--auto-approve", "--send-secrets", file},
		[]string{"get", "ProxmoxEndpoint"}, []string{"get", "NetBoxEndpoint"}, []string{"get", "FastAPIEndpoint"}, []string{"get", "PluginSettings"},
		[]string{"doctor"}, []string{"version"}, []string{"explain", "ProxmoxEndpoint.password"})
	check(append(base, plainText), "get", "ProxmoxEndpoint", "--format=yaml")
	check(append(base, plainText), "get", "PluginSettings", "--format=yaml")

	// The test would prove nothing had a field been left out, or not been sent.
	for _, k := range schema.Embedded().Kinds() {
		for _, f := range k.Fields {
			if f.WriteOnly {
				require.Contains(t, everySecret, f.Name+": 'CANARY'", "%s.%s", k.Name, f.Name)
				require.True(t, loud.arrived[f.Name], "%s.%s was never sent", k.Name, f.Name)
			}
		}
	}
}

// Neither token nor secret goes anywhere but to the server that was named: not
// where a redirect, the next page, the API root or the sops file point to.
func TestAStrangerHearsNothing(t *testing.T) {
	var heard sync.Map
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		heard.Store(r.Method+" "+r.URL.String(), true)
	}))
	defer stranger.Close()
	box, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
	require.NoError(t, err)
	var lies atomic.Int32
	server := httptest.NewServer(lying(box, stranger.URL, &lies))
	defer server.Close()
	env := []string{"PROXBOX_SYNC_URL=" + server.URL, "PROXBOX_SYNC_TOKEN=" + scriptToken, "PROXBOX_SYNC_TIMEOUT=5s",
		"PROXBOX_SYNC_ALLOW_PLAINTEXT_SECRETS=true", "VAULT_ADDR=" + stranger.URL, "VAULT_TOKEN=hvs.canary"}
	endpoint, _, _ := strings.Cut(strings.ReplaceAll(everySecret, "CANARY", canary), "---\n")
	got := runWith(t.Context(), env, "apply", "--auto-approve", writeFile(t, "m.yaml", endpoint))
	require.NotEqual(t, int(exitDone), got.code, "the redirected write did not happen")
	runWith(t.Context(), env, "get", "Tag")
	runWith(t.Context(), env, "get", "Site")
	runWith(t.Context(), env, "doctor")
	got = runWith(t.Context(), env, "validate", writeFile(t, "v.yaml", vaultFile(stranger.URL)))
	require.Equal(t, int(exitSecrets), got.code, got.stderr)
	require.NotContains(t, got.stderr, "hvs.canary")

	require.Positive(t, lies.Load())
	heard.Range(func(request, _ any) bool {
		t.Errorf("the stranger heard %v", request)
		return true
	})
}

// lying is a server that points elsewhere wherever an answer can.
func lying(box http.Handler, elsewhere string, lies *atomic.Int32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		say := func(text string) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
		}
		lies.Add(1)
		switch {
		case r.Method == http.MethodPost:
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
		case strings.HasSuffix(r.URL.Path, "/proxbox/endpoints/"):
			say(`{"proxmox": "` + elsewhere + `/api/plugins/proxbox/endpoints/proxmox/"}`)
		case strings.HasSuffix(r.URL.Path, "/tags/") && r.URL.Query().Get("start") != "99":
			say(`{"count": null, "next": "` + elsewhere + `/api/extras/tags/?start=99&limit=1000", "previous": null, "results": []}`)
		case strings.HasSuffix(r.URL.Path, "/sites/"):
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusFound)
		default:
			lies.Add(-1)
			box.ServeHTTP(w, r)
		}
	})
}

// vaultFile is a sops file that wants its data key from a Vault at an address.
func vaultFile(address string) string {
	return `apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
spec:
  name: pve
  domain: pve.example.net
  mode: standalone
  password: ENC[AES256_GCM,data:AAAA,iv:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]
sops:
  hc_vault:
    - vault_address: ` + address + `
      engine_path: sops
      key_name: k
      created_at: "2026-01-01T00:00:00Z"
      enc: vault:v1:AAAA
  lastmodified: "2026-01-01T00:00:00Z"
  mac: ENC[AES256_GCM,data:AAAA,iv:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]
  version: 3.13.3
`
}
