package reconcile

import (
	"context"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// naming collects, by kind, the names by which a run needs objects of it, so that
// a server with many others need not be read as a whole. A name is the value of a
// text or an address; a kind of which something is needed in another way has none.
//
// What is found by its name is found with all its namesakes. What is not found so
// may have been renamed on the server; then whole lists are read (see meet).
type naming struct {
	values map[string]map[string]map[string]bool // by kind, field, value
	whole  map[string]bool
}

func newNaming() *naming {
	return &naming{values: map[string]map[string]map[string]bool{}, whole: map[string]bool{}}
}

// add notes that objects of a kind are needed whose fields have these values: by
// the last of the given fields that is a name.
func (n *naming) add(kind *schema.Kind, names []string, value func(string) any) {
	for _, name := range slices.Backward(names) {
		f := kind.Field(name)
		if f == nil || f.WriteOnly || f.Class != schema.Text && f.Class != schema.Address {
			continue
		}
		text, ok := value(name).(string)
		if text = strings.TrimSpace(text); !ok || text == "" {
			continue
		}
		if n.values[kind.Name] == nil {
			n.values[kind.Name] = map[string]map[string]bool{}
		}
		if n.values[kind.Name][name] == nil {
			n.values[kind.Name][name] = map[string]bool{}
		}
		n.values[kind.Name][name][text] = true
		return
	}
	n.whole[kind.Name] = true
}

// object notes by which name a desired object is found, and by which it was before.
func (n *naming) object(o *Object) {
	key := o.Kind.Resource.Key
	n.add(o.Kind, key, func(name string) any { return o.Fields[name] })
	if o.renamedFrom != nil {
		n.add(o.Kind, key, func(name string) any {
			if v, ok := o.renamedFrom[name]; ok {
				return v
			}
			return o.Fields[name]
		})
	}
}

// selector notes by which name the target of a reference is found.
func (n *naming) selector(kind *schema.Kind, s Selector) {
	names := slices.DeleteFunc(sortedKeys(s.Fields), func(name string) bool { return slices.Contains(kind.Resource.Key, name) })
	n.add(kind, append(names, kind.Resource.Key...), func(name string) any { return s.Fields[name] })
}

// of lists the names of a kind by field, nil where the whole kind is needed.
func (n *naming) of(kind string) map[string][]string {
	if n.whole[kind] || len(n.values[kind]) == 0 {
		return nil
	}
	out := map[string][]string{}
	for field, values := range n.values[kind] {
		out[field] = sortedKeys(values)
	}
	return out
}

// wholeKinds are those of which every object is needed, whatever the documents
// name: all of them where something may be deleted, since what else hangs on it
// has to be seen, and those in which a whole run looks for orphans.
func (n *naming) wholeKinds(set *schema.Set, desired *State, own Ownership) {
	deletes := own.Prune || own.PruneAdopted
	for _, objects := range desired.Objects {
		deletes = deletes || slices.ContainsFunc(objects, func(o *Object) bool { return o.Doc.Meta.Absent })
	}
	for _, k := range set.Kinds() {
		if deletes || own.marks(k) && own.Partial == "" {
			n.whole[k.Name] = true
		}
	}
}

// complete reads the objects that rows refer to and that were left out, since
// nothing names them: a reference is shown by the key of its target.
func (r *reading) complete(ctx context.Context, queries []Query) error {
	for {
		var more []Query
		for _, q := range queries {
			if rows := r.leftOut(q.Kind); len(rows) > 0 {
				more = append(more, Query{Kind: q.Kind, Fields: q.Fields, Rows: rows})
			}
		}
		if len(more) == 0 {
			return nil
		}
		before := r.rows
		coverage := r.coverage
		r.rows, r.coverage = map[string][]Row{}, map[string]Coverage{}
		if err := r.all(ctx, more); err != nil {
			return err
		}
		for _, q := range more {
			before[q.Kind] = append(before[q.Kind], r.rows[q.Kind]...)
			for _, row := range q.Rows {
				r.asked[rowOf{q.Kind, row}] = true
			}
		}
		r.rows, r.coverage = before, coverage
	}
}

// rowOf is a row by the name of its kind.
type rowOf struct {
	kind string
	row  RowID
}

// leftOut are the rows of a kind that others refer to and that were not read.
func (r *reading) leftOut(kind string) []RowID {
	if !r.coverage[kind].Partly {
		return nil
	}
	seen := make(map[RowID]bool, len(r.rows[kind]))
	for _, row := range r.rows[kind] {
		seen[row.ID] = true
	}
	var out []RowID
	for name, rows := range r.rows {
		for _, f := range referenceFields(r.set.Kind(name)) {
			if f.Ref.Kind != kind {
				continue
			}
			for _, row := range rows {
				for _, id := range rowIDs(row.Fields[f.Name]) {
					if !seen[id] && !r.asked[rowOf{kind, id}] {
						seen[id] = true
						out = append(out, id)
					}
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func rowIDs(v any) []RowID {
	switch v := v.(type) {
	case RowID:
		return []RowID{v}
	case []any:
		var out []RowID
		for _, item := range v {
			out = append(out, rowIDs(item)...)
		}
		return out
	}
	return nil
}

// partly names the kinds of which objects were left out.
func (r *reading) partly() map[string]bool {
	out := map[string]bool{}
	for kind, c := range r.coverage {
		if c.Partly {
			out[kind] = true
		}
	}
	return out
}

// meet observes what the desired objects need of the server and links the two.
// Where objects were looked up by name and that was not enough, to find one by its
// marker or to say what was probably meant, it does so again with whole lists, and
// with a desired state made anew, since linking changes it. Diags are those of it.
func meet(
	ctx context.Context, set *schema.Set, server Server, docs []Document, o PlanOptions, desired *State, diags Diagnostics,
) (*State, *State, Diagnostics, error) {
	for whole := false; ; whole = true {
		if whole {
			desired, diags = Desired(set, docs, o.Desired)
		}
		live, more, err := observe(ctx, set, server, desired, o.Ownership, whole)
		if diags = append(diags, more...); err != nil || more.HasErrors() {
			return nil, nil, diags, err
		}
		diags = append(diags, LinkOwned(set, desired, live, o.Ownership)...)
		if len(live.Partly) == 0 || !diags.HasErrors() && !strayed(desired, live, o.Ownership) {
			return desired, live, diags, nil
		}
	}
}

// strayed reports whether an object that could carry a marker was not found by
// its name, while others of its kind were left out.
func strayed(desired, live *State, own Ownership) bool {
	for kind := range live.Partly {
		for _, o := range desired.Objects[kind] {
			if o.Peer == nil && own.marks(o.Kind) {
				return true
			}
		}
	}
	return false
}
