package netbox

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestTheLastDeletionIsFoundByNameInOneRequest(t *testing.T) {
	const (
		at  = "2026-11-28T23:36:02.493057Z"
		row = `{"time": "` + at + `", "user_name": %q, "action": {"value": %q, "label": "x"}, "changed_object_type": %q, "prechange_data": %s}`
	)
	ours := fmt.Sprintf(row, "alice", "delete", "extras.customfield", `{"name": "mark", "label": "Other", "type": "json"}`)
	when, err := time.Parse(time.RFC3339, at)
	require.NoError(t, err)
	found := reconcile.Deletion{At: when, By: "alice"}
	for _, c := range []struct {
		why    string
		status int
		body   string
		want   reconcile.Deletion
		err    error
	}{
		{"the object", 200, `{"results": [` + ours + `]}`, found, nil},
		{"the latest of several", 200, `{"results": [` + ours + `,` + fmt.Sprintf(row, "bob", "delete", "extras.customfield", `{"name": "mark"}`) + `]}`, found, nil},
		{"another name", 200, `{"results": [` + fmt.Sprintf(row, "bob", "delete", "extras.customfield", `{"name": "other"}`) + `]}`, reconcile.Deletion{}, nil},
		{"a server that heeds no filter", 200, `{"results": [` + fmt.Sprintf(row, "bob", "create", "extras.customfield", `{"name": "mark"}`) + `,` +
			fmt.Sprintf(row, "bob", "delete", "extras.tag", `{"name": "mark"}`) + `,` + ours + `]}`, found, nil},
		{"values of another form", 200, `{"results": [` + fmt.Sprintf(row, "bob", "delete", "extras.customfield", `null`) + `,` +
			fmt.Sprintf(row, "bob", "delete", "extras.customfield", `["mark"]`) + `,` + ours + `]}`, found, nil},
		{"none", 200, `{"results": []}`, reconcile.Deletion{}, nil},
		{"not to be seen", 403, `{"detail": "You do not have permission to perform this action."}`, reconcile.Deletion{}, reconcile.ErrForbidden},
		{"no change log", 404, `{"detail": "Not found."}`, reconcile.Deletion{}, reconcile.ErrNoKind},
	} {
		t.Run(c.why, func(t *testing.T) {
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, "/api/core/object-changes/", r.URL.Path)
				require.Equal(t, "extras.customfield", r.URL.Query().Get("changed_object_type"))
				require.Equal(t, "delete", r.URL.Query().Get("action"))
				answer(w, c.status, c.body)
			})
			got, err := client(t, f.URL).LastDeletion(context.Background(), "extras.customfield", "mark")
			require.ErrorIs(t, err, c.err)
			require.Empty(t, cmp.Diff(c.want, got))
			require.Len(t, f.requests(), 1)
			if c.status == 403 {
				require.ErrorContains(t, err, "core.view_objectchange")
			}
		})
	}
}

func TestRealNetBoxKnowsWhatWasDeleted(t *testing.T) {
	c, prefix := realClient(t, "NETBOX_TOKEN")
	name := strings.ReplaceAll(prefix, "-", "_")
	out, err := writeAll(t, c, "CustomField", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{
		"name": name, "label": "Shown otherwise", "type": "json", "object_types": []any{"dcim.site"}}})
	require.NoError(t, err)
	require.Equal(t, reconcile.Done, out[0].Verdict, "%+v", out[0])
	last, err := c.LastDeletion(context.Background(), "extras.customfield", name)
	require.NoError(t, err)
	require.Zero(t, last)
	before := time.Now().Add(-time.Hour)
	_, err = writeAll(t, c, "CustomField", reconcile.OpDelete, reconcile.Write{Row: out[0].Row})
	require.NoError(t, err)
	last, err = c.LastDeletion(context.Background(), "extras.customfield", name)
	require.NoError(t, err)
	require.True(t, last.At.After(before), last.At)
	require.NotEmpty(t, last.By)
}
