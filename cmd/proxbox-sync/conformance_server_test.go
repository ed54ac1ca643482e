package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// The conformance suite runs each of its tests against every generation of the
// sandbox and, where the environment names one, against a real NetBox. Where
// the two differ, the sandbox is wrong.
//
//	PROXBOX_SYNC_TEST_NETBOX_URL        the real NetBox
//	PROXBOX_SYNC_TEST_NETBOX_TOKEN      a v2 token of a superuser there
//	PROXBOX_SYNC_TEST_NETBOX_TOKEN_V1   a v1 token of a superuser there
//	PROXBOX_SYNC_TEST_NETBOX_ONLY=1     leaves the sandbox out
//	PROXBOX_SYNC_TEST_NETBOX_EMPTY=1    nothing is on the real NetBox: fixed names may be used
//
// On a real NetBox every name has a random prefix, and what a test made is
// deleted when it ends.

const (
	envNetBoxURL     = "PROXBOX_SYNC_TEST_NETBOX_URL"
	envNetBoxToken   = "PROXBOX_SYNC_TEST_NETBOX_TOKEN"
	envNetBoxTokenV1 = "PROXBOX_SYNC_TEST_NETBOX_TOKEN_V1"
	envNetBoxOnly    = "PROXBOX_SYNC_TEST_NETBOX_ONLY"
	envNetBoxEmpty   = "PROXBOX_SYNC_TEST_NETBOX_EMPTY"
)

// world is one server under test, seen through a handler that keeps a record.
type world struct {
	*traffic
	generation string // of the sandbox
	real       bool
	sandbox    *sandbox.Server // nil for a real NetBox
	set        *schema.Set
	url        string
	token      string        // v2, of a superuser
	tokenV1    string        // v1, of a superuser
	tag        string        // begins every name that a test makes
	changes    *atomic.Int64 // requests of the test that may have changed something
	shared     *sharedThings
	http       *http.Client
	busy       *busyTime // of a NetBox that a long test has for itself
}

const (
	sandboxToken   = "nbt_conformance1.Cp7qfEoUyR2mXhJtKd0sWzGv4bN8lA1iQ6uTzYcM"
	sandboxTokenV1 = "0123456789abcdef0123456789abcdef01234567"
)

// eachServer runs a test once for every server.
func eachServer(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	address := os.Getenv(envNetBoxURL)
	if os.Getenv(envNetBoxOnly) != "" {
		require.NotEmpty(t, address, envNetBoxOnly+" is set, but "+envNetBoxURL+" is not")
	} else {
		for _, generation := range sandbox.Generations() {
			t.Run("sandbox/"+generation, func(t *testing.T) { test(t, newSandboxWorld(t, generation, schema.Embedded())) })
		}
	}
	if address != "" {
		t.Run("netbox", func(t *testing.T) { test(t, newRealWorld(t, address)) })
	}
}

func newSandboxWorld(t testing.TB, generation string, set *schema.Set) *world {
	t.Helper()
	return newSandboxWorldWith(t, sandbox.Options{Generation: generation, Kinds: set})
}

func newSandboxWorldWith(t testing.TB, o sandbox.Options) *world {
	t.Helper()
	o.Token = sandboxToken
	server, err := sandbox.New(o)
	require.NoError(t, err)
	require.NoError(t, server.AddToken(sandbox.TokenSpec{Token: sandboxTokenV1, Write: true, Superuser: true}))
	w := newWorld(t, server, o.Kinds)
	w.generation, w.sandbox, w.token, w.tokenV1 = o.Generation, server, sandboxToken, sandboxTokenV1
	return w
}

func newRealWorld(t testing.TB, address string) *world {
	t.Helper()
	target, err := url.Parse(address)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Accept-Encoding") // so that the record can read the answers
	}}
	w := newWorld(t, proxy, schema.Embedded())
	w.real, w.token, w.tokenV1 = true, os.Getenv(envNetBoxToken), os.Getenv(envNetBoxTokenV1)
	require.NotEmpty(t, w.token, envNetBoxToken+" is not set")
	require.NotEmpty(t, w.tokenV1, envNetBoxTokenV1+" is not set")
	t.Cleanup(func() {
		asked := w.count()
		w.deleteAll(t)
		t.Logf("%d requests, %d more to delete what they made", asked, w.count()-asked)
	})
	return w
}

