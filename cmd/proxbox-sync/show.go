package main

import "proxbox-sync/reconcile/render"

type showCommand struct {
	File string `arg:"" help:"A plan that plan --out saved; - for standard input." placeholder:"FILE"`
	reportFlags
}

// Help is shown by show --help.
func (*showCommand) Help() string {
	return `Shows a saved plan in any form: offline, with nothing but the file. It says what the
file says, and nothing about whether that is still so: apply --plan compares.`
}

func (c *showCommand) result() (string, bool) { return render.PlanFormat, c.Format == "json" }

func (c *showCommand) Run(a *app) error {
	if err := a.beginReports(c.reportFlags, false, c.File); err != nil {
		return err
	}
	s, err := a.readPlan(c.File, "")
	if err != nil {
		return err
	}
	s.doc.FileDigest = s.digest
	return a.emit(s.doc, exitDone)
}
