package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// gracePeriod is how long a run that writes nothing may take to end by itself
// after the first signal.
const gracePeriod = 300 * time.Millisecond

// headroom is memory that nothing touches, and that costs none for that. The
// collector begins to work at twice its size, and not at 4 MB: most runs end before.
const headroom = 32 << 20

func main() {
	room := make([]byte, headroom)
	forbidCoreDumps()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	env := os.Environ()
	hideFromChildren(env)
	code := supervise(signals, gracePeriod, os.Stderr, func(ctx context.Context) int {
		return run(ctx, os.Args[1:], env, os.Stdin, os.Stdout, os.Stderr)
	})
	runtime.KeepAlive(room)
	os.Exit(code)
}

// supervise runs the program under the signals that end it. Once it writes to a
// server, the first one asks it to finish what is under way and report, and the
// second ends it at once. Before, the first one ends it, if need be without
// waiting for more than grace: there is nothing to finish.
func supervise(signals <-chan os.Signal, grace time.Duration, stderr io.Writer, program func(context.Context) int) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var writing atomic.Bool
	ended := make(chan int, 1)
	go func() { ended <- program(context.WithValue(ctx, writingKey{}, &writing)) }()
	var late <-chan time.Time
	for {
		select {
		case code := <-ended:
			return code
		case <-late:
			if !writing.Load() {
				_, _ = fmt.Fprintln(stderr, "error: interrupted")
				return int(exitInterrupted)
			}
		case <-signals:
			if late != nil {
				return int(exitInterrupted)
			}
			late = time.After(grace)
			cancel()
		}
	}
}

// writingKey is where a context holds whether the run has begun to write.
type writingKey struct{}

// beginWriting notes that from now on the run is not to be ended without a
// report of what was written.
func beginWriting(ctx context.Context) {
	if writing, ok := ctx.Value(writingKey{}).(*atomic.Bool); ok {
		writing.Store(true)
	}
}
