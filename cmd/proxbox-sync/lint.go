package main

import (
	"fmt"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type lintCommand struct {
	pathFlags
	failOnFlag
	Format string `help:"Form of the result: ${enum}." enum:"text,json" default:"text" group:"Output"`
}

// Help is shown by lint --help.
func (*lintCommand) Help() string {
	return `Reads the manifests and shows what is risky about them: settings such as TLS
verification that is off, two endpoints at one address, sops files that others can
open than .sops.yaml says. Neither a server nor a key is needed. validate and plan
show the same.

A finding ends the run with 3 only with --fail-on warning. proxbox-sync explain CODE
says more about a rule. Rules are turned off, with a reason, under lint in the project
file or by metadata.ignoreRisks; what was turned off is always shown.`
}

func (c *lintCommand) result() (string, bool) { return render.LintFormat, c.Format == "json" }

func (c *lintCommand) Run(a *app) error {
	desired, list, err := a.judge(manifestFlags{pathFlags: c.pathFlags, NoDecrypt: true})
	if err != nil {
		return err
	}
	code := c.code(list)
	if c.Format == "json" {
		err = render.LintedJSON(a.stdout, desired, list, int(code))
	} else {
		err = render.Linted(a.stdout, desired, list, a.style())
	}
	if err != nil {
		return err
	}
	return said(code)
}

// judge is what validate and lint have in common: manifests in, objects and
// diagnostics without errors out.
func (a *app) judge(f manifestFlags) (*reconcile.State, reconcile.Diagnostics, error) {
	p, err := findProject(a.dir)
	if err != nil {
		return nil, nil, err
	}
	docs, list, err := a.documents(f, p, keyOptional)
	if err != nil {
		return nil, nil, err
	}
	set := schema.Embedded()
	desired, more := reconcile.Desired(set, docs, desiredOptions(f, p))
	list = append(append(list, more...), a.typedSecrets(list)...)
	list = append(list, reconcile.Link(set, desired, nil)...).Sorted()
	if list.HasErrors() {
		return nil, nil, failed(list, nil)
	}
	return desired, reconcile.Lint(set, desired, list, lintOptions(p, len(f.Paths) > 0)), nil
}

// failOnFlag makes warnings fail a run.
type failOnFlag struct {
	FailOn string `help:"End with 3 from this severity on: ${enum}. Warnings that the server or the flags of the run give rise to don't count." enum:"error,warning" default:"error" group:"Output"`
}

// code is what a run ends with for warnings about its manifests.
func (f failOnFlag) code(list reconcile.Diagnostics) exitCode {
	if f.FailOn == "warning" && warnings(list) > 0 {
		return exitManifests
	}
	return exitDone
}

// err is code, with the reason for people who read text.
func (f failOnFlag) err(list reconcile.Diagnostics) error {
	code := f.code(list)
	if code == exitDone {
		return nil
	}
	return &statusError{code: code, err: fmt.Errorf("--fail-on warning: the warnings about the manifests: %d", warnings(list))}
}

// warnings counts those that a change of the manifests can mend.
func warnings(list reconcile.Diagnostics) int {
	n := 0
	for _, d := range list {
		if d.Severity == reconcile.Warning && (d.Trouble == reconcile.Risk || d.Trouble == reconcile.Manifest || d.Trouble == reconcile.SecretKey) {
			n++
		}
	}
	return n
}
