package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"proxbox-sync/examples"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
	"proxbox-sync/schema/output"
)

func TestMain(m *testing.M) {
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
//	fault MATCH STATUS BODY  makes it answer so once to requests that match "METHOD path"
//	form NAME                standard output must be JSON of that output form
//	example NAME             copies an example repository here and sets SOPS_AGE_KEY to its key
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
			env.Setenv("NO_PROXY", "*")
			// The work folder lies below the temporary one; the search for a
			// project file must not leave it.
			return os.MkdirAll(filepath.Join(env.WorkDir, ".git"), 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ends":    scriptEnds,
			"sandbox": scriptSandbox,
			"api":     scriptAPI,
			// FAULT
			"form":    scriptForm,
			"example": scriptExample,
		},
	})
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

// running is the sandbox of one script.
type running struct {
	sandbox *sandbox.Server
	url     string
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
	server := httptest.NewServer(s)
	ts.Defer(server.Close)
	ts.Setenv("PROXBOX_SYNC_URL", server.URL)
	ts.Setenv("PROXBOX_SYNC_TOKEN", scriptToken)
	sandboxes.Store(ts, &running{s, server.URL})
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
	request.Header.Set("Authorization", "Token "+scriptToken)
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

// sandboxes has the sandbox of each script that started one.
var sandboxes sync.Map

func current(ts *testscript.TestScript) *running {
	r, ok := sandboxes.Load(ts)
	if !ok {
		ts.Fatalf("start a sandbox first")
	}
	return r.(*running)
}
