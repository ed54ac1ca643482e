package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// unreadable are markers that this version can't read.
var unreadable = map[string]any{
	"a newer version": map[string]any{"v": reconcile.Number("2"), "owner": "prod"},
	"text":            "hello",
	"no owner":        map[string]any{"v": reconcile.Number("1"), "key": "k", "origin": "created", "fields": map[string]any{}},
	"digests of another form": map[string]any{"v": reconcile.Number("1"), "owner": "prod", "key": "k", "origin": "created",
		"fields": map[string]any{"name": reconcile.Number("1")}},
}

func TestAMarkerThatCantBeReadBlocksItsObjectAndSaysHowToClearIt(t *testing.T) {
	for why, value := range unreadable {
		t.Run(why, func(t *testing.T) {
			set := kinds(t)
			m := marked(t, set)
			m.put("Site", map[string]any{"slug": "a", "name": "A", "custom_fields": map[string]any{reconcile.MarkerField: value}})
			o := owned()
			o.Ownership.TakeOwnership = true
			p, diags, err := reconcile.MakePlan(context.Background(), set, m, load(t, "kind: Site\nspec: {slug: a, name: A}"), o)
			require.NoError(t, err)
			require.Nil(t, p)
			require.Len(t, diags.Errors(), 1)
			x := diags.Errors()[0]
			require.Equal(t, "unknown-marker", x.Code)
			require.Equal(t, reconcile.Contested, x.Trouble)
			require.Equal(t, "update proxbox-sync if a newer one wrote it; this one never overwrites it. To clear it by hand: "+
				`PATCH /api/x/p/2/ {"custom_fields": {"proxbox_sync": null}}`, x.Detail)
		})
	}
}

func TestAMarkerThatCantBeReadOnWhatNoManifestHasIsNobodysBusiness(t *testing.T) {
	for why, value := range unreadable {
		t.Run(why, func(t *testing.T) {
			set := kinds(t)
			m := marked(t, set)
			m.put("Site", map[string]any{"slug": "junk", "custom_fields": map[string]any{reconcile.MarkerField: value}})
			o := owned()
			o.Ownership.Prune, o.Ownership.PruneAdopted, o.Ownership.TakeOwnership = true, true, true
			p := mustPlan(t, set, m, load(t, shire), o)
			require.Empty(t, p.Orphans)
			for _, s := range p.Steps {
				require.Equal(t, reconcile.Create, s.Change.Action)
			}
			require.Empty(t, reconcile.DriftOf(p).Objects)
		})
	}
}

// logged is a server with a change log.
type logged struct {
	*memory
	last  reconcile.Deletion
	err   error
	asked int
}

func (l *logged) LastDeletion(_ context.Context, objectType, name string) (reconcile.Deletion, error) {
	l.asked++
	if objectType != "extras.customfield" || name != reconcile.MarkerField {
		return reconcile.Deletion{}, fmt.Errorf("asked for %s %s", objectType, name)
	}
	return l.last, l.err
}

// warned is the plan's warning of a code, in one text.
func warned(t *testing.T, set *schema.Set, s reconcile.Server, text, code string, o reconcile.PlanOptions) string {
	t.Helper()
	p, diags, err := reconcile.MakePlan(context.Background(), set, s, load(t, text), o)
	require.NoError(t, err)
	require.NotNil(t, p, diags)
	found := ""
	for _, d := range diags {
		if d.Code == code {
			require.Empty(t, found, "said once")
			require.Equal(t, reconcile.Warning, d.Severity)
			found = d.Summary + "; " + d.Detail
		}
	}
	return found
}

