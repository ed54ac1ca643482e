package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	// before is asked about each request, and may keep it from the server.
	before atomic.Pointer[func(*http.Request) bool]
	after  atomic.Pointer[func()]
}

func approve(t *testing.T) *approved {
	t.Helper()
	s, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
	require.NoError(t, err)
	x := &approved{server: s, dir: filepath.Join(t.TempDir(), "repo")}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before := x.before.Load(); before != nil && !(*before)(r) {
			panic(http.ErrAbortHandler)
		}
		if after := x.after.Load(); after != nil {
			answer := httptest.NewRecorder()
			s.ServeHTTP(answer, r)
			(*after)()
			panic(http.ErrAbortHandler)
		}
		s.ServeHTTP(w, r)
	}))
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

func (x *approved) command(args ...string) *exec.Cmd {
	c := exec.Command("proxbox-sync", args...)
	c.Dir = x.dir
	key, _ := examples.Files.ReadFile("homelab/" + examples.ThrowAwayKey)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + x.dir, "PROXBOX_SYNC_URL=" + x.url, "NETBOX_TOKEN=" + scriptToken,
		"PROXBOX_SYNC_TOKEN=" + scriptToken, "SOPS_AGE_KEY=" + string(key), "NO_PROXY=*", "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	return c
}

// must runs a command in this process.
func (x *approved) must(t *testing.T, args ...string) string {
	t.Helper()
	t.Chdir(x.dir)
	got := runWith(t.Context(), x.command().Env, args...)
	require.Equal(t, int(exitDone), got.code, "%v: %s%s", args, got.stdout, got.stderr)
	return got.stdout
}

// counts are how many objects of each kind the server has. That they are as the
// manifests say is what an empty plan shows.
func (x *approved) counts(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, k := range schema.Embedded().Kinds() {
		for _, path := range k.Resource.Paths {
			r := httptest.NewRequest(http.MethodGet, "/api/"+path+"/?limit=1", nil)
			r.Header.Set("Authorization", "Token "+scriptToken)
			w := httptest.NewRecorder()
			x.server.ServeHTTP(w, r)
			var page struct{ Count int }
			if w.Code == http.StatusOK && json.Unmarshal(w.Body.Bytes(), &page) == nil {
				out[k.Name] = page.Count
			}
		}
	}
	return out
}

func TestASavedPlanThatWasForgedWritesNothing(t *testing.T) {
	x := approve(t)
	data, err := os.ReadFile(x.plan)
	require.NoError(t, err)
	written := len(x.server.Changes())
	env := x.command().Env
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

func TestAnApplyThatIsKilledIsFinishedByTheSamePlan(t *testing.T) {
	whole := approve(t)
	whole.must(t, "apply", "--auto-approve", "--plan", whole.plan)
	want := whole.counts(t)
	kills := 0
	for killed(t, kills, want) {
		kills++
	}
	require.Greater(t, kills, 10, "requests of an apply")
	t.Logf("killed after each of %d requests", kills-1)
}

// killed runs an apply that is killed once the server has handled n requests of
// it, the last of them unanswered, and then the same plan again. It reports false
// when the run ended before that.
func killed(t *testing.T, n int, want map[string]int) bool {
	x := approve(t)
	c := x.command("apply", "--auto-approve", "--plan", x.plan, "--parallelism", "1")
	dead := make(chan struct{})
	kill := func() {
		_ = c.Process.Kill()
		<-dead
	}
	var seen atomic.Int32
	before := func(*http.Request) bool {
		switch int(seen.Add(1)) {
		case n:
			x.after.Store(&kill)
		case n + 1:
			kill()
			return false
		}
		return true
	}
	x.before.Store(&before)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	require.NoError(t, c.Start())
	err := c.Wait()
	close(dead)
	x.before.Store(nil)
	x.after.Store(nil)
	if err == nil {
		require.Empty(t, cmp.Diff(want, x.counts(t)))
		return false
	}
	require.Contains(t, err.Error(), "killed", out.String())

	again := x.must(t, "apply", "--auto-approve", "--plan", x.plan)
	require.NotContains(t, again, "failed")
	require.Empty(t, cmp.Diff(want, x.counts(t)), "after request %d", n)
	require.Contains(t, x.must(t, "plan", "--detailed-exitcode"), "No changes.")
	return true
}
