package main

import (
	"errors"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

type driftCommand struct {
	manifestFlags
	ownerFlag
	serverFlags
	reportFlags
	DetailedExitcode bool `help:"End with 2 when there is drift." group:"Output"`
}

// Help is shown by drift --help.
func (*driftCommand) Help() string {
	return `Shows what somebody changed on the server since it was last applied: fields that
differ from what was written, objects that were renamed, markers that were copied. What
only the manifests changed is left out; plan shows that. Nothing is written, and no key
is needed. apply puts things back.

An object that was deleted on the server took its marker along: it is listed as
missing, and is no drift.`
}

func (c *driftCommand) result() (string, bool) { return render.DriftFormat, c.Format == "json" }

func (c *driftCommand) Run(a *app) error {
	if err := a.beginReports(c.reportFlags, false, ""); err != nil {
		return err
	}
	if err := c.needsOwner(a); err != nil {
		return err
	}
	off := false
	_, plan, err := a.plan(planning{manifestFlags: c.manifestFlags, ownerFlag: c.ownerFlag, policyFlags: policyFlags{Prune: &off},
		serverFlags: c.serverFlags, key: keyOptional})
	if err != nil {
		return err
	}
	for _, d := range plan.Diagnostics {
		if d.Code == "no-marker-field" {
			return failed(reconcile.Diagnostics{d}, errors.New("without markers nothing tells who changed what"))
		}
	}
	drift, code := reconcile.DriftOf(plan), exitDone
	if c.DetailedExitcode && drift.Any() {
		code = exitChanges
	}
	return a.emit(render.NewDriftDocument(drift), code)
}

// needsOwner refuses a run that could not find anything.
func (c *driftCommand) needsOwner(a *app) error {
	p, err := findProject(a.dir)
	if err != nil {
		return err
	}
	owner, err := a.owner(c.ownerFlag, p)
	if err == nil && owner == "" {
		return usagef("no owner: drift is told from intent by the markers of one; put owner into %s, or use --owner", projectName)
	}
	return err
}
