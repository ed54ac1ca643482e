package netbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// realClient is a client of the NetBox that testdata/netbox/up.sh started, when
// its settings are in the environment. Objects get random names: nothing else
// there is touched.
func realClient(t testing.TB, tokenVariable string) (c *Client, prefix string) {
	t.Helper()
	url, token := os.Getenv("NETBOX_URL"), os.Getenv(tokenVariable)
	if url == "" || token == "" || os.Getenv("PROXBOX_SYNC_TEST_NETBOX_VERSION") == "" {
		t.Skip("no NetBox for tests: see testdata/netbox/up.sh")
	}
	c, err := New(Config{URL: url, Token: reconcile.NewSecret(token, ""), Kinds: schema.Embedded()})
	require.NoError(t, err)
	b := make([]byte, 4)
	_, _ = rand.Read(b)
	return c, "client-" + hex.EncodeToString(b)
}

func create(t testing.TB, c *Client, kind string, fields map[string]any) reconcile.Outcome {
	t.Helper()
	out, err := writeAll(t, c, kind, reconcile.OpCreate, reconcile.Write{Fields: fields, Message: "tests of the client"})
	require.NoError(t, err)
	require.Equal(t, reconcile.Done, out[0].Verdict, "%+v", out[0])
	t.Cleanup(func() {
		_, err := writeAll(t, c, kind, reconcile.OpDelete, reconcile.Write{Row: out[0].Row})
		require.NoError(t, err)
	})
	return out[0]
}

func TestRealNetBox(t *testing.T) {
	for _, token := range []string{"NETBOX_TOKEN", "NETBOX_TOKEN_V1"} {
		t.Run(token, func(t *testing.T) {
			c, prefix := realClient(t, token)
			ctx := context.Background()
			in, err := c.Instance(ctx)
			require.NoError(t, err)
			require.Equal(t, os.Getenv("PROXBOX_SYNC_TEST_NETBOX_VERSION"), in.NetBoxVersion)
			require.Equal(t, os.Getenv("PROXBOX_SYNC_TEST_PROXBOX_VERSION"), in.PluginVersion)

			endpoint := create(t, c, "ProxmoxEndpoint", map[string]any{
				"name": prefix, "domain": prefix + ".example", "mode": "cluster", "port": reconcile.Number("8006"),
				"password": reconcile.NewSecret("canary-"+prefix, ""), "verify_ssl": false,
			})
			node := create(t, c, "ProxmoxNode", map[string]any{
				"endpoint": endpoint.Row, "name": prefix, "ip_address": "192.0.2.1", "cpu_usage": reconcile.Number("10"),
			})
			var rows []reconcile.Row
			cov, err := c.Read(ctx, reconcile.Query{
				Kind: "ProxmoxNode", Fields: []string{"name", "endpoint", "cpu_usage", "ip_address"}, Where: map[string]any{"name": prefix},
			}, func(r reconcile.Row) error { rows = append(rows, r); return nil })
			require.NoError(t, err)
			require.Equal(t, 1, cov.Requests)
			if diff := cmp.Diff([]reconcile.Row{{
				ID: node.Row, Version: node.Version, Labels: map[string]string{"endpoint": prefix},
				Fields: map[string]any{"name": prefix, "endpoint": endpoint.Row, "cpu_usage": reconcile.Number("10"), "ip_address": "192.0.2.1"},
			}}, rows); diff != "" {
				t.Error(diff)
			}

			update := func(w reconcile.Write) reconcile.Outcome {
				out, err := writeAll(t, c, "ProxmoxNode", reconcile.OpUpdate, w)
				require.NoError(t, err)
				return out[0]
			}
			changed := update(reconcile.Write{Row: node.Row, IfVersion: node.Version, Fields: map[string]any{"local": true}})
			require.Equal(t, reconcile.Done, changed.Verdict, "%+v", changed)
			require.NotEqual(t, node.Version, changed.Version)
			require.Equal(t, reconcile.Conflict, update(reconcile.Write{Row: node.Row, IfVersion: node.Version, Fields: map[string]any{"local": false}}).Verdict)
			refused := update(reconcile.Write{Row: node.Row, Fields: map[string]any{"ip_address": "nonsense"}})
			require.Equal(t, reconcile.Refused, refused.Verdict)
			require.Equal(t, "ip_address", refused.Messages[0].Field)
			require.Equal(t, 404, update(reconcile.Write{Row: 2_000_000_000, Fields: map[string]any{"local": false}}).Status)

			again, err := writeAll(t, c, "ProxmoxEndpoint", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{
				"name": prefix, "mode": "cluster", "password": reconcile.NewSecret("canary-"+prefix, ""),
			}})
			require.NoError(t, err)
			require.Equal(t, reconcile.Refused, again[0].Verdict)
			require.NotContains(t, fmt.Sprintf("%+v", again), "canary-")

			stale, err := writeAll(t, c, "ProxmoxNode", reconcile.OpDelete, reconcile.Write{Row: node.Row, IfVersion: node.Version})
			require.NoError(t, err)
			require.Equal(t, reconcile.Conflict, stale[0].Verdict)
		})
	}
}

func TestRealNetBoxPages(t *testing.T) {
	c, prefix := realClient(t, "NETBOX_TOKEN")
	list := make([]reconcile.Write, 30)
	for i := range list {
		name := fmt.Sprintf("%s-%02d", prefix, i)
		list[i] = reconcile.Write{Fields: map[string]any{"name": name, "slug": name}}
	}
	out, err := writeAll(t, c, "Tag", reconcile.OpCreate, list...)
	require.NoError(t, err)
	ids := map[reconcile.RowID]bool{}
	var rows []reconcile.RowID
	for _, o := range out {
		require.Equal(t, reconcile.Done, o.Verdict)
		ids[o.Row] = true
		rows = append(rows, o.Row)
	}
	t.Cleanup(func() {
		gone := make([]reconcile.Write, len(rows))
		for i, id := range rows {
			gone[i] = reconcile.Write{Row: id, Message: "tests of the client"}
		}
		_, err := writeAll(t, c, "Tag", reconcile.OpDelete, gone...)
		require.NoError(t, err)
	})
	for _, old := range []bool{false, true} {
		if old {
			c.generation.Store(4005) // read by offset, as from a server before 4.6
		}
		for name, q := range map[string]reconcile.Query{
			"by ids": {Kind: "Tag", Fields: []string{"slug"}, Rows: rows},
			"by q":   {Kind: "Tag", Fields: []string{"slug"}, Search: prefix},
		} {
			got := map[reconcile.RowID]bool{}
			cov, err := c.Read(context.Background(), q, func(r reconcile.Row) error {
				got[r.ID] = true
				require.Len(t, r.Fields, 1)
				return nil
			})
			require.NoError(t, err, name)
			require.True(t, cov.Complete)
			if diff := cmp.Diff(ids, got); diff != "" {
				t.Errorf("%s, offset %v: %s", name, old, diff)
			}
		}
	}
}

func TestRealNetBoxShowsEveryKindInAFormThatIsUnderstood(t *testing.T) {
	c, _ := realClient(t, "NETBOX_TOKEN")
	for _, k := range schema.Embedded().Kinds() {
		_, err := c.Read(context.Background(), reconcile.Query{Kind: k.Name}, func(reconcile.Row) error { return nil })
		require.NoError(t, err, k.Name)
	}
	require.True(t, c.Check(context.Background()).Healthy())
}
