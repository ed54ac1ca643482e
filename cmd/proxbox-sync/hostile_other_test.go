//go:build !unix

package main

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

func hostileFIFO(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("there are none here") }

func peak(*os.ProcessState) int64 { return 0 }
