package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// outcome is how a run in this process ended.
type outcome struct {
	code           int
	stdout, stderr string
}

func runWith(ctx context.Context, env []string, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, env, strings.NewReader(""), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// serving starts a sandbox behind a handler that may look at requests first.
func serving(t *testing.T, before func(*http.Request)) (s *sandbox.Server, env []string) {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before(r)
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return s, []string{"PROXBOX_SYNC_URL=" + server.URL, "PROXBOX_SYNC_TOKEN=" + scriptToken}
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const threeWaves = `apiVersion: proxbox-sync/v1
kind: ClusterType
spec: {name: Proxmox, slug: proxmox}
---
apiVersion: proxbox-sync/v1
kind: Cluster
spec: {name: prod, type: proxmox, status: active}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxStorage
spec: {name: local, cluster: prod}
`

func TestAnInterruptedApplyFinishesWhatIsUnderWayAndReports(t *testing.T) {
	file := writeFile(t, "m.yaml", threeWaves)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, env := serving(t, func(r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/clusters/") {
			cancel() // the signal comes while this request is under way
		}
	})
	got := runWith(ctx, env, "apply", "--auto-approve", file)
	require.Equal(t, int(exitInterrupted), got.code, got.stdout+got.stderr)
	require.Contains(t, got.stdout, "applied       + Cluster prod")
	require.Contains(t, got.stdout, "not attempted + ProxmoxStorage prod/local")
	require.Contains(t, got.stdout, "Interrupted: what was under way was finished")
	require.Len(t, s.Changes(), 2)

	got = runWith(t.Context(), env, "apply", "--auto-approve", file)
	require.Equal(t, int(exitDone), got.code)
	require.Contains(t, got.stdout, "Apply: 1 applied.")
}

func TestAnInterruptedPlanEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, env := serving(t, func(*http.Request) { cancel() })
	got := runWith(ctx, env, "plan", "--format=json", writeFile(t, "m.yaml", threeWaves))
	require.Equal(t, int(exitInterrupted), got.code, got.stderr)
	require.True(t, json.Valid([]byte(got.stdout)), got.stdout)
}

func TestEveryChangeIsSignedInTheChangeLog(t *testing.T) {
	s, env := serving(t, func(*http.Request) {})
	got := runWith(t.Context(), append(env, "GITHUB_SHA="+scriptToken), "apply", "--auto-approve", writeFile(t, "m.yaml", threeWaves))
	require.Equal(t, int(exitDone), got.code, got.stderr)
	require.Len(t, s.Changes(), 3)
	for _, change := range s.Changes() {
		require.Regexp(t, "^proxbox-sync apply, plan [0-9a-f]{12}, commit 0123456789ab$", change.Message)
	}
}

func TestPlanSendsNoWrite(t *testing.T) {
	var writes atomic.Int32
	_, env := serving(t, func(r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodOptions {
			writes.Add(1)
		}
	})
	for _, args := range [][]string{{"plan"}, {"doctor"}, {"get", "Site"}} {
		if args[0] == "plan" {
			args = append(args, writeFile(t, "m.yaml", threeWaves))
		}
		got := runWith(t.Context(), env, args...)
		require.Equal(t, int(exitDone), got.code, got.stderr)
	}
	require.Zero(t, writes.Load())
}

