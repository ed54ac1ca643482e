package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"proxbox-sync/reconcile/sandbox"
)

// An apply of the datacenter example, with each of the faults at each of its
// requests: once, or from there on. However that run ends, it says so; nothing
// was made twice or taken from others; and the next run, without faults, ends
// where one ends that nothing happened to.
//
//	PROXBOX_SYNC_TEST_SEED   chooses the cases of TestFaults as an earlier run did

const envSeed = "PROXBOX_SYNC_TEST_SEED"

// faultsAtOnce is how many runs wait for their timeouts at the same time.
const faultsAtOnce = 5

// faultCase is one of the runs.
type faultCase struct {
	where string // the name of the ground
	fault *fault
	at    int
	stays bool
	again int // times that it did not come to its request
}

func (c faultCase) String() string {
	return fmt.Sprintf("%s, %s, request %d%s", c.where, c.fault.name, c.at, map[bool]string{true: " and on"}[c.stays])
}

// TestFaults runs some of the cases: each fault at some writes and some reads.
func TestFaults(t *testing.T) {
	random, seed := seeded(t)
	generation := sandbox.Generations()[random.IntN(len(sandbox.Generations()))]
	places := grounds(t, generation)
	cases := sample(random, places)
	runFaults(t, generation, "faults", places, cases)
	t.Logf("%s=%d chose them", envSeed, seed)
}

// sample meets each fault at three writes and a read, and each write with a fault.
func sample(random *rand.Rand, places map[string]*ground) (cases []faultCase) {
	next := map[string]func() int{}
	for where, g := range places {
		_, writes := g.indexes()
		random.Shuffle(len(writes), func(i, j int) { writes[i], writes[j] = writes[j], writes[i] })
		i := -1
		next[where] = func() int { i++; return writes[i%len(writes)] }
	}
	for i, f := range faults() {
		const few, much = "where nothing is there", "where much is there"
		where := []string{few, much}[i%2]
		reads, _ := places[where].indexes()
		cases = append(cases,
			faultCase{where: few, fault: f, at: next[few]()}, faultCase{where: few, fault: f, at: next[few](), stays: !f.lies},
			faultCase{where: much, fault: f, at: next[much](), stays: !f.lies && random.IntN(2) == 1},
			faultCase{where: where, fault: f, at: reads[random.IntN(len(reads))], stays: !f.lies && random.IntN(2) == 1})
	}
	return cases
}

// TestLongFaults runs all of them.
func TestLongFaults(t *testing.T) {
	long(t)
	for _, generation := range sandbox.Generations() {
		t.Run(generation, func(t *testing.T) {
			places := grounds(t, generation)
			var cases []faultCase
			for where, g := range places {
				for at := range g.requests {
					for _, f := range faults() {
						cases = append(cases, faultCase{where: where, fault: f, at: at})
						if !f.lies && generation == sandbox.DefaultGeneration {
							cases = append(cases, faultCase{where: where, fault: f, at: at, stays: true})
						}
					}
				}
			}
			runFaults(t, generation, "faults", places, cases)
		})
	}
}

// seeded is chance that can be had again.
func seeded(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number
	if text := os.Getenv(envSeed); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	return rand.New(rand.NewPCG(seed, 1)), seed //nolint:gosec // not a secret
}

func (g *ground) indexes() (reads, writes []int) {
	for i, q := range g.requests {
		if q.Method == http.MethodGet || q.Method == http.MethodOptions {
			reads = append(reads, i)
		} else {
			writes = append(writes, i)
		}
	}
	return reads, writes
}

func runFaults(t *testing.T, generation, what string, places map[string]*ground, cases []faultCase) {
	t.Helper()
	var mu sync.Mutex
	ended := map[string]map[int]int{}
	var group errgroup.Group
	group.SetLimit(faultsAtOnce)
	for _, c := range cases {
		group.Go(func() error {
			t.Run(c.String(), func(t *testing.T) {
				code := places[c.where].suffers(t, c)
				mu.Lock()
				defer mu.Unlock()
				if ended[c.fault.name] == nil {
					ended[c.fault.name] = map[int]int{}
				}
				ended[c.fault.name][code]++
			})
			return nil
		})
	}
	_ = group.Wait() // never an error
	requests := 0
	for _, g := range places {
		requests += len(g.requests)
	}
	t.Logf("%s: %d %s × %d requests = %d runs, netbox-proxbox %s", what, len(ended), what, requests, len(cases), generation)
	for _, name := range slices.Sorted(maps.Keys(ended)) {
		var codes []string
		for code, n := range ended[name] {
			codes = append(codes, fmt.Sprintf("%d × exit %d", n, code))
		}
		slices.Sort(codes)
		t.Logf("  %-45s %s", name, strings.Join(codes, ", "))
	}
}

