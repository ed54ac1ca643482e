package render

import (
	"slices"
	"strings"
)

func (d *RestoreDocument) page() *page {
	word := d.word("restore", "drill")
	g := &page{word: word, title: d.word("Restore", "Drill of a restore"), owner: d.Owner, totals: d.Summary(), failed: !d.OK}
	g.origin(d.Server, d.Owner)
	g.fact("Time", d.took())
	g.complete = d.Complete
	g.scope = part{title: "Not complete: not everything is back, or proven."}
	if d.Complete {
		g.scope.title = "Complete: everything was read again and compared."
	}
	for _, text := range d.Errors {
		g.first = append(g.first, concern{level: bad, what: "error", text: Escape(text), step: -1})
	}
	if d.Interrupted {
		g.first = append(g.first, concern{level: bad, what: "interrupted", text: interruptedRestore, step: -1})
	}
	for i := range d.NotBack {
		g.notBack(i, &d.NotBack[i], d.Drill)
	}
	g.diagnosed(d.Diagnostics, nil)
	g.beside(d.parts(true))
	return g
}

// notBack adds an object that is not back as an item, and to what comes first.
func (g *page) notBack(i int, n *notBack, drill bool) {
	x := g.step(i, n.step())
	x.result = n.state()
	reasons := escaped(n.reasons())
	x.remarks = append(slices.Clone(reasons), Escape("→ "+n.Todo))
	text := x.result
	if len(reasons) > 0 {
		text += ": " + reasons[0]
	}
	level := bad
	if n.Waits {
		level = warn
	}
	if !n.Waits || !drill {
		x.alarm = strings.Join(append([]string{x.result}, reasons...), ": ")
	}
	c := concern{level: level, what: x.result, object: x.title, text: text, detail: []string{Escape("→ " + n.Todo)}, place: x.place, step: i}
	if len(reasons) > 1 {
		c.detail = append(slices.Clone(reasons[1:]), c.detail...)
	}
	g.first = append(g.first, c)
}
