package reconcile

import (
	"errors"
	"fmt"
	"slices"

	"proxbox-sync/schema"
)

// home names what an object of the plugin hangs on, by which large kinds are
// split: the first reference in its key, or else the one that it is deleted
// with, and so on from there.
func (e *exporting) home(o *Object) string {
	if !plugin(o.Kind) {
		return ""
	}
	hangs := false
	for range maxKeyDepth {
		f := hangsOn(o.Kind)
		if f == nil {
			break
		}
		hangs = true
		ref, _ := o.Fields[f.Name].(Ref)
		if ref.Target == nil {
			break
		}
		o = ref.Target
	}
	if !hangs {
		return ""
	}
	return o.Display()
}

// hangsOn is the reference by which objects of a kind belong together.
func hangsOn(k *schema.Kind) *schema.Field {
	for _, name := range k.Resource.Key {
		if f := k.Field(name); f.Class == schema.Reference {
			return f
		}
	}
	if !plugin(k) {
		return nil
	}
	i := slices.IndexFunc(k.Fields, func(f *schema.Field) bool { return f.Class == schema.Reference && f.Ref.OnDelete == "cascade" })
	if i < 0 {
		return nil
	}
	return k.Fields[i]
}

// follow notes what an exported object needs to be there before it.
func (e *exporting) follow(x *Exported) {
	if !e.o.References {
		return
	}
	o := x.Object
	for _, f := range x.Fields {
		switch v := o.Fields[f.Name].(type) {
		case Ref:
			e.need(o, f.Name, v)
		case []any:
			for _, item := range v {
				if ref, ok := item.(Ref); ok {
					e.need(o, f.Name, ref)
				}
			}
		}
		if entries, ok := f.Value.(map[string]any); ok && o.Kind.Field(f.Name).Class == schema.Map {
			for name := range entries {
				e.customs[name] = true
			}
		}
	}
}

func (e *exporting) need(o *Object, field string, r Ref) {
	k := e.set.Kind(r.Kind)
	switch {
	case r.Target == nil:
	case k.Resource.Mode == schema.Lookup:
		e.note(r.Target, "", "objects refer to it, and no manifest can make it: it must be there before a restore", false)
	case plugin(k), e.scope[k.Name]:
		if live := e.byRow[r.Kind][r.Target.Row]; !e.scope[r.Kind] || !e.chosenLive(live) || !e.ours(live) {
			e.note(o, field, r.Target.Label()+" is not part of the export", true)
		}
	default:
		if e.referenced[r.Kind] == nil {
			e.referenced[r.Kind] = map[RowID]bool{}
		}
		e.referenced[r.Kind][r.Target.Row] = true
	}
}

// references hands out the core objects that others refer to, and what those
// refer to in turn.
func (e *exporting) references() error {
	done := map[string]map[RowID]bool{}
	marker := MarkerKind(e.set)
	for {
		for _, r := range e.customRows {
			if name, _ := r.Fields["name"].(string); e.customs[name] && marker != nil && !e.scope[marker.Name] {
				if e.referenced[marker.Name] == nil {
					e.referenced[marker.Name] = map[RowID]bool{}
				}
				e.referenced[marker.Name][r.ID] = true
			}
		}
		again := false
		for _, kind := range sortedKeys(e.referenced) {
			var rows []RowID
			for row := range e.referenced[kind] {
				if !done[kind][row] {
					rows = append(rows, row)
				}
			}
			if len(rows) == 0 {
				continue
			}
			again = true
			if done[kind] == nil {
				done[kind] = map[RowID]bool{}
			}
			for _, row := range rows {
				done[kind][row] = true
			}
			if err := e.referred(e.set.Kind(kind), rows); err != nil {
				return err
			}
		}
		if !again {
			return nil
		}
	}
}

func (e *exporting) referred(k *schema.Kind, rows []RowID) error {
	slices.Sort(rows)
	_, err := e.server.Read(e.ctx, Query{Kind: k.Name, Fields: readable(k), Rows: rows}, func(r Row) error {
		o := e.fromRow(k, r)
		if known := e.byRow[k.Name][r.ID]; known != nil {
			o.Peer = known.Peer
		}
		return e.object(o, true)
	})
	if errors.Is(err, ErrForbidden) || errors.Is(err, ErrNoKind) {
		e.out.Unread[k.Name] = err.Error()
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", k.Name, err)
	}
	return nil
}
