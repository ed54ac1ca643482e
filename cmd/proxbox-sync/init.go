package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type initCommand struct {
	ownerFlag
	serverFlags
	WriteProject bool `help:"Also write a project file, a .sops.yaml and a .gitignore into this folder, where there are none." group:"Project"`
	AutoApprove  bool `help:"Don't ask." group:"Plan"`
}

// Help is shown by init --help.
func (*initCommand) Help() string {
	return `Makes the custom field ` + reconcile.MarkerField + ` in NetBox, in which plan and apply keep what they
manage: hidden, not editable, attached to the Proxbox kinds that the server has and to
the core kinds that the project file names under mark. Run it again after an upgrade of
the plugin, or after naming more kinds: it attaches what is missing and changes nothing
else. It shows what it will do, and asks.

A token without the permission is told which one it lacks, and gets the request that
an administrator can run.`
}

func (c *initCommand) Run(a *app) error {
	p, err := findProject(a.dir)
	if err != nil {
		return err
	}
	if _, err := a.owner(c.ownerFlag, p); err != nil {
		return err
	}
	set := schema.Embedded()
	if c.WriteProject && c.URL == "" && (p == nil || p.URL == "") {
		if err := c.writeProject(a); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(a.stdout, "No server yet: put its url into %s, and run proxbox-sync init again.\n", projectName)
		return nil
	}
	// What is refused leaves no files behind.
	if _, ok := terminal(a.stdin); !ok && !c.AutoApprove {
		return usagef("there is no terminal to ask on: add --auto-approve")
	}
	client, err := a.connect(c.serverFlags, p, set)
	if err != nil {
		return err
	}
	if c.WriteProject {
		if err := c.writeProject(a); err != nil {
			return err
		}
	}
	var named []string
	if p != nil {
		named = p.Mark
	}
	f, err := planField(a.ctx, set, client, named)
	if err != nil {
		return err
	}
	return f.carryOut(a, c.AutoApprove)
}

// fieldPlan is what init does.
type fieldPlan struct {
	server reconcile.Server
	kind   *schema.Kind
	path   string // of the list of custom fields, below the API root
	plan   *reconcile.Plan
	types  []string
	hidden bool   // the token may not see custom fields
	lost   string // what became of a field that was there, see reconcile.LostMarkers
	may    *bool
	// identity names the installation from now on, "" where it has a name.
	identity string
}

// newInstallation is a name that no other installation has.
func newInstallation() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// planField works out what the custom field needs. What it is attached to
// already stays.
func planField(ctx context.Context, set *schema.Set, server reconcile.Server, named []string) (*fieldPlan, error) {
	f := &fieldPlan{server: server, kind: reconcile.MarkerKind(set)}
	types, err := markable(ctx, set, server, named)
	if err != nil {
		return nil, err
	}
	ability, err := server.Describe(ctx, f.kind.Name)
	if err != nil && !errors.Is(err, reconcile.ErrForbidden) {
		return nil, err
	}
	f.path, f.may = ability.Path, ability.Add
	now, err := reconcile.ReadMarkerField(ctx, set, server)
	switch {
	case errors.Is(err, reconcile.ErrForbidden):
		f.types, f.hidden = types, true
		return f, nil
	case err != nil:
		return nil, err
	case now.Row != 0 && now.Type != "json":
		return nil, fmt.Errorf("the server has a custom field %s of the type %q, which is not this program's: rename or remove it", reconcile.MarkerField, now.Type)
	case now.Row != 0:
		f.may = ability.Change
	default:
		if f.lost, err = reconcile.LostMarkers(ctx, server); err != nil {
			return nil, err
		}
	}
	f.types = slices.Compact(slices.Sorted(slices.Values(append(types, now.Types...))))
	if now.Identity == "" && !now.Notes {
		f.identity = newInstallation()
	}
	docs := []reconcile.Document{reconcile.MarkerFieldDocument(set, f.types, f.identity)}
	plan, list, err := reconcile.MakePlan(ctx, set, server, docs, reconcile.PlanOptions{})
	if err := failed(list, err); err != nil {
		return nil, err
	}
	f.plan = plan
	return f, nil
}

