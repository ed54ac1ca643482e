package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/sandbox"
)

// A process that a signal ends at one of its requests, for each request: the same
// must hold as after a fault.

// TestSignals runs some of the cases.
func TestSignals(t *testing.T) {
	random, seed := seeded(t)
	places := grounds(t, sandbox.DefaultGeneration)
	var cases []faultCase
	for _, f := range signals() {
		for where, g := range places {
			reads, writes := g.indexes()
			cases = append(cases,
				faultCase{where: where, fault: f, at: reads[random.IntN(len(reads))]},
				faultCase{where: where, fault: f, at: writes[random.IntN(len(writes))]},
				faultCase{where: where, fault: f, at: writes[random.IntN(len(writes))]})
		}
	}
	runFaults(t, sandbox.DefaultGeneration, "signals", places, cases)
	t.Logf("%s=%d chose them", envSeed, seed)
}

// TestLongSignals runs all of them.
func TestLongSignals(t *testing.T) {
	long(t)
	places := grounds(t, sandbox.DefaultGeneration)
	var cases []faultCase
	for where, g := range places {
		for at := range g.requests {
			for _, f := range signals() {
				cases = append(cases, faultCase{where: where, fault: f, at: at})
			}
		}
	}
	runFaults(t, sandbox.DefaultGeneration, "signals", places, cases)
}

// process runs the command as a process of its own, which the way knows before it
// hears from it.
func (g *ground) process(t *testing.T, way *faultyWay) outcome {
	t.Helper()
	c := exec.Command("proxbox-sync", append(slices.Clone(g.apply), "--url", way.url)...)
	c.Dir = g.dir
	c.Env = append(g.env(), "PATH="+os.Getenv("PATH"), "NO_PROXY=*")
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	ready := make(chan struct{})
	next := way.next
	way.next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-ready
		next.ServeHTTP(w, r)
	})
	require.NoError(t, c.Start())
	way.process = c.Process
	close(ready)
	_ = c.Wait() // its exit code says it
	return outcome{c.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
