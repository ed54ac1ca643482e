package reconcile_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Tests whose names begin with TestLong take long: make test-long runs them.
const envLong = "PROXBOX_SYNC_TEST_LONG"

func long(t *testing.T) {
	t.Helper()
	if os.Getenv(envLong) == "" {
		t.Skip("not run: it takes minutes; make test-long runs it")
	}
}

// cases tries a property on n random cases, and says from which seed they were
// drawn. It reports whether that was all of them, and not what -rapid.checks says.
// To repeat: -rapid.seed=SEED draws the same again, with -rapid.checks=1 only the
// first, which is how rapid names a case that failed.
func cases(t *testing.T, n int, property func(*rapid.T)) (all bool) {
	t.Helper()
	setting := func(name, standard, value string) string {
		if f := flag.Lookup(name); f.Value.String() == standard {
			require.NoError(t, flag.Set(name, value))
			t.Cleanup(func() { _ = flag.Set(name, standard) })
		}
		return flag.Lookup(name).Value.String()
	}
	seed := setting("rapid.seed", "0", fmt.Sprint(rand.Uint64()>>1))
	checks, err := strconv.Atoi(setting("rapid.checks", "100", fmt.Sprint(n)))
	require.NoError(t, err)
	tried := 0
	rapid.Check(t, func(rt *rapid.T) {
		tried++
		property(rt)
	})
	require.GreaterOrEqual(t, tried, checks, "rapid stopped early")
	t.Logf("properties: %d cases, seed %s", tried, seed)
	return tried >= n
}
