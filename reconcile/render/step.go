package render

import (
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

// field is one field of a step with its values.
type field struct {
	name, label   string
	set           bool
	before, after any
	changes       []reconcile.RecordValue
}

func fieldsOf(s *reconcile.RecordStep) []field {
	out := make([]field, 0, len(s.Fields))
	for _, f := range s.Fields {
		out = append(out, field{f.Name, f.Label, f.Set, s.Before[f.Name], s.After[f.Name], f.Changes})
	}
	return out
}

// action is what is done to the object of a step.
func action(s *reconcile.RecordStep) reconcile.Action {
	if len(s.Actions) == 0 {
		return reconcile.Update
	}
	return reconcile.Action(s.Actions[0])
}

// signs are what stands before an object, by what is done to it.
var signs = map[reconcile.Action]struct {
	sign  string
	color hue
}{
	reconcile.Create: {"+", green},
	reconcile.Update: {"~", yellow},
	reconcile.Delete: {"-", red},
	reconcile.Mark:   {"=", cyan},
}

// step writes one object of a plan.
func (p *printer) step(s *reconcile.RecordStep) {
	sign := signs[action(s)]
	head := p.paint(sign.color, sign.sign+" "+Escape(s.Title()))
	for _, note := range notes(s) {
		head += p.paint(dim, "  ("+Escape(note)+")")
	}
	p.line(head)
	p.content(s)
}

// content writes what is done to the fields of an object.
func (p *printer) content(s *reconcile.RecordStep) {
	fields := fieldsOf(s)
	wide := 0
	for _, f := range fields {
		wide = max(wide, length(f.name))
	}
	for _, x := range s.Secrets {
		wide = max(wide, length(x.Name))
	}
	wide = min(wide, 28)
	for _, f := range fields {
		p.field(action(s), f, wide)
	}
	for _, x := range s.Secrets {
		p.line("    ", label(x.Name, wide), reconcile.Redacted, " ", p.paint(dim, "("+Escape(whySent(x))+")"))
	}
	for _, name := range s.Deferred {
		p.line("    ", label(name, wide), p.paint(dim, "("+setLater+")"))
	}
}

const setLater = "set by a later step"

// whySent says why a secret is sent.
func whySent(x reconcile.RecordSecret) string {
	why := x.Why
	if why == "changed" {
		why = "changed in Git"
	}
	if x.Sealed {
		why += ", sealed: needs a key to be applied"
	}
	return why
}

// notes are what a step does to an object beside its fields, in words.
func notes(s *reconcile.RecordStep) []string {
	var out []string
	if slices.Contains(s.Actions, "link") {
		out = append(out, "links what did not exist when it was created")
	}
	switch {
	case s.RenamedOutside:
		out = append(out, "renamed outside to "+orNothing(s.RenamedFrom)+", renamed back")
	case s.RenamedFrom != "":
		out = append(out, "renamed from "+s.RenamedFrom)
	}
	if action(s) == reconcile.Delete {
		if s.Position == nil {
			return append(out, "no manifest has it any more")
		}
		return append(out, "must not exist")
	}
	if m := s.Marker; m != nil {
		switch {
		case m.Why == "released":
			out = append(out, "released: no longer managed, stays as it is")
		case m.Why == "updated" && action(s) == reconcile.Mark && len(s.Released) == 0:
			out = append(out, "marker updated")
		case m.Why != "created" && m.Why != "updated":
			out = append(out, m.Why)
		}
	}
	if len(s.Released) > 0 {
		out = append(out, "no longer managed: "+strings.Join(s.Released, ", "))
	}
	return out
}

func orNothing(text string) string {
	if text == "" {
		return "another name"
	}
	return text
}

func label(name string, wide int) string { return pad(Escape(name)+":", wide+1) + " " }

// tag says behind a field who changed it.
func (p *printer) tag(label string) string {
	if label == "" {
		return ""
	}
	h := dim
	switch label {
	case reconcile.Drift:
		h = yellow
	case reconcile.Both:
		h = red
	}
	return "  " + p.paint(h, "("+Escape(label)+")")
}

// field writes one field of a change: its value on a create, old and new
// otherwise, by inner paths where there are some.
func (p *printer) field(a reconcile.Action, f field, wide int) {
	name, tag := label(f.name, wide), p.tag(f.label)
	switch {
	case a == reconcile.Create:
		p.block("    "+name, "      ", plain, short(value(f.after)))
	case len(f.changes) > 0:
		p.line("    ", strings.TrimRight(name, " "), tag)
		for _, in := range f.changes {
			p.inner(f, in)
		}
	default:
		before, after := shortPair(value(f.before), value(f.after))
		one := before + " → " + after
		if length(one)+4+length(name)+length(tag) <= p.style.width() {
			p.line("    ", name, p.paint(red, before), " → ", p.paint(green, after), tag)
			return
		}
		p.line("    ", strings.TrimRight(name, " "), tag)
		p.block("      - ", "        ", red, before)
		p.block("      + ", "        ", green, after)
	}
}

// innerPath is where in a value a difference is. The members of a set have no
// path worth showing.
func innerPath(f field, in reconcile.RecordValue) string {
	if in.Path == "" || f.set {
		return ""
	}
	return Escape(in.Path) + ": "
}

// inner writes one difference inside a value.
func (p *printer) inner(f field, in reconcile.RecordValue) {
	path := innerPath(f, in)
	switch in.Op {
	case "add":
		p.block("      + "+path, "        ", green, short(value(in.After)))
	case "remove":
		p.block("      - "+path, "        ", red, short(value(in.Before)))
	default:
		before, after := shortPair(value(in.Before), value(in.After))
		lead := "      ~ " + path
		if length(lead+before+after)+3 <= p.style.width() {
			p.line(lead, p.paint(red, before), " → ", p.paint(green, after))
			return
		}
		p.line(strings.TrimRight(lead, " "))
		p.block("          - ", "            ", red, before)
		p.block("          + ", "            ", green, after)
	}
}

// block writes a value after lead where it fits, else on lines of its own that
// begin with rest; a lead that ends in a sign keeps the first of them.
func (p *printer) block(lead, rest string, h hue, text string) {
	if length(lead)+length(text) <= p.style.width() {
		p.line(lead, p.paint(h, text))
		return
	}
	if length(lead) > length(rest) {
		p.line(strings.TrimRight(lead, " "))
		lead = rest
	}
	for _, piece := range chop(text, p.style.width()-length(rest)) {
		p.line(lead, p.paint(h, strings.TrimRight(piece, " ")))
		lead = rest
	}
}