func newWorld(t testing.TB, server http.Handler, set *schema.Set) *world {
	t.Helper()
	w := &world{traffic: &traffic{next: server}, set: set, tag: newTag(), changes: new(atomic.Int64),
		shared: &sharedThings{things: map[string][]*thing{}},
		http:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	front := httptest.NewServer(w.traffic)
	t.Cleanup(func() {
		front.Close()
		w.http.CloseIdleConnections()
	})
	w.url = front.URL
	return w
}

// fork is the same server for a test with names of its own.
func (w *world) fork() *world {
	own := *w
	own.tag, own.changes = newTag(), new(atomic.Int64)
	return &own
}

// client is the product's client, with a token of the test's choice.
func (w *world) client(t testing.TB, token string) *netbox.Client {
	t.Helper()
	c, err := netbox.New(netbox.Config{URL: w.url, Token: reconcile.NewSecret(token, ""), Kinds: w.set})
	require.NoError(t, err)
	return c
}

// raw makes a request of the test's own, as superuser. path is below the API
// root and may have a query.
func (w *world) raw(t testing.TB, method, path string, body any) (int, any) {
	t.Helper()
	return w.rawAs(t, w.token, method, path, body)
}

func (w *world) rawAs(t testing.TB, token, method, path string, body any) (int, any) {
	t.Helper()
	if method != http.MethodGet {
		w.changes.Add(1)
	}
	path, query, hasQuery := strings.Cut(path, "?")
	address := w.url + "/api/" + strings.Trim(path, "/") + "/"
	if hasQuery {
		address += "?" + query
	}
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		require.NoError(t, err)
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, address, content)
	if t.Context().Err() != nil { // in a cleanup
		request, err = http.NewRequest(method, address, content)
	}
	require.NoError(t, err)
	request.Header.Set("Authorization", authorization(token))
	request.Header.Set("Content-Type", "application/json")
	response, err := w.http.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, decode(data)
}

func authorization(token string) string {
	if strings.HasPrefix(token, "nbt_") {
		return "Bearer " + token
	}
	return "Token " + token
}

// decode reads JSON with its numbers as written; anything else is a string.
func decode(data []byte) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return string(data)
	}
	return v
}

// must is raw for requests that have to succeed with an object as answer.
func (w *world) must(t testing.TB, method, path string, body any) map[string]any {
	t.Helper()
	status, answer := w.raw(t, method, path, body)
	require.Truef(t, status >= 200 && status < 300, "%s %s %v: %d %v", method, path, body, status, answer)
	object, _ := answer.(map[string]any)
	return object
}

// path is where a kind lives on this server.
func (w *world) path(t testing.TB, kind *schema.Kind) string {
	t.Helper()
	w.mu.Lock()
	known := w.paths[kind.Name]
	w.mu.Unlock()
	if known != "" {
		return known
	}
	for _, path := range kind.Resource.Paths {
		if status, _ := w.raw(t, http.MethodGet, path+"?limit=1&fields=id", nil); status == http.StatusOK {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.paths == nil {
				w.paths = map[string]string{}
			}
			w.paths[kind.Name] = path
			return path
		}
	}
	t.Fatalf("%s: nothing answers at %v", kind.Name, kind.Resource.Paths)
	return ""
}

// shown is one object as the server shows it.
func (w *world) shown(t testing.TB, kind *schema.Kind, row reconcile.RowID) map[string]any {
	t.Helper()
	return w.must(t, http.MethodGet, fmt.Sprintf("%s/%d", w.path(t, kind), row), nil)
}

// traffic passes requests on and notes them, and what they created.
type traffic struct {
	next http.Handler

	mu       sync.Mutex
	paths    map[string]string // of kinds
	requests []request
	made     []string // paths of objects below the API root, in the order of their creation
}

