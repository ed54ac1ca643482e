package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"proxbox-sync/schema"
)

// standing is where a live object stands, compared with what a step was
// planned from and what it leads to. It is about meaning: last_updated alone
// proves nothing, since the plugin's synchronisation touches objects all the time.
type standing int

const (
	elsewhere standing = iota // it has other values: a conflict
	before                    // as planned: the step is to be done
	after                     // the step is done already
)

// locate looks up an object whose write was refused by its guard, or may or may
// not have arrived.
func (a *applying) locate(s *Step) (standing, error) {
	switch s.Change.Action {
	case Create:
		return a.locateCreate(s)
	case Delete:
		return a.locateDelete(s)
	}
	return a.locateUpdate(s)
}

// locateCreate looks for the object by its key. One that has all declared
// fields is ours, secrets included: they went in the same request.
func (a *applying) locateCreate(s *Step) (standing, error) {
	c := s.Change
	where := map[string]any{}
	for _, name := range c.Object().Kind.Resource.Key {
		where[name] = a.wireValue(c.Object().Kind.Field(name), c.Object().Fields[name])
	}
	var found []Row
	err := a.read(Query{Kind: c.Object().Kind.Name, Fields: fieldNames(c), Where: where}, func(r Row) error {
		if !slices.Contains(c.namesakes, r.ID) {
			found = append(found, r)
		}
		return nil
	})
	switch {
	case err != nil:
		return elsewhere, err
	case len(found) == 0:
		return before, nil
	case len(found) > 1:
		return elsewhere, nil
	}
	a.rows[c.Object()], a.versions[c.Object()] = found[0].ID, found[0].Version
	if a.agreesAll(c, found[0], wanted) && a.agrees(c, found[0], extraDeclared(c.Object())) && c.markerIs(found[0], true) {
		return after, nil
	}
	return elsewhere, nil
}

// locateUpdate reads the object again. A step that sends a secret is never
// taken for done after a lost answer, since a secret can't be read back;
// sending it twice does no harm.
func (a *applying) locateUpdate(s *Step) (standing, error) {
	c := s.Change
	var row *Row
	err := a.read(Query{Kind: c.Object().Kind.Name, Fields: fieldNames(c), Rows: []RowID{a.row(c.Object())}}, func(r Row) error {
		row = &r
		return nil
	})
	switch {
	case err != nil:
		return elsewhere, err
	case row == nil:
		return elsewhere, nil
	}
	a.versions[c.Object()] = row.Version
	if !a.holds(c, *row) {
		return elsewhere, nil
	}
	done := a.agreesAll(c, *row, wanted) && c.markerIs(*row, true)
	switch {
	case done && len(c.Secrets) == 0:
		return after, nil
	case done, a.agreesAll(c, *row, planned) && c.markerIs(*row, false):
		return before, nil
	}
	return elsewhere, nil
}

// locateDelete: gone is done. One that is still there may be deleted only while
// it is what the plan saw: the same key and the same marker.
func (a *applying) locateDelete(s *Step) (standing, error) {
	live := s.Change.Live
	names := slices.Clone(live.Kind.Resource.Key)
	if _, ok := live.Fields[customFields]; ok {
		names = append(names, customFields)
	}
	found, version, same := false, "", true
	err := a.read(Query{Kind: live.Kind.Name, Fields: names, Rows: []RowID{live.Row}}, func(r Row) error {
		found, version = true, r.Version
		for _, name := range names {
			f := live.Kind.Field(name)
			same = same && canonical(f, a.wireValue(f, live.Fields[name])) == canonical(f, r.Fields[name])
		}
		return nil
	})
	switch {
	case err != nil:
		return elsewhere, err
	case !found:
		return after, nil
	case !same:
		return elsewhere, nil
	}
	a.versions[live] = version
	return before, nil
}

func (a *applying) read(q Query, row func(Row) error) error {
	// Also after an interrupt: what was sent must have a known fate.
	_, err := a.server.Read(context.WithoutCancel(a.ctx), q, row)
	if errors.Is(err, ErrNoKind) || errors.Is(err, ErrForbidden) {
		return fmt.Errorf("reading %s: %w", q.Kind, err)
	}
	return err
}

func fieldNames(c *Change) []string {
	var names []string
	for _, fc := range c.Fields {
		names = append(names, fc.Field.Name)
	}
	for _, f := range c.held {
		names = append(names, f.Name)
	}
	if c.Marker != nil {
		names = append(names, customFields)
	}
	return append(append(names, c.Object().Kind.Resource.Key...), extraDeclared(c.Object())...)
}

// wanted and planned are the two values of a field change that a live value is
// compared with.
func wanted(fc FieldChange) any  { return fc.wire }
func planned(fc FieldChange) any { return fc.from }

// agreesAll reports whether a row has the values of all fields that a change sets.
func (a *applying) agreesAll(c *Change, r Row, value func(FieldChange) any) bool {
	for _, fc := range c.Fields {
		live := r.Fields[fc.Field.Name]
		f := fc.Field
		if fc.Name != f.Name {
			entries, _ := live.(map[string]any)
			live = customValue(entries[fc.Name[len(f.Name)+1:]])
			f = &schema.Field{Name: fc.Name, Class: schema.JSON}
		}
		if canonical(f, a.wireValue(fc.Field, value(fc))) != canonical(f, live) {
			return false
		}
	}
	return true
}

// holds reports whether the declared fields that a change leaves alone are still
// as they were: a secret must not follow an endpoint that was moved meanwhile.
func (a *applying) holds(c *Change, r Row) bool {
	for _, f := range c.held {
		if canonical(f, a.wireValue(f, c.Desired.Fields[f.Name])) != canonical(f, r.Fields[f.Name]) {
			return false
		}
	}
	return true
}

// agrees reports whether a row has the desired values of some fields.
func (a *applying) agrees(c *Change, r Row, names []string) bool {
	for _, name := range names {
		f := c.Object().Kind.Field(name)
		if canonical(f, a.wireValue(f, c.Object().Fields[name])) != canonical(f, r.Fields[name]) {
			return false
		}
	}
	return true
}

// markerIs reports whether a row has the marker that a change writes, or the one
// that it was planned from. A change that writes none does not care.
func (c *Change) markerIs(r Row, written bool) bool {
	if c.Marker == nil {
		return true
	}
	entries, _ := r.Fields[customFields].(map[string]any)
	want := c.Marker.value
	if !written {
		before := map[string]any{}
		if c.Live != nil {
			before, _ = c.Live.Fields[customFields].(map[string]any)
		}
		want = before[MarkerField]
	}
	return string(appendExact(nil, entries[MarkerField])) == string(appendExact(nil, want))
}
