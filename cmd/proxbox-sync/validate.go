package main

import (
	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type validateCommand struct {
	manifestFlags
	Format string `help:"Form of the result: ${enum}." enum:"text,json" default:"text" group:"Output"`
}

// Help is shown by validate --help.
func (*validateCommand) Help() string {
	return `Reads the manifests, decrypts their secrets where it has a key, and checks
everything that can be checked without a server: kinds, fields, types, choices,
rules, references among the manifests. All mistakes are reported in one run.`
}

func (c *validateCommand) result() (string, bool) { return render.ValidateFormat, c.Format == "json" }

func (c *validateCommand) Run(a *app) error {
	p, err := findProject(a.dir)
	if err != nil {
		return err
	}
	docs, list, err := a.documents(c.manifestFlags, p, keyOptional)
	if err != nil {
		return err
	}
	set := schema.Embedded()
	desired, more := reconcile.Desired(set, docs, desiredOptions(c.manifestFlags, p))
	list = append(list, more...)
	list = append(list, reconcile.Link(set, desired, nil)...).Sorted()
	if list.HasErrors() {
		return failed(list, nil)
	}
	why := "no key"
	if c.NoDecrypt {
		why = "--no-decrypt"
	}
	if c.Format == "json" {
		return render.ValidatedJSON(a.stdout, desired, why, list)
	}
	if err := render.Diagnostics(a.stderr, list, a.errStyle()); err != nil {
		return err
	}
	return render.Validated(a.stdout, desired, why, a.style())
}
