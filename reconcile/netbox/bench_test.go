package netbox

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// BenchmarkRealNetBoxWrites shows what a row costs to create, update and delete,
// by batch size and parallelism, on the NetBox that testdata/netbox/up.sh
// started: where the defaults of both come from. WRITES says how many rows.
func BenchmarkRealNetBoxWrites(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("WRITES"))
	if err != nil {
		n = 1000
	}
	for _, batch := range []int{50, 100, 250, 500} {
		for _, parallel := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("batch=%d/parallel=%d", batch, parallel), func(b *testing.B) {
				c, prefix := realClient(b, "NETBOX_TOKEN")
				c.batchSize, c.parallelism, c.timeout = batch, parallel, time.Hour
				kind := create(b, c, "ClusterType", map[string]any{"name": prefix, "slug": prefix})
				cluster := create(b, c, "Cluster", map[string]any{"name": prefix, "type": kind.Row})
				list := make([]reconcile.Write, n)
				times := map[reconcile.Operation]time.Duration{}
				write := func(op reconcile.Operation) {
					start := time.Now()
					require.NoError(b, c.Write(context.Background(), "ProxmoxStorage", op, list, func(i int, o reconcile.Outcome) {
						require.Equal(b, reconcile.Done, o.Verdict, "%+v", o)
						list[i].Row, list[i].IfVersion = o.Row, o.Version
					}))
					times[op] += time.Since(start)
				}
				for b.Loop() {
					for i := range list {
						list[i] = reconcile.Write{Fields: map[string]any{"cluster": cluster.Row, "name": fmt.Sprintf("s%d", i), "storage_type": "dir"}}
					}
					write(reconcile.OpCreate)
					for i := range list {
						list[i].Fields = map[string]any{"content": "iso"}
					}
					write(reconcile.OpUpdate)
					write(reconcile.OpDelete)
				}
				for op, took := range times {
					b.ReportMetric(float64(took.Milliseconds())/float64(b.N*n), "ms/"+string(op))
				}
			})
		}
	}
}
