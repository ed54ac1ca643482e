package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

const (
	proxbox  = "/api/plugins/proxbox/"
	storage  = proxbox + "storage/"
	clusters = "/api/virtualization/clusters/"
)

func newServer(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Token == "" {
		o.Token = testToken
	}
	s, err := New(o)
	require.NoError(t, err)
	return s
}

// must sends a request that has to succeed and returns the answer's body.
func must(t *testing.T, s *Server, method, path string, body any) map[string]any {
	t.Helper()
	w := do(t, s, method, path, body)
	require.Less(t, w.Code, 300, "%s %s: %s", method, path, w.Body)
	return decoded(t, w)
}

func decoded(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	if w.Body.Len() == 0 {
		return nil
	}
	var v map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v), "%s", w.Body)
	return v
}

// newCluster makes a core cluster and returns its id.
func newCluster(t *testing.T, s *Server, name string) int64 {
	t.Helper()
	if len(must(t, s, "GET", "/api/virtualization/cluster-types/?slug=proxmox", nil)["results"].([]any)) == 0 {
		must(t, s, "POST", "/api/virtualization/cluster-types/", map[string]any{"name": "Proxmox", "slug": "proxmox"})
	}
	return idOf(must(t, s, "POST", clusters, map[string]any{"name": name, "type": map[string]any{"slug": "proxmox"}}))
}

func idOf(o map[string]any) int64 { return int64(o["id"].(float64)) }

func TestNewRefusesWhatItCannotServe(t *testing.T) {
	for name, o := range map[string]Options{
		"no token":                      {},
		"a token that is none":          {Token: "secret"},
		"a generation that isn't there": {Token: testToken, Generation: "1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(o)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestEveryGenerationStartsByNameAndAlias(t *testing.T) {
	for _, name := range append(Generations(), "netbox-4.7.3-proxbox-0.0.29.post6", "4.7.3", "4.5.9", "") {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{Generation: name})
			status := must(t, s, "GET", "/api/status/", nil)
			require.Equal(t, s.gen.NetBox, status["netbox-version"])
			require.Equal(t, map[string]any{"netbox_proxbox": s.gen.Plugin}, status["plugins"])
		})
	}
}

func TestRootsLeadToEveryKind(t *testing.T) {
	for _, generation := range Generations() {
		t.Run(generation, func(t *testing.T) {
			s := newServer(t, Options{Generation: generation, Prefix: "/netbox"})
			seen := map[string]bool{}
			var visit func(url string, depth int)
			visit = func(url string, depth int) {
				path, ok := strings.CutPrefix(url, "http://netbox.example/netbox/api/")
				require.True(t, ok, url)
				rel := strings.TrimSuffix(path, "/")
				if seen[rel] || depth > 4 {
					return
				}
				seen[rel] = true
				if _, root := s.roots[rel]; !root {
					return
				}
				for _, v := range must(t, s, "GET", "/netbox/api/"+path, nil) {
					if next, ok := v.(string); ok {
						visit(next, depth+1)
					}
				}
			}
			visit("http://netbox.example/netbox/api/", 0)
			for _, m := range s.models {
				require.True(t, seen[m.path], m.path)
			}
		})
	}
}

func TestThePublishedGeneration(t *testing.T) {
	s := newServer(t, Options{Generation: "published"})
	c := newCluster(t, s, "prod")
	e := must(t, s, "POST", proxbox+"endpoints/proxmox/", map[string]any{"name": "pve", "domain": "pve.example", "mode": "cluster"})

	t.Run("has clusters and nodes under the short paths", func(t *testing.T) {
		must(t, s, "POST", proxbox+"clusters/", map[string]any{"endpoint": e["id"], "name": "c1", "mode": "cluster"})
		must(t, s, "GET", proxbox+"nodes/", nil)
		require.Equal(t, http.StatusNotFound, do(t, s, "GET", proxbox+"proxmox-clusters/", nil).Code)
	})
	t.Run("does not verify TLS by default", func(t *testing.T) {
		require.Equal(t, false, e["verify_ssl"])
	})
	t.Run("shows token_version as value and label", func(t *testing.T) {
		n := must(t, s, "POST", proxbox+"endpoints/netbox/", map[string]any{"name": "nb", "domain": "nb.example"})
		require.Equal(t, map[string]any{"value": "v1", "label": "v1 Token"}, n["token_version"])
	})
	t.Run("updates on a POST with the same natural key", func(t *testing.T) {
		first := must(t, s, "POST", storage, map[string]any{"cluster": c, "name": "local", "content": "iso"})
		second := must(t, s, "POST", storage, map[string]any{"cluster": c, "name": "local", "content": "images"})
		require.Equal(t, first["id"], second["id"])
		require.Equal(t, "images", second["content"])
		require.EqualValues(t, 1, must(t, s, "GET", storage, nil)["count"])
	})
	t.Run("makes a token of its own, shows it and keeps it", func(t *testing.T) {
		f := must(t, s, "POST", proxbox+"endpoints/fastapi/", map[string]any{"name": "api", "domain": "api.example", "token": "mine"})
		require.NotEmpty(t, f["token"])
		require.NotEqual(t, "mine", f["token"])
		path := fmt.Sprintf("%sendpoints/fastapi/%d/", proxbox, idOf(f))
		require.Equal(t, f["token"], must(t, s, "PATCH", path, map[string]any{"token": "mine", "port": 1})["token"])
	})
	t.Run("has no settings until they are asked for", func(t *testing.T) {
		require.EqualValues(t, 0, must(t, s, "GET", proxbox+"settings/", nil)["count"])
		require.Equal(t, http.StatusNotFound, do(t, s, "PATCH", proxbox+"settings/1/", map[string]any{}).Code)
		must(t, s, "GET", proxbox+"settings/runtime/", nil)
		require.EqualValues(t, 1, must(t, s, "GET", proxbox+"settings/", nil)["count"])
	})
	t.Run("has neither ETags nor cursors nor approval", func(t *testing.T) {
		w := do(t, s, "GET", fmt.Sprintf("%s%d/", clusters, c), nil)
		require.Empty(t, w.Header().Get("ETag"))
		require.NotNil(t, must(t, s, "GET", storage+"?start=0", nil)["count"])
		require.Equal(t, http.StatusNotFound, do(t, s, "GET", fmt.Sprintf("%sendpoints/proxmox/%d/connection-authority/", proxbox, idOf(e)), nil).Code)
	})
}

