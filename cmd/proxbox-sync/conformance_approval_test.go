package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
)

func TestConformanceApproval(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		s := w.story(t)
		client := w.client(t, w.token)
		pve := w.named("ProxmoxEndpoint", map[string]any{"name": w.tag, "domain": w.tag + ".EXAMPLE.net", "mode": "cluster",
			"password": reconcile.NewSecret("canary-"+w.tag, "")})
		m := w.maker(t)
		address := m.own(w.set.Kind("IPAddress"), map[string]any{"address": m.address4() + "/24"})
		box := w.named("NetBoxEndpoint", map[string]any{"name": w.tag, "ip_address": address, "port": reconcile.Number("8443"), "token_version": "v2",
			"token_key": w.tag, "token_secret": reconcile.NewSecret("canary-"+w.tag, "")})
		v1 := w.named("NetBoxEndpoint", map[string]any{"name": w.tag + "v1", "domain": w.tag + ".example.net", "token_version": "v1",
			"token": m.target(w.set.Kind("Token"), 0)})
		things := append(slices.Clone(m.order), pve, box, v1)
		report, err := s.once(reconcile.PlanOptions{SendSecrets: []reconcile.SecretSelection{{}}}, things...)
		require.NoError(t, err)
		require.NoError(t, failures(report))

		needs, err := client.NeedsApproval(t.Context(), pve.kind.Name)
		require.NoError(t, err)
		if !needs {
			require.Empty(t, reconcile.ApproveConnections(t.Context(), report, client))
			got, err := client.Approve(t.Context(), pve.kind.Name, pve.row, nil)
			require.NoError(t, err)
			require.Equal(t, reconcile.NoApproval, got.Verdict)
			return
		}
		verdicts := func(c *netbox.Client, r *reconcile.Report) map[string]reconcile.ApprovalVerdict {
			out := map[string]reconcile.ApprovalVerdict{}
			for _, x := range reconcile.ApproveConnections(context.Background(), r, c) {
				require.NoError(t, x.Err)
				out[x.Object.String()] = x.Verdict
				require.Empty(t, x.Differs, "%s", x.Object)
			}
			return out
		}
		same := func(v reconcile.ApprovalVerdict) map[string]reconcile.ApprovalVerdict {
			return map[string]reconcile.ApprovalVerdict{"ProxmoxEndpoint " + w.tag: v, "NetBoxEndpoint " + w.tag: v, "NetBoxEndpoint " + w.tag + "v1": v}
		}
		weak := w.client(t, w.limited(t, 2, true, grant{kinds: []string{"ProxmoxEndpoint", "NetBoxEndpoint"}, actions: []string{"view", "add", "change"}}))
		require.Empty(t, cmp.Diff(same(reconcile.ApprovalForbidden), verdicts(weak, report)))
		version := w.shown(t, pve.kind, pve.row)["last_updated"]
		require.Empty(t, cmp.Diff(same(reconcile.Approved), verdicts(client, report)))
		require.Empty(t, cmp.Diff(same(reconcile.WasApproved), verdicts(client, report)))
		require.Equal(t, version, w.shown(t, pve.kind, pve.row)["last_updated"], "approving is no change of the object")

		// A new target revokes it, and is said in the plan.
		changed := pve.with(map[string]any{"port": reconcile.Number("8007")})
		delete(changed.fields, "password")
		docs := []reconcile.Document{changed.document()}
		o := reconcile.PlanOptions{Ownership: reconcile.Ownership{AllowRetarget: []reconcile.Selection{{Kind: pve.kind.Name}}}}
		plan, diags, err := reconcile.MakePlan(t.Context(), w.set, client, docs, o)
		require.NoError(t, err)
		require.Empty(t, diags.Errors())
		require.Contains(t, strings.Join(plan.Steps[0].Risks, "\n"), "revokes the approval")
		report = reconcile.Apply(t.Context(), plan, client, reconcile.ApplyOptions{})
		require.NoError(t, failures(report))
		status := func() any {
			return w.must(t, http.MethodGet, fmt.Sprintf("%s/%d/%s", w.path(t, pve.kind), pve.row, pve.kind.Resource.Approval.Path), nil)["approved"]
		}
		require.Equal(t, false, status())

		// Somebody points it elsewhere before it is approved.
		row := fmt.Sprintf("%s/%d", w.path(t, pve.kind), pve.row)
		for name, v := range map[string]any{"domain": "elsewhere.example", "username": "other@pam", "verify_ssl": false} {
			was := w.shown(t, pve.kind, pve.row)[name]
			w.must(t, http.MethodPatch, row, map[string]any{name: v})
			list := reconcile.ApproveConnections(t.Context(), report, client)
			require.Len(t, list, 1)
			require.Equal(t, reconcile.TargetDiffers, list[0].Verdict)
			require.Equal(t, []string{name}, list[0].Differs)
			require.Equal(t, false, status())
			w.must(t, http.MethodPatch, row, map[string]any{name: was})
		}
		w.must(t, http.MethodPatch, row, map[string]any{"enabled": false})
		require.Empty(t, cmp.Diff(map[string]reconcile.ApprovalVerdict{"ProxmoxEndpoint " + w.tag: reconcile.NotEnabled}, verdicts(client, report)))
		w.must(t, http.MethodPatch, row, map[string]any{"enabled": true})
		require.Equal(t, true, status(), "what was approved while disabled counts from then on")
	})
}
