//go:build unix

package main

import "syscall"

// forbidCoreDumps keeps secrets in memory from being written to disk when the
// process dies. Where the limit can't be set the program runs all the same.
func forbidCoreDumps() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
