package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type restoreCommand struct {
	manifestFlags
	ownerFlag
	serverFlags
	reportFlags
	Drill              bool     `help:"Rehearse on a sandbox in this process: no server and no token is needed or touched." group:"Restore"`
	Generation         string   `help:"Version of the plugin that the sandbox of --drill is like. Default: the newest." placeholder:"VERSION" group:"Restore"`
	SkipRecords        bool     `help:"Leave out what only tells what happened: backups, snapshots, task history." group:"Restore"`
	ApproveConnections bool     `help:"Approve the connections of what the manifests declare, where the server wants that." group:"Ownership"`
	TakeOwnership      bool     `help:"Take over objects that another owner manages." group:"Ownership"`
	AllowOlderSecrets  bool     `help:"Send secrets of an older file than what was applied." group:"Ownership"`
	AllowRetarget      []string `help:"Allow that stored credentials of this object go somewhere else; may be repeated." placeholder:"KIND/KEY" sep:"none" group:"Ownership"`
	AutoApprove        bool     `help:"Don't ask." group:"Plan"`
}

// Help is shown by restore --help.
func (*restoreCommand) Help() string {
	return `Brings an empty or half-filled NetBox to what the manifests say: makes the custom field
of the markers, creates what is missing, adopts and corrects what is there, and sends
every secret, also to objects that exist. It deletes nothing, and no limit of updates
holds. Run it again after whatever stopped it: the end is the same.

PATH is a repository with a ` + projectName + `, of which it takes the manifests listed
there, or files and folders of manifests. Without one it is the project of the working
directory.

What the server does not take is reported and does not stop the rest: an object whose
secret is refused comes back without it, one that refers to what is nowhere comes back
without the reference, if it can.

At the end everything is read again and compared with the manifests, field by field.
It ends with 7 when something did not come back.

--drill does the same on an empty sandbox. With --no-decrypt it needs no key: other
values stand in for the secrets.`
}

func (c *restoreCommand) result() (string, bool) { return render.RestoreFormat, c.Format == "json" }

func (c *restoreCommand) Run(a *app) error {
	if err := a.beginReports(c.reportFlags, false, ""); err != nil {
		return err
	}
	if c.Generation != "" && !c.Drill {
		return usagef("--generation is for --drill")
	}
	if err := a.canAsk(c.AutoApprove || c.Drill, c.Paths); err != nil {
		return err
	}
	r := &restoring{app: a, command: c, set: schema.Embedded(), began: time.Now()}
	end, err := r.begin()
	if err != nil {
		return err
	}
	defer end()
	plan, err := r.plan()
	if err != nil {
		return err
	}
	if err := r.allowed(plan.Plan); err != nil {
		return err
	}
	return r.emit(r.carryOut(plan))
}

// restoring is one run of restore.
type restoring struct {
	*app
	command *restoreCommand
	set     *schema.Set
	project *project
	client  *netbox.Client
	docs    []reconcile.Document
	options reconcile.RestoreOptions
	field   *fieldPlan // what the custom field of the markers needs, nil for nothing
	notes   reconcile.Diagnostics
	began   time.Time
}

