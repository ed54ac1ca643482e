package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"proxbox-sync/schema"
)

// cascading works out what the deletes of a plan take along: objects that refer
// to a deleted one by a reference that cascades, by name, and rows of kinds that
// the schema does not have, by number.
type cascading struct {
	ctx     context.Context
	set     *schema.Set
	server  Server
	own     *owning
	live    *State
	deleted map[*Object]bool
	// by indexes live objects by kind, field and the row they refer to.
	by    map[string]map[RowID][]*Object
	diags Diagnostics
}

// takes fills in Change.Takes for every delete.
func (c *cascading) takes(changes []*Change) error {
	c.deleted, c.by = map[*Object]bool{}, map[string]map[RowID][]*Object{}
	for _, change := range changes {
		if change.Action == Delete {
			c.deleted[change.Live] = true
		}
	}
	for _, change := range changes {
		if change.Action != Delete {
			continue
		}
		taken := map[string]*Taken{}
		if err := c.follow(change, change.Live, taken, map[*Object]bool{}); err != nil {
			return fmt.Errorf("working out what deleting %s takes along: %w", change.Live, err)
		}
		for _, what := range sortedKeys(taken) {
			slices.Sort(taken[what].Objects)
			change.Takes = append(change.Takes, *taken[what])
		}
	}
	return nil
}

func (c *cascading) follow(change *Change, o *Object, taken map[string]*Taken, seen map[*Object]bool) error {
	for _, k := range c.set.Kinds() {
		for _, f := range k.Fields {
			if f.Class != schema.Reference || f.Ref.Kind != o.Kind.Name || f.Ref.OnDelete != "cascade" {
				continue
			}
			referrers, all, err := c.referrers(k, f, o.Row)
			if err != nil {
				return err
			}
			if !all {
				note(taken, k.Name).Unknown = true
			}
			for _, r := range referrers {
				if seen[r] {
					continue
				}
				seen[r] = true
				c.take(change, r, taken)
				if err := c.follow(change, r, taken, seen); err != nil {
					return err
				}
			}
		}
	}
	return c.foreign(o, taken)
}

// note is the entry of a kind or path, made where there is none.
func note(taken map[string]*Taken, what string) *Taken {
	if taken[what] == nil {
		taken[what] = &Taken{What: what}
	}
	return taken[what]
}

// take notes an object that goes along, unless the plan deletes it on its own.
func (c *cascading) take(change *Change, r *Object, taken map[string]*Taken) {
	if c.deleted[r] {
		return
	}
	t := note(taken, r.Kind.Name)
	t.Objects = append(t.Objects, r.Display())
	t.Count++
	m, form := markerOf(r)
	refuse := ""
	switch {
	case form == foreignMarker:
		refuse = "it carries a marker that this version can't read"
	case form == goodMarker && m.Owner != c.own.Owner:
		refuse = fmt.Sprintf("it is managed by the owner %q", m.Owner)
	case form == goodMarker && m.Protect:
		refuse = "it is protected"
	default:
		return
	}
	c.diags = append(c.diags, Diagnostic{Severity: Error, Trouble: Policy, Code: "cascade-refused", Object: change.Object().String(),
		Summary: fmt.Sprintf("deleting it would take %s along: %s", r, refuse), Detail: "nothing is deleted"})
}

// referrers are the live objects whose field refers to a row: from what was
// read already, else asked for. all is false where there may be others.
func (c *cascading) referrers(k *schema.Kind, f *schema.Field, row RowID) (list []*Object, all bool, err error) {
	name := k.Name + "." + f.Name
	index, ok := c.by[name]
	if !ok {
		index = map[RowID][]*Object{}
		complete := len(c.live.Objects[k.Name]) > 0 && c.live.Unread[k.Name] == "" && !c.live.Partly[k.Name]
		for _, o := range c.live.Objects[k.Name] {
			ref, is := o.Fields[f.Name].(Ref)
			if _, read := o.Fields[f.Name]; !read {
				complete = false
			}
			if is {
				index[ref.Row] = append(index[ref.Row], o)
			}
		}
		if !complete {
			index = nil
		}
		c.by[name] = index
	}
	if index != nil {
		return index[row], true, nil
	}
	fields := append(slices.Clone(k.Resource.Key), f.Name)
	if k.Field(customFields) != nil {
		fields = append(fields, customFields)
	}
	q := Query{Kind: k.Name, Fields: fields, Where: map[string]any{f.Name: row}}
	found, coverage, err := List(c.ctx, c.set, c.server, q)
	switch {
	case errors.Is(err, ErrNoKind):
		return nil, true, nil
	case errors.Is(err, ErrForbidden):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	}
	return found.Objects[k.Name], coverage.Complete, nil
}

// foreign counts rows at paths that no kind of ours describes.
func (c *cascading) foreign(o *Object, taken map[string]*Taken) error {
	for _, cascade := range o.Kind.Resource.Cascades {
		if cascade.Kind != "" {
			continue
		}
		n, err := 0, error(ErrForbidden)
		if cascade.Filter != "" {
			n, err = c.server.Count(c.ctx, cascade.Path, cascade.Filter, o.Row)
		}
		switch {
		case errors.Is(err, ErrNoKind), err == nil && n == 0:
			continue
		case err != nil && !errors.Is(err, ErrForbidden):
			return err
		}
		t := note(taken, cascade.Path)
		t.Count += n
		t.Unknown = t.Unknown || err != nil
	}
	return nil
}
