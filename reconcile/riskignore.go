package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// RiskIgnore turns one rule off, and says why. It is an entry of
// metadata.ignoreRisks, or of the project file.
type RiskIgnore struct {
	Code, Reason string
	Pos          Position
	// Covers reports whether findings in a file are meant; nil stands for all.
	Covers func(file string) bool
}

// ignoring is an entry at work.
type ignoring struct {
	RiskIgnore
	object  string // of metadata, "" for several
	matched bool
	covered []finding
}

// declared takes the entries of an object's metadata into the books.
func (l *linter) declared(o *Object) {
	for _, x := range o.Doc.Meta.IgnoreRisks {
		if known := l.ignores[x.Pos]; known != nil {
			known.object = ""
			continue
		}
		l.ignores[x.Pos] = &ignoring{RiskIgnore: x, object: o.String()}
	}
}

// report turns the findings into diagnostics, and says of every ignore what it
// covers.
func (l *linter) report() {
	var project []*ignoring
	for _, x := range l.options.Ignore {
		project = append(project, &ignoring{RiskIgnore: x})
	}
	var shown Diagnostics
	for _, f := range l.findings {
		if by := l.ignoredBy(f, project); by != nil {
			by.covered = append(by.covered, f)
		} else {
			shown = append(shown, f.Diagnostic)
		}
	}
	shown = shown.Sorted()
	if more := len(shown) - maxMistakes; more > 0 {
		shown = append(shown[:maxMistakes], Diagnostic{Severity: Warning, Trouble: Risk, Code: "more-findings",
			Summary: fmt.Sprintf("%d more findings of risk rules are not shown", more)})
	}
	l.diags = append(l.diags, shown...)
	for _, x := range l.ignores {
		project = append(project, x)
	}
	for _, x := range project {
		l.account(x)
	}
}

// ignoredBy returns the first entry that covers a finding, the object's own
// before the project's, and notes all that do.
func (l *linter) ignoredBy(f finding, project []*ignoring) *ignoring {
	var first *ignoring
	match := func(x *ignoring) {
		if x.Code == f.Code && (x.Covers == nil || x.Covers(f.Pos.File)) {
			x.matched = true
			first = cmp.Or(first, x)
		}
	}
	if f.object != nil {
		for _, own := range f.object.Doc.Meta.IgnoreRisks {
			match(l.ignores[own.Pos])
		}
	}
	for _, x := range project {
		match(x)
	}
	return first
}

// account reports what an entry hides, or that it hides nothing. Whoever may
// propose a change of a manifest may propose one of these: a reviewer has to
// see them.
func (l *linter) account(x *ignoring) {
	d := Diagnostic{Severity: Info, Trouble: Risk, Code: "rule-ignored", Pos: x.Pos, Object: x.object,
		Summary: fmt.Sprintf("rule %s is turned off: %s", x.Code, x.Reason)}
	switch {
	case len(x.covered) > 0:
		d.Detail = "1 finding is not reported"
		if n := len(x.covered); n > 1 {
			d.Detail = fmt.Sprintf("%d findings are not reported", n)
		}
	case !x.matched && !l.options.Partial:
		d.Severity, d.Code = Warning, "unused-ignore"
		d.Summary = fmt.Sprintf("rule %s is turned off where it finds nothing", x.Code)
		d.Detail = "remove the entry: it would hide what comes later"
	default:
		return
	}
	slices.SortFunc(x.covered, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column))
	})
	for _, f := range x.covered[:min(len(x.covered), maxListed)] {
		text := f.Summary
		if f.Object != "" {
			text = f.Object + ": " + text
		}
		d.Related = append(d.Related, Related{Pos: f.Pos, Message: text})
	}
	if more := len(x.covered) - maxListed; more > 0 {
		d.Related = append(d.Related, Related{Message: fmt.Sprintf("and %d more", more)})
	}
	l.diags = append(l.diags, d)
}
