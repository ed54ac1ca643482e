package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/examples"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

const (
	viewToken  = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"
	writeToken = "bbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
)

// ciWorld is where a story about a pipeline takes place: a NetBox, a platform, a
// repository, and what the jobs find on their machines.
type ciWorld struct {
	platform *platform
	sandbox  *sandbox.Server
	url      string
	writes   atomic.Int32 // that reached NetBox
	repo     string       // what a checkout gives
	key      string       // the age key
	path     string       // PATH of a job that has installed nothing
	digest   string       // SHA-256 of the release
	program  string       // where the release is
	runs     int
	jobs     int
	ran      *sync.Map // steps, by file, job and name
	secrets  []string  // none of which may be seen in a log
}

func newCIWorld(t *testing.T, ran *sync.Map) *ciWorld {
	w := &ciWorld{ran: ran}
	key, err := examples.Files.ReadFile("homelab/" + examples.ThrowAwayKey)
	require.NoError(t, err)
	w.key = string(key)
	w.secrets = []string{viewToken, writeToken, "AGE-SECRET-KEY", "platform-token"}
	w.sandbox, err = sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodOptions {
			w.writes.Add(1)
		}
		w.sandbox.ServeHTTP(answer, r)
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	require.NoError(t, w.sandbox.AddToken(sandbox.TokenSpec{Token: viewToken, Permissions: []sandbox.Permission{{Actions: []string{"view"}}}}))
	require.NoError(t, w.sandbox.AddToken(sandbox.TokenSpec{Token: writeToken, Write: true,
		Permissions: []sandbox.Permission{{Actions: []string{"view", "add", "change"}}}}))
	w.repo = t.TempDir()
	checkOutHomelab(t, w.repo, w.url)
	w.program, err = exec.LookPath("proxbox-sync")
	require.NoError(t, err)
	release := []byte("#!/bin/sh\nexec '" + w.program + "' \"$@\"\n")
	w.digest = fmt.Sprintf("%x", sha256.Sum256(release))
	w.platform = newPlatform(t, release)
	w.path = standInFolder(t) + ":/usr/bin:/bin"
	var log strings.Builder
	admin := map[string]string{"PROXBOX_SYNC_URL": w.url, "NETBOX_TOKEN": scriptToken}
	require.Zero(t, w.bash(t, "init", w.repo, "proxbox-sync init --auto-approve", []string{filepath.Dir(w.program)}, admin, &log), log.String())
	w.writes.Store(0)
	return w
}

// checkOutHomelab makes a folder the example, as a job finds it.
func checkOutHomelab(t *testing.T, dir, url string) {
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(exampleDir, "homelab"))))
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o700)) // the search for a project file ends here
	change(t, filepath.Join(dir, projectName), "https://netbox.home.example", url)
}

func change(t *testing.T, file, from, to string) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), from)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), from, to)), 0o600))
}

// file is one of the examples, with what a user has to change changed.
func (w *ciWorld) file(t *testing.T, name string) []byte {
	data, err := examples.Files.ReadFile(name)
	require.NoError(t, err)
	return []byte(strings.NewReplacer("https://netbox.example.net", w.url, "https://netbox.ams.example.net", w.url,
		"https://netbox.lab.example.net", w.url, strings.Repeat("0", 64), w.digest).Replace(string(data)))
}

// bash runs commands as a pipeline's shell does and returns their exit code.
func (w *ciWorld) bash(t *testing.T, name, dir, script string, path []string, env map[string]string, log *strings.Builder) int {
	w.ran.Store(name, true)
	file := filepath.Join(t.TempDir(), "script.sh")
	require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
	c := exec.CommandContext(t.Context(), "bash", "--noprofile", "--norc", "-eo", "pipefail", file)
	c.Dir = dir
	jq, _ := exec.LookPath("jq")
	c.Env = []string{"PATH=" + strings.Join(append(slices.DeleteFunc(path, func(p string) bool { return p == "" }), w.path), ":"),
		"HOME=" + t.TempDir(), "NO_PROXY=*", platformVariable + "=" + w.platform.url, jqVariable + "=" + jq}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		c.Env = append(c.Env, k+"="+env[k])
	}
	c.WaitDelay = 10 * time.Second // what a step starts ends with it, or its output stays open
	out, err := c.CombinedOutput()
	log.Write(out)
	require.NotContains(t, string(out), "warning: the environment variable")
	for _, secret := range w.secrets {
		require.NotContains(t, string(out), secret, name)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	require.NoError(t, err, name)
	return 0
}

// behindItsBack gives the storage named local another content.
func (w *ciWorld) behindItsBack(t *testing.T, content string) {
	const path = "/api/plugins/proxbox/storage/"
	ask := func(method, path, body string) []byte {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Token "+scriptToken)
		r.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		w.sandbox.ServeHTTP(answer, r)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
		return answer.Body.Bytes()
	}
	var found struct{ Results []struct{ ID int } }
	require.NoError(t, json.Unmarshal(ask(http.MethodGet, path+"?name=local", ""), &found))
	require.Len(t, found.Results, 1)
	ask(http.MethodPatch, fmt.Sprintf("%s%d/", path, found.Results[0].ID), fmt.Sprintf(`{"content": %q}`, content))
}

var expression = regexp.MustCompile(`\$\{\{\s*(.*?)\s*}}`)

// expand puts the values of ${{ … }} in place.
func (m *machine) expand(t *testing.T, text string) string {
	return expression.ReplaceAllStringFunc(text, func(e string) string { return m.lookup(t)(expression.FindStringSubmatch(e)[1]) })
}

// lookup finds a value of GitHub's contexts. What a step, a job or an event may
// leave out is empty; everything else must be there.
func (m *machine) lookup(t *testing.T) func(string) string {
	return func(name string) string {
		v, ok := m.context[name]
		group, _, _ := strings.Cut(name, ".")
		if !ok && !slices.Contains([]string{"inputs", "steps", "needs", "secrets"}, group) && !strings.HasPrefix(name, "github.event.") {
			t.Fatalf("%s: nothing says what %q is", m.name, name)
		}
		return v
	}
}

// evaluate decides an if of GitHub, or a rule of GitLab: comparisons joined by
// && and ||, as far as the examples have them.
func evaluate(t *testing.T, condition string, lookup func(string) string) bool {
	if found := expression.FindStringSubmatch(condition); found != nil {
		condition = found[1]
	}
	operand := func(text string) string {
		text = strings.TrimSpace(text)
		if len(text) > 1 && strings.ContainsAny(text[:1], `'"`) {
			return text[1 : len(text)-1]
		}
		return lookup(text)
	}
	holds := func(text string) bool {
		if strings.TrimSpace(text) == "!cancelled()" {
			return true
		}
		if left, right, ok := strings.Cut(text, "!="); ok {
			return operand(left) != operand(right)
		}
		left, right, ok := strings.Cut(text, "==")
		require.True(t, ok, "a condition that the tests can't decide: %s", condition)
		return operand(left) == operand(right)
	}
	for all := range strings.SplitSeq(condition, "||") {
		if !slices.ContainsFunc(strings.Split(all, "&&"), func(one string) bool { return !holds(one) }) {
			return true
		}
	}
	return false
}
