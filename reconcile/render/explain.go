package render

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Explain writes what a kind is for people: what identifies it, its fields,
// the rules across fields, and a manifest to begin with.
func Explain(w io.Writer, set *schema.Set, kind *schema.Kind, s Style) error {
	p := newPrinter(w, s)
	p.line(p.paint(bold, kind.Name), "  ", Escape(kind.Title))
	if kind.Description != "" {
		p.line()
		p.paragraph("", kind.Description)
	}
	p.line()
	p.kindFacts(kind)
	p.fieldList("Fields", kind, func(f *schema.Field) bool { return !f.ReadOnly })
	p.fieldList("Set by the server", kind, func(f *schema.Field) bool { return f.ReadOnly })
	if len(kind.Rules) > 0 {
		p.line()
		p.line(p.paint(bold, "Rules"))
		for _, r := range kind.Rules {
			p.paragraph("  - ", r)
		}
	}
	if len(kind.Lint) > 0 {
		p.line()
		p.line(p.paint(bold, "Worth a second look"))
		for _, l := range kind.Lint {
			p.paragraph("  - ", l.Code+": "+l.Message)
		}
	}
	if kind.Resource.Mode != schema.Lookup {
		p.line()
		p.line(p.paint(bold, "Example"))
		p.example(set, kind)
	}
	p.line()
	p.paragraph("", fmt.Sprintf("More about one field: proxbox-sync explain %s.FIELD", kind.Name))
	return p.done()
}

// Kinds lists all kinds with a line about each: first those that manifests may
// be of, then those that they can only refer to.
func Kinds(w io.Writer, set *schema.Set, s Style) error {
	p := newPrinter(w, s)
	p.kindList(set, "Kinds", func(k *schema.Kind) bool { return k.Resource.Mode != schema.Lookup })
	p.line()
	p.kindList(set, "Can be referred to", func(k *schema.Kind) bool { return k.Resource.Mode == schema.Lookup })
	p.line()
	p.line("More about one: proxbox-sync explain KIND")
	return p.done()
}

func (p *printer) kindList(set *schema.Set, heading string, want func(*schema.Kind) bool) {
	p.line(p.paint(bold, heading))
	wide := 0
	for _, k := range set.Kinds() {
		wide = max(wide, length(k.Name))
	}
	for _, k := range set.Kinds() {
		if want(k) {
			about := k.Description
			if about == "" {
				about = k.Title
			}
			first, _, _ := strings.Cut(about, ". ")
			p.paragraph("  "+p.paint(cyan, pad(k.Name, wide))+"  ", strings.TrimSuffix(first, "."))
		}
	}
}

func (p *printer) kindFacts(kind *schema.Kind) {
	r := kind.Resource
	switch r.Mode {
	case schema.Singleton:
		p.paragraph("Managed:    ", "the server has exactly one; it is changed, never created or deleted.")
	case schema.Lookup:
		p.paragraph("Managed:    ", "no. Other kinds refer to it; a manifest of this kind is an error.")
	default:
		p.paragraph("Identity:   ", strings.Join(r.Key, ", "))
	}
	p.paragraph("API path:   ", strings.Join(r.Paths, " or "))
	if len(kind.Required) > 0 {
		p.paragraph("Required:   ", strings.Join(kind.Required, ", "))
	}
	if len(r.After) > 0 {
		p.paragraph("Written:    ", "after "+strings.Join(r.After, ", "))
	}
	for _, c := range r.Cascades {
		what := c.Kind
		if what == "" {
			what = c.Path
		}
		p.paragraph("Deleting:   ", "takes its objects of "+what+" along.")
	}
}

func (p *printer) fieldList(heading string, kind *schema.Kind, want func(*schema.Field) bool) {
	wide := 0
	for _, f := range kind.Fields {
		if want(f) {
			wide = max(wide, length(f.Name))
		}
	}
	if wide == 0 {
		return
	}
	p.line()
	p.line(p.paint(bold, heading))
	wide = min(wide, 24)
	for _, f := range kind.Fields {
		if !want(f) {
			continue
		}
		mark := "  "
		if slices.Contains(kind.Required, f.Name) {
			mark = p.paint(red, "* ")
		}
		p.paragraph("  "+mark+p.paint(cyan, pad(Escape(f.Name), wide))+"  ", kindOfValue(f))
	}
	if slices.ContainsFunc(kind.Fields, func(f *schema.Field) bool { return want(f) && slices.Contains(kind.Required, f.Name) }) {
		p.line("  * is required to create one.")
	}
}

// kindOfValue says in a few words what may stand in a field.
func kindOfValue(f *schema.Field) string {
	var text string
	switch f.Class {
	case schema.Choice:
		text = "one of " + strings.Join(choices(f.Enum), ", ")
	case schema.Boolean:
		text = "true or false"
	case schema.Integer:
		text = "a whole number"
	case schema.Decimal:
		text = "a number"
	case schema.Time:
		text = "a time (2026-01-31T18:00:00Z)"
	case schema.Address:
		text = addressForm(f.Format)
	case schema.Reference:
		text = "a reference to " + f.Ref.Kind
	case schema.ReferenceSet:
		text = "a list of references to " + f.Ref.Kind
	case schema.List:
		text = "a list"
	case schema.Map:
		text = "a mapping; only the keys that are written are managed"
	case schema.JSON:
		text = "any value"
		if len(f.Types) == 1 {
			text = "a mapping of anything"
		}
	default:
		text = "text"
	}
	if f.WriteOnly {
		text = "a secret: " + text
	}
	if f.Nullable {
		text += ", or null"
	}
	return text
}

