package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one stored object.
type row struct {
	id      int64
	created time.Time
	updated time.Time
	// values by field: nil, bool, string, int64, float64, time.Time, secret, an
	// id for a reference, []int64 for several, parsed JSON, custom fields as
	// *object.
	values   map[string]any
	approved string // connection target that was approved
	keys     map[*unique]string
}

// table is the rows of a model with their indexes.
type table struct {
	rows   map[int64]*row
	next   int64
	sorted map[string][]*row // by order; of the moment that version counts
	stamp  int64
}

func newTable() table { return table{rows: map[int64]*row{}, next: 1} }

// unique is a constraint and the rows by their values under it.
type unique struct {
	uniqueData
	message template
	rows    map[string][]int64
}

func newUnique(d uniqueData) *unique {
	return &unique{uniqueData: d, message: parseTemplate(d.Message), rows: map[string][]int64{}}
}

// key is the row's entry under the constraint; ok is false when the constraint
// doesn't hold for it, since it is outside of Where or has a NULL.
func (u *unique) key(m *model, r *row) (key string, ok bool) {
	if !holdAll(m, r, u.Where) {
		return "", false
	}
	var b strings.Builder
	for _, name := range u.Fields {
		v := r.values[name]
		if v == nil && !u.NullsEqual && !u.excepted(name) {
			return "", false
		}
		s := indexText(v)
		if slices.Contains(u.Fold, name) {
			s = strings.ToLower(s)
		}
		if slices.Contains(u.Host, name) {
			s = hostOf(plainText(v))
		}
		b.WriteString(strconv.Quote(s))
	}
	return b.String(), true
}

// excepted reports whether Where already speaks of the field's NULL.
func (u *unique) excepted(name string) bool {
	_, ok := u.Where[name]
	return ok
}

// indexText is a value as a map key. Secrets are never unique fields.
func indexText(v any) string {
	if t, ok := v.(time.Time); ok {
		return wireTime(t)
	}
	return fmt.Sprintf("%T%v", v, v)
}

// undoLog takes back what a request did, last first.
type undoLog struct{ steps []func() }

func (l *undoLog) add(f func()) { l.steps = append(l.steps, f) }

func (l *undoLog) rollback() {
	for i := len(l.steps) - 1; i >= 0; i-- {
		l.steps[i]()
	}
	l.steps = nil
}

// insert stores a new row. It changes what lists show.
func (s *Server) insert(m *model, r *row) {
	m.rows[r.id] = r
	m.index(r)
	s.version++
	s.undo.add(func() {
		m.unindex(r)
		delete(m.rows, r.id)
		s.version++
	})
}

// replace gives a row other values.
func (s *Server) replace(m *model, r *row, values map[string]any, updated time.Time) {
	before, stamp := r.values, r.updated
	m.unindex(r)
	r.values, r.updated = values, updated
	m.index(r)
	s.version++
	s.undo.add(func() {
		m.unindex(r)
		r.values, r.updated = before, stamp
		m.index(r)
		s.version++
	})
}

func (s *Server) remove(m *model, r *row) {
	m.unindex(r)
	delete(m.rows, r.id)
	s.version++
	s.undo.add(func() {
		m.rows[r.id] = r
		m.index(r)
		s.version++
	})
}

func (m *model) index(r *row) {
	r.keys = map[*unique]string{}
	for _, u := range m.uniques {
		if k, ok := u.key(m, r); ok {
			u.rows[k] = append(u.rows[k], r.id)
			r.keys[u] = k
		}
	}
	for _, f := range m.refs {
		for _, id := range refIDs(r.values[f.name]) {
			if f.holders[id] == nil {
				f.holders[id] = map[int64]bool{}
			}
			f.holders[id][r.id] = true
		}
	}
}

func (m *model) unindex(r *row) {
	for u, k := range r.keys {
		ids := slices.DeleteFunc(slices.Clone(u.rows[k]), func(id int64) bool { return id == r.id })
		if u.rows[k] = ids; len(ids) == 0 {
			delete(u.rows, k)
		}
	}
	for _, f := range m.refs {
		for _, id := range refIDs(r.values[f.name]) {
			if delete(f.holders[id], r.id); len(f.holders[id]) == 0 {
				delete(f.holders, id)
			}
		}
	}
}

func refIDs(v any) []int64 {
	switch v := v.(type) {
	case int64:
		return []int64{v}
	case []int64:
		return v
	}
	return nil
}

// now is the clock in UTC and microseconds, later with each call: two writes
// never share a last_updated.
func (s *Server) now() time.Time {
	t := s.clock().UTC().Truncate(time.Microsecond)
	if !t.After(s.last) {
		t = s.last.Add(time.Microsecond)
	}
	s.last = t
	return t
}

// deletion is what one delete takes along.
type deletion struct {
	order     []found
	gone      map[*row]bool
	protected []found
}

// collect follows what refers to a row, as the schema says: gone along,
// emptied, or in the way.
func (d *deletion) collect(m *model, r *row) {
	if d.gone[r] {
		return
	}
	d.gone[r] = true
	for _, f := range m.referrers {
		if f.As == "references" || f.onDelete == "null" {
			continue
		}
		for _, id := range sortedIDs(f.holders[r.id]) {
			holder := f.owner.rows[id]
			if f.onDelete == "cascade" {
				d.collect(f.owner, holder)
			} else if !d.gone[holder] {
				d.protected = append(d.protected, found{f.owner, holder})
			}
		}
	}
	d.order = append(d.order, found{m, r})
}

// drop deletes what was collected and empties the references to it.
func (s *Server) drop(d *deletion) {
	for _, x := range d.order {
		for _, f := range x.m.referrers {
			for _, id := range sortedIDs(f.holders[x.r.id]) {
				if holder := f.owner.rows[id]; holder != nil && !d.gone[holder] {
					s.forget(f, holder, x.r.id)
				}
			}
		}
		s.remove(x.m, x.r)
	}
}

// forget takes one id out of a reference. The holder's last_updated moves,
// except for tags and other sets.
func (s *Server) forget(f *field, holder *row, id int64) {
	values := cloneMap(holder.values)
	if list, ok := values[f.name].([]int64); ok {
		values[f.name] = slices.DeleteFunc(slices.Clone(list), func(x int64) bool { return x == id })
		s.replace(f.owner, holder, values, holder.updated)
		return
	}
	values[f.name] = nil
	s.replace(f.owner, holder, values, s.now())
}

func sortedIDs(set map[int64]bool) []int64 {
	ids := make([]int64, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func cloneMap[V any](m map[string]V) map[string]V {
	out := make(map[string]V, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
