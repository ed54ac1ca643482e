package render

import (
	"maps"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

// page is what a document says in parts that Markdown, HTML, annotations and
// JUnit each lay out in their own way. Every text in it, but for owner, is fit
// for one line already; none of it is markup.
type page struct {
	word     string // plan, apply, drift
	title    string
	server   string
	owner    string // as it is
	facts    []fact
	totals   string
	failed   bool
	complete bool      // it is about everything
	scope    part      // the same in words, and why not
	first    []concern // what to look at first
	warnings []concern
	items    []item
	parts    []part
}

// fact is one line at the head: "Server", "https://…".
type fact struct{ Name, Value string }

// level says how bad something is.
type level string

const (
	bad  level = "error"
	warn level = "warning"
	note level = "notice"
)

// concern is something to look at, where it stands in the manifests, and the
// item that it is about, -1 for none.
type concern struct {
	level  level
	what   string // "deleted", "risk", "policy"
	object string
	text   string
	detail []string
	place  *position
	step   int
}

// headline names the object of a concern and says what is about it.
func (c *concern) headline() string {
	if c.object == "" || strings.HasPrefix(c.text, c.object+" ") {
		return c.text
	}
	return c.object + ": " + c.text
}

// item is one object of a page.
type item struct {
	index   int // of the step
	kind    string
	title   string
	actions []string
	result  string // of an apply, in words
	alarm   string // why it counts as a failure
	skipped bool   // it was not attempted
	notes   []string
	labels  []string
	fields  []fieldView
	remarks []string // risks, what goes along, why it failed
	place   *position
	wave    int
	needs   []int
}

// fieldView is one field of an item, or one difference inside it.
type fieldView struct {
	Name, Label   string
	Before, After string
	Old, New      bool // whether there are a Before and an After
	Note          string
	Inner         []fieldView
}

func (x *item) sign() string { return signs[reconcile.Action(x.actions[0])].sign }

// step adds the step of a plan as an item.
func (g *page) step(i int, s *reconcile.RecordStep) *item {
	x := item{index: i, kind: Escape(s.Kind), title: Escape(s.Title()), notes: escaped(notes(s)), place: placeOf(s.Position), wave: s.Wave}
	x.actions = []string{string(action(s))}
	if len(s.Actions) > 1 {
		x.actions = append(x.actions, escaped(s.Actions[1:])...)
	}
	for _, need := range s.Needs {
		if need >= 0 && need < i { // a plan from a file may say anything
			x.needs = append(x.needs, need)
		}
	}
	x.content(s)
	for _, risk := range s.Risks {
		x.remarks = append(x.remarks, Escape(risk))
	}
	for _, t := range s.Takes {
		x.remarks = append(x.remarks, Escape("takes along "+taken(t)))
	}
	g.items = append(g.items, x)
	return &g.items[len(g.items)-1]
}

// content adds the fields of a step.
func (x *item) content(s *reconcile.RecordStep) {
	for _, f := range fieldsOf(s) {
		v := fieldView{Name: Escape(f.name), Label: Escape(f.label)}
		if f.label != "" && !slices.Contains(x.labels, v.Label) {
			x.labels = append(x.labels, v.Label)
		}
		switch {
		case action(s) == reconcile.Create:
			v.After, v.New = short(value(f.after)), true
		case len(f.changes) > 0:
			for _, in := range f.changes {
				v.Inner = append(v.Inner, innerView(f, in))
			}
		default:
			v.Before, v.After = shortPair(value(f.before), value(f.after))
			v.Old, v.New = true, true
		}
		x.fields = append(x.fields, v)
	}
	if action(s) == reconcile.Delete {
		for _, name := range slices.Sorted(maps.Keys(s.Before)) {
			if v := s.Before[name]; !reconcile.Empty(v) {
				x.fields = append(x.fields, fieldView{Name: Escape(name), Before: short(value(v)), Old: true})
			}
		}
	}
	for _, secret := range s.Secrets {
		x.fields = append(x.fields, fieldView{Name: Escape(secret.Name), After: reconcile.Redacted, New: true, Note: Escape(whySent(secret))})
	}
	for _, name := range s.Deferred {
		x.fields = append(x.fields, fieldView{Name: Escape(name), Note: setLater})
	}
	slices.Sort(x.labels)
}

func innerView(f field, in reconcile.RecordValue) fieldView {
	v := fieldView{Name: strings.TrimSuffix(innerPath(f, in), ": ")}
	switch in.Op {
	case "add":
		v.After, v.New = short(value(in.After)), true
	case "remove":
		v.Before, v.Old = short(value(in.Before)), true
	default:
		v.Before, v.After = shortPair(value(in.Before), value(in.After))
		v.Old, v.New = true, true
	}
	return v
}

// diagnosed adds diagnostics: errors and what policy allows to what comes first.
// The errors that steps are tied to make these fail.
func (g *page) diagnosed(list []diagnostic, between func()) {
	refused, loose, others := byAbout(list)
	for _, d := range refused {
		g.first = append(g.first, diagnosticConcern(d, bad))
		for _, i := range d.Steps {
			if i >= 0 && i < len(g.items) && g.items[i].alarm == "" {
				g.items[i].alarm = Escape(d.Summary)
			}
		}
	}
	if between != nil {
		between()
	}
	for _, d := range loose {
		g.first = append(g.first, diagnosticConcern(d, warn))
	}
	for _, d := range others {
		l := warn
		if d.Severity == string(reconcile.Info) {
			l = note
		}
		g.warnings = append(g.warnings, diagnosticConcern(d, l))
	}
}

func diagnosticConcern(d diagnostic, l level) concern {
	c := concern{level: l, what: string(l), object: Escape(d.Object), text: Escape(d.Summary), step: -1, place: placeOf((*reconcile.RecordPosition)(d.Position))}
	switch {
	case d.About == abouts[reconcile.Policy]:
		c.what = "policy"
	case d.About == abouts[reconcile.Risk]:
		c.what = "risk rule"
	}
	if len(d.Steps) > 0 {
		c.step = d.Steps[0]
	}
	for line := range strings.SplitSeq(d.Detail, "\n") {
		if line != "" {
			c.detail = append(c.detail, Escape(line))
		}
	}
	for _, r := range d.Related {
		text := Escape(r.Message)
		if at := place(r.Position); at != "" {
			text = strings.TrimSuffix(at+": "+text, ": ")
		}
		c.detail = append(c.detail, text)
	}
	return c
}

// risky adds what a reviewer of steps should see first: deletes with what they
// take along, then credentials that go elsewhere.
func (g *page) risky(steps []reconcile.RecordStep) {
	add := func(s *reconcile.RecordStep, what, text string, detail []string) {
		g.first = append(g.first, concern{level: warn, what: what, object: Escape(s.Title()), text: text, detail: detail,
			place: placeOf(s.Position), step: s.Index})
	}
	for _, s := range deletesOf(steps) {
		var along []string
		for _, t := range s.Takes {
			along = append(along, Escape("takes along "+taken(t)))
		}
		add(s, "delete", Escape(s.Title()+" is deleted"), along)
	}
	for i := range steps {
		for _, risk := range steps[i].Risks {
			add(&steps[i], "risk", Escape(risk), nil)
		}
	}
}

// beside adds parts, escaped.
func (g *page) beside(list []part) {
	for _, x := range list {
		g.parts = append(g.parts, escapedPart(x))
	}
}

func escapedPart(x part) part {
	return part{Escape(x.title), Escape(x.data), escaped(x.lines), Escape(x.hint)}
}

// counted adds numbers of objects by kind as a part of one line.
func (g *page) counted(title string, counts map[string]int) {
	if text := kindCounts(counts); text != "" {
		g.parts = append(g.parts, part{title: title, data: Escape(text)})
	}
}

func (g *page) fact(name, value string) {
	if value != "" {
		g.facts = append(g.facts, fact{name, Escape(value)})
	}
}

func escaped(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, Escape(s))
	}
	return out
}

// placeOf is a position whose file is fit for one line.
func placeOf(p *reconcile.RecordPosition) *position {
	if p == nil || p.File == "" {
		return nil
	}
	return &position{Escape(p.File), p.Line, p.Column}
}