// begin reads the manifests and connects.
func (r *restoring) begin() (end func(), err error) {
	c := r.command
	if r.project, err = c.findProject(r.app); err != nil {
		return nil, err
	}
	if err := r.policy(); err != nil {
		return nil, err
	}
	end = func() {}
	if c.Drill {
		r.client, end, err = r.drillServer()
	} else {
		r.client, err = r.connect(c.serverFlags, r.project, r.set)
	}
	if err != nil {
		return nil, err
	}
	if err := r.load(); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// policy joins what flags and project file say. Of the file's own limits none
// holds for the day after.
func (r *restoring) policy() error {
	c, p := r.command, r.project
	if p != nil {
		whole := *p
		whole.Prune, whole.Limits = nil, limits{}
		p = &whole
	}
	never := false
	y, err := r.app.policy(c.ownerFlag, policyFlags{Prune: &never, TakeOwnership: c.TakeOwnership, AllowOlderSecrets: c.AllowOlderSecrets,
		ApproveConnections: c.ApproveConnections, AllowRetarget: c.AllowRetarget}, p, r.set)
	if err != nil {
		return err
	}
	r.looseReading(y, planning{manifestFlags: c.manifestFlags, serverFlags: c.serverFlags})
	r.notes = y.notes
	r.options = reconcile.RestoreOptions{Desired: desiredOptions(c.manifestFlags, p), Ownership: y.own, Lint: lintOptions(p, true),
		SkipRecords: c.SkipRecords, Drill: c.Drill}
	r.options.Lint.WarningsOnly = true
	return nil
}

func (r *restoring) load() error {
	docs, list, err := r.documents(r.command.manifestFlags, r.project, keyRequired)
	if err != nil {
		return err
	}
	if list.HasErrors() {
		desired, more := reconcile.Desired(r.set, docs, r.options.Desired)
		return failed(append(append(list, more...), reconcile.Link(r.set, desired, nil)...).Sorted(), nil)
	}
	r.docs, r.notes = docs, append(r.notes, list...)
	if !r.command.Drill {
		return nil
	}
	if n := reconcile.StandIn(r.docs); n > 0 {
		r.notes = append(r.notes, reconcile.Diagnostic{Severity: reconcile.Warning, Trouble: reconcile.SecretKey, Code: "stand-in-secrets",
			Summary: fmt.Sprintf("%d secrets were not decrypted: other values stood in for them", n),
			Detail:  "a drill with the key also proves that it opens them"})
	}
	return nil
}

// plan works out what is to be done, and shows it where somebody may look.
func (r *restoring) plan() (*reconcile.Restoration, error) {
	if err := r.markers(); err != nil {
		return nil, err
	}
	plan, list, err := reconcile.MakeRestore(r.ctx, r.set, r.client, r.docs, r.options)
	list = append(reconcile.Lint(r.set, &reconcile.State{}, list, r.options.Lint), r.notes...).Sorted()
	if err != nil || plan == nil {
		return nil, failed(list, err)
	}
	plan.Plan.Diagnostics = worthSaying(list)
	if r.command.Drill {
		return plan, nil
	}
	out, style := r.stdout, r.style()
	if r.command.Format != "text" {
		out, style = r.stderr, r.errStyle()
	}
	if err := r.showPlan(out, plan.Plan, style); err != nil {
		return nil, err
	}
	if r.field != nil {
		_ = render.Paragraph(out, "First of all the custom field "+reconcile.MarkerField+" is made or attached: it records what is managed.", style)
	}
	return plan, render.WillNotComeBack(out, plan, style)
}

// worthSaying leaves out what is no matter of whether things come back: the risks
// of what the manifests ask for, which plan and lint speak of.
func worthSaying(list reconcile.Diagnostics) reconcile.Diagnostics {
	return slices.DeleteFunc(list, func(d reconcile.Diagnostic) bool {
		switch d.Code {
		case reconcile.DatabaseID.Code, reconcile.RecipientMissing.Code, reconcile.SecretUnfilled.Code:
			return false
		case "synced-field":
			return true
		}
		return d.Severity != reconcile.Error && d.Trouble == reconcile.Risk
	})
}

// markers works out what the custom field needs, where there is an owner.
func (r *restoring) markers() error {
	own := &r.options.Ownership
	if own.Owner == "" {
		return nil
	}
	f, err := planField(r.ctx, r.set, r.client, own.Mark)
	switch {
	case errors.Is(err, reconcile.ErrNoKind):
		own.Owner = "" // the server has no custom fields, so that nothing can be marked
		return nil
	case err != nil:
		return err
	case f.hidden:
		return f.lacks(r.app, "view")
	case len(f.plan.Steps) == 0:
		return nil
	case f.may != nil && !*f.may:
		return f.lacks(r.app, f.right())
	}
	r.field, own.Attached = f, f.types
	return nil
}

// allowed says why nothing may be written.
func (r *restoring) allowed(plan *reconcile.Plan) error {
	if list := plan.Diagnostics.Errors(); len(list) > 0 {
		why := &failure{err: &statusError{code: codeOfDiagnostics(list), err: errors.New("nothing was restored: policy refuses it, for the reasons that are given")}}
		if r.command.Format != "text" || r.command.Drill {
			why.list = list
		}
		return why
	}
	if err := sealed(plan); err != nil {
		return err
	}
	if r.command.Drill || r.command.AutoApprove || len(plan.Steps) == 0 && r.field == nil {
		return nil
	}
	return r.confirm("Restore all this?", "nothing was restored")
}

// carryOut writes, approves what was asked for, and proves the rest.
func (r *restoring) carryOut(plan *reconcile.Restoration) *reconcile.Restored {
	o := reconcile.ApplyOptions{Message: changelogMessage(r.env, "restore", r.folder(), plan.Plan.Owner, ""), WithoutRefused: true}
	report := &reconcile.Report{Plan: plan.Plan}
	if r.field != nil {
		made := r.write(r.client, r.field.plan, o)
		if codeOfReport(made) != exitDone {
			// Without it nothing that follows could be marked: nothing is attempted.
			for _, s := range plan.Plan.Steps {
				report.Steps = append(report.Steps, reconcile.StepReport{Step: s, Result: reconcile.NotAttempted})
			}
			report.Interrupted, report.Err = made.Interrupted, fmt.Errorf("making the custom field %s: %w", reconcile.MarkerField, whyFailed(made))
			return r.summary(plan, report, nil)
		}
	}
	report = r.write(r.client, plan.Plan, o)
	var approvals []reconcile.ApprovalReport
	if r.command.ApproveConnections && r.ctx.Err() == nil {
		approvals = reconcile.ApproveRestored(r.ctx, report, r.client)
	}
	out := r.summary(plan, report, approvals)
	// Nothing of the plan is needed any more: the proof reads everything anew.
	plan.Plan, report = nil, nil
	if out.Interrupted {
		return out
	}
	proof, list, err := reconcile.Prove(r.ctx, r.set, r.client, r.docs, r.options)
	if out.ProofErr = cmp.Or(err, failed(list, nil)); out.ProofErr == nil {
		out.Add(proof)
	}
	return out
}

func (r *restoring) summary(plan *reconcile.Restoration, report *reconcile.Report, approvals []reconcile.ApprovalReport) *reconcile.Restored {
	out := reconcile.NewRestored(plan, report)
	out.Drill, out.Approvals = r.command.Drill, approvals
	return out
}

// whyFailed is the first reason why steps were not carried out.
func whyFailed(report *reconcile.Report) error {
	for _, s := range report.Steps {
		switch {
		case s.Err != nil:
			return s.Err
		case len(s.Messages) > 0:
			return errors.New(s.Messages[0].Text)
		}
	}
	return cmp.Or(report.Err, errors.New("it was not attempted"))
}

// emit writes the report and ends the run.
func (r *restoring) emit(x *reconcile.Restored) error {
	code := codeOfRestored(x)
	d := render.NewRestoreDocument(x, int(code))
	d.Took(time.Since(r.began))
	return r.app.emit(d, code)
}

// codeOfRestored is the code that a restore ends with.
func codeOfRestored(x *reconcile.Restored) exitCode {
	trouble := x.Results[reconcile.Failed] + x.Results[reconcile.Blocked] + x.Results[reconcile.Conflicted]
	switch {
	case x.Interrupted && trouble == 0:
		return exitInterrupted
	case x.Err != nil && x.Results[reconcile.Applied]+x.Results[reconcile.AlreadyDone]+trouble == 0:
		return max(codeOf(x.Err), exitError)
	case !x.Whole() || !settled(x.Approvals):
		return exitPartly
	}
	return exitDone
}
