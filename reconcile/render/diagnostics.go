package render

import (
	"io"
	"strings"

	"proxbox-sync/reconcile"
)

// Diagnostics writes each diagnostic in the order given, as
//
//	file:line:column: error: object: summary
//	    detail
//	    other file:line:column: what is there
//
// and ends with how many there are. It writes nothing when there are none.
func Diagnostics(w io.Writer, list reconcile.Diagnostics, s Style) error {
	p := newPrinter(w, s)
	p.diagnostics(diagnostics(list))
	if len(list) > 0 {
		p.line(p.paint(bold, tally(list)))
	}
	return p.done()
}

var severityHues = map[string]hue{string(reconcile.Error): red, string(reconcile.Warning): yellow, string(reconcile.Info): cyan}

func (p *printer) diagnostics(list []diagnostic) {
	for _, d := range list {
		var head []string
		if at := place(d.Position); at != "" {
			head = append(head, p.paint(bold, at))
		}
		head = append(head, p.paint(severityHues[d.Severity], Escape(d.Severity)))
		if d.Object != "" && !strings.HasPrefix(d.Summary, d.Object+" ") {
			head = append(head, Escape(d.Object))
		}
		p.line(strings.Join(append(head, Escape(d.Summary)), ": "))
		if d.Detail != "" {
			p.paragraph("    ", d.Detail)
		}
		for _, r := range d.Related {
			p.related(r)
		}
	}
}

func (p *printer) related(r related) {
	at := place(r.Position)
	switch {
	case at == "":
		p.paragraph("    ", r.Message)
	case r.Message == "":
		p.line("    ", at)
	default:
		p.line("    ", at, ": ", Escape(r.Message))
	}
}

// tally says how many of each severity there are: "3 errors, 1 warning".
func tally(list reconcile.Diagnostics) string {
	n := map[reconcile.Severity]int{}
	for _, d := range list {
		n[d.Severity]++
	}
	var parts []string
	for _, s := range []reconcile.Severity{reconcile.Error, reconcile.Warning, reconcile.Info} {
		if n[s] > 0 {
			parts = append(parts, count(n[s], string(s)))
		}
	}
	return strings.Join(parts, ", ")
}

// Error writes an error that no diagnostic says.
func Error(w io.Writer, err error, s Style) error {
	p := newPrinter(w, s)
	lead := p.paint(red, "error") + ": "
	for _, l := range strings.Split(strings.TrimRight(err.Error(), "\n"), "\n") {
		p.line(lead, Escape(l))
		lead = "    "
	}
	return p.done()
}
