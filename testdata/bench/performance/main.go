// Command performance measures proxbox-sync: on a sandbox, against the own limit of
// a real NetBox, and against what users would pick instead. It writes the page of
// results. Parts that it does not run keep the results of the run before.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	var b bench
	flag.StringVar(&b.binary, "binary", "", "proxbox-sync, as a release is built")
	flag.StringVar(&b.results, "results", "", "file that keeps the results between runs")
	flag.StringVar(&b.page, "page", "docs/performance.md", "page to write")
	flag.StringVar(&b.python, "python", "", "python of an environment with pynetbox and ansible-core, for the part rivals")
	flag.StringVar(&b.sizes, "sizes", "1000,10000,100000", "numbers of objects for the part growth")
	flag.IntVar(&b.rounds, "rounds", 3, "how often each is measured")
	list := flag.String("parts", "growth", "of growth, limit1000, limit10000, mixed, rivals")
	flag.Parse()
	if err := b.run(strings.Split(*list, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// bench is one run of the program.
type bench struct {
	binary, results, page, python, sizes string
	rounds                               int
}

func (b *bench) run(names []string) error {
	all, err := readResults(b.results)
	if err != nil {
		return err
	}
	for _, name := range names {
		section, err := b.part(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		all[name] = section
		if err := all.write(b.results); err != nil {
			return err
		}
	}
	return os.WriteFile(b.page, []byte(all.page()), 0o644) //nolint:gosec // a page of the documentation
}

func (b *bench) part(name string) (*Section, error) {
	if name == "growth" {
		section := newSection("")
		sizes, err := numbers(b.sizes)
		if err == nil {
			section.Growth, err = growth(b.binary, sizes, b.rounds)
		}
		return section, err
	}
	s := newServer(os.Getenv("NETBOX_URL"), os.Getenv("NETBOX_TOKEN"))
	version, err := s.version()
	if err != nil {
		return nil, err
	}
	section := newSection(version)
	switch name {
	case "limit1000":
		section.Contests, err = limits(s, b.binary, 1000, b.rounds, manners)
	case "limit10000":
		section.Contests, err = limits(s, b.binary, 10_000, 1, manners[1:2])
	case "mixed":
		section.Contests, err = mixed(s, b.binary, b.rounds)
	case "rivals":
		section.Contests, err = rivals(s, os.Getenv("NETBOX_TOKEN_V1"), b.binary, b.python, 1000, 100, b.rounds)
	default:
		return nil, fmt.Errorf("there is no such part")
	}
	return section, err
}

// version names the server.
func (s *server) version() (string, error) {
	var status struct {
		NetBox  string            `json:"netbox-version"`
		Plugins map[string]string `json:"plugins"`
	}
	err := s.ask("GET", "status", nil, &status)
	return fmt.Sprintf("NetBox %s with netbox-proxbox %s", status.NetBox, status.Plugins["netbox_proxbox"]), err
}
