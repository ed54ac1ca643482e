package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/sandbox"
)

// TestConformanceStories runs the scripts of testdata/story on every server. Beside
// the commands of TestScripts they know:
//
//	at VAR KIND [FIELD=VALUE …]  sets VAR to the API path of a kind's list, or of the
//	                             one object with these values; with ! there must be none
//	wrote                        lists the writes that the server got since the last wrote
//	                             or api: method, path, number of objects, names of fields
//
// and the condition [newest] for a server of the newest generation, and no sandbox:
// the server is there. TAG, also as {p} in their files, is random
// and begins every name and is the owner, so that they run beside each other and
// whatever else is there. TOKEN is the superuser's. What a story made is deleted
// when it ends. Those of testdata/story/alone need the server for themselves.
func TestConformanceStories(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		t.Run("alone", func(t *testing.T) {
			if w.real && os.Getenv(envNetBoxEmpty) == "" {
				t.Skip("left out: they delete the custom field of the markers, and with it every marker on the server; " +
					envNetBoxEmpty + "=1 says that nothing is on it")
			}
			if w.real {
				w.unmarking(t)
			}
			testscript.Run(t, w.stories("story/alone"))
		})
		if w.real {
			w.marking(t) // no story's own: it must outlive each of them
		}
		testscript.Run(t, w.stories("story"))
	})
}

// stories are the scripts of a folder, each on a server like this one.
func (w *world) stories(folder string) testscript.Params {
	p := scripts(folder)
	for _, name := range []string{"sandbox", "fault", "echoing", "readonly", "arrived", "example"} {
		delete(p.Cmds, name)
	}
	p.Cmds["at"], p.Cmds["wrote"], p.Cmds["token"], p.Cmds["api"] = storyAt, storyWrote, storyToken, storyAPI
	p.Condition = func(name string) (bool, error) {
		if name != "newest" {
			return false, fmt.Errorf("unknown condition %q", name)
		}
		return w.real || w.generation == sandbox.DefaultGeneration, nil
	}
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		if err := setup(env); err != nil {
			return err
		}
		t := env.T().(testing.TB)
		own := w.another(t)
		notes := &writeNotes{next: own.next}
		own.next = notes
		env.Values[serverOfScript{}] = &running{sandbox: own.sandbox, url: own.url, token: own.token}
		env.Values[worldOfStory{}] = &toldWorld{own, notes, t}
		env.Setenv("TAG", own.tag)
		env.Setenv("TOKEN", own.token)
		env.Setenv("PROXBOX_SYNC_URL", own.url)
		env.Setenv("PROXBOX_SYNC_TOKEN", own.token)
		env.Setenv("PROXBOX_SYNC_PARALLELISM", "1") // results in the order of the plan
		return replaceInAll(env.WorkDir, "{p}", own.tag)
	}
	return p
}

// unmarking deletes the custom field of the markers where there is one.
func (w *world) unmarking(t testing.TB) {
	t.Helper()
	page := w.must(t, http.MethodGet, "extras/custom-fields?name="+reconcile.MarkerField, nil)
	for _, field := range page["results"].([]any) {
		w.must(t, http.MethodDelete, fmt.Sprintf("extras/custom-fields/%v", field.(map[string]any)["id"]), nil)
	}
}

// another is a server of the same sort with a record and names of its own.
func (w *world) another(t testing.TB) *world {
	if w.real {
		return newRealWorld(t, os.Getenv(envNetBoxURL))
	}
	return newSandboxWorld(t, w.generation, w.set)
}

func replaceInAll(dir, from, to string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(strings.ReplaceAll(string(text), from, to)), 0o600)
	})
}

// worldOfStory is the key of a story's *toldWorld.
type worldOfStory struct{}

type toldWorld struct {
	*world
	notes *writeNotes
	t     testing.TB
}

func told(ts *testscript.TestScript) *toldWorld { return ts.Value(worldOfStory{}).(*toldWorld) }

func storyAPI(ts *testscript.TestScript, neg bool, args []string) {
	scriptAPI(ts, neg, args)
	told(ts).notes.take()
}

func storyWrote(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: wrote")
	}
	_, _ = fmt.Fprint(ts.Stdout(), strings.Join(told(ts).notes.take(), "\n"))
}

func storyToken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: token ACTION/TYPE …")
	}
	w := told(ts)
	grants, write := grantsOf(args)
	ts.Setenv("PROXBOX_SYNC_TOKEN", w.limited(w.t, 2, write, grants...))
	w.notes.take()
}

func storyAt(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: at VAR KIND [FIELD=VALUE …]")
	}
	w := told(ts)
	kind := w.set.Kind(args[1])
	if kind == nil {
		ts.Fatalf("unknown kind %q", args[1])
	}
	path, query := w.path(w.t, kind), ""
	if len(args) == 2 {
		ts.Setenv(args[0], "/api/"+path+"/")
		return
	}
	for _, arg := range args[2:] {
		query += "&" + arg
	}
	page := w.must(w.t, http.MethodGet, path+"?limit=1000"+query, nil)
	rows, _ := page["results"].([]any)
	// A filter that the server does not know finds everything.
	rows = slices.DeleteFunc(rows, func(row any) bool {
		return slices.ContainsFunc(args[2:], func(arg string) bool {
			name, value, _ := strings.Cut(arg, "=")
			return fmt.Sprint(row.(map[string]any)[name]) != value
		})
	})
	switch {
	case neg && len(rows) > 0:
		ts.Fatalf("%s %v: %d are there", kind.Name, args[2:], len(rows))
	case !neg && len(rows) != 1:
		ts.Fatalf("%s %v: %d are there, want 1", kind.Name, args[2:], len(rows))
	case !neg:
		ts.Setenv(args[0], fmt.Sprintf("/api/%s/%v/", path, rows[0].(map[string]any)["id"]))
	}
}

// writeNotes passes requests on and notes of each that may change something which
// fields it names. No value is kept: there are secrets among them.
type writeNotes struct {
	next  http.Handler
	mu    sync.Mutex
	notes []string
}

func (n *writeNotes) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodOptions && r.Method != http.MethodHead {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		note := fmt.Sprintf("%s %s: %s", r.Method, r.URL.Path, namedIn(body))
		n.mu.Lock()
		n.notes = append(n.notes, note)
		n.mu.Unlock()
	}
	n.next.ServeHTTP(rw, r)
}

// take returns the notes since the last time.
func (n *writeNotes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	notes := n.notes
	n.notes = nil
	return notes
}

// namedIn are the names of the fields in a request's body, of a list with the
// number of its objects in front.
func namedIn(body []byte) string {
	var one map[string]json.RawMessage
	if json.Unmarshal(body, &one) == nil {
		return strings.Join(slices.Sorted(maps.Keys(one)), " ")
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(body, &list) != nil {
		return ""
	}
	all := map[string]json.RawMessage{}
	for _, item := range list {
		maps.Copy(all, item)
	}
	return fmt.Sprintf("%d of %s", len(list), strings.Join(slices.Sorted(maps.Keys(all)), " "))
}
