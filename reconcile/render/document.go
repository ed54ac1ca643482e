package render

import (
	"fmt"
	"io"
	"slices"

	"proxbox-sync/reconcile"
)

// Document is what a command has to say: a plan, a report, drift, or why there
// is none. Every format is made from it, so that all of them say the same, and a
// plan that was read from a file the same as a fresh one.
type Document interface {
	text(p *printer)
	page() *page
	data() any // what is encoded as JSON
}

// formats are the forms that a document can be written in.
var formats = map[string]func(w io.Writer, d Document, s Style) error{
	"text": func(w io.Writer, d Document, s Style) error {
		p := newPrinter(w, s)
		d.text(p)
		return p.done()
	},
	"json":     func(w io.Writer, d Document, _ Style) error { return encode(w, d.data()) },
	"markdown": func(w io.Writer, d Document, _ Style) error { return writeMarkdown(w, d.page()) },
	"html":     func(w io.Writer, d Document, _ Style) error { return writeHTML(w, d.page()) },
	"github":   func(w io.Writer, d Document, s Style) error { return writeAnnotations(w, d.page(), s.Base) },
	"junit":    func(w io.Writer, d Document, _ Style) error { return writeJUnit(w, d.page()) },
}

// Formats are the names of the formats, as Write takes them.
func Formats() []string { return []string{"text", "json", "markdown", "html", "github", "junit"} }

// Write writes a document in a format.
func Write(w io.Writer, format string, d Document, s Style) error {
	write, ok := formats[format]
	if !ok {
		return fmt.Errorf("there is no format %q", format)
	}
	return write(w, d, s)
}

// Failure is why a command has no result.
type Failure struct {
	Format      string // the JSON form that the command would have written
	ExitCode    int
	Owner       string // for finding the report again
	Diagnostics reconcile.Diagnostics
	Errors      []string // what no diagnostic says
}

func (f *Failure) text(p *printer) {
	p.diagnostics(diagnostics(f.Diagnostics))
	for _, text := range f.Errors {
		p.paragraph(p.paint(red, "error")+": ", text)
	}
}

// data has the members that every form of output shares.
func (f *Failure) data() any {
	h := head{Format: f.Format, ExitCode: &f.ExitCode, Diagnostics: diagnostics(f.Diagnostics), Errors: f.Errors}
	if h.Errors == nil {
		h.Errors = []string{}
	}
	if f.Format == PlanFormat || f.Format == ReportFormat {
		return struct {
			head
			outcome
		}{h, outcome{Errored: true}}
	}
	return h
}

// failureWords are what a command that failed would have made, by its form.
var failureWords = map[string]string{PlanFormat: "plan", ReportFormat: "apply", DriftFormat: "drift", RestoreFormat: "restore"}

func (f *Failure) page() *page {
	word := failureWords[f.Format]
	if word == "" {
		word = "command"
	}
	g := &page{word: word, owner: f.Owner, title: "No result", totals: fmt.Sprintf("The command failed (exit code %d): there is no result.", f.ExitCode), failed: true}
	g.diagnosed(diagnostics(f.Diagnostics), nil)
	for _, text := range f.Errors {
		g.first = append(g.first, concern{level: bad, what: "error", text: Escape(text), step: -1})
	}
	return g
}

// tie notes in each diagnostic which steps are about the same object.
func tie(list []diagnostic, steps []reconcile.RecordStep) {
	index := map[string][]int{}
	for i := range list {
		index[list[i].Object] = nil
	}
	for i := range steps {
		title := steps[i].Title()
		if at, named := index[title]; named {
			index[title] = append(at, i)
		}
	}
	for i := range list {
		list[i].Steps = slices.Clone(index[list[i].Object])
	}
}
