package reconcile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// rereads bounds how often what changed while it was read is read again.
const rereads = 3

// read reads every kind that is held as a whole: those that are exported, and
// the keys of what they refer to.
func (e *exporting) read() error {
	instance, err := e.server.Instance(e.ctx)
	if err != nil {
		return err
	}
	e.out.Instance = instance
	e.scope, e.streamed = map[string]bool{}, map[string]bool{}
	needs := newNeeds(e.set)
	for _, k := range e.set.Kinds() {
		if e.inScope(k) {
			e.scope[k.Name] = true
			needs.fields(k, readable(k))
		}
	}
	for _, kind := range sortedKeys(e.documents.Objects) {
		for _, o := range e.documents.Objects[kind] {
			needs.object(o)
			needs.field(o.Kind, customFields)
		}
	}
	if e.o.References {
		if k := MarkerKind(e.set); k != nil {
			needs.key(k)
		}
		e.reachable(needs)
	}
	e.distinguishing(needs)
	queries := e.held(needs.queries())
	e.reading = newReading(e.set, e.server)
	if err := e.reading.all(e.ctx, queries); err != nil {
		return err
	}
	if err := e.settle(queries); err != nil {
		return err
	}
	e.refused()
	if err := e.customFields(); err != nil {
		return err
	}
	e.live = e.reading.state()
	e.live.Unread = e.reading.unread()
	e.live.Marked = map[string]bool{}
	for kind := range e.scope {
		e.live.Marked[kind] = e.o.Ownership.marks(e.set.Kind(kind))
	}
	e.byRow = map[string]map[RowID]*Object{}
	for kind, objects := range e.live.Objects {
		e.byRow[kind] = make(map[RowID]*Object, len(objects))
		for _, o := range objects {
			e.byRow[kind][o.Row] = o
		}
	}
	return nil
}

// held are the queries of kinds that are held as a whole; the others are streamed.
func (e *exporting) held(queries []Query) []Query {
	target := map[string]bool{}
	for _, k := range e.set.Kinds() {
		for _, f := range referenceFields(k) {
			target[f.Ref.Kind] = true
		}
	}
	return slices.DeleteFunc(queries, func(q Query) bool {
		if e.scope[q.Kind] && !target[q.Kind] && len(e.documents.Objects[q.Kind]) == 0 && len(e.set.Kind(q.Kind).Resource.Key) > 0 {
			e.streamed[q.Kind] = true
		}
		return e.streamed[q.Kind]
	})
}

