package render

import (
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

// The pages of the documents.

func (d *PlanDocument) page() *page {
	g := recordPage("plan", "Plan", d.Record)
	g.failed = !d.OK
	g.totals = d.Summary()
	digest := d.FileDigest
	if digest == "" {
		digest = d.unsavedDigest()
	}
	g.fact("Digest", digest)
	for i := range d.Steps {
		g.step(i, &d.Steps[i])
	}
	g.diagnosed(d.Diagnostics, func() { g.risky(d.Steps) })
	g.stays(d.Record)
	return g
}

// recordPage begins the page of a plan or of what became of one.
func recordPage(word, title string, r *reconcile.Record) *page {
	g := &page{word: word, title: title, owner: r.Owner}
	g.origin(r.Server, r.Owner)
	g.fact("Commit", r.Manifests.Commit)
	g.fact("proxbox-sync", r.Tool)
	g.fact("Expires", r.Expires)
	if r.Redacted {
		g.fact("Values", "left out: their digests are shown")
	}
	g.scoped(r.Policy.Partial, len(r.Unread) > 0)
	return g
}

// scoped says whether a page is about everything.
func (g *page) scoped(partial string, unread bool) {
	g.complete = partial == "" && !unread
	g.scope = escapedPart(narrowed(partial))
	switch {
	case g.complete:
		g.scope.title = "Complete: everything that this is about could be read."
	case partial == "":
		g.scope.title = "Not complete: not everything could be read."
	}
}

func (g *page) origin(s reconcile.RecordServer, owner string) {
	g.server = Escape(s.URL)
	g.fact("Versions", versions(s))
	if owner == "" {
		owner = noOwner
	}
	g.fact("Owner", owner)
}

// stays adds what a plan says beside its steps.
func (g *page) stays(r *reconcile.Record) {
	g.beside(parts(r))
	g.counted(unmanaged, r.Unmanaged)
	g.counted(unchanged, r.Unchanged)
	if n := secretsUnchanged(r.Secrets); n > 0 {
		g.parts = append(g.parts, part{title: count(n, "secret") + " unchanged in Git."})
	}
}

func (d *ReportDocument) page() *page {
	r := d.Plan
	if r == nil {
		r = &reconcile.Record{}
	}
	g := recordPage("apply", "Apply", r)
	g.failed = !d.OK
	g.totals = d.Summary()
	g.fact("Digest", d.PlanDigest)
	for i := range d.Steps {
		s := &d.Steps[i]
		if s.Step < 0 || s.Step >= len(r.Steps) {
			continue
		}
		x := g.step(i, &r.Steps[s.Step])
		x.result = Escape(wordOf(s.Result))
		reasons := escaped(d.reasons(s))
		x.remarks = append(reasons, x.remarks...)
		if text := answer(s); text != "" && !s.done() {
			x.remarks = append(x.remarks, text)
		}
		switch s.Result {
		case resultWord(reconcile.NotAttempted):
			x.skipped = true
		case resultWord(reconcile.Failed), resultWord(reconcile.Conflicted), resultWord(reconcile.Blocked):
			x.alarm = strings.Join(append([]string{x.result}, reasons...), ": ")
		}
	}
	g.fates(d)
	g.diagnosed(d.Diagnostics, func() { g.risky(r.Steps) })
	g.stays(r)
	return g
}

// fates adds what went wrong in an apply to what comes first.
func (g *page) fates(d *ReportDocument) {
	for _, text := range d.Errors {
		g.first = append(g.first, concern{level: bad, what: "error", text: Escape(text), step: -1})
	}
	if d.Interrupted {
		g.first = append(g.first, concern{level: bad, what: "interrupted", text: interrupted, step: -1})
	}
	for _, result := range []reconcile.Result{reconcile.Failed, reconcile.Conflicted, reconcile.Blocked, reconcile.Unmarked} {
		for i := range g.items {
			x := &g.items[i]
			if x.result != string(result) {
				continue
			}
			l := bad
			if result == reconcile.Unmarked {
				l = warn
			}
			c := concern{level: l, what: x.result, object: x.title, text: x.result, place: x.place, step: i}
			if len(x.remarks) > 0 {
				c.text, c.detail = x.remarks[0], x.remarks[1:]
			}
			g.first = append(g.first, c)
		}
	}
	for i := range d.Approvals {
		x := &d.Approvals[i]
		if x.effective() {
			continue
		}
		c := concern{level: warn, what: "connection", object: Escape(objectTitle(x.Kind, x.Key)), text: "its connection is " + Escape(x.word()), step: -1}
		if text := x.detail(); text != "" {
			c.detail = []string{Escape(text)}
		}
		g.first = append(g.first, c)
	}
	if n := d.count(reconcile.NotAttempted); n > 0 {
		g.first = append(g.first, concern{level: warn, what: "not attempted", text: count(n, "step") + " not attempted", step: -1})
	}
}

func (d *DriftDocument) page() *page {
	g := &page{word: "drift", title: "Drift", owner: d.Owner, totals: d.Summary(), failed: !d.OK}
	g.origin(d.Server, d.Owner)
	g.scoped("", len(d.Unread) > 0)
	for i := range d.Objects {
		o := &d.Objects[i]
		x := g.step(i, o.step())
		x.notes = escaped(o.notes())
		var names []string
		for _, f := range x.fields {
			names = append(names, f.Name)
		}
		x.alarm = strings.Join(slices.Concat(x.notes, []string{"changed on the server: " + strings.Join(names, ", ")}), ", ")
		g.first = append(g.first, concern{level: warn, what: "drift", object: x.title, text: x.alarm, place: x.place, step: i})
	}
	for _, x := range d.Copied {
		g.first = append(g.first, concern{level: warn, what: "marker", object: Escape(objectTitle(x.Kind, x.Key)), text: Escape(x.Why), step: -1})
	}
	g.diagnosed(d.Diagnostics, nil)
	g.beside(d.parts())
	g.counted(unmanaged, d.Others)
	return g
}
