package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// marking finds out which kinds' objects can carry the marker on a server.
type marking struct {
	reading *reading
	server  Server
	own     Ownership
	field   MarkerState
	hidden  bool            // the token may not see custom fields
	kinds   map[string]bool // whose objects can carry the marker
}

// look asks for the custom field itself where the token may read it, beside the
// rows, which show every custom field of their kind.
func (m *marking) look(ctx context.Context) error {
	m.kinds = map[string]bool{}
	for name, rows := range m.reading.rows {
		for _, row := range rows[:min(1, len(rows))] {
			entries, _ := row.Fields[customFields].(map[string]any)
			if _, ok := entries[MarkerField]; ok {
				m.kinds[name] = true
			}
		}
	}
	if MarkerKind(m.reading.set) == nil {
		m.hidden = true
		return nil
	}
	field, err := ReadMarkerField(ctx, m.reading.set, m.server)
	if err == nil && !m.covers(field) {
		// Objects made without a marker are never this owner's again: one answer, which
		// may be a wrong one, is not enough for that.
		field, err = ReadMarkerField(ctx, m.reading.set, m.server)
	}
	m.field = field
	if m.hidden = errors.Is(err, ErrNoKind) || errors.Is(err, ErrForbidden); err != nil && !m.hidden {
		return err
	}
	if m.alien() {
		m.kinds = map[string]bool{}
		return nil
	}
	for _, k := range m.reading.set.Kinds() {
		for _, t := range slices.Concat(m.field.Types, m.own.Attached) {
			if t == k.Resource.ObjectType && m.own.marks(k) {
				m.kinds[k.Name] = true
			}
		}
	}
	return nil
}

// covers reports whether a custom field is attached to every kind that was read and
// can have a marker.
func (m *marking) covers(field MarkerState) bool {
	return !slices.ContainsFunc(m.reading.set.Kinds(), func(k *schema.Kind) bool {
		_, read := m.reading.rows[k.Name]
		return read && m.own.marks(k) && !slices.Contains(field.Types, k.Resource.ObjectType)
	})
}

// alien reports whether the custom field is not this program's.
func (m *marking) alien() bool { return m.field.Row != 0 && m.field.Type != "json" }

// warning says what can't be marked: nothing, or objects of some kinds.
func (m *marking) warning(ctx context.Context, desired *State) (Diagnostics, error) {
	const without = "nothing is pruned, no drift is told from intent, and secrets are sent on create only"
	warn := func(code, summary, detail string) (Diagnostics, error) {
		return Diagnostics{{Severity: Warning, Trouble: ServerSide, Code: code, Summary: summary, Detail: detail}}, nil
	}
	switch {
	case len(m.kinds) == 0 && m.hidden:
		return warn("no-marker-field", fmt.Sprintf("no object shows a custom field %s: nothing shows what is managed", MarkerField),
			"the token may not view custom fields, to see whether there is one; if not, run proxbox-sync init. Until then "+without)
	case len(m.kinds) == 0 && m.field.Row == 0:
		lost, err := LostMarkers(ctx, m.server)
		if err != nil {
			return nil, err
		}
		if lost == "" {
			lost = "it was never made, as far as NetBox's change log goes back"
		}
		return warn("no-marker-field", fmt.Sprintf("the server has no custom field %s: nothing shows what is managed", MarkerField),
			lost+". Until proxbox-sync init has made it, "+without)
	case m.alien():
		return warn("no-marker-field", fmt.Sprintf("the custom field %s is of the type %q: nothing shows what is managed", MarkerField, m.field.Type),
			"it is not this program's: rename or remove it, and run proxbox-sync init. Until then "+without)
	case len(m.kinds) == 0:
		return warn("no-marker-field", fmt.Sprintf("the custom field %s is attached to none of these kinds: nothing shows what is managed", MarkerField),
			"run proxbox-sync init, which attaches it. Until then "+without)
	}
	missing, err := m.missing(ctx, desired)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	return warn("unmarked-kinds", "objects of these kinds are not marked: "+strings.Join(missing, ", "),
		fmt.Sprintf("the custom field %s is not attached to them: run proxbox-sync init, also after an upgrade of the plugin and for kinds newly named under mark. Until then, of these, ", MarkerField)+without)
}

// missing lists the kinds that should carry the marker and can't. Of those
// without objects only what manifests declare counts.
func (m *marking) missing(ctx context.Context, desired *State) ([]string, error) {
	var missing []string
	for _, k := range m.reading.set.Kinds() {
		rows, read := m.reading.rows[k.Name]
		if !read || m.kinds[k.Name] || !m.own.marks(k) || len(rows) == 0 && len(desired.Objects[k.Name]) == 0 {
			continue
		}
		can, err := m.couldCarry(ctx, k)
		if err != nil {
			return nil, err
		}
		if can {
			missing = append(missing, k.Name)
		}
	}
	return missing, nil
}

// couldCarry reports whether a kind has custom fields on this server.
func (m *marking) couldCarry(ctx context.Context, k *schema.Kind) (bool, error) {
	if seen := m.reading.coverage[k.Name].Fields; seen != nil {
		return seen[customFields], nil
	}
	ability, err := m.server.Describe(ctx, k.Name)
	if err != nil && !errors.Is(err, ErrForbidden) {
		return false, fmt.Errorf("asking what the server knows of %s: %w", k.Name, err)
	}
	_, has := ability.Fields[customFields]
	return has || ability.Fields == nil, nil
}
