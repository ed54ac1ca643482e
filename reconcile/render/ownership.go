package render

import (
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

// listedSecrets is up to how many fields of unknown state a plan names for one
// reason; more are counted.
const listedSecrets = 10

// origin writes which server and which owner a plan is of.
func (p *printer) origin(i reconcile.Instance, owner string) {
	if i.URL == "" {
		return
	}
	p.line(p.paint(dim, "Server: "+server(i)))
	if owner == "" {
		p.line(p.paint(dim, "Owner: none: nothing is pruned, secrets are sent on create or when asked"))
	} else {
		p.line(p.paint(dim, "Owner: "+Escape(owner)))
	}
	p.line()
}

// byTrouble parts what policy says of a plan, which heads it, from the rest.
func byTrouble(list reconcile.Diagnostics) (policy, others reconcile.Diagnostics) {
	for _, d := range list {
		if d.Trouble == reconcile.Policy {
			policy = append(policy, d)
		} else {
			others = append(others, d)
		}
	}
	slices.SortStableFunc(policy, func(a, b reconcile.Diagnostic) int { return strings.Compare(string(a.Severity), string(b.Severity)) })
	return policy, others
}

// group writes diagnostics and an empty line behind them.
func (p *printer) group(list reconcile.Diagnostics) {
	if len(list) > 0 {
		p.diagnostics(list)
		p.line()
	}
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

// deletes lists what is deleted, with what goes along, ahead of all steps.
func (p *printer) deletes(plan *reconcile.Plan) {
	any := false
	for _, step := range plan.Steps {
		c := step.Change
		if c.Action != reconcile.Delete {
			continue
		}
		any = true
		p.line(p.paint(red, "! "+Escape(title(c))+" is deleted"))
		for _, t := range c.Takes {
			p.paragraph("    ", "takes along "+taken(t))
		}
	}
	if any {
		p.line()
	}
}

// taken says what goes along with a delete, by name or by number.
func taken(t reconcile.Taken) string {
	switch {
	case t.Unknown:
		return t.What + ", of which it can't be said how many"
	case len(t.Objects) == 0:
		return fmt.Sprintf("%s of %s", thousands(t.Count), t.What)
	}
	names := t.Objects
	if len(names) > listedSecrets {
		names = append(slices.Clone(names[:listedSecrets]), fmt.Sprintf("%d more", len(t.Objects)-listedSecrets))
	}
	return fmt.Sprintf("%s %s: %s", thousands(max(t.Count, len(t.Objects))), t.What, strings.Join(names, ", "))
}

// orphans lists the objects of this owner that no manifest has any more and
// that stay, each with the reason.
func (p *printer) orphans(list []reconcile.Orphan) {
	any := false
	for _, x := range list {
		if x.Deleted {
			continue
		}
		if !any {
			p.line("Owned, in no manifest, and kept:")
			any = true
		}
		p.paragraph("  ", x.Object.String()+": "+x.Why)
	}
	if any {
		p.line()
	}
}

// secretStates says once what is not known of secrets, and what to do about it.
func (p *printer) secretStates(states []reconcile.SecretState) {
	unknown := map[string][]string{}
	var reasons []string
	for _, s := range states {
		if s.Status != "unknown" || s.Sent {
			continue
		}
		if len(unknown[s.Why]) == 0 {
			reasons = append(reasons, s.Why)
		}
		unknown[s.Why] = append(unknown[s.Why], s.Object.String()+" "+s.Field)
	}
	for _, why := range reasons {
		names := unknown[why]
		head := count(len(names), "secret") + " not sent, since it can't be known whether the server has what is in Git: " + why + "."
		p.paragraph("", head)
		if len(names) > listedSecrets {
			names = append(slices.Clone(names[:listedSecrets]), fmt.Sprintf("and %d more", len(names)-listedSecrets))
		}
		for _, name := range names {
			p.paragraph("  ", name)
		}
	}
	if len(reasons) > 0 {
		p.paragraph("", "Send them with --send-secrets, or take them for what the server has with --accept-secrets.")
		p.line()
	}
}

// secretsUnchanged counts the secrets of which the server has what is in Git.
func secretsUnchanged(states []reconcile.SecretState) int {
	unchanged := 0
	for _, s := range states {
		if s.Status == "unchanged" && !s.Sent {
			unchanged++
		}
	}
	return unchanged
}
