package render

import (
	"fmt"
	"io"
	"strings"

	"proxbox-sync/reconcile"
)

// Bounds of the lists of a restore as text; the other forms have all of them.
const (
	listedNotBack = 100
	listedBeside  = 20
)

func (d *RestoreDocument) data() any { return d }

// text begins with what is not good, and ends with how many are.
func (d *RestoreDocument) text(p *printer) {
	p.origin(d.Server, d.Owner, "")
	p.group(d.Diagnostics)
	if len(d.NotBack) > 0 {
		p.line(p.paint(bold, d.word("Did not come back, or not whole:", "Would not come back, or not whole:")))
		for i := range d.NotBack {
			if i == listedNotBack && !p.style.Whole {
				p.line("... and ", thousands(len(d.NotBack)-i), " more")
				break
			}
			p.notBack(&d.NotBack[i])
		}
		p.line()
	}
	for _, x := range d.parts(p.style.Whole) {
		p.part(x)
	}
	for _, text := range d.Errors {
		p.paragraph(p.paint(red, "error")+": ", text)
	}
	if d.Interrupted {
		p.paragraph("", interruptedRestore)
	}
	p.line(p.paint(bold, d.Summary()))
	p.approvals(d.Approvals)
	p.line(p.paint(dim, d.took()))
}

const interruptedRestore = "Interrupted: what was under way was finished, the rest was not attempted. Run restore again to carry on."

// word is one of two texts: what happened, or what would.
func (d *RestoreDocument) word(restore, drill string) string {
	if d.Drill {
		return drill
	}
	return restore
}

func (d *RestoreDocument) took() string { return fmt.Sprintf("It took %.1f s.", d.Seconds) }

// notBack writes one object that did not come back.
func (p *printer) notBack(n *notBack) {
	h := red
	if n.Waits {
		h = yellow
	}
	p.line(p.paint(h, pad(n.state(), 10)), " ", Escape(n.title()))
	const lead = "    "
	if at := place(n.Position); at != "" {
		p.line(lead, "declared at ", at)
	}
	for _, text := range n.reasons() {
		p.paragraph(lead, text)
	}
	if len(n.Fields) > 0 {
		p.content(n.step())
	}
	if text := answer(&stepResult{Status: n.Status, Request: n.Request}); text != "" {
		p.line(lead, p.paint(dim, text))
	}
	if n.Todo != "" {
		p.paragraph(lead+"→ ", n.Todo)
	}
}

// state is what is the matter, in a word.
func (n *notBack) state() string {
	switch {
	case n.Waits && !n.There:
		return "not yet"
	case len(n.Fields) > 0:
		return "different"
	case n.There:
		return "not whole"
	}
	return "missing"
}

func (n *notBack) reasons() []string {
	var out []string
	for _, other := range n.BlockedBy {
		out = append(out, "needs "+other+", which did not come back")
	}
	for _, m := range n.Reasons {
		text := m.Text
		if m.Field != "" {
			text = m.Field + ": " + text
		}
		out = append(out, strings.Split(text, "\n")...)
	}
	if len(out) == 0 && len(n.Fields) == 0 && n.Result != "" {
		out = append(out, wordOf(n.Result))
	}
	return out
}

// step is an object's differences as the step that would put them right.
func (n *notBack) step() *reconcile.RecordStep {
	return &reconcile.RecordStep{Actions: []string{string(reconcile.Update)}, Kind: n.Kind, Key: n.Key,
		Position: (*reconcile.RecordPosition)(n.Position), Before: n.Before, After: n.After, Fields: n.Fields}
}

// parts are what there is to say of what did come back.
func (d *RestoreDocument) parts(whole bool) []part {
	var out []part
	add := func(title string, lines []string, hint string) {
		if len(lines) == 0 {
			return
		}
		if !whole {
			lines = firstOf(lines, listedBeside, "and %s more")
		}
		out = append(out, part{title: title, lines: lines, hint: hint})
	}
	var lines []string
	for _, s := range d.Skipped {
		lines = append(lines, s.title()+": "+s.Why)
	}
	add("Skipped:", lines, "")
	if text := kindCounts(d.Records); text != "" {
		out = append(out, part{title: "Left out, since --skip-records was given", data: text})
	}
	lines = nil
	for i := range d.Kept {
		lines = append(lines, objectTitle(d.Kept[i].Kind, d.Kept[i].Key)+": "+fieldNames(d.Kept[i].Fields))
	}
	add("There with other values, which metadata.createOnly leaves as they are:", lines, "")
	add("Secrets that the server did not take again; by its marker it has these very ones:", unseenLines(d.Refused), "")
	add("Can't be compared, since the server never shows them:", unseenLines(d.Unseen), "")
	lines = nil
	for i := range d.Waiting {
		lines = append(lines, d.Waiting[i].title())
	}
	add("Wait for their connection to be approved; until then the server does not use their credentials:", lines,
		d.word("Approve them in NetBox, or run restore again with --approve-connections.", "On the day: --approve-connections, or in NetBox."))
	lines = nil
	for _, c := range d.Compared {
		lines = append(lines, fmt.Sprintf("%s: %s of %s equal, in %s", c.Kind, thousands(c.Equal), thousands(c.Objects), count(c.Fields, "field")))
	}
	if whole {
		add("Read again and compared with the manifests, field by field:", lines, "")
		return out
	}
	if len(lines) > 0 { // one line a kind: none is left out
		out = append(out, part{title: "Read again and compared with the manifests, field by field:", lines: lines})
	}
	return out
}

func unseenLines(list []unseen) []string {
	var lines []string
	for i := range list {
		lines = append(lines, list[i].title()+": "+strings.Join(list[i].Fields, ", "))
	}
	return lines
}

func fieldNames(fields []reconcile.RecordField) string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// Summary is the line that says how it ended.
func (d *RestoreDocument) Summary() string {
	equal, waits := 0, 0
	for _, c := range d.Compared {
		equal += c.Equal
	}
	for i := range d.NotBack {
		n := &d.NotBack[i]
		if n.Waits {
			waits++
		}
		if n.There && len(n.Fields) == 0 { // what was left of it is equal
			equal--
		}
	}
	name := d.word("Restore", "Drill")
	switch {
	case !d.Proven:
		return fmt.Sprintf("%s: %s written, not proven.", name, count(d.Results[resultWord(reconcile.Applied)], "step"))
	case len(d.NotBack) == 0:
		return fmt.Sprintf("%s: everything %s: %s as the manifests say.", name, d.word("is back", "would come back"), count(equal, "object"))
	}
	text := fmt.Sprintf("%s: %s as the manifests say; %s %s, or not whole", name, count(equal, "object"), thousands(len(d.NotBack)-waits),
		d.word("did not come back", "would not come back"))
	if waits > 0 {
		text += fmt.Sprintf("; %s made by somebody else, and not yet", thousands(waits))
	}
	return text + "."
}

// WillNotComeBack says, before anything is written, what a restore can't bring back
// and what it leaves out.
func WillNotComeBack(w io.Writer, r *reconcile.Restoration, s Style) error {
	p := newPrinter(w, s)
	x := part{title: "Will not come back, or not whole:", hint: "The rest does not wait for it."}
	for _, l := range r.Lost {
		text := l.Object.String() + ": "
		if l.Field != "" {
			text += l.Field + ": "
		}
		x.lines = append(x.lines, text+l.Why)
	}
	if len(x.lines) > 0 {
		x.lines = firstOf(x.lines, listedBeside, "and %s more")
		p.line()
		p.part(x)
	} else {
		p.line()
	}
	return p.done()
}
