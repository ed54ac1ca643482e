package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// argumentsOf are what each command is given, with the manifest of all secrets as
// FILE and a saved plan of it as PLAN. One that is not here gets FILE.
var argumentsOf = map[string][][]string{
	"validate":   {{"FILE"}},
	"lint":       {{"FILE"}},
	"plan":       {{"FILE"}, {"--send-secrets", "FILE"}, {"--no-decrypt", "FILE"}},
	"apply":      {{"--auto-approve", "FILE"}, {"--auto-approve", "--plan", "PLAN", "FILE"}, {"FILE"}},
	"show":       {{"PLAN"}, {"FILE"}},
	"drift":      {{"--owner", "prod", "FILE"}},
	"init":       {{}, {"--auto-approve"}},
	"export":     {{"--all", "--out", "EXPORT"}, {"--all", "--out", "EXPORT"}},
	"restore":    {{"--drill", "FILE"}, {"--auto-approve", "FILE"}, {"FILE"}},
	"get":        {{"ProxmoxEndpoint"}, {"NetBoxEndpoint"}, {"FastAPIEndpoint"}, {"PluginSettings"}},
	"doctor":     {{}},
	"schema":     {{}, {"ProxmoxEndpoint"}},
	"explain":    {{}, {"ProxmoxEndpoint.password"}},
	"sandbox":    {{"--generation=list"}},
	"demo":       {{}},
	"version":    {{}},
	"completion": {{"bash"}},
}

// secretive are what no output may hold, by what they are.
func secretive(text string) string {
	for what, secret := range map[string]string{"token": scriptToken, "age key": secretiveKey, "header": secretiveHeader} {
		if strings.Contains(text, secret) {
			return what
		}
	}
	if form := findCanary(text); form != "" {
		return "canary (" + form + ")"
	}
	return ""
}

const (
	secretiveKey    = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
	secretiveHeader = "letmethroughtheproxy"
)

// Every command of the program, in every format it has and at every log level, as a
// process of its own: nothing secret in its output, in what it saves, or left in the
// temporary folder.
func TestNoCommandGivesASecretAway(t *testing.T) {
	box, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
	require.NoError(t, err)
	loud := &loudServer{inner: &running{sandbox: box}, arrived: map[string]bool{}}
	server := httptest.NewServer(loud)
	t.Cleanup(server.Close)
	file := writeFile(t, "m.yaml", strings.ReplaceAll(everySecret, "CANARY", canary))
	plan, work := filepath.Join(t.TempDir(), "plan.json"), t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + work, "PROXBOX_SYNC_URL=" + server.URL, "PROXBOX_SYNC_TOKEN=" + scriptToken,
		"PROXBOX_SYNC_TIMEOUT=10s", "PROXBOX_SYNC_ALLOW_PLAINTEXT_SECRETS=true", "SOPS_AGE_KEY=" + secretiveKey, "PROXBOX_SYNC_HEADER=X-Access: " + secretiveHeader}
	run := func(more []string, args ...string) {
		t.Helper()
		temp := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "proxbox-sync", args...)
		cmd.Dir, cmd.Env = work, append(append([]string{"TMPDIR=" + temp}, env...), more...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() < 0 {
			t.Fatalf("%v: %v\n%s", args, err, stderr.String())
		}
		require.Empty(t, secretive(stdout.String()), "stdout of %v %v", args, more)
		require.Empty(t, secretive(stderr.String()), "stderr of %v %v", args, more)
		require.NotContains(t, stderr.String(), "proxbox-sync: internal error", "%v", args)
		left, err := os.ReadDir(temp)
		require.NoError(t, err)
		require.Empty(t, left, "%v left something in the temporary folder", args)
	}
	for _, redact := range []string{"--redact-values=false", "--redact-values"} {
		run(nil, "plan", "--out", plan, redact, file)
		saved, err := os.ReadFile(plan)
		require.NoError(t, err)
		require.NotEmpty(t, saved)
		require.Empty(t, secretive(string(saved)), "a saved plan")
	}
	filled := strings.NewReplacer("FILE", file, "PLAN", plan, "EXPORT", filepath.Join(work, "export"))
	for _, echoing := range []bool{true, false} {
		loud.echo(echoing)
		for _, c := range commandsOf(t) {
			if echoing && c.name != "apply" {
				continue // writes are what is echoed
			}
			for _, args := range c.arguments {
				args = append([]string{c.name}, args...)
				for i := range args {
					args[i] = filled.Replace(args[i])
				}
				for i, form := range c.formats {
					// Each format at one level, and each level at one format.
					level := []string{"debug", "info", "warn", "error"}[i%4]
					run([]string{"PROXBOX_SYNC_LOG_LEVEL=" + level, "PROXBOX_SYNC_LOG_FORMAT=" + []string{"text", "json"}[i/4%2]}, append(args[:len(args):len(args)], form...)...)
				}
				run([]string{"PROXBOX_SYNC_LOG_LEVEL=debug", "PROXBOX_SYNC_LOG_FORMAT=json"}, args...)
			}
		}
	}
	require.NoError(t, filepath.WalkDir(work, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		require.Empty(t, secretive(string(text)), path)
		return err
	}))
	require.FileExists(t, filepath.Join(work, "export", "proxmoxendpoint.yaml"))
	require.True(t, loud.arrived["password"], "the secrets were there to be given away")
}

type commandToTry struct {
	name      string
	arguments [][]string
	formats   [][]string
}

