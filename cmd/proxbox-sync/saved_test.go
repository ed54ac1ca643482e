package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/examples"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// approved is a server, an example repository and a saved plan of it.
type approved struct {
	server *sandbox.Server
	url    string
	dir    string
	plan   string
}

func approve(t *testing.T) *approved {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
	require.NoError(t, err)
	x := &approved{server: s, dir: filepath.Join(t.TempDir(), "repo")}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	x.url = server.URL
	require.NoError(t, os.CopyFS(x.dir, examples.Files))
	x.dir = filepath.Join(x.dir, "homelab")
	require.NoError(t, os.Mkdir(filepath.Join(x.dir, ".git"), 0o755))
	project := filepath.Join(x.dir, "proxbox-sync.yaml")
	text, err := os.ReadFile(project)
	require.NoError(t, err)
	text = regexp.MustCompile(`(?m)^url: .*\n`).ReplaceAll(text, nil)
	require.NoError(t, os.WriteFile(project, text, 0o600))
	x.plan = filepath.Join(t.TempDir(), "plan.json")
	x.must(t, "init", "--auto-approve")
	x.must(t, "plan", "--out", x.plan)
	return x
}

func (x *approved) env() []string {
	key, _ := examples.Files.ReadFile("homelab/" + examples.ThrowAwayKey)
	return []string{"HOME=" + x.dir, "PROXBOX_SYNC_URL=" + x.url, "NETBOX_TOKEN=" + scriptToken, "SOPS_AGE_KEY=" + string(key)}
}

// must runs a command in this process.
func (x *approved) must(t *testing.T, args ...string) string {
	t.Helper()
	t.Chdir(x.dir)
	got := runWith(t.Context(), x.env(), args...)
	require.Equal(t, int(exitDone), got.code, "%v: %s%s", args, got.stdout, got.stderr)
	return got.stdout
}

func TestASavedPlanThatWasForgedWritesNothing(t *testing.T) {
	x := approve(t)
	data, err := os.ReadFile(x.plan)
	require.NoError(t, err)
	written := len(x.server.Changes())
	env := x.env()
	t.Chdir(x.dir)
	forged := 0
	refused := func(what string, changed []byte) {
		t.Helper()
		if bytes.Equal(changed, data) {
			return
		}
		forged++
		file := writeFile(t, "forged.json", string(changed))
		got := runWith(t.Context(), env, "apply", "--auto-approve", "--plan", file)
		require.Equal(t, int(exitContested), got.code, "%s: %s", what, got.stderr)
		require.NotContains(t, got.stdout, "applied ", what)
	}
	for i, line := range strings.SplitAfter(string(data), "\n") {
		name, value, ok := strings.Cut(strings.TrimRight(line, ",\n"), ": ")
		if !ok {
			continue
		}
		for _, other := range []string{"null", `"forged"`} {
			lines := strings.SplitAfter(string(data), "\n")
			if !json.Valid([]byte(value)) {
				other = "[" // the value goes on in the next line
			}
			lines[i] = strings.Replace(line, value, other, 1)
			refused(fmt.Sprintf("line %d: %s made %s", i+1, strings.TrimSpace(name), other), []byte(strings.Join(lines, "")))
		}
	}
	refused("a member more", bytes.Replace(data, []byte("{\n"), []byte("{\n  \"surprise\": 1,\n"), 1))
	refused("a member twice", bytes.Replace(data, []byte("{\n"), []byte("{\n  \"ok\": true,\n"), 1))
	refused("white space", append([]byte(" "), data...))
	refused("cut off", data[:len(data)/2])
	refused("nothing", nil)
	require.Greater(t, forged, 300)
	require.Len(t, x.server.Changes(), written, "nothing was written")
}
