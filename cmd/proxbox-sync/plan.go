package main

import (
	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type planCommand struct {
	manifestFlags
	selectFlags
	serverFlags
	Format           string `help:"Form of the result: ${enum}." enum:"text,json" default:"text" group:"Output"`
	DetailedExitcode bool   `help:"End with 2 when there are changes." group:"Output"`
}

// Help is shown by plan --help.
func (*planCommand) Help() string {
	return `Compares the manifests with the server and shows what apply would do: each
object with its fields, old and new. Nothing is written. A token that may read is
enough, and no key is needed: with --no-decrypt secrets stay sealed.`
}

func (c *planCommand) result() (string, bool) { return render.PlanFormat, c.Format == "json" }

func (c *planCommand) Run(a *app) error {
	_, plan, err := a.plan(c.manifestFlags, c.selectFlags, c.serverFlags)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		err = render.PlanJSON(a.stdout, plan)
	} else {
		err = render.Plan(a.stdout, plan, a.style())
	}
	if err == nil && c.DetailedExitcode && len(plan.Steps) > 0 {
		return said(exitChanges)
	}
	return err
}

// plan is what plan and apply have in common: manifests and server in, a plan
// without errors out.
func (a *app) plan(m manifestFlags, s selectFlags, f serverFlags) (*netbox.Client, *reconcile.Plan, error) {
	p, err := findProject(a.dir)
	if err != nil {
		return nil, nil, err
	}
	set := schema.Embedded()
	options := reconcile.PlanOptions{Desired: desiredOptions(m, p)}
	if options.Select, err = selections(set, s.Select); err != nil {
		return nil, nil, err
	}
	if options.SendSecrets, err = s.SendSecrets.selections(set); err != nil {
		return nil, nil, err
	}
	client, err := a.connect(f, p, set)
	if err != nil {
		return nil, nil, err
	}
	docs, list, err := a.documents(m, p, keyRequired)
	if err != nil {
		return nil, nil, err
	}
	if list.HasErrors() {
		// Say in the same run what the readable documents get wrong.
		desired, more := reconcile.Desired(set, docs, options.Desired)
		list = append(list, more...)
		return nil, nil, failed(append(list, reconcile.Link(set, desired, nil)...).Sorted(), nil)
	}
	plan, more, err := reconcile.MakePlan(a.ctx, set, client, docs, options)
	list = append(list, more...).Sorted()
	if err := failed(list, err); err != nil {
		return nil, nil, err
	}
	plan.Diagnostics = list
	return client, plan, nil
}
