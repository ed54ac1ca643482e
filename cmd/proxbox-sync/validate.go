package main

import "proxbox-sync/reconcile/render"

type validateCommand struct {
	manifestFlags
	failOnFlag
	Format string `help:"Form of the result: ${enum}." enum:"text,json" default:"text" group:"Output"`
}

// Help is shown by validate --help.
func (*validateCommand) Help() string {
	return `Reads the manifests, decrypts their secrets where it has a key, and checks
everything that can be checked without a server: kinds, fields, types, choices,
rules, references among the manifests. All mistakes are reported in one run, and so
is what is risky: see lint.`
}

func (c *validateCommand) result() (string, bool) { return render.ValidateFormat, c.Format == "json" }

func (c *validateCommand) Run(a *app) error {
	desired, list, err := a.judge(c.manifestFlags)
	if err != nil {
		return err
	}
	why := "no key"
	if c.NoDecrypt {
		why = "--no-decrypt"
	}
	if c.Format == "json" {
		code := c.code(list)
		if err := render.ValidatedJSON(a.stdout, desired, why, list, int(code)); err != nil {
			return err
		}
		return said(code)
	}
	if err := render.Diagnostics(a.stderr, list, a.errStyle()); err != nil {
		return err
	}
	if err := c.err(list); err != nil {
		return err
	}
	return render.Validated(a.stdout, desired, why, a.style())
}
