package main

import (
	"errors"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type planCommand struct {
	manifestFlags
	selectFlags
	ownerFlag
	policyFlags
	serverFlags
	saveFlags
	failOnFlag
	reportFlags
	DetailedExitcode bool `help:"End with 2 when there are changes." group:"Output"`
}

// Help is shown by plan --help.
func (*planCommand) Help() string {
	return `Compares the manifests with the server and shows what apply would do: each
object with its fields, old and new, and who changed them; what is deleted, adopted
and released; the objects of this owner that no manifest has. Nothing is written. A
token that may read is enough, and no key is needed: with --no-decrypt secrets stay
sealed.

A plan that apply would refuse is shown all the same, with the reasons at its head,
and ends with 5.

--out saves the plan for apply --plan, which carries out exactly that, and prints the
SHA-256 of the file.`
}

func (c *planCommand) result() (string, bool) { return render.PlanFormat, c.Format == "json" }

func (c *planCommand) Run(a *app) error {
	if c.Out == "-" && c.Format != "text" {
		return usagef("--out - and --format %s both write to standard output", c.Format)
	}
	if err := a.beginReports(c.reportFlags, c.Out == "-", c.Out); err != nil {
		return err
	}
	a.report.plan = c.Out
	until, err := c.until(time.Now())
	if err != nil {
		return err
	}
	_, plan, err := a.plan(planning{c.manifestFlags, c.selectFlags, c.ownerFlag, c.policyFlags, c.serverFlags, keyRequired, nil})
	if err != nil {
		return err
	}
	code := codeOfDiagnostics(plan.Diagnostics)
	if warned := c.code(plan.Diagnostics); warned != exitDone && (code == exitDone || warned < code) {
		code = warned
	}
	record := a.record(plan)
	record.Expires = until
	doc, err := render.NewPlanDocument(record, plan.Diagnostics, int(code))
	if err != nil {
		return err
	}
	if c.Out != "" {
		if doc.FileDigest, err = a.save(c.saveFlags, plan, record, code); err != nil {
			return err
		}
	}
	err = errors.Join(a.show(doc), c.said(a, doc.FileDigest), a.deliver(doc))
	switch {
	case err == nil && code == exitManifests && c.Format == "text":
		return c.err(plan.Diagnostics)
	case code == exitDone && c.DetailedExitcode && len(plan.Steps) > 0:
		code = exitChanges
	}
	return a.finish(err, code)
}

// said says where the plan was saved: where nothing else may stand on standard
// output, on standard error.
func (c *planCommand) said(a *app, sum string) error {
	if c.Out == "" {
		return nil
	}
	out, style := a.stdout, a.style()
	if c.Out == "-" || c.Format != "text" {
		out, style = a.stderr, a.errStyle()
	}
	return render.Saved(out, c.Out, sum, style)
}

// planning is what a plan is made from.
type planning struct {
	manifestFlags
	selectFlags
	ownerFlag
	policyFlags
	serverFlags
	key   needKey
	saved *saved // the plan that is to be carried out; nil for none
}

// plan is what plan, apply and drift have in common: manifests and server in, a
// plan out. It may have diagnostics with severity Error: what policy refuses.
func (a *app) plan(in planning) (*netbox.Client, *reconcile.Plan, error) {
	p, err := findProject(a.dir)
	if err != nil {
		return nil, nil, err
	}
	set := schema.Embedded()
	options := reconcile.PlanOptions{Desired: desiredOptions(in.manifestFlags, p), Lint: lintOptions(p, true)}
	options.Lint.WarningsOnly = true
	if options.Select, err = selections(set, in.Select); err != nil {
		return nil, nil, err
	}
	if options.SendSecrets, err = in.SendSecrets.selections(set); err != nil {
		return nil, nil, err
	}
	policy, err := a.policy(in.ownerFlag, in.policyFlags, p, set)
	if err != nil {
		return nil, nil, err
	}
	in.saved.tighten(&policy.own.Limits)
	a.looseReading(policy, in)
	client, err := a.connect(in.serverFlags, p, set)
	if err != nil {
		return nil, nil, err
	}
	defer client.Greet(a.ctx)()
	docs, list, err := a.documents(in.manifestFlags, p, in.key)
	if err != nil {
		return nil, nil, err
	}
	if list.HasErrors() {
		// Say in the same run what the readable documents get wrong.
		desired, more := reconcile.Desired(set, docs, options.Desired)
		list = append(list, more...)
		return nil, nil, failed(append(list, reconcile.Link(set, desired, nil)...).Sorted(), nil)
	}
	options.Ownership = policy.own
	options.Ownership.Partial = partial(in.manifestFlags, in.Select, p, a, docs)
	if options.Ownership.Partial != "" && in.Prune == nil {
		// A standing setting of the project file prunes in whole runs only; a flag
		// that can't be heeded is refused.
		options.Ownership.Prune = false
	}
	plan, more, err := reconcile.MakePlan(a.ctx, set, client, docs, options)
	list = reconcile.Lint(set, &reconcile.State{}, list, options.Lint) // what the files themselves risk
	list = append(append(list, policy.notes...), more...).Sorted()
	if err != nil || plan == nil {
		return nil, nil, failed(list, err)
	}
	plan.Diagnostics = list
	plan.Asked = reconcile.Asked{Select: in.Select, SendSecrets: in.SendSecrets, ApproveConnections: in.ApproveConnections}
	return client, plan, nil
}

// record is a plan as data, with what only the command line knows of it.
func (a *app) record(plan *reconcile.Plan) *reconcile.Record {
	r := plan.Record()
	r.Tool = aboutBuild().Version
	r.Manifests.Commit = gitCommit(a.env, a.dir)
	return r
}

// looseReading notes what of the other flags is looser than by default.
func (a *app) looseReading(y *policy, in planning) {
	if in.AllowPlaintextSecrets {
		a.loose(y, "allow-plaintext-secrets", "secrets may stand in plain text")
	}
	if len(in.AllowKey) > 0 {
		a.loose(y, "allow-key", "other key services than age and PGP may be asked")
	}
	if in.AllowHTTP {
		a.loose(y, "allow-http", "the token may go over the network in the clear")
	}
}
