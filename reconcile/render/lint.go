package render

import (
	"io"

	"proxbox-sync/reconcile"
)

// Linted writes the findings, or that there are none.
func Linted(w io.Writer, state *reconcile.State, list reconcile.Diagnostics, s Style) error {
	if len(list) > 0 {
		return Diagnostics(w, list, s)
	}
	p := newPrinter(w, s)
	counts, total := objectCounts(state)
	p.line(p.paint(green, "OK"), ": ", count(total, "object"), " of ", count(len(counts), "kind"), ", no findings.")
	return p.done()
}

// LintedJSON writes the same in the form LintFormat. exitCode is not 0 where
// warnings end the command.
func LintedJSON(w io.Writer, state *reconcile.State, list reconcile.Diagnostics, exitCode int) error {
	counts, _ := objectCounts(state)
	return encode(w, struct {
		head
		Objects map[string]int `json:"objects"`
	}{ended(LintFormat, list, exitCode), counts})
}

// ExplainRule writes what a risk rule is about: once for each kind that has it.
func ExplainRule(w io.Writer, rules []reconcile.Rule, s Style) error {
	p := newPrinter(w, s)
	p.line(p.paint(bold, Escape(rules[0].Code)), "  risk rule")
	for _, r := range rules {
		p.line()
		about := "Manifests"
		if r.Kind != "" {
			about = r.Kind
		}
		p.paragraph(p.paint(cyan, about)+"  ", string(r.Severity)+": "+r.Message)
		p.line()
		p.paragraph("    ", r.Why)
	}
	p.line()
	p.paragraph("", "To turn it off, with a reason that every report shows, in the project file:")
	p.line("    lint: {ignore: [{code: ", Escape(rules[0].Code), ", paths: [FILE], reason: TEXT}]}")
	if rules[0].Kind != "" || rules[0].Code == reconcile.DatabaseID.Code {
		p.paragraph("", "or for the objects of one document:")
		p.line("    metadata: {ignoreRisks: [{code: ", Escape(rules[0].Code), ", reason: TEXT}]}")
	}
	return p.done()
}