func TestADeletedCustomFieldIsToldFromOneThatWasNeverMade(t *testing.T) {
	at := time.Date(2026, 11, 28, 23, 36, 2, 0, time.UTC)
	for _, c := range []struct {
		why      string
		last     reconcile.Deletion
		err      error
		has, not string
	}{
		{"deleted, by somebody", reconcile.Deletion{At: at, By: "alice"}, nil,
			"it was deleted by alice on 2026-11-28 23:36 UTC, and every marker went with it: after init the next apply adopts", "can't be told"},
		{"deleted, by nobody knows whom", reconcile.Deletion{At: at}, nil, "it was deleted on 2026-11-28 23:36 UTC, and", " by "},
		{"never made", reconcile.Deletion{}, nil, "it was never made, as far as NetBox's change log goes back", "deleted"},
		{"the token may not look", reconcile.Deletion{}, reconcile.ErrForbidden, "can't be told: the token lacks the permission core.view_objectchange", "never made"},
		{"there is no log", reconcile.Deletion{}, reconcile.ErrNoKind, "can't be told: the server shows no change log", "never made"},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			s := &logged{memory: newMemory(set), last: c.last, err: c.err}
			got := warned(t, set, s, shire, "no-marker-field", owned())
			require.Contains(t, got, c.has)
			require.NotContains(t, got, c.not)
			require.Equal(t, 1, s.asked)
		})
	}
}

func TestTheChangeLogIsAskedOnlyWhereItMatters(t *testing.T) {
	set := kinds(t)
	s := &logged{memory: marked(t, set)}
	require.Empty(t, warned(t, set, s, shire, "no-marker-field", owned()))
	require.Zero(t, s.asked, "the field is there")
	s = &logged{memory: newMemory(set)}
	require.Empty(t, warned(t, set, s, shire, "no-marker-field", reconcile.PlanOptions{}))
	require.Zero(t, s.asked, "without an owner nobody cares")
	require.Contains(t, warned(t, set, newMemory(set), shire, "no-marker-field", owned()), "the server has no change log")
	broken := &logged{memory: newMemory(set), err: errors.New("out of order")}
	_, _, err := reconcile.MakePlan(context.Background(), set, broken, load(t, shire), owned())
	require.ErrorContains(t, err, "out of order")
}

func TestKindsThatCantBeMarkedAreNamed(t *testing.T) {
	for _, c := range []struct {
		why   string
		types []any
		typ   string
		text  string
		edit  func(m *memory)
		code  string
		want  string // beginning of the warning
	}{
		{"all are attached", []any{"x.y", "x.door"}, "json", shire, nil, "unmarked-kinds", ""},
		{"a declared kind is not attached", []any{"x.door"}, "json", "kind: Site\nspec: {slug: a}", nil, "unmarked-kinds",
			"objects of these kinds are not marked: Site; the custom field proxbox_sync is not attached to them: run proxbox-sync init"},
		{"a kind that only the server has is not attached", []any{"x.y"}, "json", shire,
			func(m *memory) { m.put("Door", map[string]any{"name": "d", "custom_fields": map[string]any{}}) }, "unmarked-kinds",
			"objects of these kinds are not marked: Door;"},
		{"neither declared nor there", []any{"x.y"}, "json", shire, nil, "unmarked-kinds", ""},
		{"there, but without custom fields on this server", []any{"x.y"}, "json", "kind: Site\nspec: {slug: a}",
			func(m *memory) {
				m.put("Door", map[string]any{"name": "d"})
				m.without = map[string]bool{"custom_fields": true}
			}, "unmarked-kinds", ""},
		{"attached to nothing of these", []any{"dcim.site"}, "json", shire, nil, "no-marker-field",
			"the custom field proxbox_sync is attached to none of these kinds: nothing shows what is managed; run proxbox-sync init"},
		{"somebody else's field", []any{"x.y"}, "text", shire, nil, "no-marker-field",
			`the custom field proxbox_sync is of the type "text": nothing shows what is managed; it is not this program's`},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := newMemory(set)
			m.put("Extra", map[string]any{"name": reconcile.MarkerField, "type": c.typ, "object_types": c.types})
			if c.edit != nil {
				c.edit(m)
			}
			got := warned(t, set, m, c.text, c.code, owned())
			if c.want == "" {
				require.Empty(t, got)
			}
			require.True(t, strings.HasPrefix(got, c.want), got)
		})
	}
}
