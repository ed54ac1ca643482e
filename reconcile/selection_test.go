package reconcile_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestSelectionsJoinedByACommaAreToldApart(t *testing.T) {
	set := kinds(t)
	_, err := reconcile.ParseSelection(set, "Site,Door")
	require.ErrorContains(t, err, "to name several, repeat the flag")
	_, err = reconcile.ParseSelection(set, "Site,Nope")
	require.ErrorContains(t, err, "known kinds")

	joined, err := reconcile.ParseSelection(set, "Site/a,Door/front")
	require.NoError(t, err)
	o := planOptions()
	o.Select = []reconcile.Selection{joined}
	plan, diags, err := reconcile.MakePlan(context.Background(), set, newMemory(set), load(t, town), o)
	require.NoError(t, err)
	require.Nil(t, plan)
	require.Equal(t, "to name several, repeat the flag: --select=Site/a --select=Door/front", diags.Errors()[0].Detail)

	o.Select = []reconcile.Selection{{Kind: "Site", Key: "a,b"}}
	_, diags, err = reconcile.MakePlan(context.Background(), set, newMemory(set), load(t, town), o)
	require.NoError(t, err)
	require.NotContains(t, diags.Errors()[0].Detail, "repeat the flag", "a key may hold a comma")
}

func TestAnObjectWithoutAKeyIsCalledSo(t *testing.T) {
	set := kinds(t)
	door := &reconcile.Object{Kind: set.Kind("Door"), Fields: map[string]any{"name": ""}}
	require.Equal(t, "Door (no name)", door.String())
	options := &reconcile.Object{Kind: set.Kind("Options")}
	require.Equal(t, "Options", options.String(), "a singleton has none")
}
