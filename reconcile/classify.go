package reconcile

import (
	"context"
	"errors"
	"fmt"

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

func (a *applying) read(q Query, row func(Row) error) error {
	// Also after an interrupt: what was sent must have a known fate.
	_, err := a.server.Read(context.WithoutCancel(a.ctx), q, row)
	if errors.Is(err, ErrNoKind) || errors.Is(err, ErrForbidden) {
		return fmt.Errorf("reading %s: %w", q.Kind, err)
	}
	return err
}

// lookedAt are the fields that tell where a live object stands.
func (c *Change) lookedAt() []string {
	var names []string
	if c.Action == Delete {
		if _, ok := c.Live.Fields[customFields]; ok {
			names = append(names, customFields)
		}
		return append(append(names, c.Live.Kind.Resource.Key...), c.managed...)
	}
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
			live = liveEntry(entries[fc.Name[len(f.Name)+1:]], value(fc))
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
