package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

func (d *PlanDocument) data() any { return d }

// text writes what apply would do: first what a reviewer has to see, then kind
// by kind each object with its fields, old and new, then what stays, what is not
// known, the warnings, and a summary line.
func (d *PlanDocument) text(p *printer) {
	r := d.Record
	p.origin(r.Server, r.Owner, r.Policy.Partial)
	if r.Expires != "" {
		p.line("Not to be applied after ", Escape(r.Expires), ".")
		p.line()
	}
	refused, loose, others := byAbout(d.Diagnostics)
	p.group(refused)
	p.deletes(r.Steps)
	p.risks(r.Steps)
	p.group(loose)
	for _, kind := range byKind(r.Steps) {
		for _, step := range kind {
			p.step(step)
		}
		p.line()
	}
	for _, x := range parts(r) {
		p.part(x)
	}
	p.group(others)
	p.counts(unmanaged, r.Unmanaged)
	if len(r.Steps) > 0 {
		p.counts(unchanged, r.Unchanged)
	}
	if n := secretsUnchanged(r.Secrets); n > 0 {
		p.line("Secrets: ", thousands(n), " unchanged in Git.")
	}
	p.line(p.paint(bold, d.Summary()))
}

// byKind groups steps by their kind, kinds in the order in which a plan comes to
// them first.
func byKind(steps []reconcile.RecordStep) [][]*reconcile.RecordStep {
	var out [][]*reconcile.RecordStep
	index := map[string]int{}
	for i := range steps {
		at, ok := index[steps[i].Kind]
		if !ok {
			at = len(out)
			index[steps[i].Kind] = at
			out = append(out, nil)
		}
		out[at] = append(out[at], &steps[i])
	}
	return out
}

// Summary is the last line of a plan:
// "Plan: 3 to create, 1 to change, 2 to delete, 4 to mark, 40 unchanged."
func (d *PlanDocument) Summary() string {
	n := d.Record.Summary
	if len(d.Steps) == 0 {
		switch n.Unchanged {
		case 0:
			return "No changes. The manifests describe no objects."
		case 1:
			return "No changes. The one object is as the manifests say."
		}
		return fmt.Sprintf("No changes. All %s objects are as the manifests say.", thousands(n.Unchanged))
	}
	return "Plan: " + totals(n) + "."
}

func totals(n reconcile.Totals) string {
	var parts []string
	for _, x := range []struct {
		n    int
		word string
	}{{n.Create, "to create"}, {n.Update, "to change"}, {n.Link, "to link"}, {n.Delete, "to delete"}, {n.Mark, "to mark"}} {
		if x.n > 0 {
			parts = append(parts, thousands(x.n)+" "+x.word)
		}
	}
	return strings.Join(append(parts, thousands(n.Unchanged)+" unchanged"), ", ")
}

func server(i reconcile.RecordServer) string {
	if about := versions(i); about != "" {
		return Escape(i.URL) + " (" + about + ")"
	}
	return Escape(i.URL)
}

func versions(i reconcile.RecordServer) string {
	var about []string
	if i.NetBoxVersion != "" {
		about = append(about, "NetBox "+Escape(i.NetBoxVersion))
	}
	if i.PluginVersion != "" {
		about = append(about, "netbox-proxbox "+Escape(i.PluginVersion))
	}
	return strings.Join(about, ", ")
}

// What is counted by kind.
const (
	unmanaged = "Exists and is not managed here"
	unchanged = "Unchanged"
)

// counts writes numbers of objects by kind, nothing when there are none.
func (p *printer) counts(title string, counts map[string]int) {
	if text := kindCounts(counts); text != "" {
		p.paragraph("", title+": "+text+".")
	}
}

func kindCounts(counts map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[kind]; n > 0 {
			parts = append(parts, thousands(n)+" "+kind)
		}
	}
	return strings.Join(parts, ", ")
}
