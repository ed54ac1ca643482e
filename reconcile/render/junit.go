package render

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The JUnit form: a suite for the whole, and one for each kind with a case for
// each of its objects. There is no one standard: this is what Jenkins' schema
// allows, and GitLab, which takes one of several cases with the same name, reads.

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Suites   []*suite `xml:"testsuite"`
}

type suite struct {
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Errors   int        `xml:"errors,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Cases    []testcase `xml:"testcase"`
}

type testcase struct {
	Name    string    `xml:"name,attr"`
	Class   string    `xml:"classname,attr"`
	Failure *mishap   `xml:"failure"`
	Skipped *mishap   `xml:"skipped"`
	Out     *chardata `xml:"system-out"`
}

type mishap struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

type chardata struct {
	Text string `xml:",chardata"`
}

// writeJUnit writes a page as test results: what is wrong with the whole and each
// object that failed, was refused or has drifted is a failure; what was not
// attempted or could not be read is skipped.
func writeJUnit(w io.Writer, g *page) error {
	all := &suites{Name: "proxbox-sync " + g.word}
	all.Suites = append(all.Suites, wholeSuite(g))
	index, names := map[string]*suite{}, map[string]int{}
	for i := range g.items {
		x := &g.items[i]
		s := index[x.kind]
		if s == nil {
			s = &suite{Name: x.kind}
			index[x.kind] = s
			all.Suites = append(all.Suites, s)
		}
		s.add(itemCase(g, x, names))
	}
	for _, s := range all.Suites {
		all.Tests += s.Tests
		all.Failures += s.Failures
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *suite) add(c testcase) {
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

// wholeSuite holds what concerns no one object: the totals, what is wrong, and
// what the page says beside its items.
func wholeSuite(g *page) *suite {
	s := &suite{Name: g.word}
	class := "proxbox-sync." + g.word
	whole := testcase{Name: g.word, Class: class}
	text := []string{g.totals}
	for _, f := range g.facts {
		text = append(text, f.Name+": "+f.Value)
	}
	for _, x := range append([]part{g.scope}, g.parts...) {
		text = append(append(text, x.sentence()), indented(x.lines)...)
		if x.hint != "" {
			text = append(text, x.hint)
		}
	}
	for _, list := range [][]concern{g.first, g.warnings} {
		for i := range list {
			text = append(append(text, string(list[i].level)+": "+list[i].headline()), indented(list[i].detail)...)
		}
	}
	whole.Out = &chardata{strings.Join(text, "\n")}
	if g.failed {
		whole.Failure = &mishap{Message: g.totals, Type: "failed", Text: strings.Join(text, "\n")}
	}
	s.add(whole)
	for i := range g.first {
		c := &g.first[i]
		if c.level != bad || c.step >= 0 {
			continue // those of an item are failures of its case
		}
		s.add(testcase{Name: fmt.Sprintf("%s %d: %s", c.what, i+1, c.headline()), Class: class,
			Failure: &mishap{Message: c.headline(), Type: c.what, Text: strings.Join(append([]string{at(c.headline(), c.place)}, c.detail...), "\n")}})
	}
	return s
}

func itemCase(g *page, x *item, names map[string]int) testcase {
	name := x.actions[0] + " " + x.title
	if len(x.actions) > 1 && x.actions[1] == "link" {
		name = "link " + x.title
	}
	if names[name]++; names[name] > 1 {
		name += fmt.Sprintf(" (%d)", names[name])
	}
	c := testcase{Name: name, Class: "proxbox-sync." + g.word + "." + x.kind}
	lines := []string{at(strings.Join(append([]string{x.title}, x.notes...), ", "), x.place)}
	lines = append(lines, x.remarks...)
	for _, l := range diffLines(x) {
		lines = append(lines, strings.TrimRight(l, " "))
	}
	text := strings.Join(lines, "\n")
	switch {
	case x.alarm != "":
		c.Failure = &mishap{Message: x.alarm, Type: cmp.Or(x.result, g.word), Text: text}
	case x.skipped:
		c.Skipped = &mishap{Message: x.result, Type: x.result}
		c.Out = &chardata{text}
	default:
		c.Out = &chardata{text}
	}
	return c
}

// at writes a text with the place that it speaks of.
func at(text string, p *position) string {
	if where := place(p); where != "" {
		return where + ": " + text
	}
	return text
}

func indented(lines []string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, "  "+l)
	}
	return out
}
