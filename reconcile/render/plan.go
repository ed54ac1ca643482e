package render

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

// Plan writes what apply would do: first what policy says of it and what is
// deleted, then each object with its fields, old and new, then what stays, the
// warnings, and a summary line.
func Plan(w io.Writer, plan *reconcile.Plan, s Style) error {
	p := newPrinter(w, s)
	p.origin(plan.Instance, plan.Owner)
	policy, others := byTrouble(plan.Diagnostics)
	p.group(policy)
	p.risks(plan)
	p.deletes(plan)
	for _, step := range plan.Steps {
		p.step(step)
	}
	if len(plan.Steps) > 0 {
		p.line()
	}
	p.orphans(plan.Orphans)
	p.secretStates(plan.Secrets)
	p.group(others)
	if text := unchanged(plan); text != "" && len(plan.Steps) > 0 {
		p.paragraph("", text)
	}
	if n := secretsUnchanged(plan.Secrets); n > 0 {
		p.line("Secrets: ", thousands(n), " unchanged in Git.")
	}
	p.line(p.paint(bold, Summary(plan)))
	return p.done()
}

// Summary is the last line of a plan:
// "Plan: 3 to create, 1 to change, 2 to delete, 4 to mark, 40 unchanged."
func Summary(plan *reconcile.Plan) string {
	n := plan.Totals()
	if len(plan.Steps) == 0 {
		switch n.Unchanged {
		case 0:
			return "No changes. The manifests describe no objects."
		case 1:
			return "No changes. The one object is as the manifests say."
		}
		return fmt.Sprintf("No changes. All %s objects are as the manifests say.", thousands(n.Unchanged))
	}
	var parts []string
	if n.Create > 0 {
		parts = append(parts, thousands(n.Create)+" to create")
	}
	if n.Update > 0 {
		parts = append(parts, thousands(n.Update)+" to change")
	}
	if n.Link > 0 {
		parts = append(parts, thousands(n.Link)+" to link")
	}
	if n.Delete > 0 {
		parts = append(parts, thousands(n.Delete)+" to delete")
	}
	if n.Mark > 0 {
		parts = append(parts, thousands(n.Mark)+" to mark")
	}
	parts = append(parts, thousands(n.Unchanged)+" unchanged")
	return "Plan: " + strings.Join(parts, ", ") + "."
}

func server(i reconcile.Instance) string {
	var about []string
	if i.NetBoxVersion != "" {
		about = append(about, "NetBox "+Escape(i.NetBoxVersion))
	}
	if i.PluginVersion != "" {
		about = append(about, "netbox-proxbox "+Escape(i.PluginVersion))
	}
	if len(about) == 0 {
		return Escape(i.URL)
	}
	return Escape(i.URL) + " (" + strings.Join(about, ", ") + ")"
}

func unchanged(plan *reconcile.Plan) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(plan.Unchanged)) {
		if n := plan.Unchanged[kind]; n > 0 {
			parts = append(parts, thousands(n)+" "+kind)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Unchanged: " + strings.Join(parts, ", ") + "."
}

// title names the object of a change.
func title(c *reconcile.Change) string {
	if c.Desired != nil {
		return c.Desired.String()
	}
	if c.Live != nil {
		return c.Live.String()
	}
	return "an object"
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
func (p *printer) step(step *reconcile.Step) {
	c := step.Change
	sign := signs[c.Action]
	head := p.paint(sign.color, sign.sign+" "+Escape(title(c)))
	for _, note := range notes(step) {
		head += p.paint(dim, "  ("+Escape(note)+")")
	}
	p.line(head)
	p.content(step)
}

// content writes what is done to the fields of an object.
func (p *printer) content(step *reconcile.Step) {
	c := step.Change
	wide := 0
	for _, f := range c.Fields {
		wide = max(wide, length(f.Name))
	}
	for _, s := range c.Secrets {
		wide = max(wide, length(s.Name))
	}
	wide = min(wide, 28)
	for _, f := range c.Fields {
		p.field(c.Action, f, wide)
	}
	for _, s := range c.Secrets {
		why := s.Why
		if why == "changed" {
			why = "changed in Git"
		}
		if s.Sealed {
			why += ", sealed: needs a key to be applied"
		}
		p.line("    ", label(s.Name, wide), reconcile.Redacted, " ", p.paint(dim, "("+Escape(why)+")"))
	}
	for _, name := range step.Deferred {
		p.line("    ", label(name, wide), p.paint(dim, "(set by a later step)"))
	}
}

// notes are what a step does to an object beside its fields, in words.
func notes(step *reconcile.Step) []string {
	c := step.Change
	var out []string
	if step.Link {
		out = append(out, "links what did not exist when it was created")
	}
	switch {
	case c.RenamedOutside:
		out = append(out, "renamed outside to "+orNothing(c.RenamedFrom)+", renamed back")
	case c.RenamedFrom != "":
		out = append(out, "renamed from "+c.RenamedFrom)
	}
	if c.Action == reconcile.Delete {
		if c.Desired == nil {
			out = append(out, "no manifest has it any more")
		} else {
			out = append(out, "must not exist")
		}
	}
	if m := c.Marker; m != nil {
		switch {
		case m.Why == "released":
			out = append(out, "released: no longer managed, stays as it is")
		case m.Why == "updated" && c.Action == reconcile.Mark && len(c.Released) == 0:
			out = append(out, "marker updated")
		case m.Why != "created" && m.Why != "updated":
			out = append(out, m.Why)
		}
	}
	if len(c.Released) > 0 {
		out = append(out, "no longer managed: "+strings.Join(c.Released, ", "))
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
func (p *printer) field(action reconcile.Action, f reconcile.FieldChange, wide int) {
	name, tag := label(f.Name, wide), p.tag(f.Label)
	switch {
	case action == reconcile.Create:
		p.block("    "+name, "      ", plain, short(value(f.After)))
	case len(f.Inner) > 0:
		p.line("    ", strings.TrimRight(name, " "), tag)
		for _, in := range f.Inner {
			p.inner(f, in)
		}
	default:
		before, after := shortPair(value(f.Before), value(f.After))
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

// inner writes one difference inside a value. The members of a set have no
// path worth showing.
func (p *printer) inner(f reconcile.FieldChange, in reconcile.ValueChange) {
	path := ""
	if in.Path != "" && (f.Field == nil || !f.Field.Set) {
		path = Escape(in.Path) + ": "
	}
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