type request struct{ Method, Path, Query string }

func (q *traffic) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	copied := &copying{ResponseWriter: rw, status: http.StatusOK, wanted: r.Method == http.MethodPost}
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/api"), "/")
	q.mu.Lock()
	q.requests = append(q.requests, request{r.Method, path, r.URL.RawQuery})
	q.mu.Unlock()
	q.next.ServeHTTP(copied, r)
	if !copied.wanted || copied.status != http.StatusCreated {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	answer := decode(copied.body.Bytes())
	list, ok := answer.([]any)
	if !ok {
		list = []any{answer}
	}
	for _, item := range list {
		object, _ := item.(map[string]any)
		if id, ok := object["id"].(json.Number); ok {
			q.made = append(q.made, path+"/"+id.String())
		}
	}
}

// since returns the requests from the n-th on.
func (q *traffic) since(n int) []request {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]request(nil), q.requests[n:]...)
}

// writes returns the requests from the n-th on that may change something.
func (q *traffic) writes(n int) []request {
	var list []request
	for _, r := range q.since(n) {
		if r.Method != http.MethodGet && r.Method != http.MethodOptions && r.Method != http.MethodHead {
			list = append(list, r)
		}
	}
	return list
}

func (q *traffic) count() int { return len(q.since(0)) }

// copying keeps the status and, where wanted, the body of an answer.
type copying struct {
	http.ResponseWriter
	status int
	wanted bool
	body   bytes.Buffer
}

func (c *copying) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *copying) Write(data []byte) (int, error) {
	if c.wanted {
		c.body.Write(data)
	}
	return c.ResponseWriter.Write(data)
}

func (c *copying) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// deleteAll deletes what was made, a list at a time and the last made first.
// What is in the way of a delete was made by the test as well, so a few rounds
// do it.
func (w *world) deleteAll(t testing.TB) {
	t.Helper()
	w.mu.Lock()
	left := map[string][]string{}
	var folders []string
	for _, path := range slices.Backward(w.made) {
		i := strings.LastIndex(path, "/")
		if left[path[:i]] == nil {
			folders = append(folders, path[:i])
		}
		left[path[:i]] = append(left[path[:i]], path[i+1:])
	}
	w.made = nil
	w.mu.Unlock()
	for round := 0; round < 4; round++ {
		for _, folder := range folders {
			left[folder] = w.deleteSome(t, folder, left[folder])
		}
	}
	for _, folder := range folders {
		for _, id := range left[folder] {
			t.Errorf("%s/%s was made by this test and can't be deleted", folder, id)
		}
	}
}

// maxTogether bounds how many objects one request names.
const maxTogether = 300

// deleteSome deletes objects of one list and returns those that are left.
func (w *world) deleteSome(t testing.TB, folder string, ids []string) (left []string) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(2)
	var mu sync.Mutex
	for chunk := range slices.Chunk(ids, maxTogether) {
		group.Go(func() error {
			kept := w.deleteChunk(t, folder, chunk)
			mu.Lock()
			defer mu.Unlock()
			left = append(left, kept...)
			return nil
		})
	}
	_ = group.Wait() // never an error
	return left
}

func (w *world) deleteChunk(t testing.TB, folder string, ids []string) (left []string) {
	t.Helper()
	_, answer := w.raw(t, http.MethodGet, folder+"?fields=id&limit=1000&id="+strings.Join(ids, "&id="), nil)
	page, _ := answer.(map[string]any)
	there, _ := page["results"].([]any)
	if len(there) == 0 {
		return nil
	}
	if status, _ := w.raw(t, http.MethodDelete, folder, there); status == http.StatusNoContent {
		return nil
	}
	for _, item := range there {
		id := fmt.Sprint(item.(map[string]any)["id"])
		status, _ := w.raw(t, http.MethodDelete, folder+"/"+id, nil)
		if status != http.StatusNoContent && status != http.StatusNotFound {
			left = append(left, id)
		}
	}
	return left
}

// newTag makes up a prefix for names.
func newTag() string { return "t" + strings.ToLower(rand.Text()[:5]) }
