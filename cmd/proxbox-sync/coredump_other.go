//go:build !unix

package main

// forbidCoreDumps has nothing to do where the platform writes none by itself.
func forbidCoreDumps() {}
