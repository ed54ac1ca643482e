package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// platform is as much of GitHub's and GitLab's API as the examples use: enough
// to comment, to find a merge, and to keep artifacts; and it holds each job to
// the permissions of its token.
type platform struct {
	sync.Mutex
	url      string
	rights   map[string]map[string]string // token -> scope -> read or write
	names    map[string]string            // token -> user
	comments []row                        // of the one pull request, or notes of the one merge request
	issues   []row
	pulls    []row // as the API lists those of a commit
	files    map[string][]byte
	now      int // seconds since the story began
	release  []byte
}

func newPlatform(t *testing.T, release []byte) *platform {
	p := &platform{rights: map[string]map[string]string{}, names: map[string]string{}, files: map[string][]byte{}, release: release}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// time is the platform's clock. It goes on by a minute at every look.
func (p *platform) time() string {
	p.now += 60
	return fmt.Sprintf("2026-01-01T%02d:%02d:00Z", p.now/3600, p.now/60%60)
}

// token makes a job's token.
func (p *platform) token(name, user string, rights map[string]string) string {
	token := fmt.Sprintf("platform-token-%s-%d", name, len(p.rights))
	p.rights[token], p.names[token] = rights, user
	return token
}

func (p *platform) may(r *http.Request, right string, scopes ...string) bool {
	for _, scope := range scopes {
		if has := p.rights[r.Header.Get("Authorization")][scope]; has == "write" || has == right {
			return true
		}
	}
	return false
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.Lock()
	defer p.Unlock()
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/github/repos/acme/netbox/"); ok {
		p.serveGitHub(w, r, rest)
	} else if rest, ok := strings.CutPrefix(path, "/gitlab.example.net/api/v4/"); ok {
		p.serveGitLab(w, r, rest)
	} else if path == "/downloads.example.net/proxbox-sync/v0.1.0/proxbox-sync_0.1.0_linux_amd64" {
		_, _ = w.Write(p.release)
	} else {
		http.Error(w, "nothing here: "+path, http.StatusNotFound)
	}
}

func (p *platform) serveGitHub(w http.ResponseWriter, r *http.Request, path string) {
	user := map[string]any{"login": p.names[r.Header.Get("Authorization")]}
	switch {
	case r.Method == "GET" && strings.HasPrefix(path, "commits/") && strings.HasSuffix(path, "/pulls"):
		p.answer(w, p.may(r, "read", "pull-requests"), p.pulls)
	case r.Method == "GET" && path == "issues/7/comments":
		p.answer(w, p.may(r, "read", "pull-requests", "issues"), p.comments)
	case r.Method == "POST" && path == "issues/7/comments":
		p.add(w, r, p.may(r, "write", "pull-requests", "issues"), &p.comments, row{"user": user})
	case r.Method == "PATCH" && strings.HasPrefix(path, "issues/comments/"):
		p.change(w, r, p.may(r, "write", "pull-requests", "issues"), p.comments, path)
	case r.Method == "GET" && path == "issues":
		p.answer(w, p.may(r, "read", "issues"), open(p.issues))
	case r.Method == "POST" && path == "issues":
		p.add(w, r, p.may(r, "write", "issues"), &p.issues, row{"user": user, "state": "open"})
	case r.Method == "PATCH" && strings.HasPrefix(path, "issues/"):
		p.change(w, r, p.may(r, "write", "issues"), p.issues, path)
	default:
		http.Error(w, r.Method+" "+path, http.StatusNotFound)
	}
}

func (p *platform) serveGitLab(w http.ResponseWriter, r *http.Request, path string) {
	name := p.names[r.Header.Get("Authorization")]
	const request = "projects/42/merge_requests/7/notes"
	switch {
	case r.Method == "GET" && path == "user":
		p.answer(w, p.may(r, "read", "api"), row{"username": name})
	case r.Method == "GET" && path == request:
		p.answer(w, p.may(r, "read", "api"), notesPage(p.comments, r.URL.Query()))
	case r.Method == "POST" && path == request:
		p.add(w, r, p.may(r, "write", "api"), &p.comments, row{"author": map[string]any{"username": name}})
	case r.Method == "PUT" && strings.HasPrefix(path, request+"/"):
		p.change(w, r, p.may(r, "write", "api"), p.comments, path)
	case r.Method == "GET" && strings.HasPrefix(path, "projects/42/repository/commits/") && strings.HasSuffix(path, "/merge_requests"):
		p.answer(w, p.may(r, "read", "api"), p.pulls)
	case r.Method == "GET" && strings.HasPrefix(path, "projects/42/jobs/"):
		file, ok := p.files[strings.TrimPrefix(path, "projects/42/jobs/")]
		if !ok || !p.may(r, "read", "artifacts") {
			http.Error(w, "404 Not found", http.StatusNotFound)
			return
		}
		_, _ = w.Write(file)
	default:
		http.Error(w, r.Method+" "+path, http.StatusNotFound)
	}
}

func (p *platform) answer(w http.ResponseWriter, may bool, v any) {
	if !may {
		http.Error(w, "Resource not accessible by integration", http.StatusForbidden)
		return
	}
	if list, ok := v.([]row); ok && list == nil {
		v = []row{}
	}
	_ = json.NewEncoder(w).Encode(v)
}

func (p *platform) add(w http.ResponseWriter, r *http.Request, may bool, list *[]row, made row) {
	if may {
		id := len(*list) + 1
		made["id"], made["number"] = float64(id), float64(id)
		*list = append(*list, made)
		p.merge(r, made)
	}
	p.answer(w, may, made)
}

func (p *platform) change(w http.ResponseWriter, r *http.Request, may bool, list []row, path string) {
	for _, one := range list {
		if may && strings.HasSuffix(path, "/"+one.text("id")) {
			p.merge(r, one)
		}
	}
	p.answer(w, may, row{})
}

func (p *platform) merge(r *http.Request, into row) {
	var fields map[string]string
	_ = json.NewDecoder(r.Body).Decode(&fields)
	for name, v := range fields {
		into[name] = v
	}
	into["updated_at"] = p.time()
}

// notesPage is the first page of GitLab's notes, in the order that is asked for.
func notesPage(list []row, query url.Values) []row {
	by := cmp.Or(query.Get("order_by"), "created_at")
	list = slices.Clone(list) // as they were created
	if by == "updated_at" {
		slices.SortStableFunc(list, func(a, b row) int { return strings.Compare(a.text(by), b.text(by)) })
	}
	if query.Get("sort") != "asc" {
		slices.Reverse(list)
	}
	size, err := strconv.Atoi(cmp.Or(query.Get("per_page"), "20"))
	if err != nil {
		return nil
	}
	return list[:min(len(list), size, 100)]
}

func open(list []row) []row {
	var out []row
	for _, one := range list {
		if one.text("state") == "open" {
			out = append(out, one)
		}
	}
	return out
}

// keep stores the files of a folder as an artifact, restore lays them into one.
func (p *platform) keep(t *testing.T, prefix, dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		data, err := os.ReadFile(dir + "/" + e.Name())
		require.NoError(t, err)
		p.files[prefix+"/"+e.Name()] = data
	}
	return len(entries) > 0
}

func (p *platform) restore(t *testing.T, prefix, dir string) bool {
	found := false
	for name, data := range p.files {
		if rest, ok := strings.CutPrefix(name, prefix+"/"); ok {
			found = true
			require.NoError(t, os.MkdirAll(dir, 0o755))
			require.NoError(t, os.WriteFile(dir+"/"+rest, data, 0o644))
		}
	}
	return found
}
