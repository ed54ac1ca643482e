package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// seeDeleted reads, of the objects that a plan deletes, the fields that were
// managed: what a reviewer is to see go, and what the step stands on. It costs a
// request for each kind of which something is deleted.
func seeDeleted(ctx context.Context, set *schema.Set, server Server, live *State, changes []*Change) error {
	byKind := map[string][]*Change{}
	for _, c := range changes {
		if c.Action == Delete {
			c.managed = managedFields(c)
			byKind[c.Live.Kind.Name] = append(byKind[c.Live.Kind.Name], c)
		}
	}
	for _, kind := range sortedKeys(byKind) {
		rows := map[RowID]*Change{}
		q := Query{Kind: kind}
		for _, c := range byKind[kind] {
			rows[c.Live.Row] = c
			q.Rows = append(q.Rows, c.Live.Row)
			for _, name := range c.managed {
				if _, read := c.Live.Fields[name]; !read && !slices.Contains(q.Fields, name) {
					q.Fields = append(q.Fields, name)
				}
			}
		}
		if len(q.Fields) == 0 {
			continue
		}
		slices.Sort(q.Fields)
		byRow := liveRows(set.Kind(kind), q.Fields, live)
		_, err := server.Read(ctx, q, func(r Row) error {
			c := rows[r.ID]
			if c == nil || r.Version != c.Live.Version {
				return nil // it has changed since: the delete itself will notice
			}
			for name, v := range r.Fields {
				if f := c.Live.Kind.Field(name); f != nil && f.Ref != nil {
					v = toRefs(f.Ref.Kind, v, byRow)
				}
				c.Live.Fields[name] = v
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrForbidden) && !errors.Is(err, ErrNoKind) {
			return fmt.Errorf("reading %s that are to be deleted: %w", kind, err)
		}
	}
	return nil
}

// liveRows indexes the live objects that fields of a kind can refer to.
func liveRows(k *schema.Kind, fields []string, live *State) map[string]map[RowID]*Object {
	out := map[string]map[RowID]*Object{}
	for _, name := range fields {
		f := k.Field(name)
		if f == nil || f.Ref == nil || out[f.Ref.Kind] != nil {
			continue
		}
		rows := map[RowID]*Object{}
		for _, o := range live.Objects[f.Ref.Kind] {
			rows[o.Row] = o
		}
		out[f.Ref.Kind] = rows
	}
	return out
}

// managedFields are the readable fields that the marker of a deleted object
// records.
func managedFields(c *Change) []string {
	m, form := markerOf(c.Live)
	if form != goodMarker {
		return nil
	}
	var names []string
	for name := range m.Fields {
		f := c.Live.Kind.Field(name)
		if f != nil && !f.WriteOnly && !strings.Contains(name, ".") && !slices.Contains(c.Live.Kind.Resource.Key, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
