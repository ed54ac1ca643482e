package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"proxbox-sync/examples"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
	"proxbox-sync/schema/output"
)

func TestMain(m *testing.M) {
	standIn()
	testscript.Main(m, map[string]func(){
		"proxbox-sync": main,
	})
}

// TestScripts runs the stories of testdata/script. Beside testscript's own
// commands they know:
//
//	ends CODE COMMAND …      is exec for a command that must end with that exit code
//	sandbox [generation]     starts a sandbox and sets PROXBOX_SYNC_URL and PROXBOX_SYNC_TOKEN
//	api METHOD PATH [BODY]   asks it with its token, behind the tool's back; the answer is standard output
//	fault METHOD PATH STATUS BODY  makes it answer so once
//	echoing METHOD PATH      makes it refuse once and repeat the request in every way it can
//	readonly                 sets PROXBOX_SYNC_TOKEN to a token that may only read
//	arrived KIND ID FIELD    the canary must be what the server has as that secret
//	silent                   the canary must not be in the output, in any encoding
//	form NAME                standard output must be JSON of that output form
//	replace OLD NEW FILE     changes a file
//	token ACTION/TYPE …      sets PROXBOX_SYNC_TOKEN to a token with these permissions alone
//	sops VERB FILE …         does what sops' commands do, see sops_test.go
//	example NAME             copies an example repository here and sets SOPS_AGE_KEY to its key
func TestScripts(t *testing.T) { testscript.Run(t, scripts("script")) }

// scripts are those of a folder of testdata.
func scripts(folder string) testscript.Params {
	return testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", folder),
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
			env.Setenv("NO_PROXY", "*")
			env.Values[serverOfScript{}] = &running{token: scriptToken}
			// The work folder lies below the temporary one; the search for a
			// project file must not leave it.
			return os.MkdirAll(filepath.Join(env.WorkDir, ".git"), 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ends":     scriptEnds,
			"sandbox":  scriptSandbox,
			"api":      scriptAPI,
			"fault":    scriptFault,
			"echoing":  scriptEchoing,
			"readonly": scriptReadonly,
			"arrived":  scriptArrived,
			"silent":   scriptSilent,
			"replace":  scriptReplace,
			"form":     scriptForm,
			"example":  scriptExample,
			"token":    scriptPermissions,
			"sops":     scriptSops,
		},
	}
}

const scriptToken = "0123456789abcdef0123456789abcdef01234567"

func scriptEnds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ends CODE COMMAND …")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = strconv.Itoa(exit.ExitCode())
	}
	if code != args[0] {
		ts.Fatalf("ended with %s, want %s", code, args[0])
	}
}

// running is the server of one script: the sandbox that it started last.
type running struct {
	sandbox *sandbox.Server
	url     string
	token   string                 // of a superuser
	echo    atomic.Pointer[string] // "METHOD path" of the request to echo next
}

// serverOfScript is the key of a script's *running.
type serverOfScript struct{}

// ServeHTTP is the sandbox, or an echo of the request that shows its body in
// every place where an error can have text.
func (r *running) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	match := r.echo.Load()
	if match == nil || *match != request.Method+" "+request.URL.Path || !r.echo.CompareAndSwap(match, nil) {
		r.sandbox.ServeHTTP(w, request)
		return
	}
	body, _ := io.ReadAll(request.Body)
	var sent map[string]any
	_ = json.Unmarshal(body, &sent)
	answer := map[string]any{"detail": string(body), "__all__": []string{string(body)}}
	for name, v := range sent {
		answer[name] = []string{fmt.Sprintf("%v is wrong: %s", v, body)}
		answer["no_"+name] = map[string]any{"value": v, "encoded": base64.StdEncoding.EncodeToString([]byte(fmt.Sprint(v)))}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-ID", fmt.Sprint(sent["password"]))
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(answer)
}

func current(ts *testscript.TestScript) *running {
	r := ts.Value(serverOfScript{}).(*running)
	if r.url == "" {
		ts.Fatalf("start a sandbox first")
	}
	return r
}

func scriptSandbox(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: sandbox [generation]")
	}
	options := sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()}
	if len(args) == 1 {
		options.Generation = args[0]
	}
	s, err := sandbox.New(options)
	ts.Check(err)
	r := ts.Value(serverOfScript{}).(*running)
	r.sandbox = s
	server := httptest.NewServer(r)
	ts.Defer(server.Close)
	r.url = server.URL
	ts.Setenv("PROXBOX_SYNC_URL", server.URL)
	ts.Setenv("PROXBOX_SYNC_TOKEN", scriptToken)
}

func scriptFault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: fault METHOD PATH STATUS BODY")
	}
	status, err := strconv.Atoi(args[2])
	ts.Check(err)
	fault := sandbox.Fault{Method: args[0], Path: args[1], Status: status, Body: args[3]}
	if strings.HasPrefix(args[3], "{") {
		fault.Header = map[string]string{"Content-Type": "application/json"}
	}
	current(ts).sandbox.Inject(fault)
}

func scriptEchoing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: echoing METHOD PATH")
	}
	match := args[0] + " " + args[1]
	current(ts).echo.Store(&match)
}

