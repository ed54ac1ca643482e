//go:build ignore

// Command summary reads the output of "go test -json" and writes what a person
// wants of it: the line of each package, everything that a failed test wrote,
// and at the end how many tests passed and failed. Lines that are not JSON pass
// through. It exits 1 when something failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
}

type tally struct{ passed, failed, skipped int }

func main() {
	n, err := summarize(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	fmt.Printf("%d passed, %d failed\n", n.passed, n.failed)
	if n.failed > 0 || n.passed == 0 {
		os.Exit(1)
	}
}

// summarize counts tests and subtests. A package that fails without a failed
// test, since it does not compile or a test ended the process, counts as one.
func summarize(r io.Reader, w io.Writer) (tally, error) {
	var n tally
	output := map[[2]string]*strings.Builder{}
	failures := map[string]int{}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			var e event
			if line[0] != '{' || json.Unmarshal([]byte(line), &e) != nil {
				io.WriteString(w, line)
			} else {
				n.take(e, output, failures, w)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, err
		}
	}
	if n.skipped > 0 {
		fmt.Fprintf(w, "%d skipped\n", n.skipped)
	}
	return n, nil
}

func (n *tally) take(e event, output map[[2]string]*strings.Builder, failures map[string]int, w io.Writer) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "output":
		if e.Test == "" {
			// A package's own lines: "ok …", "FAIL …", panics outside tests.
			if text := strings.TrimSpace(e.Output); text != "PASS" && !strings.HasPrefix(text, "=== ") {
				io.WriteString(w, e.Output)
			}
			return
		}
		if output[key] == nil {
			output[key] = &strings.Builder{}
		}
		output[key].WriteString(e.Output)
	case "build-output":
		io.WriteString(w, e.Output)
	case "pass":
		if e.Test != "" {
			n.passed++
		}
		delete(output, key)
	case "skip":
		if e.Test != "" {
			n.skipped++
			fmt.Fprintf(w, "skipped: %s %s\n", e.Package, e.Test)
		}
		delete(output, key)
	case "fail":
		n.fail(e, output[key], failures, w)
		delete(output, key)
	}
}

func (n *tally) fail(e event, text *strings.Builder, failures map[string]int, w io.Writer) {
	if e.Test == "" {
		if failures[e.Package] == 0 {
			n.failed++
		}
		return
	}
	n.failed++
	failures[e.Package]++
	fmt.Fprintf(w, "failed: %s %s\n", e.Package, e.Test)
	if text != nil {
		io.WriteString(w, text.String())
	}
}
