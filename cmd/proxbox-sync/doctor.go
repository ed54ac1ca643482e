package main

import (
	"slices"

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
need, what this version of the plugin does with secrets, and where the markers are that
record what is managed.`
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
	for _, name := range found.Apply {
		if !slices.Contains(found.Plan, name) {
			c.ApplyNeeds = append(c.ApplyNeeds, name)
		}
	}
	return c
}