func TestEveryAnswerNamesItsRequest(t *testing.T) {
	s := newServer(t, Options{})
	ids := map[string]bool{}
	for _, path := range []string{"/api/", "/nope", storage, storage + "1/"} {
		id := do(t, s, "GET", path, nil).Header().Get("X-Request-ID")
		require.Regexp(t, uuidPattern, id)
		require.False(t, ids[id])
		ids[id] = true
	}
	require.Len(t, s.Requests(), len(ids))
	last := s.Requests()[3]
	require.Empty(t, cmp.Diff(Request{Method: "GET", Path: storage + "1/", Status: 404, ID: last.ID}, last))
}

func TestTooLongARequestLineIsRefusedAsGunicornDoes(t *testing.T) {
	s := newServer(t, Options{})
	require.Equal(t, http.StatusOK, do(t, s, "GET", storage+"?name="+strings.Repeat("x", 3900), nil).Code)
	w := do(t, s, "GET", storage+"?name="+strings.Repeat("x", 4100), nil)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "Request Line is too large")
}

func TestABodyMayNotBeLargerThanDjangoTakes(t *testing.T) {
	s := newServer(t, Options{})
	body := fmt.Sprintf(`{"name":"x","slug":"x","description":"%s"}`, strings.Repeat("x", maxUpload))
	w := send(s, "POST", "/api/extras/tags/", []byte(body), map[string]string{"Authorization": "Token " + testToken, "Content-Type": "application/json"})
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), "RequestDataTooBig")
}

func TestTimesMoveWithEachWriteThoughTheClockStands(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := newServer(t, Options{Clock: func() time.Time { return at }})
	c := newCluster(t, s, "prod")
	path := fmt.Sprintf("%s%d/", clusters, c)
	before := must(t, s, "GET", path, nil)["last_updated"].(string)
	after := must(t, s, "PATCH", path, map[string]any{})["last_updated"].(string)
	require.Greater(t, after, before)
	require.True(t, strings.HasPrefix(after, "2026-03-01T12:00:00"))
}

// TestAKindIsAFile serves a kind that no generation knows.
func TestAKindIsAFile(t *testing.T) {
	set, err := schema.Load(os.DirFS("testdata/kinds"))
	require.NoError(t, err)
	s := newServer(t, Options{Kinds: set})
	require.Equal(t, "http://netbox.example/api/plugins/shelf/racks/", must(t, s, "GET", "/api/plugins/shelf/", nil)["racks"])

	r := must(t, s, "POST", "/api/plugins/shelf/racks/", map[string]any{"name": " r1 ", "secret": "x"})
	require.Equal(t, "r1", r["display"])
	require.EqualValues(t, 42, r["height"])
	require.NotContains(t, r, "secret")
	sh := must(t, s, "POST", "/api/plugins/shelf/shelves/", map[string]any{"rack": map[string]any{"name": "r1"}, "label": "a", "depth": 10})
	require.Equal(t, map[string]any{"id": r["id"], "url": r["url"], "display": "r1", "name": "r1"}, sh["rack"])

	for name, c := range map[string]struct {
		path string
		body any
		want string
	}{
		"a second one of the same key": {"racks", map[string]any{"name": "r1"}, `{"__all__":["Rack with this Name already exists."]}`},
		"a missing field":              {"shelves", map[string]any{"label": "b"}, `{"rack":["This field is required."]}`},
		"a number out of range":        {"racks", map[string]any{"name": "r2", "height": 61}, `{"height":["Ensure this value is less than or equal to 60."]}`},
		"a choice that is none":        {"racks", map[string]any{"name": "r2", "side": "left"}, `{"side":["left is not a valid choice."]}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := do(t, s, "POST", "/api/plugins/shelf/"+c.path+"/", c.body)
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Empty(t, cmp.Diff(c.want, w.Body.String()))
		})
	}
	require.EqualValues(t, 1, must(t, s, "GET", "/api/plugins/shelf/shelves/?rack="+fmt.Sprint(idOf(r)), nil)["count"])
	must(t, s, "DELETE", fmt.Sprintf("/api/plugins/shelf/racks/%d/", idOf(r)), nil)
	require.EqualValues(t, 0, must(t, s, "GET", "/api/plugins/shelf/shelves/", nil)["count"])
}

func TestRequestsAtOnceDoNotLoseWrites(t *testing.T) {
	s := newServer(t, Options{})
	c := newCluster(t, s, "prod")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			body := fmt.Sprintf(`{"cluster":%d,"name":"s%d"}`, c, i)
			send(s, "POST", storage, []byte(body), map[string]string{"Authorization": "Token " + testToken, "Content-Type": "application/json"})
			send(s, "GET", storage, nil, map[string]string{"Authorization": "Token " + testToken})
		}()
	}
	wg.Wait()
	require.EqualValues(t, 20, must(t, s, "GET", storage, nil)["count"])
	require.Len(t, s.Changes(), 22)
}
