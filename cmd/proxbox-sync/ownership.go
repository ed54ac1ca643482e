package main

import (
	"fmt"
	"regexp"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// ownerPattern is what an owner may be called: it stands in every marker, in
// change logs and in messages.
var ownerPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$`)

// policy is what flags, environment and project file say together of what a run
// may do.
type policy struct {
	own reconcile.Ownership
	// notes are warnings that head every report: what is looser than by default,
	// and what of the project file has no effect.
	notes reconcile.Diagnostics
}

// note adds a warning.
func (y *policy) note(pos reconcile.Position, code, summary, detail string) {
	y.notes = append(y.notes, reconcile.Diagnostic{Severity: reconcile.Warning, Trouble: reconcile.Policy, Code: code, Pos: pos,
		Summary: summary, Detail: detail})
}

// loose notes a setting of the job that is looser than the default.
func (a *app) loose(y *policy, flag, means string) {
	name := "--" + flag
	if variable, ok := a.from[flag]; ok {
		name = variable
	}
	y.note(reconcile.Position{}, "loose-setting", name+": "+means, "")
}

// owner decides the name under which objects are managed. A project file that
// contradicts the environment is refused: whose objects are pruned must not be
// a matter of which of the two is read first.
func (a *app) owner(f ownerFlag, p *project) (string, error) {
	variable, fromEnv := a.from["owner"]
	owner := f.Owner
	switch {
	case owner != "" && fromEnv && p != nil && p.Owner != "" && p.Owner != owner:
		return "", usagef("%s: its owner is not the one in %s; take one of them out, or say --owner", p.file, variable)
	case owner == "" && p != nil:
		owner = p.Owner
	}
	if owner != "" && !ownerPattern.MatchString(owner) {
		return "", usagef("--owner: must be at most 100 letters, digits, dots, underscores, slashes and hyphens")
	}
	a.report.owner = owner
	return owner, nil
}

// policy joins flags, environment and project file. Flags and environment are a
// ceiling that the file may only tighten.
func (a *app) policy(o ownerFlag, f policyFlags, p *project, set *schema.Set) (*policy, error) {
	if p == nil {
		p = &project{}
	}
	owner, err := a.owner(o, p)
	if err != nil {
		return nil, err
	}
	y := &policy{own: reconcile.Ownership{Owner: owner, Mark: p.Mark, NoAdopt: f.NoAdopt, TakeOwnership: f.TakeOwnership,
		PruneAdopted: f.PruneAdopted, AcceptSecrets: f.AcceptSecrets, AllowOlderSecrets: f.AllowOlderSecrets}}
	a.prune(y, f, p)
	if y.own.AllowRetarget, err = retargets(set, f.AllowRetarget); err != nil {
		return nil, err
	}
	if err := a.limits(y, f, p); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		set         bool
		flag, means string
	}{
		{f.PruneAdopted && y.own.Prune, "prune-adopted", "adopted objects are deleted as well"},
		{f.TakeOwnership, "take-ownership", "objects of other owners are taken over"},
		{f.AcceptSecrets, "accept-secrets", "secrets of unknown state count as sent"},
		{f.AllowOlderSecrets, "allow-older-secrets", "an older secret may replace a newer one"},
		{f.ApproveConnections, "approve-connections", "connections whose target this run writes are approved"},
		{len(f.AllowRetarget) > 0, "allow-retarget", "stored credentials may go somewhere else: " + strings.Join(f.AllowRetarget, ", ")},
	} {
		if s.set {
			a.loose(y, s.flag, s.means)
		}
	}
	return y, nil
}

// prune decides whether orphans are deleted. A flag decides alone; a variable
// of the job is a ceiling; the file decides where neither says anything.
func (a *app) prune(y *policy, f policyFlags, p *project) {
	const means = "objects that this owner created and no manifest has are deleted"
	_, fromEnv := a.from["prune"]
	switch {
	case f.Prune == nil:
		y.own.Prune = p.Prune != nil && *p.Prune
		if y.own.Prune {
			y.note(p.prunePos, "loose-setting", "prune: "+means, "")
		}
		return
	case *f.Prune && fromEnv && p.Prune != nil && !*p.Prune:
		return
	case !*f.Prune && p.Prune != nil && *p.Prune:
		y.note(p.prunePos, "no-effect", "prune has no effect: the job forbids it", "")
	}
	y.own.Prune = *f.Prune
	if y.own.Prune {
		a.loose(y, "prune", means)
	}
}

// limits joins the numbers: the lower of the job's and the file's, and the
// default where that is lower than the file's.
func (a *app) limits(y *policy, f policyFlags, p *project) error {
	for flag, n := range map[string]*int{"max-deletes": f.MaxDeletes, "max-updates": f.MaxUpdates} {
		if n != nil && *n < 0 {
			return usagef("--%s: must not be negative", flag)
		}
	}
	for flag, n := range map[string]*int{"max-delete-percent": f.MaxDeletePercent, "max-update-percent": f.MaxUpdatePercent} {
		if n != nil && (*n < 0 || *n > 100) {
			return usagef("--%s: must be between 0 and 100", flag)
		}
	}
	l := &y.own.Limits
	l.MaxDeletes = f.MaxDeletes
	if l.MaxDeletes != nil && *l.MaxDeletes > 0 {
		a.loose(y, "max-deletes", fmt.Sprintf("%d deletes are allowed, also cascading ones, of the last object, and of more than a share of a kind", *l.MaxDeletes))
	}
	// A number in the file bounds, and allows nothing that the defaults forbid.
	l.DeleteCeiling = p.Limits.MaxDeletes.n
	const usual = reconcile.DefaultDeletePercent
	percent := usual
	if f.MaxDeletePercent != nil {
		percent = *f.MaxDeletePercent
		if percent > usual {
			a.loose(y, "max-delete-percent", fmt.Sprintf("%d %% of a kind may be deleted, by default %d", percent, usual))
		}
	}
	if lower := y.lower(&percent, p.Limits.MaxDeletePercent); f.MaxDeletePercent != nil || lower != &percent {
		l.MaxDeletePercent = lower // else the default, which --max-deletes lifts
	}
	l.MaxUpdates = y.lower(f.MaxUpdates, p.Limits.MaxUpdates)
	l.MaxUpdatePercent = y.lower(f.MaxUpdatePercent, p.Limits.MaxUpdatePercent)
	return nil
}

// lower is the lower of the job's limit and the file's.
func (y *policy) lower(job *int, file limit) *int {
	switch {
	case file.n == nil:
		return job
	case job == nil || *file.n <= *job:
		return file.n
	}
	y.note(file.pos, "no-effect", fmt.Sprintf("%s has no effect: %d is looser than the %d of the job or the default", file.name, *file.n, *job),
		"A project file can only tighten limits.")
	return job
}

// retargets reads --allow-retarget, which needs a key: all objects of a kind
// would be too easily said.
func retargets(set *schema.Set, list []string) ([]reconcile.Selection, error) {
	var out []reconcile.Selection
	for _, text := range list {
		s, err := reconcile.ParseSelection(set, text)
		switch {
		case err != nil:
			return nil, usagef("--allow-retarget: %w", err)
		case s.Key == "":
			return nil, usagef("--allow-retarget: name one object, as %s/KEY", s.Kind)
		}
		out = append(out, s)
	}
	return out, nil
}

// partial says why the manifests of a run are not the whole set, "" when they are.
func partial(m manifestFlags, selected []string, p *project, a *app, docs []reconcile.Document) string {
	switch {
	case len(m.Paths) > 0:
		for _, path := range m.Paths {
			if path == "-" {
				return "manifests came from standard input"
			}
		}
		return "paths were named on the command line, so that manifests of the project file may be missing"
	case len(selected) > 0:
		return "--select narrows the run"
	case p == nil:
		return "there is no project file that lists all manifests"
	}
	for _, abs := range p.Manifests {
		if shown := relative(a.dir, abs); !declares(docs, shown) {
			return fmt.Sprintf("%s, which the project file lists, has no manifests", shown)
		}
	}
	return ""
}

// declares reports whether any document comes from a path.
func declares(docs []reconcile.Document, path string) bool {
	for i := range docs {
		file := docs[i].Pos.File
		if path == "." && !strings.HasPrefix(file, "../") || file == path || strings.HasPrefix(file, strings.TrimSuffix(path, "/")+"/") {
			return true
		}
	}
	return false
}