// readable lists what of a kind can be asked for.
func readable(k *schema.Kind) []string {
	var names []string
	for _, f := range k.Fields {
		if !f.WriteOnly && !f.ReadOnly || slices.Contains(k.Resource.Key, f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}

// reachable asks for the keys of every core kind that an exported one leads to.
func (e *exporting) reachable(needs *needs) {
	for again := true; again; {
		again = false
		for _, name := range sortedKeys(needs.wanted) {
			for _, f := range referenceFields(e.set.Kind(name)) {
				if needs.wanted[f.Ref.Kind] == nil {
					needs.key(e.set.Kind(f.Ref.Kind))
					again = true
				}
			}
		}
	}
}

// settle reads again what changed while it was read, so that what was read
// stood on the server at one moment. What never comes to rest is said.
func (e *exporting) settle(queries []Query) error {
	queries = slices.DeleteFunc(slices.Clone(queries), func(q Query) bool {
		return !e.scope[q.Kind] || e.reading.failed[q.Kind] != nil
	})
	for range rereads {
		var moved []Query
		for _, q := range queries {
			same, err := e.unmoved(q.Kind)
			if err != nil {
				return err
			}
			if !same {
				moved = append(moved, q)
			}
		}
		if len(moved) == 0 {
			return nil
		}
		if err := e.reading.all(e.ctx, moved); err != nil {
			return err
		}
		queries = moved
	}
	for _, q := range queries {
		e.restless(q.Kind)
	}
	return nil
}

func (e *exporting) restless(kind string) {
	e.diags = append(e.diags, Diagnostic{Severity: Warning, Code: "changed-meanwhile",
		Summary: fmt.Sprintf("%s: objects changed each time they were read", kind),
		Detail:  "the export holds each as it was read last; run it again once the plugin's synchronisation is done"})
}

// unmoved reports whether a kind still has the rows that were read, unchanged.
func (e *exporting) unmoved(kind string) (bool, error) {
	now, err := e.versions(kind)
	if err != nil {
		return false, err
	}
	rows := e.reading.rows[kind]
	if len(now) != len(rows) {
		return false, nil
	}
	for _, r := range rows {
		if version, there := now[r.ID]; !there || version != r.Version {
			return false, nil
		}
	}
	return true, nil
}

// versions reads the ids of a kind's objects and when each last changed.
func (e *exporting) versions(kind string) (map[RowID]string, error) {
	out := map[RowID]string{}
	_, err := e.server.Read(e.ctx, Query{Kind: kind, Fields: []string{}}, func(r Row) error {
		out[r.ID] = r.Version
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s again: %w", kind, err)
	}
	return out, nil
}

// refused says of which exported kinds the token sees nothing, or not all. Of the
// others it matters only where something refers to what is hidden, which is said
// there.
func (e *exporting) refused() {
	for _, kind := range sortedKeys(e.reading.failed) {
		err := e.reading.failed[kind]
		switch {
		case errors.Is(err, ErrNoKind) && !e.named(kind):
			// Not every version of the plugin has every kind.
		case e.scope[kind]:
			e.out.Unread[kind] = err.Error()
		}
	}
	for kind, c := range e.reading.coverage {
		if !c.Complete {
			e.out.Unread[kind] = c.Why
		}
	}
}

// named reports whether somebody asked for a kind by its name.
func (e *exporting) named(kind string) bool {
	return len(e.documents.Objects[kind]) > 0 || slices.ContainsFunc(e.o.Select, func(s Selection) bool { return s.Kind == kind })
}

// stream hands out the objects of a kind as they are read. Those that changed
// until the end are read and handed out again.
func (e *exporting) stream(k *schema.Kind) error {
	seen := map[RowID]string{}
	emit := func(r Row) error {
		seen[r.ID] = r.Version
		o := e.fromRow(k, r)
		if !e.wanted(o) {
			e.alone(o) // one that is wanted may be like it
			return nil
		}
		return e.object(o, false)
	}
	query := Query{Kind: k.Name, Fields: readable(k)}
	coverage, err := e.server.Read(e.ctx, query, emit)
	switch {
	case errors.Is(err, ErrNoKind) && !e.named(k.Name):
		return nil
	case errors.Is(err, ErrNoKind), errors.Is(err, ErrForbidden):
		e.out.Unread[k.Name] = err.Error()
		return nil
	case err != nil:
		return fmt.Errorf("reading %s: %w", k.Name, err)
	case !coverage.Complete:
		e.out.Unread[k.Name] = coverage.Why
	}
	for range rereads {
		moved, err := e.moved(k, seen)
		if err != nil || len(moved) == 0 {
			return err
		}
		query.Rows = moved
		if _, err := e.server.Read(e.ctx, query, emit); err != nil {
			return fmt.Errorf("reading %s again: %w", k.Name, err)
		}
	}
	e.restless(k.Name)
	return nil
}

// moved lists the rows of a kind that came or changed since they were seen, and
// drops those that went.
func (e *exporting) moved(k *schema.Kind, seen map[RowID]string) ([]RowID, error) {
	now, err := e.versions(k.Name)
	if err != nil {
		return nil, err
	}
	var moved []RowID
	for row, version := range now {
		if seen[row] != version {
			if _, before := seen[row]; before {
				e.out.Counts[k.Name]--
			}
			moved = append(moved, row)
		}
	}
	for row := range seen {
		if _, there := now[row]; !there {
			e.drop(k.Name, row)
			delete(seen, row)
		}
	}
	return moved, nil
}

// fromRow makes a live object of a row, its references resolved.
func (e *exporting) fromRow(k *schema.Kind, r Row) *Object {
	o := &Object{Kind: k, Fields: r.Fields, Row: r.ID, Version: r.Version}
	for _, f := range referenceFields(k) {
		if v, ok := o.Fields[f.Name]; ok {
			o.Fields[f.Name] = toRefs(f.Ref.Kind, v, e.byRow)
		}
	}
	o.Key, _ = o.keyText()
	return o
}

func compareNotes(a, b ExportNote) int {
	return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Field, b.Field), strings.Compare(a.Why, b.Why))
}
