package reconcile_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
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