// choices are the values of a choice as a manifest has them.
func choices(enum []string) []string {
	out := slices.Clone(enum)
	for i, e := range out {
		if strings.TrimSpace(e) == "" {
			out[i] = strconv.Quote(e)
		}
	}
	return out
}

func addressForm(format string) string {
	switch format {
	case "ip-interface":
		return "an IP address with its prefix length (192.0.2.7/24)"
	case "ip-prefix":
		return "a network (192.0.2.0/24)"
	}
	return "an IP address (192.0.2.7)"
}

// ExplainField writes everything that is known of one field.
func ExplainField(w io.Writer, set *schema.Set, kind *schema.Kind, f *schema.Field, s Style) error {
	p := newPrinter(w, s)
	p.line(p.paint(bold, kind.Name+"."+Escape(f.Name)), "  ", Escape(f.Title))
	if f.Description != "" {
		p.line()
		p.paragraph("", f.Description)
	}
	p.line()
	const lead = "            "
	fact := func(name, text string) {
		if text != "" {
			p.paragraph(pad(name+":", len(lead)), text)
		}
	}
	fact("Value", kindOfValue(f))
	if f.Class == schema.Choice && len(f.Enum) > 6 {
		for _, e := range f.Enum {
			p.line(lead, Escape(value(e)))
		}
	}
	fact("Limits", limits(f))
	if f.Default != nil {
		fact("Default", value(documented(f.Default))+" (set by the server when a new object doesn't say)")
	}
	if slices.Contains(kind.Required, f.Name) {
		fact("Required", "to create one.")
	}
	if slices.Contains(kind.Resource.Key, f.Name) {
		fact("Identity", "part of the natural key ("+strings.Join(kind.Resource.Key, ", ")+").")
	}
	p.fieldNotes(set, f, fact)
	if !f.ReadOnly && kind.Resource.Mode != schema.Lookup {
		p.line()
		p.line(p.paint(bold, "Example"))
		p.yaml("  ", f.Name+":", sample(set, kind, f))
	}
	return p.done()
}

func (p *printer) fieldNotes(set *schema.Set, f *schema.Field, fact func(name, text string)) {
	if f.ReadOnly {
		fact("Set by", "the server: a manifest can't set it.")
	}
	if f.WriteOnly {
		fact("Secret", "never read back and never shown. Keep it encrypted with sops; it is sent when the object is created, and on an update with --send-secrets.")
	}
	if f.Ref != nil {
		fact("Reference", referenceHelp(set.Kind(f.Ref.Kind)))
		fact("On delete", onDelete(f.Ref))
	}
	if f.Set {
		fact("Order", "means nothing: the list is compared as a set, as a whole.")
	}
	if f.Destination {
		fact("Decides", "where the credentials that the server keeps for the object are sent.")
	}
	if f.Synced != nil {
		text := "by the plugin's own synchronisation too"
		if f.Synced.Setting != "" {
			text += " (" + f.Synced.Setting + " decides)"
		}
		fact("Written", text+"; list it in metadata.ignoreChanges to leave it alone.")
	}
}

func referenceHelp(target *schema.Kind) string {
	if target == nil || len(target.Resource.Key) == 0 {
		return ""
	}
	key := target.Resource.Key
	last := key[len(key)-1]
	if len(key) == 1 {
		return fmt.Sprintf("written as the %s of the %s, or as a selector of its fields ({%s: …}).", last, target.Name, last)
	}
	return fmt.Sprintf("written as the %s of the %s, or, where that isn't unique, as a selector of its fields ({%s: …}).",
		last, target.Name, strings.Join(key, ": …, "))
}

func onDelete(r *schema.Ref) string {
	switch r.OnDelete {
	case "cascade":
		return "the object is deleted along with the " + r.Kind + "."
	case "null":
		return "the field becomes null when the " + r.Kind + " is deleted."
	case "refuse":
		return "the " + r.Kind + " can't be deleted while it is used here."
	}
	return ""
}

func limits(f *schema.Field) string {
	var parts []string
	add := func(format string, v any) { parts = append(parts, fmt.Sprintf(format, v)) }
	if f.MinLength != nil && *f.MinLength > 0 {
		add("at least %s", count(*f.MinLength, "character"))
	}
	if f.MaxLength != nil {
		add("at most %s", count(*f.MaxLength, "character"))
	}
	if f.Minimum != nil {
		add("at least %v", plainFloat(*f.Minimum))
	}
	if f.Maximum != nil {
		add("at most %v", plainFloat(*f.Maximum))
	}
	return strings.Join(parts, ", ")
}

func plainFloat(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.6f", x), "0"), ".")
}

// documented turns a default out of a schema file into a plain value.
func documented(v any) any {
	switch v := v.(type) {
	case json.Number:
		return reconcile.Number(v)
	case float64:
		return reconcile.Number(plainFloat(v))
	}
	return v
}