func TestJSONIsValidWhateverGoesWrong(t *testing.T) {
	good := writeFile(t, "m.yaml", threeWaves)
	bad := writeFile(t, "bad.yaml", "kind: [")
	nowhere := []string{"PROXBOX_SYNC_URL=http://127.0.0.1:1", "PROXBOX_SYNC_TOKEN=" + scriptToken, "PROXBOX_SYNC_TIMEOUT=1s"}
	for _, c := range []struct {
		why  string
		env  []string
		args []string
		want exitCode
	}{
		{"no server", nil, []string{"plan", good}, exitUsage},
		{"nobody listens", nowhere, []string{"plan", good}, exitError},
		{"nobody listens to get", nowhere, []string{"get", "Site"}, exitError},
		{"nobody listens to doctor", nowhere, []string{"doctor"}, exitError},
		{"bad manifests", nowhere, []string{"plan", bad}, exitManifests},
		{"bad manifests, offline", nil, []string{"validate", bad}, exitManifests},
		{"nothing to read", nil, []string{"validate"}, exitUsage},
		{"an unknown flag", nil, []string{"plan", "--nope", good}, exitUsage},
		{"an unknown command", nil, []string{"plam", good}, exitUsage},
		{"no approval", nowhere, []string{"apply", good}, exitUsage},
		{"an unknown kind", nowhere, []string{"get", "Nope"}, exitUsage},
	} {
		t.Run(c.why, func(t *testing.T) {
			got := runWith(t.Context(), c.env, append(c.args, "--format=json")...)
			require.Equal(t, int(c.want), got.code, got.stderr)
			var value struct {
				Format   string
				OK       bool
				ExitCode int `json:"exit_code"`
			}
			dec := json.NewDecoder(strings.NewReader(got.stdout))
			require.NoError(t, dec.Decode(&value), got.stdout)
			_, err := dec.Token()
			require.ErrorIs(t, err, io.EOF)
			require.False(t, value.OK)
			require.Equal(t, got.code, value.ExitCode)
			require.Regexp(t, `^proxbox-sync/[a-z]+/v1$`, value.Format)
			if c.args[0] != "doctor" { // whose findings are its result
				require.NotEmpty(t, got.stderr, "people are told as well")
			}
		})
	}
}

func TestTheSandboxServesUntilItIsInterrupted(t *testing.T) {
	for _, token := range []string{"", scriptToken} {
		ctx, cancel := context.WithCancel(t.Context())
		reader, writer := io.Pipe()
		ended := make(chan int, 1)
		go func() {
			code := run(ctx, []string{"sandbox", "--listen=127.0.0.1:0"}, []string{"PROXBOX_SYNC_TOKEN=" + token}, nil, writer, io.Discard)
			_ = writer.Close()
			ended <- code
		}()
		env := []string{}
		if token != "" {
			env = append(env, "PROXBOX_SYNC_TOKEN="+token)
		}
		lines := bufio.NewScanner(reader)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "It is kept in memory") {
			if setting, ok := strings.CutPrefix(lines.Text(), "    export "); ok {
				env = append(env, setting)
			}
		}
		require.Len(t, env, 2, "address and token, and no token that was given")
		go func() { _, _ = io.Copy(io.Discard, reader) }()
		got := runWith(t.Context(), env, "doctor")
		require.Equal(t, int(exitDone), got.code, got.stdout+got.stderr)
		cancel()
		require.Equal(t, int(exitDone), <-ended)
	}
}

// What get writes as a manifest, the strict loader reads as the same text: it
// refuses what is ambiguous without quotes.
func TestManifestsThatGetWritesAreRead(t *testing.T) {
	set := schema.Embedded()
	for _, s := range []string{"a", "yes", "NO", "on", "010", "0x1f", "0o17", "1_000", "1e3", "1e1000001", ".inf", "null", "~", "12:30:45",
		"2026-01-31", "192.0.2.7/24", "2001:db8::1", "a: b", "a #b", "# a", "- a", "ENC", "<<<<<<< HEAD", "a\nb", "\u202e", "😀", `C:\x "y"`} {
		object := &reconcile.Object{Kind: set.Kind("Site"), Fields: map[string]any{"slug": "x", "name": s}}
		var out bytes.Buffer
		require.NoError(t, render.Manifests(&out, []*reconcile.Object{object}, render.Style{}))
		docs, list := manifest.Load(t.Context(), []string{"-"}, manifest.Options{Stdin: &out})
		require.Empty(t, list, "%q", s)
		require.Equal(t, s, docs[0].Spec.Member("name").Value, "%q", s)
	}
}
