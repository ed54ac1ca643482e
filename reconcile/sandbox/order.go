package sandbox

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// orderKey is one step of an order: a field, or a path through references.
type orderKey struct {
	path []string
	down bool
}

func parseOrder(name string) orderKey {
	k := orderKey{}
	name, k.down = strings.CutPrefix(name, "-")
	k.path = strings.Split(name, ".")
	return k
}

// sortRows sorts as PostgreSQL does, NULL last, and by id where all else is equal.
func sortRows(m *model, rows []*row, order []orderKey) {
	slices.SortFunc(rows, func(a, b *row) int {
		if c := compareRows(m, a, b, order, 0); c != 0 {
			return c
		}
		return compareInt(a.id, b.id)
	})
}

func compareRows(m *model, a, b *row, order []orderKey, depth int) int {
	for _, k := range order {
		c := compareAt(m, a, b, k.path, depth)
		if k.down {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// compareAt compares two rows at a path. A reference stands for its target's own
// order.
func compareAt(m *model, a, b *row, path []string, depth int) int {
	switch path[0] {
	case "id":
		return compareInt(a.id, b.id)
	case "created":
		return a.created.Compare(b.created)
	case "last_updated":
		return a.updated.Compare(b.updated)
	}
	f := m.byName[path[0]]
	if f == nil {
		return 0
	}
	va, vb := a.values[f.name], b.values[f.name]
	if !f.isRef() || f.target == nil {
		return compareValues(va, vb)
	}
	ia, _ := va.(int64)
	ib, _ := vb.(int64)
	ra, rb := f.target.rows[ia], f.target.rows[ib]
	switch {
	case ra == rb:
		return 0
	case ra == nil:
		return 1
	case rb == nil:
		return -1
	case len(path) > 1:
		return compareAt(f.target, ra, rb, path[1:], depth)
	case depth > 4:
		return compareInt(ia, ib)
	}
	if c := compareRows(f.target, ra, rb, f.target.order, depth+1); c != 0 {
		return c
	}
	return 0
}

func compareValues(a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return compareInt(x, y)
		}
	}
	if x, ok := numeric(a); ok {
		if y, ok := numeric(b); ok {
			switch {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		}
	}
	if x, ok := a.(time.Time); ok {
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	}
	x, y := plainText(a), plainText(b)
	if p, err := netip.ParsePrefix(x); err == nil {
		if q, err := netip.ParsePrefix(y); err == nil {
			if c := p.Addr().Compare(q.Addr()); c != 0 {
				return c
			}
			return compareInt(int64(p.Bits()), int64(q.Bits()))
		}
	}
	return compareText(x, y)
}

func compareText(a, b string) int { return strings.Compare(a, b) }

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// orderParam reads ordering=: names that are no fields are passed over, and with
// none left the kind's own order holds.
func (m *model) orderParam(text string) []orderKey {
	var out []orderKey
	for _, name := range strings.Split(text, ",") {
		k := parseOrder(strings.TrimSpace(name))
		f := m.byName[k.path[0]]
		known := f != nil && f.As != "computed" && !f.WriteOnly ||
			slices.Contains([]string{"id", "created", "last_updated"}, k.path[0])
		if known && len(k.path) == 1 {
			out = append(out, k)
		}
	}
	if out == nil {
		return m.order
	}
	return out
}

// inOrder returns the model's rows in an order, sorted once per state of the
// store.
func (s *Server) inOrder(m *model, name string, order []orderKey) []*row {
	if m.stamp != s.version || m.sorted == nil {
		m.sorted, m.stamp = map[string][]*row{}, s.version
	}
	if rows, ok := m.sorted[name]; ok {
		return rows
	}
	rows := make([]*row, 0, len(m.rows))
	for _, r := range m.rows {
		rows = append(rows, r)
	}
	sortRows(m, rows, order)
	m.sorted[name] = rows
	return rows
}
