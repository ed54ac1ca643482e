package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	forbidCoreDumps()
	os.Exit(supervise(os.Args[1:]))
}

// supervise runs the program under the two signals that end it: the first asks
// it to finish what is under way, the second ends it at once.
func supervise(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, args, os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	}()
	asked := false
	for {
		select {
		case code := <-ended:
			return code
		case <-signals:
			if asked {
				return int(exitInterrupted)
			}
			asked = true
			cancel()
		}
	}
}
