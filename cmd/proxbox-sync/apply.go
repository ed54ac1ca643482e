package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

type applyCommand struct {
	manifestFlags
	selectFlags
	ownerFlag
	policyFlags
	serverFlags
	savedFlags
	reportFlags
	AutoApprove bool `help:"Don't ask." group:"Plan"`
}

// Help is shown by apply --help.
func (*applyCommand) Help() string {
	return `Shows the plan, asks, and carries it out in the order that references need. An
object that the server refuses blocks what depends on it and nothing else; running
apply again carries on. Ctrl-C finishes what is under way and reports.

With an owner, every object gets a marker: the record of what is managed. Then secrets
are sent when they changed in Git, and with --prune what left the manifests is deleted,
within limits. Without one, secrets are sent when an object is created, and to existing
ones with --send-secrets.

What policy refuses ends with 5, before anything is written.

With --plan it plans again and compares: what is not in the file, or not any more as it
was, ends with 6 before anything is written; steps that are done already are left out, so
that the same file finishes an apply that broke off.`
}

func (c *applyCommand) result() (string, bool) { return render.ReportFormat, c.Format == "json" }

func (c *applyCommand) Run(a *app) error {
	if err := a.beginReports(c.reportFlags, false, c.Plan); err != nil {
		return err
	}
	if err := c.canAsk(a); err != nil {
		return err
	}
	saved, err := c.read(a)
	if err != nil {
		return err
	}
	client, plan, err := a.plan(planning{c.manifestFlags, c.selectFlags, c.ownerFlag, c.policyFlags, c.serverFlags, keyRequired, saved})
	if err != nil {
		return err
	}
	out, style := a.stdout, a.style()
	if c.Format != "text" {
		out, style = a.stderr, a.errStyle()
	}
	if err := a.showPlan(out, plan, style); err != nil {
		return err
	}
	digest := a.digest(plan, saved)
	if err := c.allowed(a, plan, saved); err != nil {
		return c.nothing(a, plan, digest, err)
	}
	if saved != nil && len(plan.Steps) == 0 {
		_ = render.Paragraph(out, "All that the saved plan says is done already.", style)
	}
	report := a.carryOut(client, plan, digest)
	var approvals []reconcile.ApprovalReport
	if c.ApproveConnections {
		approvals = reconcile.ApproveConnections(a.ctx, report, client)
	}
	return c.report(a, report, approvals, digest)
}

// allowed says why a plan may not be carried out: policy, a saved plan that is
// another, a secret that nobody decrypted, an answer that was not yes.
func (c *applyCommand) allowed(a *app, plan *reconcile.Plan, saved *saved) error {
	if list := plan.Diagnostics.Errors(); len(list) > 0 {
		return &statusError{code: codeOfDiagnostics(list), err: errors.New("nothing was applied: policy refuses the plan, for the reasons at its head")}
	}
	if err := saved.holds(plan); err != nil {
		return err
	}
	if err := sealed(plan); err != nil {
		return err
	}
	if len(plan.Steps) > 0 && !c.AutoApprove {
		return a.confirm("Apply these changes?", "nothing was applied")
	}
	return nil
}

// nothing reports a plan that was not carried out, and why.
func (c *applyCommand) nothing(a *app, plan *reconcile.Plan, digest string, why error) error {
	f := &failure{err: why}
	errors.As(why, &f)
	d := render.Refused(plan, a.record(plan), f.list, f.err, int(codeOf(why)))
	d.PlanDigest = digest
	err := a.deliver(d)
	if c.Format != "text" { // as text the plan stands there, and why follows
		err = errors.Join(err, a.show(d))
	}
	a.complain(err, nil)
	return why
}

// carryOut applies a plan and shows how far it is.
func (a *app) carryOut(server reconcile.Server, plan *reconcile.Plan, digest string) *reconcile.Report {
	return a.write(server, plan, reconcile.ApplyOptions{Message: changelogMessage(a.env, "apply", a.dir, plan.Owner, digest)})
}

