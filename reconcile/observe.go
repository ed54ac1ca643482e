package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"proxbox-sync/schema"
)

// readsAtOnce bounds how many kinds are read at the same time; the client
// bounds requests on its own.
const readsAtOnce = 4

// Observe reads what the desired objects need of the server: the live objects
// of their kinds, and of the kinds that their keys and references lead to, each
// with no more fields than are compared. With an owner it also reads the markers
// and, unless the run is a partial one, the objects of every kind that may have
// one; that costs one request more, for the custom field itself. Diagnostics say
// what the server does not have or the token may not see; the error is for a
// server that can't be read at all.
func Observe(ctx context.Context, set *schema.Set, server Server, desired *State, own Ownership) (*State, Diagnostics, error) {
	return observe(ctx, set, server, desired, own, true)
}

// observe is Observe. Unless whole lists are asked for, objects that nothing names
// may be left out.
func observe(ctx context.Context, set *schema.Set, server Server, desired *State, own Ownership, whole bool) (*State, Diagnostics, error) {
	needs := newNeeds(set)
	for _, kind := range sortedKeys(desired.Objects) {
		for _, o := range desired.Objects[kind] {
			needs.object(o)
		}
	}
	demanded := needs.kinds()
	for _, k := range set.Kinds() {
		if own.marks(k) && (own.Partial == "" || demanded[k.Name]) {
			needs.field(k, customFields)
			needs.fields(k, holdingReferences(k))
		}
	}
	queries := needs.queries()
	if !whole {
		needs.naming.wholeKinds(set, desired, own)
		for i := range queries {
			queries[i].Named = needs.naming.of(queries[i].Kind)
		}
	}
	reading := newReading(set, server)
	instance, err := reading.beside(ctx, func() error { return reading.all(ctx, queries) })
	if err != nil {
		return nil, nil, err
	}
	if err := reading.complete(ctx, queries); err != nil {
		return nil, nil, err
	}
	a := &abilities{server: server, instance: instance, reading: reading}
	for _, kind := range sortedKeys(desired.Objects) {
		if err := a.check(ctx, set.Kind(kind), desired.Objects[kind]); err != nil {
			return nil, nil, err
		}
	}
	a.checkTargets(demanded, desired)
	live := reading.state()
	live.Unread, live.Partly = reading.unread(), reading.partly()
	if own.Owner != "" {
		m := &marking{reading: reading, server: server, own: own}
		if err := m.look(ctx); err != nil {
			return nil, nil, err
		}
		warning, err := m.warning(ctx, desired)
		if err != nil {
			return nil, nil, err
		}
		live.Marked, live.Identity = m.kinds, m.field.Identity
		a.diags = append(a.diags, warning...)
	}
	return live, a.diags.Sorted(), nil
}

// holdingReferences are the references of a kind by which a delete of the target
// deletes the object, or is refused.
func holdingReferences(k *schema.Kind) []string {
	var names []string
	for _, f := range k.Fields {
		if f.Class == schema.Reference && (f.Ref.OnDelete == "cascade" || f.Ref.OnDelete == "refuse") {
			names = append(names, f.Name)
		}
	}
	return names
}

// unread says of which kinds objects may be missing, and why.
func (r *reading) unread() map[string]string {
	out := map[string]string{}
	for kind, c := range r.coverage {
		if !c.Complete {
			out[kind] = c.Why
		}
	}
	for kind, err := range r.failed {
		out[kind] = err.Error()
	}
	return out
}

// List reads the objects of one kind that a query asks for, and what their
// references need to be shown by key.
func List(ctx context.Context, set *schema.Set, server Server, q Query) (*State, Coverage, error) {
	kind := set.Kind(q.Kind)
	if q.Fields == nil {
		for _, f := range kind.Fields {
			if !f.WriteOnly {
				q.Fields = append(q.Fields, f.Name)
			}
		}
	}
	needs := newNeeds(set)
	needs.fields(kind, q.Fields)
	queries := needs.queries()
	for i := range queries {
		if queries[i].Kind == q.Kind {
			queries[i] = q
		}
	}
	reading := newReading(set, server)
	if err := reading.all(ctx, queries); err != nil {
		return nil, Coverage{}, err
	}
	if err := reading.failed[q.Kind]; err != nil {
		return nil, Coverage{}, fmt.Errorf("reading %s: %w", q.Kind, err)
	}
	live := reading.state()
	return live, reading.coverage[q.Kind], nil
}

// reading is the rows of several kinds.
type reading struct {
	set    *schema.Set
	server Server

	mu       sync.Mutex
	rows     map[string][]Row
	coverage map[string]Coverage
	failed   map[string]error // ErrNoKind or ErrForbidden, by kind
	asked    map[rowOf]bool   // by number, beside what was named
}

func newReading(set *schema.Set, server Server) *reading {
	return &reading{set: set, server: server, rows: map[string][]Row{}, coverage: map[string]Coverage{}, failed: map[string]error{}, asked: map[rowOf]bool{}}
}

// beside asks what the server is while it is read. What is wrong with the server as
// a whole comes before what is wrong with a list.
func (r *reading) beside(ctx context.Context, read func() error) (instance Instance, err error) {
	named := make(chan error, 1)
	go func() {
		var err error
		defer func() { named <- err }()
		defer Recovered(&err)
		instance, err = r.server.Instance(ctx)
	}()
	failed := read()
	return instance, cmp.Or(<-named, failed)
}

func (r *reading) all(ctx context.Context, queries []Query) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for _, q := range queries {
		group.Go(func() (err error) {
			defer Recovered(&err)
			var rows []Row
			coverage, err := r.server.Read(ctx, q, func(row Row) error {
				rows = append(rows, row)
				return nil
			})
			r.mu.Lock()
			defer r.mu.Unlock()
			switch {
			case errors.Is(err, ErrNoKind), errors.Is(err, ErrForbidden):
				r.failed[q.Kind] = err
			case err != nil:
				return fmt.Errorf("reading %s: %w", q.Kind, err)
			default:
				r.rows[q.Kind], r.coverage[q.Kind] = rows, coverage
			}
			return nil
		})
	}
	return group.Wait()
}

// state turns the rows into objects and their numbers into references.
func (r *reading) state() *State {
	live := &State{Objects: make(map[string][]*Object, len(r.rows))}
	byRow := make(map[string]map[RowID]*Object, len(r.rows))
	for name, rows := range r.rows {
		objects := make([]*Object, len(rows))
		index := make(map[RowID]*Object, len(rows))
		for i, row := range rows {
			objects[i] = &Object{Kind: r.set.Kind(name), Fields: row.Fields, Row: row.ID, Version: row.Version}
			index[row.ID] = objects[i]
		}
		live.Objects[name], byRow[name] = objects, index
	}
	for name, objects := range live.Objects {
		refs := referenceFields(r.set.Kind(name))
		for _, o := range objects {
			for _, f := range refs {
				if v, ok := o.Fields[f.Name]; ok {
					o.Fields[f.Name] = toRefs(f.Ref.Kind, v, byRow)
				}
			}
		}
	}
	return live
}

func referenceFields(k *schema.Kind) []*schema.Field {
	var refs []*schema.Field
	for _, f := range k.Fields {
		if f.Ref != nil {
			refs = append(refs, f)
		}
	}
	return refs
}

func toRefs(kind string, v any, byRow map[string]map[RowID]*Object) any {
	switch v := v.(type) {
	case RowID:
		return Ref{Target: byRow[kind][v], Kind: kind, Row: v}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = toRefs(kind, v[i], byRow)
		}
		return list
	}
	return v
}
