package render

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

// Plan writes what apply would do: each object with its fields, old and new,
// then what stays, the warnings, and a summary line.
func Plan(w io.Writer, plan *reconcile.Plan, s Style) error {
	p := newPrinter(w, s)
	if plan.Instance.URL != "" {
		p.line(p.paint(dim, "Server: "+server(plan.Instance)))
		p.line()
	}
	p.risks(plan)
	for _, step := range plan.Steps {
		p.step(step)
	}
	if len(plan.Steps) > 0 {
		p.line()
	}
	if len(plan.Diagnostics) > 0 {
		p.diagnostics(plan.Diagnostics)
		p.line()
	}
	if text := unchanged(plan); text != "" && len(plan.Steps) > 0 {
		p.paragraph("", text)
	}
	p.line(p.paint(bold, Summary(plan)))
	return p.done()
}

// Summary is the last line of a plan:
// "Plan: 3 to create, 1 to change, 40 unchanged."
func Summary(plan *reconcile.Plan) string {
	n := planCounts(plan)
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
	parts = append(parts, thousands(n.Unchanged)+" unchanged")
	return "Plan: " + strings.Join(parts, ", ") + "."
}

// planTotals counts the objects of a plan by what happens to them.
type planTotals struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Link      int `json:"link"` // creates whose references are set in a step of their own
	Unchanged int `json:"unchanged"`
}

func planCounts(plan *reconcile.Plan) planTotals {
	var n planTotals
	for _, s := range plan.Steps {
		switch {
		case s.Link:
			n.Link++
		case s.Change.Action == reconcile.Create:
			n.Create++
		default:
			n.Update++
		}
	}
	for _, c := range plan.Unchanged {
		n.Unchanged += c
	}
	return n
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

// risks lists what a reviewer should see first, ahead of all steps.
func (p *printer) risks(plan *reconcile.Plan) {
	any := false
	for _, step := range plan.Steps {
		for _, risk := range step.Risks {
			p.paragraph(p.paint(red, "!")+" ", title(step.Change)+": "+risk)
			any = true
		}
	}
	if any {
		p.line()
	}
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

// step writes one object of a plan.
func (p *printer) step(step *reconcile.Step) {
	c := step.Change
	sign, color := "~", yellow
	if c.Action == reconcile.Create {
		sign, color = "+", green
	}
	head := p.paint(color, sign+" "+Escape(title(c)))
	if step.Link {
		head += p.paint(dim, "  (links what did not exist when it was created)")
	}
	p.line(head)
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
		if s.Sealed {
			why += ", sealed: needs a key to be applied"
		}
		p.line("    ", label(s.Name, wide), reconcile.Redacted, " ", p.paint(dim, "("+Escape(why)+")"))
	}
	for _, name := range step.Deferred {
		p.line("    ", label(name, wide), p.paint(dim, "(set by a later step)"))
	}
}

func label(name string, wide int) string { return pad(Escape(name)+":", wide+1) + " " }

// field writes one field of a change: its value on a create, old and new
// otherwise, by inner paths where there are some.
func (p *printer) field(action reconcile.Action, f reconcile.FieldChange, wide int) {
	name := label(f.Name, wide)
	switch {
	case action == reconcile.Create:
		p.block("    "+name, "      ", plain, short(value(f.After)))
	case len(f.Inner) > 0:
		p.line("    ", strings.TrimRight(name, " "))
		for _, in := range f.Inner {
			p.inner(f, in)
		}
	default:
		before, after := shortPair(value(f.Before), value(f.After))
		one := before + " → " + after
		if length(one)+4+length(name) <= p.style.width() {
			p.line("    ", name, p.paint(red, before), " → ", p.paint(green, after))
			return
		}
		p.line("    ", strings.TrimRight(name, " "))
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
