package reconcile

import (
	"slices"

	"proxbox-sync/schema"
)

// lookupAlone is up to how many creates each is looked up on its own; more are
// compared with one read of their kind's keys, or of those that have their names.
const lookupAlone = 3

// locate says where the live objects of some steps stand, right before they are
// created, or after a write that was refused by its guard or may or may not have
// arrived. The steps are of one kind and action. Its requests do not grow with
// their number, but for the length of a request line.
func (a *applying) locate(steps []*Step) ([]standing, error) {
	if len(steps) == 0 {
		return nil, nil
	}
	places := make([]standing, len(steps))
	if steps[0].Change.Action == Create {
		byKey, err := a.findByKey(steps)
		if err != nil {
			return nil, err
		}
		found := a.claim(steps, byKey)
		for i, s := range steps {
			places[i] = a.locateCreate(s.Change, found[i])
		}
		return places, nil
	}
	q := Query{Kind: steps[0].Change.Object().Kind.Name}
	for _, s := range steps {
		q.Rows = append(q.Rows, a.row(s.Change.Object()))
	}
	q.Fields = lookedAt(steps)
	rows := make(map[RowID]Row, len(steps))
	numbers := q.Rows
	if steps[0].Change.Live == nil {
		q.Rows = nil // the one object of its kind, whose number is not known yet
	}
	err := a.read(q, func(r Row) error {
		if q.Rows == nil {
			rows[numbers[0]] = r
		}
		rows[r.ID] = r
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, s := range steps {
		row, found := rows[numbers[i]]
		switch {
		case s.Change.Action == Delete:
			places[i] = a.locateDelete(s.Change, row, found)
		case s.Change.Live == nil:
			places[i] = a.locateMade(s.Change, row, found)
		case found:
			places[i] = a.locateUpdate(s.Change, row)
		}
	}
	return places, nil
}

// findByKey reads the live objects that have the keys of some creates.
func (a *applying) findByKey(steps []*Step) (map[string][]Row, error) {
	found := make(map[string][]Row, len(steps))
	kind := steps[0].Change.Object().Kind
	fields := lookedAt(steps)
	if len(steps) <= lookupAlone {
		for _, s := range steps {
			where := map[string]any{}
			for _, name := range kind.Resource.Key {
				where[name] = a.wireValue(kind.Field(name), s.Change.Object().Fields[name])
			}
			key := a.wireKey(kind, s.Change.Object().Fields)
			found[key] = nil // namesakes are found once
			err := a.read(Query{Kind: kind.Name, Fields: fields, Where: where}, func(r Row) error {
				found[key] = append(found[key], r)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		return found, nil
	}
	wanted := make(map[string]bool, len(steps))
	for _, s := range steps {
		wanted[a.wireKey(kind, s.Change.Object().Fields)] = true
	}
	naming := newNaming()
	for _, s := range steps {
		naming.object(s.Change.Object())
	}
	var rows []RowID
	err := a.read(Query{Kind: kind.Name, Fields: slices.Clone(kind.Resource.Key), Named: naming.of(kind.Name)}, func(r Row) error {
		if wanted[a.wireKey(kind, r.Fields)] {
			rows = append(rows, r.ID)
		}
		return nil
	})
	if err != nil || len(rows) == 0 {
		return found, err
	}
	return found, a.read(Query{Kind: kind.Name, Fields: fields, Rows: rows}, func(r Row) error {
		key := a.wireKey(kind, r.Fields)
		found[key] = append(found[key], r)
		return nil
	})
}

// claim gives each create the rows of its key that could be it: not those that
// were made in this run already, nor those that a namesake among the steps is
// told from it by.
func (a *applying) claim(steps []*Step, byKey map[string][]Row) [][]Row {
	kind := steps[0].Change.Object().Kind
	owners := map[string]*Change{}
	apart := map[string][][]string{} // by key, the lists of fields that tell namesakes apart
	for _, s := range steps {
		names := extraDeclared(s.Change.Object())
		key := a.wireKey(kind, s.Change.Object().Fields)
		if len(names) == 0 || len(byKey[key]) == 0 {
			continue
		}
		owners[key+a.wireValues(kind, names, s.Change.Object().Fields)] = s.Change
		if !slices.ContainsFunc(apart[key], func(have []string) bool { return slices.Equal(have, names) }) {
			apart[key] = append(apart[key], names)
		}
	}
	owned := map[*Change][]Row{}
	free := map[string][]Row{}
	for key, rows := range byKey {
		for _, r := range rows {
			if a.made[rowOfKind{kind, r.ID}] {
				continue
			}
			var owner *Change
			for _, names := range apart[key] {
				if c := owners[key+a.wireValues(kind, names, r.Fields)]; c != nil {
					owner = c
				}
			}
			if owner != nil {
				owned[owner] = append(owned[owner], r)
				continue
			}
			free[key] = append(free[key], r)
		}
	}
	found := make([][]Row, len(steps))
	for i, s := range steps {
		found[i] = append(owned[s.Change], free[a.wireKey(kind, s.Change.Object().Fields)]...)
	}
	return found
}

// rowOfKind is an object by the server's number.
type rowOfKind struct {
	kind *schema.Kind
	row  RowID
}

// wireKey is the key of an object in numbers, as rows show it.
func (a *applying) wireKey(kind *schema.Kind, fields map[string]any) string {
	return a.wireValues(kind, kind.Resource.Key, fields)
}

func (a *applying) wireValues(kind *schema.Kind, names []string, fields map[string]any) string {
	var b []byte
	for _, name := range names {
		f := kind.Field(name)
		b = append(appendCanonical(append(append(b, name...), 0), f, a.wireValue(f, fields[name])), 0)
	}
	return string(b)
}

// lookedAt are the fields that tell where the objects of some steps stand.
func lookedAt(steps []*Step) []string {
	have := map[string]bool{}
	var names []string
	for _, s := range steps {
		for _, name := range s.Change.lookedAt() {
			if !have[name] {
				have[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// locateCreate judges the live objects of a create's key. One that has all
// declared fields is ours, secrets included: they went in the same request.
func (a *applying) locateCreate(c *Change, found []Row) standing {
	found = slices.DeleteFunc(found, func(r Row) bool { return slices.Contains(c.namesakes, r.ID) })
	switch len(found) {
	case 0:
		return before
	case 1:
	default:
		return elsewhere
	}
	a.rows[c.Object()], a.versions[c.Object()] = found[0].ID, found[0].Version
	if a.agreesAll(c, found[0], wanted) && a.agrees(c, found[0], extraDeclared(c.Object())) && c.markerIs(found[0], true) {
		a.made[rowOfKind{c.Object().Kind, found[0].ID}] = true
		return after
	}
	return elsewhere
}

// locateUpdate judges the object of an update. A step that sends a secret is never
// taken for done after a lost answer, since a secret can't be read back;
// sending it twice does no harm.
func (a *applying) locateUpdate(c *Change, row Row) standing {
	a.versions[c.Object()] = row.Version
	if !a.holds(c, row) {
		return elsewhere
	}
	done := a.agreesAll(c, row, wanted) && c.markerIs(row, true)
	switch {
	case done && len(c.Secrets) == 0:
		return after
	case done, a.agreesAll(c, row, planned) && c.markerIs(row, false):
		return before
	}
	return elsewhere
}

// locateMade judges an object that the server makes when it is first asked for:
// settings that were not there when the plan was made, and have its defaults now.
func (a *applying) locateMade(c *Change, row Row, found bool) standing {
	if found && len(c.Secrets) == 0 && a.agreesAll(c, row, wanted) && c.markerIs(row, true) {
		return after
	}
	return before
}

// locateDelete: gone is done. One that is still there may be deleted only while
// it is what the plan saw: the same key, the same marker, the same managed fields.
// One that was not read, since the object changed while it was planned, is not that.
func (a *applying) locateDelete(c *Change, row Row, found bool) standing {
	if !found {
		return after
	}
	for _, name := range c.lookedAt() {
		f := c.Live.Kind.Field(name)
		seen, read := c.Live.Fields[name]
		if !read || canonical(f, a.wireValue(f, seen)) != canonical(f, row.Fields[name]) {
			return elsewhere
		}
	}
	a.versions[c.Live] = row.Version
	return before
}
