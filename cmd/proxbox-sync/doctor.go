package main

import (
	"slices"
	"strings"

	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type doctorCommand struct {
	serverFlags
	Kinds  []string `arg:"" optional:"" name:"kind" help:"Kinds to look at. Default: all."`
	Format string   `help:"Form of the result: ${enum}." enum:"text,json" default:"text" group:"Output"`
}

// Help is shown by doctor --help.
func (*doctorCommand) Help() string {
	return `Looks at the server without changing anything: URL, TLS, token, versions, the path
of each kind and what the token may do there. Says which permissions plan and apply
need, in a form to be pasted, what this version of the plugin does with secrets, and
where the markers are that record what is managed.

Ends with 1 when something is wrong, also when the token may not do what plan needs: for
the kinds named, or for all Proxbox kinds.`
}

func (c *doctorCommand) result() (string, bool) { return render.DoctorFormat, c.Format == "json" }

func (c *doctorCommand) Run(a *app) error {
	set := schema.Embedded()
	for _, name := range c.Kinds {
		if _, err := findKind(set, name); err != nil {
			return err
		}
	}
	p, err := findProject(a.dir)
	if err != nil {
		return err
	}
	client, err := a.connect(c.serverFlags, p, set)
	if err != nil {
		return err
	}
	found := client.Check(a.ctx, c.Kinds...)
	if err := a.ctx.Err(); err != nil {
		return err
	}
	shown := checkup(found)
	var named []string
	if p != nil {
		named = p.Mark
	}
	shown.Findings = append(shown.Findings, a.markers(client, set, found, named)...)
	code := exitDone
	if !found.Healthy() {
		code = exitError
	}
	if c.Format == "json" {
		err = render.DoctorJSON(a.stdout, shown, int(code))
	} else {
		err = render.Doctor(a.stdout, shown, a.style())
	}
	if err != nil {
		return err
	}
	return said(code)
}

// checkup puts what the client found into render's terms.
func checkup(found *netbox.Checkup) render.Checkup {
	status := map[netbox.Level]render.Status{
		netbox.LevelOK: render.Fine, netbox.LevelNote: render.Noted, netbox.LevelWarning: render.Warned, netbox.LevelError: render.Broken,
	}
	c := render.Checkup{Instance: found.Instance, PlanNeeds: found.Plan}
	for _, f := range found.Findings {
		c.Findings = append(c.Findings, render.Finding{Status: status[f.Level], Topic: f.Topic, Summary: f.Summary, Detail: f.Detail})
	}
	for _, k := range found.Kinds {
		c.Kinds = append(c.Kinds, render.KindAccess{Kind: k.Kind, Path: k.Path, View: k.View, Add: k.Add, Change: k.Change, Delete: k.Delete})
	}
	plan, apply := found.Grants()
	c.PlanGrants, c.ApplyGrants = grants("plan", plan), grants("apply", apply)
	for _, name := range found.Apply {
		if !slices.Contains(found.Plan, name) {
			c.ApplyNeeds = append(c.ApplyNeeds, name)
		}
	}
	return c
}

// grants puts permissions into the form of the API, each with a name of its own.
func grants(command string, list []netbox.Grant) []render.Grant {
	var out []render.Grant
	for _, g := range list {
		out = append(out, render.Grant{Name: "proxbox-sync " + command + ": " + strings.Join(g.Actions, ", "),
			Enabled: true, ObjectTypes: g.ObjectTypes, Actions: g.Actions})
	}
	return out
}
