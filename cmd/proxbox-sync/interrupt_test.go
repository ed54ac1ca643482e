package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnInterruptedPlanSaysSo(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "m.yaml")
	require.NoError(t, os.WriteFile(file, []byte("apiVersion: proxbox-sync/v1\nkind: Tag\nspec: {name: a, slug: a}\n"), 0o600))
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"plan", "--format", "json", file},
		[]string{"PROXBOX_SYNC_URL=" + server.URL, "PROXBOX_SYNC_TOKEN=0123456789abcdef0123456789abcdef01234567"}, nil, &stdout, &stderr)
	require.Equal(t, int(exitInterrupted), code)
	require.Equal(t, "error: interrupted\n", stderr.String())
	require.Contains(t, stdout.String(), `"interrupted"`)
	require.NotContains(t, stdout.String(), "context canceled")
}

func TestAnInterruptAtThePromptSaysWhatDidNotHappen(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	reader, writer := io.Pipe() // nobody answers
	defer writer.Close()
	var stdout, stderr bytes.Buffer
	a := &app{ctx: ctx, stdin: reader, stdout: &stdout, stderr: &stderr}
	code := a.end(nil, a.confirm("Apply?", "nothing was applied"))
	require.Equal(t, exitInterrupted, code)
	require.Contains(t, stderr.String(), "error: interrupted: nothing was applied\n")
	require.NotContains(t, stderr.String(), "context canceled")
}

func TestTheFirstSignalEndsARunThatWritesNothing(t *testing.T) {
	signals := make(chan os.Signal, 2)
	signals <- os.Interrupt
	never := make(chan struct{})
	defer close(never)
	var stderr bytes.Buffer
	code := supervise(signals, time.Nanosecond, &stderr, func(context.Context) int {
		<-never // busy with something that doesn't look at its context
		return 0
	})
	require.Equal(t, int(exitInterrupted), code)
	require.Equal(t, "error: interrupted\n", stderr.String())
}

func TestTheFirstSignalLetsARunThatWritesFinish(t *testing.T) {
	signals := make(chan os.Signal, 2)
	var stderr bytes.Buffer
	code := supervise(signals, time.Nanosecond, &stderr, func(ctx context.Context) int {
		beginWriting(ctx)
		signals <- os.Interrupt
		<-ctx.Done() // asked to finish; the time is over as well
		return int(exitPartly)
	})
	require.Equal(t, int(exitPartly), code)
	require.Empty(t, stderr.String())
}

func TestTheSecondSignalEndsARunThatWrites(t *testing.T) {
	signals := make(chan os.Signal, 2)
	never := make(chan struct{})
	defer close(never)
	code := supervise(signals, time.Nanosecond, io.Discard, func(ctx context.Context) int {
		beginWriting(ctx)
		signals <- os.Interrupt
		<-ctx.Done()
		signals <- os.Interrupt
		<-never
		return 0
	})
	require.Equal(t, int(exitInterrupted), code)
}

func TestARunThatEndsByItselfAfterASignalSaysHow(t *testing.T) {
	signals := make(chan os.Signal, 2)
	signals <- os.Interrupt
	code := supervise(signals, time.Hour, io.Discard, func(ctx context.Context) int {
		<-ctx.Done()
		return int(exitError)
	})
	require.Equal(t, int(exitError), code)
}
