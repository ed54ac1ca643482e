package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/render"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// attacked are the commands that every hostile repository is given to.
var attacked = []struct {
	name string
	args []string
}{
	{"validate", []string{"validate"}},
	{"plan", []string{"plan"}},
	{"drill", []string{"restore", "--drill"}},
	{"apply", []string{"apply", "--auto-approve"}},
	{"restore", []string{"restore", "--auto-approve"}},
	{"export", []string{"export", "--all", "--out", "m"}},
}

// TestHostile runs the corpus of testdata/hostile: a repository each that
// strangers wrote, in the folder repo, with the whole program. Beside the
// commands of TestScripts the cases know
//
//	attack [-writes] [-restores] [-reports]  runs each of the commands above and
//	                    prints how it ended. With -writes apply and restore may
//	                    write what the manifests say, with -restores restore alone;
//	                    with -reports every form of report is made as well
//	fifo FILE           makes one
//	flood FILE TEXT N   adds this text N times to a file
//	splice FILE LINE FROM  puts the text of another file behind a line of this one
//
// and no sandbox: the server is there, the only one that is allowed, and {server}
// in the files. {stranger} is an address that nothing must ever connect to.
// Whatever a case is about, attack fails when somebody connected, when something
// was written (to the server, to the repository or to the temporary folder), when
// the output holds a secret of the job or of its machine, or what a terminal or a
// CI system would obey, and when a command takes long or much memory.
func TestHostile(t *testing.T) {
	p := scripts("hostile")
	for _, name := range []string{"sandbox", "example"} {
		delete(p.Cmds, name)
	}
	p.Cmds["attack"], p.Cmds["fifo"], p.Cmds["flood"], p.Cmds["splice"], p.Cmds["graft"] = hostileAttack, hostileFIFO, hostileFlood, hostileSplice, hostileGraft
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		if err := setup(env); err != nil {
			return err
		}
		return newHostile(env)
	}
	testscript.Run(t, p)
}

// hostileWorld is what the case of a hostile repository runs in.
type hostileWorld struct {
	server   *sandbox.Server
	strange  net.Addr
	heard    atomic.Int32 // connections to the stranger
	temp     string
	outside  string
	replaced *strings.Replacer // what differs with every run
}

// worldOfHostile is the key of a case's *hostileWorld.
type worldOfHostile struct{}

// The secrets of the job and of its machine, all of which begin alike.
const (
	outsideCanary = "outsidecanary"
	hostileVault  = "hvs." + outsideCanary
)

func newHostile(env *testscript.Env) error {
	s, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
	if err != nil {
		return err
	}
	r := env.Values[serverOfScript{}].(*running)
	r.sandbox = s
	server := httptest.NewServer(r)
	env.Defer(server.Close)
	r.url = server.URL
	w := &hostileWorld{server: s, temp: filepath.Join(env.WorkDir, ".temp"), outside: filepath.Join(env.WorkDir, "outside")}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Defer(func() { _ = listener.Close() })
	w.strange = listener.Addr()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			w.heard.Add(1)
			_ = c.Close()
		}
	}()
	stranger := "http://" + w.strange.String()
	w.replaced = strings.NewReplacer(server.URL, "(server)", strings.TrimPrefix(server.URL, "http://"), "(server)", stranger, "(stranger)",
		w.strange.String(), "(stranger)", env.WorkDir, "$WORK")
	env.Values[worldOfHostile{}] = w
	for name, value := range map[string]string{
		"PROXBOX_SYNC_URL": server.URL, "PROXBOX_SYNC_TOKEN": scriptToken, "PROXBOX_SYNC_ALLOWED_ORIGINS": server.URL,
		"PROXBOX_SYNC_PARALLELISM": "1", "PROXBOX_SYNC_TIMEOUT": "20s", "TMPDIR": w.temp, "STRANGER": stranger,
		"AWS_SECRET_ACCESS_KEY": outsideCanary, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_REGION": "eu-central-1",
		"AWS_ENDPOINT_URL": stranger, "VAULT_ADDR": stranger, "VAULT_TOKEN": hostileVault, "AZURE_CLIENT_SECRET": outsideCanary,
		"NETBOX_OTHER_TOKEN": outsideCanary,
	} {
		env.Setenv(name, value)
	}
	for _, dir := range []string{w.temp, filepath.Join(env.WorkDir, "repo", ".git"), w.outside} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(w.outside, "secret"), []byte(outsideCanary+"\n"), 0o600); err != nil {
		return err
	}
	env.Cd = filepath.Join(env.WorkDir, "repo")
	return errors.Join(replaceInAll(env.WorkDir, "{server}", server.URL), replaceInAll(env.WorkDir, "{stranger}", stranger))
}

