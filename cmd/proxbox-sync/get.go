package main

import (
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type getCommand struct {
	serverFlags
	Kind   string `arg:"" help:"The kind, for example ProxmoxStorage."`
	Key    string `arg:"" optional:"" help:"One object, by its key (prod/local-lvm)."`
	Query  string `short:"q" help:"Only objects that the server finds for this text." placeholder:"TEXT" group:"Output"`
	Format string `help:"Form of the result: ${enum}." enum:"table,text,yaml,json" default:"table" group:"Output"`
}

// Help is shown by get --help.
func (*getCommand) Help() string {
	return `Reads live objects: as a table, as manifests (yaml), or as JSON. References are
shown by key. Secrets are never read.`
}

func (c *getCommand) result() (string, bool) { return render.ObjectsFormat, c.Format == "json" }

func (c *getCommand) Run(a *app) error {
	set := schema.Embedded()
	kind, err := findKind(set, c.Kind)
	if err != nil {
		return err
	}
	p, err := findProject(a.dir)
	if err != nil {
		return err
	}
	client, err := a.connect(c.serverFlags, p, set)
	if err != nil {
		return err
	}
	state, coverage, err := reconcile.List(a.ctx, set, client, reconcile.Query{Kind: kind.Name, Search: c.Query})
	if err != nil {
		return err
	}
	objects := sorted(state.Objects[kind.Name])
	for _, o := range objects {
		reconcile.WithoutMarker(o)
	}
	if c.Key != "" {
		if objects, err = withKey(objects, kind, c.Key); err != nil {
			return err
		}
	}
	if !coverage.Complete && coverage.Why != "" {
		_, _ = fmt.Fprintf(a.stderr, "warning: the list may not be complete: %s\n", render.Escape(coverage.Why))
	}
	return c.show(a, kind, objects)
}

func (c *getCommand) show(a *app, kind *schema.Kind, objects []*reconcile.Object) error {
	switch c.Format {
	case "json":
		return render.ObjectsJSON(a.stdout, objects, nil)
	case "yaml":
		return render.Manifests(a.stdout, objects, a.style())
	}
	if len(objects) == 0 {
		_, _ = fmt.Fprintf(a.stderr, "no %s\n", kind.Name)
		return nil
	}
	return render.Table(a.stdout, kind, objects, a.style())
}

// sorted puts objects in the order of their keys, which doesn't depend on which
// was made first.
func sorted(objects []*reconcile.Object) []*reconcile.Object {
	slices.SortStableFunc(objects, func(a, b *reconcile.Object) int { return strings.Compare(a.Display(), b.Display()) })
	return objects
}

// findKind looks up a kind that somebody typed.
func findKind(set *schema.Set, name string) (*schema.Kind, error) {
	if k := set.Kind(name); k != nil {
		return k, nil
	}
	if near := schema.Nearest(name, kindNames(set)); near != "" {
		return nil, usagef("there is no kind %q; did you mean %s?", name, near)
	}
	return nil, usagef("there is no kind %q; proxbox-sync explain lists them", name)
}

func withKey(objects []*reconcile.Object, kind *schema.Kind, key string) ([]*reconcile.Object, error) {
	var out []*reconcile.Object
	var names []string
	for _, o := range objects {
		names = append(names, o.Display())
		if o.Display() == key {
			out = append(out, o)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if near := schema.Nearest(key, names); near != "" {
		return nil, fmt.Errorf("the server has no %s %q that this token may see; did you mean %q?", kind.Name, key, near)
	}
	return nil, fmt.Errorf("the server has no %s %q that this token may see", kind.Name, key)
}
