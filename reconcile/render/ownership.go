package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

// Up to how many of something is named; more are counted.
const (
	listedNames   = 10 // secrets for one reason, objects that a delete takes along
	listedDeletes = 50 // at the head; each delete stands among the steps as well
	listedRisks   = 200
)

// origin writes which server and which owner a result is of, and why it may not
// be about everything.
func (p *printer) origin(s reconcile.RecordServer, owner, partial string) {
	if s.URL == "" {
		return
	}
	p.line(p.paint(dim, "Server: "+server(s)))
	if owner == "" {
		p.line(p.paint(dim, "Owner: "+noOwner))
	} else {
		p.line(p.paint(dim, "Owner: "+Escape(owner)))
		if x := narrowed(partial); x.title != "" {
			p.paragraph("", x.sentence()+" "+x.hint)
		}
	}
	p.line()
}

const noOwner = "none: nothing is pruned, secrets are sent on create or when asked"

// narrowed says what a run leaves out that is not about the whole set, nothing
// for one that is.
func narrowed(why string) part {
	if why == "" {
		return part{}
	}
	return part{title: "Not the whole set", data: why, hint: "What left the manifests is neither listed nor deleted."}
}

// byAbout parts what refuses a plan and what policy allowed beyond the default,
// which head it, from the rest.
func byAbout(list []diagnostic) (refused, loose, others []diagnostic) {
	for _, d := range list {
		switch {
		case d.Severity == string(reconcile.Error):
			refused = append(refused, d)
		case d.About == abouts[reconcile.Policy]:
			loose = append(loose, d)
		default:
			others = append(others, d)
		}
	}
	return refused, loose, others
}

// group writes diagnostics and an empty line behind them.
func (p *printer) group(list []diagnostic) {
	if len(list) > 0 {
		p.diagnostics(list)
		p.line()
	}
}

// deletes lists what is deleted, with what goes along, ahead of all steps.
func (p *printer) deletes(steps []reconcile.RecordStep) {
	list := deletesOf(steps)
	for i, s := range list {
		if i == listedDeletes && i < len(list)-1 && len(s.Takes) == 0 {
			p.line(p.paint(red, fmt.Sprintf("! and %s more are deleted", thousands(len(list)-i))))
			break
		}
		p.line(p.paint(red, "! "+Escape(s.Title())+" is deleted"))
		for _, t := range s.Takes {
			p.paragraph("    ", "takes along "+taken(t))
		}
	}
	if len(list) > 0 {
		p.line()
	}
}

// deletesOf are the steps that delete; where there are many, those that take
// something along come first.
func deletesOf(steps []reconcile.RecordStep) []*reconcile.RecordStep {
	var list []*reconcile.RecordStep
	for i := range steps {
		if action(&steps[i]) == reconcile.Delete {
			list = append(list, &steps[i])
		}
	}
	if len(list) > listedDeletes {
		slices.SortStableFunc(list, func(a, b *reconcile.RecordStep) int {
			return -cmp.Compare(min(len(a.Takes), 1), min(len(b.Takes), 1))
		})
	}
	return list
}

// risks lists what else a reviewer should see first, ahead of all steps.
func (p *printer) risks(steps []reconcile.RecordStep) {
	n := 0
	for i := range steps {
		for _, risk := range steps[i].Risks {
			if n++; n <= listedRisks {
				p.paragraph(p.paint(red, "!")+" ", steps[i].Title()+": "+risk)
			}
		}
	}
	if n > listedRisks {
		p.line(p.paint(red, fmt.Sprintf("! and %s more like these", thousands(n-listedRisks))))
	}
	if n > 0 {
		p.line()
	}
}

// taken says what goes along with a delete, by name or by number.
func taken(t reconcile.RecordTaken) string {
	switch {
	case t.Count == nil:
		return t.What + ", of which it can't be said how many"
	case len(t.Objects) == 0:
		return fmt.Sprintf("%s of %s", thousands(*t.Count), t.What)
	}
	return fmt.Sprintf("%s %s: %s", thousands(*t.Count), t.What, strings.Join(firstOf(t.Objects, listedNames, "%s more"), ", "))
}

// firstOf cuts a list of names and says how many were left out.
func firstOf(names []string, n int, more string) []string {
	if len(names) <= n {
		return names
	}
	return append(slices.Clone(names[:n]), fmt.Sprintf(more, thousands(len(names)-n)))
}

// part is a statement that stands beside the steps. What is ours and what may be
// somebody else's are kept apart: not every format has a place for both.
type part struct {
	title string // ours
	data  string
	lines []string
	hint  string // ours: what follows, or what to do about it
}

func (x *part) sentence() string {
	if x.data == "" {
		return x.title
	}
	return x.title + ": " + x.data + "."
}

// part writes one part and an empty line behind it.
func (p *printer) part(x part) {
	p.paragraph("", x.sentence())
	for _, l := range x.lines {
		p.paragraph("  ", l)
	}
	if x.hint != "" {
		p.paragraph("", x.hint)
	}
	p.line()
}

// parts are what a plan says beside its steps: what stays though no manifest has
// it, secrets of unknown state, and what could not be read.
func parts(r *reconcile.Record) []part {
	var out []part
	kept := part{title: "Owned, in no manifest, and kept:"}
	for _, x := range r.Orphans {
		if !x.Deleted {
			kept.lines = append(kept.lines, objectTitle(x.Kind, x.Key)+": "+x.Why)
		}
	}
	if len(kept.lines) > 0 {
		out = append(out, kept)
	}
	out = append(out, unknownSecrets(r.Secrets)...)
	if x, ok := unread(r.Unread); ok {
		x.hint = "Nothing of these kinds is deleted for having left the manifests."
		out = append(out, x)
	}
	return out
}

// unread lists the kinds of which objects may be missing.
func unread(why map[string]string) (part, bool) {
	x := part{title: "Could not be read whole, so that objects may exist which are not in here:"}
	for _, kind := range slices.Sorted(maps.Keys(why)) {
		x.lines = append(x.lines, kind+": "+why[kind])
	}
	return x, len(x.lines) > 0
}

func objectTitle(kind, key string) string {
	return (&reconcile.RecordStep{Kind: kind, Key: key}).Title()
}

// unknownSecrets says once for each reason what is not known of secrets, and
// behind the last what to do about it.
func unknownSecrets(states []reconcile.RecordSecretState) []part {
	unknown := map[string][]string{}
	var reasons []string
	for _, s := range states {
		if s.Status != "unknown" || s.Sent {
			continue
		}
		if len(unknown[s.Why]) == 0 {
			reasons = append(reasons, s.Why)
		}
		unknown[s.Why] = append(unknown[s.Why], objectTitle(s.Kind, s.Key)+" "+s.Field)
	}
	var out []part
	for _, why := range reasons {
		names := unknown[why]
		out = append(out, part{lines: firstOf(names, listedNames, "and %s more"), data: why,
			title: count(len(names), "secret") + " not sent, since it can't be known whether the server has what is in Git"})
	}
	if len(out) > 0 {
		out[len(out)-1].hint = "Send them with --send-secrets, or take them for what the server has with --accept-secrets."
	}
	return out
}

// secretsUnchanged counts the secrets of which the server has what is in Git.
func secretsUnchanged(states []reconcile.RecordSecretState) int {
	unchanged := 0
	for _, s := range states {
		if s.Status == "unchanged" && !s.Sent {
			unchanged++
		}
	}
	return unchanged
}
