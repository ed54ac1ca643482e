// Command supply says what the program is made of. From the repository's folder:
//
//	go run ./.ci/supply notices            the licences of all that is linked, as their texts want it
//	go run ./.ci/supply sbom FILE VERSION  the parts of a built file, as CycloneDX 1.6 JSON
//
// It knows modules and licences by what Go and their own files say, and asks no
// network. What it finds no licence for, or one that is not allowed, is an error.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "supply:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "notices":
		modules, err := linked(".")
		if err != nil {
			return err
		}
		return notices(out, modules)
	case len(args) == 3 && args[0] == "sbom":
		modules, err := linked(".")
		if err != nil {
			return err
		}
		return bom(out, args[1], args[2], modules)
	}
	return errors.New("usage: supply notices | supply sbom FILE VERSION")
}
