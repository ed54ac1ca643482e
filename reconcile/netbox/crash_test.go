package netbox

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// breaking is a network that panics with a secret on the second write.
type breaking struct{ writes *int }

func (b breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		if *b.writes++; *b.writes > 1 {
			panic("hunter2")
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// Writes go out in goroutines: a panic there is an error like one of the network,
// and what was written before is known.
func TestAPanicWhileWritingIsAnError(t *testing.T) {
	f := newFake(t, "4.7.3", (&shelf{bad: func(map[string]any) string { return "" }}).ServeHTTP)
	writes := 0
	c := client(t, f.URL, func(cfg *Config) { cfg.Parallelism, cfg.BatchSize, cfg.Transport = 1, 1, breaking{&writes} })
	out, err := writeAll(t, c, "Thing", reconcile.OpCreate, named("a", "b", "c")...)
	require.ErrorContains(t, err, "internal error: string at ")
	require.NotContains(t, err.Error(), "hunter2")
	require.Equal(t, reconcile.Done, out[0].Verdict)
	require.Equal(t, reconcile.Uncertain, out[1].Verdict)
	require.NotContains(t, out, 2, "nothing more was sent")
}
