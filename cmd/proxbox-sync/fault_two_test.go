package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/sandbox"
)

// Two applies at once: both have planned before either writes, and then their
// requests come as chance has it. Each object ends as one of them wanted it, and
// where both made one, the next plan says so.

const togetherRounds = 4 // of make test

func TestTwoAppliesAtOnce(t *testing.T) { twoApplies(t, togetherRounds) }

func TestLongTwoAppliesAtOnce(t *testing.T) {
	long(t)
	twoApplies(t, 100)
}

func twoApplies(t *testing.T, rounds int) {
	t.Helper()
	mine := grounds(t, sandbox.DefaultGeneration)["where nothing is there"]
	t.Run("of the same owner", func(t *testing.T) { atOnce(t, rounds, mine, mine) })
	t.Run("of different owners", func(t *testing.T) { atOnce(t, rounds, mine, mine.ofAnother(t)) })
}

// ofAnother is the same repository with other wishes, of another owner.
func (g *ground) ofAnother(t *testing.T) *ground {
	t.Helper()
	theirs := *g
	theirs.dir = exampleCopy(t, "datacenter")
	for file, change := range map[string][2]string{
		projectName:                   {"owner: datacenter ", "owner: another "},
		"inventory/storage.yaml":      {"content: images", "content: iso"},
		"core/clusters.yaml":          {"description: ", "description: Another's "},
		"endpoints/fastapi.yaml":      {"port: 8800", "port: 8801"},
		"inventory/nodes.yaml":        {"ip_address: 192.0.2.", "ip_address: 192.0.2.1"},
		"core/virtual-machines.yaml":  {"memory: ", "memory: 1"},
		"inventory/replications.yaml": {"rate: ", "rate: 1"},
	} {
		name := filepath.Join(theirs.dir, file)
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		text := strings.ReplaceAll(string(data), change[0], change[1])
		require.NotEqual(t, string(data), text, file)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	theirs.settle(t)
	return &theirs
}

func atOnce(t *testing.T, rounds int, mine, theirs *ground) {
	both := [2]*ground{mine, theirs}
	twins, codes := 0, map[string]int{}
	for range rounds {
		server := mine.server(t)
		meeting := &meeting{open: make(chan struct{})}
		var got [2]outcome
		var group sync.WaitGroup
		for i, g := range both {
			way := newFaultyWay(t, meeting.door(server), nil)
			group.Go(func() {
				defer meeting.pass(true)
				got[i] = g.process(t, way)
			})
		}
		group.Wait()
		said := got[0].stdout + got[0].stderr + got[1].stdout + got[1].stderr
		for _, out := range got {
			require.Contains(t, []int{int(exitDone), int(exitPartly)}, out.code, said)
			for _, secret := range mine.secrets {
				require.NotContains(t, out.stdout+out.stderr, secret)
			}
		}
		codes[fmt.Sprint(got[0].code, got[1].code)]++
		require.Empty(t, mine.untouched(server), said)
		twice := oneOrTheOther(t, server, mine, theirs, said)
		twins += len(twice)
		for _, g := range both {
			next := g.process(t, newFaultyWay(t, server, nil))
			codes[fmt.Sprint("next ", next.code)]++
			for _, name := range twice {
				require.Contains(t, next.stdout+next.stderr, name)
				require.Equal(t, int(exitManifests), next.code, "twins: %s%s", next.stdout, next.stderr)
			}
			if len(twice) == 0 && mine == theirs {
				require.Equal(t, int(exitDone), next.code, next.stdout+next.stderr)
				require.Empty(t, gocmp.Diff(mine.want, mine.state(server)))
			}
		}
		require.Equal(t, twice, oneOrTheOther(t, server, mine, theirs, said))
	}
	t.Logf("two applies at once: %d times, exit codes %v, %d objects made twice and reported", rounds, codes, twins)
}

// oneOrTheOther requires that each object is as one of two wants it, and returns
// the names of those that are there more than once.
func oneOrTheOther(t *testing.T, server *sandbox.Server, mine, theirs *ground, said string) (twice []string) {
	t.Helper()
	for kind, rows := range mine.state(server) {
		seen := map[string]int{}
		for _, row := range rows {
			bare := func(list []string) (out []string) {
				for _, text := range list {
					out = append(out, unmarked(t, text))
				}
				return out
			}
			require.Contains(t, append(bare(mine.want[kind]), bare(theirs.want[kind])...), unmarked(t, row), "%s\n%s", kind, said)
			var object struct {
				Name, Model, Slug, Address string
				Cluster, Endpoint          struct{ Name string }
			}
			_ = json.Unmarshal([]byte(row), &object) // a vmid may be its only name
			if name := cmp.Or(object.Name, object.Address); name != "" {
				seen[object.Cluster.Name+"\x00"+object.Endpoint.Name+"\x00"+name]++
			}
		}
		for name, n := range seen {
			if n > 1 {
				twice = append(twice, name[strings.LastIndex(name, "\x00")+1:])
			}
		}
	}
	slices.Sort(twice)
	return twice
}

// unmarked is a row without whose it is.
func unmarked(t *testing.T, row string) string {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(row), &object))
	if fields, ok := object["custom_fields"].(map[string]any); ok {
		delete(fields, reconcile.MarkerField)
	}
	text, err := json.Marshal(object)
	require.NoError(t, err)
	return string(text)
}

// meeting lets nobody write before both want to, or one has ended.
type meeting struct {
	mu    sync.Mutex
	there int
	open  chan struct{}
}

func (m *meeting) pass(ended bool) {
	m.mu.Lock()
	if m.there++; m.there == 2 || ended && m.there < 2 {
		m.there = 2
		select {
		case <-m.open:
		default:
			close(m.open)
		}
	}
	m.mu.Unlock()
	<-m.open
}

func (m *meeting) door(next http.Handler) http.Handler {
	var once sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodOptions {
			once.Do(func() { m.pass(false) })
		}
		next.ServeHTTP(w, r)
	})
}
