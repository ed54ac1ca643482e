package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Section is the outcome of one part of a run.
type Section struct {
	Date     string
	Cores    int
	Server   string  // its versions, "" for the sandbox
	Busy     float64 // load average over a minute when it began, less is quieter
	Contests []*Contest
	Growth   []Growth
}

// Results are sections by name: of this run, and of parts that ran before.
type Results map[string]*Section

func readResults(path string) (Results, error) {
	r := Results{}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(data, &r)
}

func (r Results) write(path string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func newSection(server string) *Section {
	s := &Section{Date: time.Now().UTC().Format("2006-01-02"), Cores: runtime.NumCPU(), Server: server}
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		s.Busy, _ = strconv.ParseFloat(strings.Fields(string(data))[0], 64)
	}
	return s
}

// parts of the page, in its order.
var parts = []struct{ name, title, about string }{
	{"limit1000", "Against the server's own limit", "The same writes and reads as bare requests for many objects, in the best of the ways that were tried; the program's time is that of the whole command, from start to end, with its reads before and its looks between. 1 is the limit itself."},
	{"limit10000", "The same with 10,000 objects", ""},
	{"mixed", "A mixed datacenter", "Fifteen kinds that refer to each other, against bare requests for many, one kind after the other."},
	{"rivals", "Against what users would pick instead", "On the same NetBox, the same storage rows, in one run: how many times as long the others take."},
	{"growth", "Growth", "Storage rows on a sandbox, which answers at once: what is left is the program itself."},
}

// targets are the ratios that the project holds itself to, by part and operation:
// at most for the limit, at least for the others.
var targets = map[string]float64{
	"limit1000 create": 1.10, "limit1000 update": 1.10, "limit1000 delete": 1.10, "limit1000 plan with nothing to do": 1.25,
	"pynetbox, one by one create": 5, "pynetbox, one by one update": 5, "pynetbox, in bulk create": 1.5, "pynetbox, in bulk update": 1.5,
	"pynetbox, one by one plan with nothing to do": 20, "Ansible plan with nothing to do": 100,
}

// page is docs/performance.md.
func (r Results) page() string {
	var b strings.Builder
	b.WriteString(`# Performance

Written by ` + "`make bench`" + `, which repeats all of it; don't edit. Ratios are what counts: absolute times are those of
one machine on one day. Every time is the least of several runs that took turns, as many of ours as of the others.
`)
	for _, p := range parts {
		s := r[p.name]
		if s == nil {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n", p.title)
		if p.about != "" {
			b.WriteString(p.about + "\n\n")
		}
		switch {
		case p.name == "growth":
			s.growth(&b)
		case p.name == "rivals":
			s.rivals(&b)
		default:
			s.limits(&b, p.name)
		}
		fmt.Fprintf(&b, "\n%s, %d cores, client and server on one machine%s; load average at the start %.1f.\n", s.Date, s.Cores, suffix(s.Server), s.Busy)
	}
	return b.String()
}

func suffix(server string) string {
	if server == "" {
		return ""
	}
	return ", " + server
}

func (s *Section) limits(b *strings.Builder, part string) {
	b.WriteString("| | objects | ratio | target | s | limit, s | the limit's way | slowest of ours, s |\n|---|--:|--:|--:|--:|--:|---|--:|\n")
	for _, c := range s.Contests {
		way, best := c.best()
		fmt.Fprintf(b, "| %s | %d | **%.2f** | %s | %.2f | %.2f | %s | %.2f |\n", c.What, c.Objects, c.Ours/best,
			target(part+" "+c.What, "≤ "), c.Ours, best, way, c.Worst)
	}
}

func target(name, sign string) string {
	if t, ok := targets[name]; ok {
		return fmt.Sprintf("%s%g", sign, t)
	}
	return ""
}

func (s *Section) rivals(b *strings.Builder) {
	b.WriteString("| | objects | | times as long | target | s | ours, s |\n|---|--:|---|--:|--:|--:|--:|\n")
	for _, c := range s.Contests {
		names := make([]string, 0, len(c.Others))
		for name := range c.Others {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			who, _, _ := strings.Cut(name, "'")
			fmt.Fprintf(b, "| %s | %d | %s | **%.1f** | %s | %.2f | %.2f |\n", c.What, c.Objects, name, c.Others[name]/c.Ours,
				target(who+" "+c.What, "≥ "), c.Others[name], c.Ours)
		}
	}
}

func (s *Section) growth(b *strings.Builder) {
	byCommand := map[string][]Growth{}
	for _, g := range s.Growth {
		byCommand[g.Command] = append(byCommand[g.Command], g)
	}
	b.WriteString("| | slope of time (log-log) | of processor time | target |\n|---|--:|--:|--:|\n")
	for _, command := range []string{"apply", "plan"} {
		if points := byCommand[command]; len(points) > 1 {
			fmt.Fprintf(b, "| %s | **%.2f** | **%.2f** | ≤ 1.05 |\n", command,
				slope(points, func(g Growth) float64 { return g.Measure.Seconds }), slope(points, func(g Growth) float64 { return g.Measure.Processor }))
		}
	}
	b.WriteString("\n| | objects | s | processor, s | memory, MB | requests |\n|---|--:|--:|--:|--:|--:|\n")
	for _, g := range s.Growth {
		what := map[string]string{"apply": "create all", "plan": "plan with nothing to do"}[g.Command]
		fmt.Fprintf(b, "| %s | %d | %.2f | %.2f | %d | %d |\n", what, g.Objects, g.Measure.Seconds, g.Measure.Processor, g.Measure.Bytes/1e6, g.Requests)
	}
	b.WriteString("\nTargets: memory under 150 MB at 10,000 objects, under 1,000 MB at 100,000.\n")
}