// write is the one way to what changes a server.
func (a *app) write(server reconcile.Server, plan *reconcile.Plan, o reconcile.ApplyOptions) *reconcile.Report {
	beginWriting(a.ctx)
	_, isTerminal := terminal(a.stderr)
	progress := render.NewProgress(a.stderr, a.errStyle(), isTerminal, time.Now)
	defer progress.End()
	o.Progress = progress.Step
	return reconcile.Apply(a.ctx, plan, server, o)
}

// digest is the SHA-256 of a plan's file: of the one that is carried out, else of
// the one that plan --out would write.
func (a *app) digest(plan *reconcile.Plan, saved *saved) string {
	if saved != nil {
		return saved.digest
	}
	doc, err := render.NewPlanDocument(a.record(plan).Unsealed(), plan.Diagnostics, 0)
	if err != nil {
		return ""
	}
	sum, err := render.PlanDigest(doc)
	if err != nil {
		return ""
	}
	return sum
}

func (c *applyCommand) report(a *app, report *reconcile.Report, approvals []reconcile.ApprovalReport, digest string) error {
	code := codeOfReport(report)
	if code == exitDone && !settled(approvals) {
		code = exitPartly
	}
	d := render.NewReportDocument(report, a.record(report.Plan), approvals, int(code))
	d.PlanDigest = digest
	if c.Format == "text" {
		if len(report.Steps) == 0 {
			return a.finish(a.deliver(d), code)
		}
		_, _ = fmt.Fprintln(a.stdout)
	}
	return a.emit(d, code)
}

// settled reports whether every connection is approved, or waits for nothing but
// its object to be enabled.
func settled(approvals []reconcile.ApprovalReport) bool {
	return !slices.ContainsFunc(approvals, func(r reconcile.ApprovalReport) bool {
		return !r.Effective() && (r.Err != nil || r.Verdict != reconcile.NotEnabled)
	})
}

// sealed refuses a plan with steps that must send a secret nobody decrypted.
func sealed(plan *reconcile.Plan) error {
	names := plan.Sealed()
	if len(names) == 0 {
		return nil
	}
	text := "the plan sends secrets that were not decrypted: " + strings.Join(names, ", ")
	if len(names) > 5 {
		text = fmt.Sprintf("the plan sends %d secrets that were not decrypted, among them %s", len(names), strings.Join(names[:5], ", "))
	}
	return &statusError{code: exitSecrets, err: errors.New(text + "; run apply where the key is, and without --no-decrypt")}
}

func (c *applyCommand) canAsk(a *app) error {
	return a.canAsk(c.AutoApprove, append([]string{c.Plan}, c.Paths...))
}

// canAsk refuses to begin where nobody could be asked at the end.
func (a *app) canAsk(approved bool, paths []string) error {
	if approved {
		return nil
	}
	for _, path := range paths {
		if path == "-" {
			return usagef("what comes from standard input leaves nobody to ask: add --auto-approve")
		}
	}
	if _, ok := terminal(a.stdin); !ok {
		return usagef("there is no terminal to ask on: look at the plan first, then add --auto-approve")
	}
	return nil
}

// confirm asks before the first write. What has not happened, should the answer
// not be yes, is said in nothing.
func (a *app) confirm(question, nothing string) error {
	_, _ = fmt.Fprintf(a.stderr, "\n%s (yes/no) ", question)
	type reply struct {
		text  string
		crash error
	}
	answers := make(chan reply, 1)
	go func() {
		var r reply
		defer func() { answers <- r }()
		defer reconcile.Recovered(&r.crash)
		line, err := bufio.NewReader(io.LimitReader(a.stdin, 1000)).ReadString('\n')
		if err != nil && line == "" {
			_, _ = fmt.Fprintln(a.stderr)
		}
		r.text = strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case answer := <-answers:
		if answer.crash != nil {
			return answer.crash
		}
		if answer.text == "yes" {
			return nil
		}
		return errors.New(nothing + ": the answer was not yes")
	case <-a.ctx.Done():
		_, _ = fmt.Fprintln(a.stderr)
		return &statusError{code: exitInterrupted, err: errors.New("interrupted: " + nothing)}
	}
}
