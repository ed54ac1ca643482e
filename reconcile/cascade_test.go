package reconcile_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// shortsighted is a server that does not show all of one kind.
type shortsighted struct {
	*memory
	kind      string
	forbidden bool
}

func (s *shortsighted) Read(ctx context.Context, q reconcile.Query, row func(reconcile.Row) error) (reconcile.Coverage, error) {
	if q.Kind != s.kind {
		return s.memory.Read(ctx, q, row)
	}
	if s.forbidden {
		return reconcile.Coverage{}, reconcile.ErrForbidden
	}
	c, err := s.memory.Read(ctx, q, row)
	c.Complete, c.Why = false, "the server counts more than it shows"
	return c, err
}

func TestWhatADeleteTakesAlongUnseenIsSaidAndNeedsTheFlag(t *testing.T) {
	for why, forbidden := range map[string]bool{"the token may not view the kind": true, "not all of it is shown": false} {
		t.Run(why, func(t *testing.T) {
			set := kinds(t)
			m := marked(t, set)
			apply(t, set, m, load(t, "kind: Site\nitems: [{slug: a}, {slug: b}]"), owned())
			s := &shortsighted{m, "Store", forbidden}
			docs := load(t, "kind: Site\nmetadata: {absent: true}\nspec: {slug: a}\n---\nkind: Site\nspec: {slug: b}")
			p, _, err := reconcile.MakePlan(context.Background(), set, s, docs, owned())
			require.NoError(t, err)
			require.Empty(t, cmp.Diff([]string{"delete Site a takes=Store:0", "refused: cascading-delete"}, summary(p)))
			require.True(t, p.Steps[0].Change.Takes[0].Unknown)
			o, one := owned(), 1
			o.Ownership.Limits.MaxDeletes = &one
			p, _, err = reconcile.MakePlan(context.Background(), set, s, docs, o)
			require.NoError(t, err)
			require.Empty(t, p.Diagnostics.Errors())
		})
	}
}

func TestCredentialsThatCantBeSeenAreNotPointedElsewhere(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, "kind: Site\nspec: {slug: a}"), owned())
	s := &shortsighted{m, "Post", true}
	_, _, err := reconcile.MakePlan(context.Background(), set, s, load(t, "kind: Site\nmetadata: {renamedFrom: a}\nspec: {slug: b}"), owned())
	require.ErrorIs(t, err, reconcile.ErrForbidden)
	require.ErrorContains(t, err, "looking for credentials that Site a leads to: the token may not do this: not every Post can be seen")
}
