package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/examples"
	"proxbox-sync/schema"
)

// TestConformanceExamples applies each example repository to a server that has
// nothing, as its README says; then a plan is empty. Their names are fixed, so a
// real NetBox must have none of what they declare.
func TestConformanceExamples(t *testing.T) {
	for _, name := range []string{"homelab", "datacenter"} {
		t.Run(name, func(t *testing.T) {
			eachServer(t, func(t *testing.T, w *world) { w.example(t, name) })
		})
	}
}

func (w *world) example(t *testing.T, name string) {
	key, err := examples.Files.ReadFile(name + "/" + examples.ThrowAwayKey)
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(exampleDir, name))))
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755)) // where the search for a project file ends
	t.Chdir(dir)
	env := []string{"PROXBOX_SYNC_TOKEN=" + w.token, "NETBOX_TOKEN=" + w.token, "SOPS_AGE_KEY=" + string(key)}
	if w.real && os.Getenv(envNetBoxEmpty) == "" {
		w.nothingOf(t, env)
	}
	for _, kind := range w.set.Kinds() {
		if w.real && kind.Resource.Mode == schema.Singleton {
			w.restoreAfter(t, kind)
		}
	}
	out := runWith(t.Context(), env, "apply", "--url", w.url, "--auto-approve")
	require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
	out = runWith(t.Context(), env, "plan", "--url", w.url, "--detailed-exitcode")
	require.Equal(t, 0, out.code, "a second plan is not empty:\n%s%s", out.stdout, out.stderr)
	before := w.count()
	out = runWith(t.Context(), env, "apply", "--url", w.url, "--auto-approve")
	require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
	require.Empty(t, w.writes(before), "a second apply writes")

	w.exported(t, env)

	// What it looks like without a key: the pull request's job.
	out = runWith(t.Context(), env[:2], "plan", "--url", w.url, "--no-decrypt", "--detailed-exitcode")
	require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
}

// exported writes what is live as manifests and plans them: they describe what
// is there, so nothing changes.
func (w *world) exported(t *testing.T, env []string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o755))
	objects := 0
	for _, kind := range w.set.Kinds() {
		if kind.Resource.Mode == schema.Lookup {
			continue
		}
		out := runWith(t.Context(), env, "get", "--url", w.url, kind.Name, "--format", "yaml")
		require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
		objects += strings.Count(out.stdout, "kind: ")
		require.NoError(t, os.WriteFile(filepath.Join(dir, kind.Name+".yaml"), []byte(out.stdout), 0o600))
	}
	require.Greater(t, objects, 5)
	out := runWith(t.Context(), env, "plan", "--url", w.url, "--detailed-exitcode", dir)
	require.Equal(t, 0, out.code, "what get wrote is not what is there:\n%s%s", out.stdout, out.stderr)
}

// nothingOf fails when the server has something of what the manifests declare
// as theirs to create.
func (w *world) nothingOf(t *testing.T, env []string) {
	t.Helper()
	out := runWith(t.Context(), env, "plan", "--url", w.url, "--format", "json")
	require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
	var plan struct {
		Unchanged map[string]int
		Steps     []struct{ Action, Kind, Key string }
	}
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &plan))
	var there []string
	for _, step := range plan.Steps {
		if step.Action != "create" && step.Key != "" {
			there = append(there, step.Kind+" "+step.Key)
		}
	}
	for kind, n := range plan.Unchanged {
		if n > 0 && len(w.set.Kind(kind).Resource.Key) > 0 {
			there = append(there, kind)
		}
	}
	require.Empty(t, there, "this NetBox has objects of the example's names; %s", strings.TrimSpace(
		"delete them, or run this against a NetBox of its own with "+envNetBoxEmpty+"=1"))
}