// suffers runs one case and returns how the run with the fault ended.
func (g *ground) suffers(t *testing.T, c faultCase) int {
	t.Helper()
	server := g.server(t)
	way := newFaultyWay(t, server, c.fault)
	way.goesWrong(t, c.fault, c.at, c.stays)
	args := c.fault.args
	if c.stays && args == nil {
		args = []string{"--timeout=5s"}
	}
	var first outcome
	if c.fault.signal != nil {
		first = g.process(t, way)
	} else {
		first = g.faulty(t, way, args)
	}
	said := first.stdout + logLine.ReplaceAllString(first.stderr, "")
	hits := slices.Clone(way.hits)
	if len(hits) == 0 && c.again < 5 && strings.Contains(said, "no answer in time") {
		c.again++ // the machine is busy: something else timed out before
		return g.suffers(t, c)
	}
	require.NotEmpty(t, hits, "it happened to nothing:\n%s", said)
	g.reported(t, c, hits[0], first)
	require.Zero(t, way.heard.Load(), "the stranger was connected to:\n%s", said)
	require.Empty(t, g.untouched(server), "what others have:\n%s", said)
	if first.code == int(exitDone) && c.fault.lies {
		require.Empty(t, lacking(g.want, g.state(server)), "it ended with 0:\n%s", said)
	} else if first.code == int(exitDone) {
		require.Empty(t, cmp.Diff(g.want, g.state(server)), "it ended with 0:\n%s", said)
	}
	way.goesWrong(t, nil, 0, false)
	second := g.faulty(t, way, nil)
	require.Equal(t, int(exitDone), second.code, "the next run: %s\nafter the first:\n%s", second.stderr, said)
	require.Empty(t, cmp.Diff(g.want, g.state(server)), "after the next run: %s\nafter the first:\n%s", second.stdout, said)
	require.Empty(t, g.untouched(server), "what others have:\n%s", said)
	way.goesWrong(t, nil, 0, false)
	third := g.faulty(t, way, nil)
	require.Equal(t, int(exitDone), third.code, third.stderr)
	require.Contains(t, third.stdout, "No changes.")
	for _, q := range way.seen {
		require.Contains(t, []string{http.MethodGet, http.MethodOptions}, q.Method, "a run without changes writes")
	}
	for _, out := range []outcome{first, second, third} {
		for _, secret := range g.secrets {
			require.NotContains(t, out.stdout+out.stderr, secret)
		}
	}
	return first.code
}

// lacking is what is wanted and not there.
func lacking(want, got map[string][]string) (list []string) {
	for kind, rows := range want {
		for _, row := range rows {
			if !slices.Contains(got[kind], row) {
				list = append(list, kind+" "+row)
			}
		}
	}
	return list
}

// faulty runs the command over the way, with a log that says which connections
// were refused.
func (g *ground) faulty(t *testing.T, way *faultyWay, more []string) outcome {
	t.Helper()
	args := append(slices.Clone(g.apply), "--url", way.url, "--log-level=debug")
	if way.tls != nil {
		ca := filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: way.tls.Certificate().Raw}), 0o600))
		args = append(args, "--ca-file", ca)
	}
	var stdout bytes.Buffer
	log := &reopening{t: t, way: way}
	code := run(t.Context(), append(args, more...), g.env(), strings.NewReader(""), &stdout, log)
	return outcome{code, stdout.String(), log.String()}
}

var logLine = regexp.MustCompile(`(?m)^time=.*\n`)

// reported checks how a run ended that something happened to, and what it said.
func (g *ground) reported(t *testing.T, c faultCase, q request, got outcome) {
	t.Helper()
	want := c.fault.read
	if q.Method != http.MethodGet && q.Method != http.MethodOptions && q.Method != "" {
		want = c.fault.write
	}
	if c.stays {
		want = either
	}
	if got.code < 0 {
		require.Equal(t, syscall.SIGKILL, c.fault.signal, "%v ended it: %s%s", c.fault.signal, got.stdout, got.stderr)
		return // it could not say anything
	}
	said := got.stdout + logLine.ReplaceAllString(got.stderr, "")
	require.Contains(t, want, exitCode(got.code), "%v: %s", q, said)
	require.NotContains(t, said, "panic")
	require.NotContains(t, said, "goroutine ")
	if got.code == int(exitDone) {
		require.Contains(t, said, "Apply: ")
		return
	}
	names := false
	for _, k := range g.kinds {
		names = names || strings.Contains(said, k.Name)
	}
	require.True(t, names || got.code == int(exitInterrupted) && strings.Contains(said, "interrupted") || strings.Contains(said, "error: "), said)
	if got.code == int(exitPartly) {
		require.Regexp(t, `Apply: .*(failed|blocked|not attempted|conflict)`, said)
	}
}
