package reconcile

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// Crash is a panic without its value, which may hold a piece of a secret: what is
// left of it is the type, and the place in the code.
type Crash struct{ kind, place string }

func (c *Crash) Error() string { return fmt.Sprintf("internal error: %s at %s", c.kind, c.place) }

// CrashOf turns what recover returned into a Crash. The function that is deferred
// calls it itself, so that the place is right.
func CrashOf(r any) *Crash { return &Crash{fmt.Sprintf("%T", r), panicPlace()} }

// Recovered turns a panic into an error: for goroutines to defer, in which Go would
// print the panic's value and end the process.
func Recovered(err *error) {
	if r := recover(); r != nil {
		*err = CrashOf(r)
	}
}

// panicPlace is the innermost function of this program on the stack of a panic.
func panicPlace() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	first := ""
	for {
		frame, more := frames.Next()
		at := fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		if strings.HasPrefix(frame.Function, "proxbox-sync/") || strings.HasPrefix(frame.Function, "main.") {
			return frame.Function + " " + at
		}
		if first == "" && !strings.HasPrefix(frame.Function, "runtime.") {
			first = frame.Function + " " + at
		}
		if !more {
			return first
		}
	}
}