func scriptReadonly(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: readonly")
	}
	const token = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"
	ts.Check(current(ts).sandbox.AddToken(sandbox.TokenSpec{Token: token, Permissions: []sandbox.Permission{{Actions: []string{"view"}}}}))
	ts.Setenv("PROXBOX_SYNC_TOKEN", token)
}

func scriptPermissions(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: token ACTION/TYPE …")
	}
	grants, write := grantsOf(args)
	var permissions []sandbox.Permission
	for _, g := range grants {
		permissions = append(permissions, sandbox.Permission{Kinds: g.kinds, Actions: g.actions})
	}
	token := fmt.Sprintf("%040x", tokens.Add(1))
	ts.Check(current(ts).sandbox.AddToken(sandbox.TokenSpec{Token: token, Write: write, Permissions: permissions}))
	ts.Setenv("PROXBOX_SYNC_TOKEN", token)
}

// grantsOf reads ACTION/TYPE arguments; no type is every type. write reports
// whether any of them is more than viewing.
func grantsOf(args []string) (grants []grant, write bool) {
	for _, arg := range args {
		action, kind, one := strings.Cut(arg, "/")
		g := grant{actions: []string{action}}
		if one {
			g.kinds = []string{kind}
		}
		grants, write = append(grants, g), write || action != "view"
	}
	return grants, write
}

var tokens atomic.Int64

// canary is a secret with characters that encodings change.
const canary = `canary"<&>\ä€`

func scriptArrived(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: arrived KIND ID FIELD")
	}
	id, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	if plain, ok := current(ts).sandbox.PlainSecret(args[0], id, args[2]); !ok || plain != canary {
		ts.Fatalf("the server does not have the secret as it was written")
	}
}

func scriptSilent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: silent")
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if form := findCanary(ts.ReadFile(stream)); form != "" {
			ts.Fatalf("%s has the canary (%s)", stream, form)
		}
	}
}

// findCanary names the encoding in which a text holds the canary, "" for none.
// Its plain beginning is searched for alone: no encoding changes letters.
func findCanary(text string) string {
	forms := map[string]string{
		"plain": "canary\"", "JSON": `canary\"`, "JSON of JSON": `canary\\\"`, "HTML": "canary&", "JSON with escaped HTML": `canary\u0022`,
		"URL": url.QueryEscape(canary), "path": url.PathEscape(canary),
		"base64":          strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canary)), "="),
		"base64 for URLs": strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(canary)), "="),
		"hex":             hex.EncodeToString([]byte(canary)),
	}
	for name, form := range forms {
		if strings.Contains(text, form) {
			return name
		}
	}
	return ""
}

func TestTheCanaryIsFound(t *testing.T) {
	for _, text := range []string{canary, fmt.Sprintf("%q", canary), html.EscapeString(canary), url.QueryEscape(canary),
		base64.StdEncoding.EncodeToString([]byte(canary)), fmt.Sprintf("%x", canary)} {
		if findCanary("x"+text+"y") == "" {
			t.Errorf("not found in %s", text)
		}
	}
	if form := findCanary("a canary in a cage"); form != "" {
		t.Errorf("found as %s where it isn't", form)
	}
}

func scriptReplace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace OLD NEW FILE")
	}
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s has no %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(text, args[0], args[1])), 0o644))
}

func scriptAPI(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: api METHOD PATH [BODY]")
	}
	var body io.Reader
	if len(args) == 3 {
		body = strings.NewReader(args[2])
	}
	request, err := http.NewRequestWithContext(context.Background(), args[0], current(ts).url+args[1], body)
	ts.Check(err)
	request.Header.Set("Authorization", authorization(current(ts).token))
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	_, _ = fmt.Fprintf(ts.Stdout(), "%s\n", text)
	if ok := answer.StatusCode < 300; ok == neg {
		ts.Fatalf("%s %s: status %d: %s", args[0], args[1], answer.StatusCode, text)
	}
}

func scriptForm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: form NAME")
	}
	text, err := output.Schema(args[0])
	ts.Check(err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	ts.Check(err)
	c := jsonschema.NewCompiler()
	ts.Check(c.AddResource("form.json", doc))
	s, err := c.Compile("form.json")
	ts.Check(err)
	got := ts.ReadFile("stdout")
	var one json.RawMessage
	ts.Check(json.Unmarshal([]byte(got), &one)) // one value, nothing behind it
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(got))
	ts.Check(err)
	ts.Check(s.Validate(value))
}

func scriptExample(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: example NAME")
	}
	for _, name := range []string{"core", "endpoints", "inventory"} {
		ts.Check(os.CopyFS(ts.MkAbs(name), os.DirFS(filepath.Join(exampleDir, args[0], name))))
	}
	key, err := examples.Files.ReadFile(args[0] + "/" + examples.ThrowAwayKey)
	ts.Check(err)
	ts.Setenv("SOPS_AGE_KEY", string(key))
}

// exampleDir is where the example repositories are, seen from this package.
var exampleDir = must(filepath.Abs(filepath.Join("..", "..", "examples")))

func must(path string, err error) string {
	if err != nil {
		panic(err)
	}
	return path
}