func hostileAttack(ts *testscript.TestScript, neg bool, args []string) {
	writes, restores, reports := false, false, false
	for _, arg := range args {
		switch arg {
		case "-writes":
			writes = true
		case "-restores":
			restores = true
		case "-reports":
			reports = true
		default:
			neg = true
		}
	}
	if neg {
		ts.Fatalf("usage: attack [-writes] [-restores] [-reports]")
	}
	w := ts.Value(worldOfHostile{}).(*hostileWorld)
	repo := ts.MkAbs(".")
	for _, command := range attacked {
		if reports && command.name != "validate" {
			for _, form := range render.Formats() {
				w.run(ts, repo, []string{"plan", "--format", form}, false)
			}
		}
		code, text := w.run(ts, repo, command.args, writes && command.name == "apply" || (writes || restores) && command.name == "restore")
		_, _ = fmt.Fprintf(ts.Stdout(), "%s: exit %d\n%s", command.name, code, text)
	}
}

// run runs the program once and returns its exit code and what it said of why.
func (w *hostileWorld) run(ts *testscript.TestScript, repo string, command []string, writes bool) (int, string) {
	changes, files, others := len(w.server.Changes()), fingerprint(ts, repo), fingerprint(ts, w.outside)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "proxbox-sync", command...)
	cmd.Dir = repo
	cmd.Env = environmentOf(ts)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		ts.Fatalf("%v: %v, %v", command, err, ctx.Err())
	}
	code := cmd.ProcessState.ExitCode()
	switch {
	case code < 0:
		ts.Fatalf("%v was ended by a signal\n%s", command, stderr.String())
	case w.heard.Load() > 0:
		ts.Fatalf("%v: the stranger was connected to", command)
	case !writes && len(w.server.Changes()) != changes:
		ts.Fatalf("%v wrote to the server", command)
	case fingerprint(ts, w.outside) != others:
		ts.Fatalf("%v wrote outside the repository", command)
	case fingerprint(ts, repo) != files && (command[0] != "export" || code != int(exitDone) && code != int(exitPartly)):
		ts.Fatalf("%v wrote to the repository", command)
	}
	if command[0] == "export" {
		named(ts, filepath.Join(repo, "m"))
	}
	if left, _ := os.ReadDir(w.temp); len(left) > 0 {
		ts.Fatalf("%v left %s in the temporary folder", command, left[0].Name())
	}
	if memory := peak(cmd.ProcessState); memory > 1<<30 {
		ts.Fatalf("%v took %d MB of memory", command, memory>>20)
	}
	for stream, text := range map[string]string{"stdout": stdout.String(), "stderr": stderr.String()} {
		if what := harm(text, ts.Getenv("SOPS_AGE_KEY"), command[len(command)-1] == "github"); what != "" {
			ts.Fatalf("%s of %v %s:\n%q", stream, command, what, text)
		}
	}
	return code, w.why(stdout.String(), stderr.String())
}

// environmentOf is the environment of a script's commands.
func environmentOf(ts *testscript.TestScript) []string {
	var out []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "XDG_CONFIG_HOME", "NO_PROXY", "PROXBOX_SYNC_URL", "PROXBOX_SYNC_TOKEN", "PROXBOX_SYNC_ALLOWED_ORIGINS",
		"PROXBOX_SYNC_PARALLELISM", "PROXBOX_SYNC_TIMEOUT", "PROXBOX_SYNC_PRUNE", "PROXBOX_SYNC_MAX_DELETES", "PROXBOX_SYNC_OWNER",
		"PROXBOX_SYNC_ALLOW_PLAINTEXT_SECRETS", "PROXBOX_SYNC_FAIL_ON", "SOPS_AGE_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_REGION",
		"AWS_ENDPOINT_URL", "VAULT_ADDR", "VAULT_TOKEN", "AZURE_CLIENT_SECRET", "NETBOX_OTHER_TOKEN", "STRANGER"} {
		if value := ts.Getenv(name); value != "" {
			out = append(out, name+"="+value)
		}
	}
	return out
}

var commandLine = regexp.MustCompile(`(?m)^[ \t]*(::|##\[|section_start:|section_end:)|##\[|##vso\[`)