// commandsOf are the commands of the program's own grammar.
func commandsOf(t *testing.T) (out []commandToTry) {
	a := &app{env: newEnvironment(nil), from: map[string]string{}, dir: t.TempDir(), stdout: io.Discard, stderr: io.Discard}
	p, _ := newParser(&cli{}, a)
	for _, node := range p.kong.Model.Leaves(false) {
		c := commandToTry{name: node.Name, arguments: argumentsOf[node.Name], formats: [][]string{nil}}
		if c.arguments == nil {
			c.arguments = [][]string{{"FILE"}}
		}
		for _, flag := range node.Flags {
			if flag.Name == "format" {
				c.formats = formatsOf(flag)
			}
		}
		out = append(out, c)
	}
	require.GreaterOrEqual(t, len(out), len(argumentsOf))
	return out
}

func formatsOf(flag *kong.Flag) (out [][]string) {
	for form := range strings.SplitSeq(flag.Enum, ",") {
		out = append(out, []string{"--format", strings.TrimSpace(form)})
	}
	return out
}

// panicker panics with a secret whichever way it is used.
type panicker struct{}

func (panicker) Read([]byte) (int, error)  { panic("reading: " + canary) }
func (panicker) Write([]byte) (int, error) { panic(fmt.Errorf("writing: %s %s", canary, scriptToken)) }

// A panic anywhere in a command prints a type and a place.
func TestAForcedPanicGivesNoSecretAway(t *testing.T) {
	_, env := serving(t, func(*http.Request) {})
	env = append(env, "PROXBOX_SYNC_ALLOW_PLAINTEXT_SECRETS=true", "PROXBOX_SYNC_LOG_LEVEL=debug")
	file := writeFile(t, "m.yaml", strings.ReplaceAll(everySecret, "CANARY", canary))
	for _, args := range [][]string{{"validate", file}, {"plan", file}, {"apply", "--auto-approve", file},
		{"validate", "--format", "json", file}, {"plan", "--format", "html", file}, {"doctor"}, {"explain"}, {"version"}} {
		var stderr bytes.Buffer
		code := run(t.Context(), args, env, panicker{}, panicker{}, &stderr)
		require.Equal(t, int(exitError), code, "%v", args)
		require.Regexp(t, `internal error: \S+ at `, stderr.String(), "%v", args)
		require.Empty(t, secretive(stderr.String()), "%v", args)
	}
	// Standard input is read by a goroutine, in which Go would print the value itself.
	for _, args := range [][]string{{"validate", "-"}, {"plan", "-"}, {"show", "-"}, {"apply", "--plan", "-", "--auto-approve", file}} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, env, panicker{}, &stdout, &stderr)
		require.NotEqual(t, int(exitDone), code)
		require.Regexp(t, `internal error:? \(?string`, strings.Join(strings.Fields(stderr.String()), " "), "%v", args)
		require.Empty(t, secretive(stdout.String()+stderr.String()), "%v", args)
	}
}

// The sandbox keeps secrets as NetBox does: what it answers to a read and what it
// logs has none.
func TestTheSandboxGivesNoSecretAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	ctx, stop := context.WithCancel(t.Context())
	var served sync.WaitGroup
	var log outcome
	served.Go(func() {
		log = runWith(ctx, []string{"PROXBOX_SYNC_TOKEN=" + scriptToken, "PROXBOX_SYNC_LOG_LEVEL=debug"}, "sandbox", "--listen", address)
	})
	env := []string{"PROXBOX_SYNC_URL=http://" + address, "PROXBOX_SYNC_TOKEN=" + scriptToken, "PROXBOX_SYNC_ALLOW_PLAINTEXT_SECRETS=true"}
	got := runWith(t.Context(), env, "apply", "--auto-approve", writeFile(t, "m.yaml", strings.ReplaceAll(everySecret, "CANARY", canary)))
	require.Regexp(t, `(?m)^applied +\+ ProxmoxEndpoint pve$`, got.stdout, got.stderr)
	for _, path := range []string{"endpoints/proxmox", "endpoints/netbox", "endpoints/fastapi", "settings"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/api/plugins/proxbox/"+path+"/", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", authorization(scriptToken))
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode, "%s: %s", path, text)
		require.Empty(t, secretive(string(text)), path)
	}
	stop()
	served.Wait()
	require.Contains(t, log.stdout, address)
	require.Empty(t, secretive(log.stdout+log.stderr))
}

func TestAPanicOfTheSandboxGivesNoSecretAway(t *testing.T) {
	var log bytes.Buffer
	handler := recovering(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(canary) }), slog.New(slog.NewTextHandler(&log, nil)))
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusInternalServerError, answer.Code)
	require.Contains(t, log.String(), "internal error: string at ")
	require.Empty(t, secretive(log.String()+answer.Body.String()))
}

// While a run is under way, other processes find no secret in its arguments, and the
// system writes no core of it.
func TestARunningProcessHidesWhatItCan(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc is of Linux")
	}
	waiting, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	_, env := serving(t, func(*http.Request) {
		once.Do(func() { close(waiting) })
		<-release
	})
	cmd := exec.CommandContext(t.Context(), "proxbox-sync", "get", "ProxmoxEndpoint")
	cmd.Env = append(env, "HOME="+t.TempDir())
	require.NoError(t, cmd.Start())
	<-waiting
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", cmd.Process.Pid))
	require.NoError(t, err)
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	require.NoError(t, err)
	close(release)
	require.NoError(t, cmd.Wait())
	require.Regexp(t, `(?m)^Max core file size\s+0\s+0\s`, string(limits))
	require.Empty(t, secretive(string(arguments)))
}
