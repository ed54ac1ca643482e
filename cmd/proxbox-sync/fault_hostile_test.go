package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/sandbox"
)

// A server that lies on purpose, seen by a whole apply that may delete. The
// client's own limits are tested one by one in reconcile/netbox.

const storageRows = "/api/plugins/proxbox/storage/"

func TestAHostileServer(t *testing.T) {
	g := grounds(t, sandbox.DefaultGeneration)["where much is there"]
	page := func(next, results string) func(*hit) {
		return func(h *hit) {
			h.answer(http.StatusOK, "application/json", `{"count": null, "next": `+next+`, "previous": null, "results": [`+results+`]}`)
		}
	}
	first := func(h *hit, path string) string {
		rows := ask(h.way.other, h, path+"?limit=1000").Results
		return string(rows[0])
	}
	const cluster = `{"name": "nobody", "id": 1}`
	for _, tc := range []struct {
		name    string
		happens func(*hit)
		code    exitCode
		says    string
	}{
		{"pages have no end and show the same rows", func(h *hit) { page(`"more"`, first(h, storageRows))(h) }, exitError, "shows what it showed before"},
		{"a page promises more and shows nothing", page(`"more"`, ""), exitError, "shows nothing"},
		{"next leads to a stranger", func(h *hit) {
			rows(h, func(p *listed) {
				if p.Next != nil {
					*p.Next = "http://" + h.way.strange.Addr().String() + "/api/?limit=1"
				}
			})
		}, exitDone, "Apply: "},
		{"a small answer unpacks to a large one", bomb, exitError, "larger than this program reads"},
		{"a row is a million levels deep", func(h *hit) {
			page("null", `{"id": 1, "cluster": `+cluster+`, "name": "x", "nodes": `+strings.Repeat("[", 1_000_000))(h)
		}, exitError, "not the JSON"},
		{"rows are of another kind", func(h *hit) { page("null", first(h, "/api/virtualization/clusters/"))(h) }, exitPartly, "failed        + ProxmoxStorage"},
		{"two rows have one id", func(h *hit) { r := first(h, storageRows); page("null", r+","+r)(h) }, exitError, "does not sort"},
		{"a row has no id", page("null", `{"name": "x"}`), exitError, "without an id"},
		{"a row is text", page("null", `"x"`), exitError, "ProxmoxStorage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := g.server(t)
			f := &fault{name: tc.name, happens: func(h *hit) {
				if h.r.URL.Path != storageRows || h.r.Method != http.MethodGet {
					h.way.next.ServeHTTP(h.rw, h.r)
					return
				}
				tc.happens(h)
			}}
			way := newFaultyWay(t, server, f)
			way.goesWrong(t, f, 0, true)
			before := len(server.Changes())
			begun := time.Now()
			got := g.faulty(t, way, nil)
			said := got.stdout + logLine.ReplaceAllString(got.stderr, "")
			require.Equal(t, int(tc.code), got.code, said)
			require.Contains(t, said, tc.says)
			require.Less(t, time.Since(begun), time.Minute)
			require.Zero(t, way.heard.Load())
			require.Empty(t, g.untouched(server))
			if tc.code == exitError {
				require.Len(t, server.Changes(), before, "it wrote")
			}
		})
	}
}

// bomb is a row of 64 MB, packed.
func bomb(h *hit) {
	h.rw.Header().Set("Content-Type", "application/json")
	h.rw.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(h.rw)
	_, _ = io.WriteString(z, `{"count": null, "next": null, "results": [{"id": 1, "name": "`)
	for range 64 {
		_, _ = io.WriteString(z, strings.Repeat("0", 1<<20))
	}
	_, _ = io.WriteString(z, `"}]}`)
	_ = z.Close()
}

// Markers that somebody wrote who is not this tool: what they stand on is not
// deleted, and no secret or foreign object is touched.
func TestHostileMarkers(t *testing.T) {
	g := grounds(t, sandbox.DefaultGeneration)["where much is there"]
	for _, tc := range []struct {
		name   string
		marker func(mine map[string]any) any
	}{
		{"copied from an object of this owner", func(mine map[string]any) any { return mine }},
		{"forged for this owner", func(map[string]any) any {
			return map[string]any{"v": 1, "owner": "datacenter", "key": "0123456789abcdef", "origin": "created"}
		}},
		{"of a version to come", func(map[string]any) any { return map[string]any{"v": 99, "owner": "datacenter"} }},
		{"of no form", func(map[string]any) any { return []any{"datacenter"} }},
		{"huge", func(mine map[string]any) any {
			fields := map[string]any{}
			for i := range 20_000 {
				fields[fmt.Sprintf("field%d", i)] = strings.Repeat("f", 16)
			}
			return map[string]any{"v": 1, "owner": "datacenter", "key": mine["key"], "origin": "created", "fields": fields}
		}},
		{"deep", func(map[string]any) any {
			var deep any = map[string]any{}
			for range 150 {
				deep = map[string]any{"v": deep}
			}
			return deep
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := g.server(t)
			forged := g.forge(t, server, tc.marker)
			before := g.exactly(server)
			got := g.faulty(t, newFaultyWay(t, server, nil), nil)
			require.Equal(t, int(exitDone), got.code, got.stdout+got.stderr)
			require.Equal(t, before["ProxmoxStorage "+forged], g.exactly(server)["ProxmoxStorage "+forged], got.stdout)
			require.Contains(t, got.stdout, "Apply: ")
		})
	}
}

// forge gives a storage of somebody else a marker, made of one of this owner's, and
// returns its number.
func (g *ground) forge(t *testing.T, server http.Handler, marker func(mine map[string]any) any) string {
	t.Helper()
	list := g.list(server, g.kind("ProxmoxStorage"))
	var mine map[string]any
	for _, row := range list {
		if m, _ := row["custom_fields"].(map[string]any)[reconcile.MarkerField].(map[string]any); m["owner"] == "datacenter" {
			mine = m
		}
	}
	require.NotEmpty(t, mine)
	forged := ""
	for _, row := range list {
		text, _ := json.Marshal(row["cluster"])
		if strings.Contains(string(text), `"nobody"`) && row["name"] == "local" {
			forged = fmt.Sprint(row["id"])
		}
	}
	require.NotEmpty(t, forged)
	body, err := json.Marshal(map[string]any{"custom_fields": map[string]any{reconcile.MarkerField: marker(mine)}})
	require.NoError(t, err)
	q := httptest.NewRequest(http.MethodPatch, storageRows+forged+"/", strings.NewReader(string(body)))
	q.Header.Set("Authorization", authorization(sandboxToken))
	q.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	server.ServeHTTP(answer, q)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
	return forged
}