// harm says what a text holds that must not get out, "" for nothing.
func harm(text, key string, annotations bool) string {
	for what, secret := range map[string]string{"a secret of the machine": outsideCanary, "the token": scriptToken, "the key": key} {
		if secret != "" && strings.Contains(text, secret) {
			return "holds " + what
		}
	}
	if findCanary(text) != "" || strings.Contains(text, "canary-") {
		return "holds a secret of the repository"
	}
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029') {
			return fmt.Sprintf("holds %U", r)
		}
	}
	if found := commandLine.FindString(text); found != "" && !annotations {
		return fmt.Sprintf("holds the command of a CI system: %q", found)
	}
	return ""
}

func TestHarmIsFound(t *testing.T) {
	for text, want := range map[string]string{
		"x " + outsideCanary:    "holds a secret of the machine",
		scriptToken:             "holds the token",
		"AGE-SECRET-KEY-1":      "holds the key",
		"canary-one":            "holds a secret of the repository",
		"a\x1b[2J":              "holds U+001B",
		"a\u202eb":              "holds U+202E",
		"a\rb":                  "holds U+000D",
		"a\n  ::add-mask::b":    `holds the command of a CI system: "  ::"`,
		"a ##[error]b":          `holds the command of a CI system: "##["`,
		"section_start:1:a":     `holds the command of a CI system: "section_start:"`,
		"a ::b\n[::1] canary\n": "",
	} {
		require.Equal(t, want, harm(text, "AGE-SECRET-KEY-1", false), text)
	}
	require.Empty(t, harm("::error::a", "", true), "an annotation")
}

// why is what a run said: its errors, else the first line of its result that counts.
func (w *hostileWorld) why(stdout, stderr string) string {
	var out []string
	for line := range strings.Lines(w.replaced.Replace(stderr + stdout)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "error: ") || strings.Contains(line, ": error: ") || strings.HasPrefix(line, "  !") {
			out = append(out, "  "+line)
		}
	}
	if len(out) == 0 {
		for line := range strings.Lines(w.replaced.Replace(stdout)) {
			if regexp.MustCompile(`^(OK|Plan|Apply|Restore|Drill|No changes|Exported)\b`).MatchString(line) {
				out = []string{"  " + strings.TrimRight(line, "\n")}
			}
		}
	}
	if len(out) > 3 {
		out = append(out[:3], fmt.Sprintf("  and %d more", len(out)-3))
	}
	return strings.Join(out, "\n") + "\n"
}

// fingerprint tells a folder's entries and the contents of its regular files.
func fingerprint(ts *testscript.TestScript, dir string) string {
	h := sha256.New()
	ts.Check(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(h, path, info.Mode(), info.Size())
		if err == nil && entry.Type().IsRegular() && info.Size() < 1<<20 {
			var data []byte
			data, err = os.ReadFile(path)
			h.Write(data)
		}
		return err
	}))
	return string(h.Sum(nil))
}

var fileName = regexp.MustCompile(`^[a-z0-9_-][a-z0-9._-]*$`)

// named checks that an export gave its files names that mean nothing to anybody.
func named(ts *testscript.TestScript, dir string) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	ts.Check(err)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) < time.Minute && info.Mode().IsRegular() &&
			!strings.HasPrefix(entry.Name(), ".") && !fileName.MatchString(entry.Name()) {
			ts.Fatalf("a file is named %q", entry.Name())
		}
	}
}

func hostileFlood(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: flood FILE TEXT N")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	text := strings.ReplaceAll(args[1], `\n`, "\n")
	_, err = f.WriteString(strings.Repeat(text, n))
	ts.Check(errors.Join(err, f.Close()))
}

func hostileSplice(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: splice FILE LINE FROM")
	}
	text := ts.ReadFile(args[0])
	before, after, found := strings.Cut(text, "\n"+args[1]+"\n")
	if !found {
		ts.Fatalf("%s has no line %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(before+"\n"+args[1]+"\n"+ts.ReadFile(args[2])+after), 0o600))
}

// hostileGraft puts a line of one file, which begins with some text, in the place of
// the line of another one that begins with the same.
func hostileGraft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: graft FROM PREFIX TO")
	}
	line := func(text string) string {
		for l := range strings.Lines(text) {
			if strings.HasPrefix(strings.TrimLeft(l, " -"), args[1]) {
				return l
			}
		}
		ts.Fatalf("there is no line that begins with %q", args[1])
		return ""
	}
	to := ts.ReadFile(args[2])
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.Replace(to, line(to), line(ts.ReadFile(args[0])), 1)), 0o600))
}
