package reconcile_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

func TestAPanicBecomesATypeAndAPlace(t *testing.T) {
	for want, value := range map[string]any{"string": "hunter2", "*errors.errorString": errors.New("hunter2")} {
		err := func() (err error) {
			defer reconcile.Recovered(&err)
			panic(value)
		}()
		require.ErrorContains(t, err, "internal error: "+want+" at proxbox-sync/reconcile_test.TestAPanicBecomesATypeAndAPlace.func1 crash_test.go:")
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.NoError(t, func() (err error) {
		defer reconcile.Recovered(&err)
		return nil
	}())
}

// breaking is a server that panics with a secret when it is read.
type breaking struct{ reconcile.Server }

func (breaking) Read(context.Context, reconcile.Query, func(reconcile.Row) error) (reconcile.Coverage, error) {
	panic("hunter2")
}

// Kinds are read at the same time, in goroutines, where nobody else would recover.
func TestAPanicWhileReadingIsAnError(t *testing.T) {
	set := schema.Embedded()
	desired := &reconcile.State{Objects: map[string][]*reconcile.Object{"Tag": {{Kind: set.Kind("Tag"), Key: "a"}}}}
	_, _, err := reconcile.Observe(t.Context(), set, breaking{newMemory(set)}, desired, reconcile.Ownership{})
	require.ErrorContains(t, err, "internal error: string at ")
	require.NotContains(t, err.Error(), "hunter2")
}