// markable lists the object types that can carry a marker and that the server has.
func markable(ctx context.Context, set *schema.Set, server reconcile.Server, named []string) ([]string, error) {
	var types []string
	for _, k := range reconcile.MarkedKinds(set, named) {
		ability, err := server.Describe(ctx, k.Name)
		switch {
		case errors.Is(err, reconcile.ErrNoKind):
			continue
		case err != nil && !errors.Is(err, reconcile.ErrForbidden):
			return nil, fmt.Errorf("asking for %s: %w", k.Name, err)
		}
		if _, has := ability.Fields["custom_fields"]; has || ability.Fields == nil {
			types = append(types, k.Resource.ObjectType)
		}
	}
	return types, nil
}

// carryOut shows the plan, asks, and writes.
func (f *fieldPlan) carryOut(a *app, approved bool) error {
	if f.hidden {
		return f.lacks(a, "view")
	}
	if len(f.plan.Steps) == 0 {
		_, _ = fmt.Fprintf(a.stdout, "The custom field %s is there, attached to %d object types. Nothing to do.\n", reconcile.MarkerField, len(f.types))
		return nil
	}
	if f.lost != "" {
		_ = render.Paragraph(a.stdout, fmt.Sprintf("The custom field %s is not there: %s.\n", reconcile.MarkerField, f.lost), a.style())
	}
	// Of the owner, whom the plan would speak of, nothing depends here.
	shown := *f.plan
	shown.Instance = reconcile.Instance{}
	_ = render.Paragraph(a.stdout, "Server: "+f.plan.Instance.URL+"\n", a.style())
	if err := a.showPlan(a.stdout, &shown, a.style()); err != nil {
		return err
	}
	if f.may != nil && !*f.may {
		return f.lacks(a, f.right())
	}
	if !approved {
		if err := a.confirm("Write this custom field?", "nothing was written"); err != nil {
			return err
		}
	}
	report := a.carryOut(f.server, f.plan, a.digest(f.plan, nil))
	if len(report.Steps) > 0 && report.Steps[0].Status == 403 {
		return f.lacks(a, f.right())
	}
	_, _ = fmt.Fprintln(a.stdout)
	code := codeOfReport(report)
	if err := render.Write(a.stdout, "text", render.NewReportDocument(report, a.record(report.Plan), nil, int(code)), a.style()); err != nil {
		return err
	}
	return said(code)
}

// right is the permission that the step needs.
func (f *fieldPlan) right() string {
	if f.plan.Steps[0].Change.Action == reconcile.Create {
		return "add"
	}
	return "change"
}

// lacks says which permission is missing, and what an administrator can run.
func (f *fieldPlan) lacks(a *app, right string) error {
	request := render.Request{Method: "POST", Path: "/api/" + f.listPath() + "/", Body: f.body()}
	if right == "change" {
		request.Method, request.Path = "PATCH", fmt.Sprintf("%s%d/", request.Path, f.plan.Steps[0].Change.Live.Row)
	}
	if right == "view" {
		_, _ = fmt.Fprintln(a.stdout, "Whether the custom field is there can't be seen. If it is not, an administrator can make it with this request:")
	} else {
		_, _ = fmt.Fprintln(a.stdout, "\nAn administrator can do it with this request:")
	}
	if err := render.RequestText(a.stdout, request, a.style()); err != nil {
		return err
	}
	return fmt.Errorf("nothing was written: the token lacks the permission %s", f.kind.Resource.Permission(right))
}

func (f *fieldPlan) listPath() string {
	if f.path != "" {
		return f.path
	}
	return f.kind.Resource.Paths[0]
}

// body is what the request sends.
func (f *fieldPlan) body() map[string]any {
	body := map[string]any{}
	if f.plan != nil {
		for _, fc := range f.plan.Steps[0].Change.Fields {
			body[fc.Name] = fc.After
		}
		return body
	}
	for _, m := range reconcile.MarkerFieldDocument(schema.Embedded(), f.types, f.identity).Spec.Members {
		body[m.Name] = m.Value.Value
	}
	body["object_types"] = f.types
	return body
}
