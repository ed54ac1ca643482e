package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// TestConformanceRefusals applies manifests of which the server refuses a part:
// the report says which and why, without a secret, and all the rest is applied.
func TestConformanceRefusals(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		secret := w.tag + awkward
		escaped := strings.ReplaceAll(secret, "'", "''")
		results := w.partly(t, w.token, "--allow-plaintext-secrets", w.write(t, `
kind: Site
items:
  - {slug: {p}-zone, name: "{p} zone", time_zone: Mars/Olympus}
  - {slug: {p}-fine, name: "{p} fine"}
---
kind: Tenant
spec: {slug: {p}-tenant, name: "{p} tenant"}
---
kind: Manufacturer
spec: {slug: {p}-maker, name: "{p} maker"}
---
kind: DeviceType
items:
  - {manufacturer: {p}-maker, model: {p}-child, slug: {p}-child, subdevice_role: child, u_height: 2}
  - {manufacturer: {p}-maker, model: {p}-model, slug: {p}-model}
---
kind: DeviceRole
spec: {slug: {p}-role, name: "{p} role"}
---
kind: Device
items:
  - {name: {p}-blocked, site: {p}-zone, role: {p}-role, device_type: {p}-model}
  - {name: {p}-device, site: {p}-fine, role: {p}-role, device_type: {p}-model}
---
kind: ProxmoxEndpoint
items:
  - {name: {p}-pve, mode: cluster, domain: {p}.example.net, site: {p}-fine, password: '`+escaped+`'}
  - {name: {p}-pve-blocked, mode: cluster, domain: {p}.example.net, site: {p}-zone, password: '`+escaped+`'}
`))
		require.Equal(t, map[string]string{
			"Site -zone": "failed: time_zone", "Site -fine": "applied", "Tenant -tenant": "applied",
			"Manufacturer -maker": "applied", "DeviceType -maker/" + w.tag + "-child": "failed: u_height",
			"DeviceType -maker/" + w.tag + "-model": "applied", "DeviceRole -role": "applied",
			"Device -blocked": "blocked", "Device -device": "applied",
			"ProxmoxEndpoint -pve": "applied", "ProxmoxEndpoint -pve-blocked": "blocked",
		}, results)
	})
}

// TestConformanceSecretRefusals has secrets refused by rules of the server: the
// field is named, and the secret is in nothing that is said.
func TestConformanceSecretRefusals(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		outcome := w.written(t, "NetBoxEndpoint", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{
			"name": w.tag + "-nb", "domain": "nb.example.net", "token_version": "v2", "token_key": w.tag}})
		require.Equal(t, reconcile.Refused, outcome.Verdict, "%+v", outcome)
		require.Equal(t, "token_secret", outcome.Messages[0].Field)

		secret := w.tag + "-canary-of-an-api-key-" + w.tag
		out := w.cli(t, "apply", "--auto-approve", "--allow-plaintext-secrets", "--log-level", "debug", w.write(t, `
kind: FastAPIEndpoint
items:
  - {name: {p}-api, domain: {p}.invalid, port: 9, token: `+secret+`}
  - {name: {p}-other, domain: {p}.invalid, port: 9}
`))
		require.NotContains(t, out.stdout+out.stderr, "canary")
		kind := w.set.Kind("FastAPIEndpoint")
		switch {
		case !w.writable(t, kind, "token"):
			require.Equal(t, 3, out.code, "%s%s", out.stdout, out.stderr)
			require.Contains(t, out.stderr, `field "token" is read-only on this server`)
			return
		case w.showsSecret(t, kind, "token"):
			require.Equal(t, 0, out.code, "an older server takes it without contacting the backend: %s%s", out.stdout, out.stderr)
			return
		}
		require.Equal(t, 7, out.code, "%s%s", out.stdout, out.stderr)
		require.Contains(t, out.stdout, "token")
		require.Contains(t, out.stdout, "1 failed")
		require.Contains(t, out.stdout, "1 applied")
	})
}

// written carries out one write through the product's client.
func (w *world) written(t *testing.T, kind string, op reconcile.Operation, write reconcile.Write) (outcome reconcile.Outcome) {
	t.Helper()
	calls := 0
	err := w.client(t, w.token).Write(t.Context(), kind, op, []reconcile.Write{write},
		func(_ int, o reconcile.Outcome) { outcome, calls = o, calls+1 })
	require.NoError(t, err)
	require.Equal(t, 1, calls)
	return outcome
}

// TestConformanceWrites asks the client for every operation with every ending.
func TestConformanceWrites(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		tag := func(name string, more map[string]any) map[string]any {
			fields := map[string]any{"slug": w.tag + "-" + name, "name": w.tag + " " + name}
			for k, v := range more {
				fields[k] = v
			}
			return fields
		}
		var outcomes [4]reconcile.Outcome
		err := w.client(t, w.token).Write(t.Context(), "Tag", reconcile.OpCreate, []reconcile.Write{
			{Fields: tag("a", nil), Message: "conformance"},
			{Fields: tag("b", map[string]any{"weight": reconcile.Number("99999")})},
			{Fields: tag("c", map[string]any{"object_types": []any{"dcim.site"}})},
			{Fields: tag("d", map[string]any{"slug": "not a slug"})},
		}, func(i int, o reconcile.Outcome) { outcomes[i] = o })
		require.NoError(t, err)
		for i, want := range []string{"", "weight", "", "slug"} {
			o := outcomes[i]
			if want == "" {
				require.Equal(t, reconcile.Done, o.Verdict, "%+v", o)
				require.NotZero(t, o.Row)
				require.Equal(t, w.must(t, http.MethodGet, "extras/tags/"+itoa(o.Row), nil)["last_updated"], o.Version)
				continue
			}
			require.Equal(t, reconcile.Refused, o.Verdict, "%+v", o)
			require.Equal(t, want, o.Messages[0].Field)
			require.Equal(t, http.StatusBadRequest, o.Status)
			require.NotEmpty(t, o.Request, "X-Request-ID")
		}
		a := outcomes[0]
		change := func(text string) map[string]any { return map[string]any{"description": text} }

		first := w.written(t, "Tag", reconcile.OpUpdate, reconcile.Write{Row: a.Row, IfVersion: a.Version, Fields: change("one")})
		require.Equal(t, reconcile.Done, first.Verdict, "%+v", first)
		require.NotEqual(t, a.Version, first.Version)
		for op, write := range map[reconcile.Operation]reconcile.Write{
			reconcile.OpUpdate: {Row: a.Row, IfVersion: a.Version, Fields: change("two")},
			reconcile.OpDelete: {Row: a.Row, IfVersion: a.Version},
		} {
			if !w.guards(t) {
				continue
			}
			o := w.written(t, "Tag", op, write)
			require.Equal(t, reconcile.Conflict, o.Verdict, "%s: %+v", op, o)
			require.Equal(t, "one", w.must(t, http.MethodGet, "extras/tags/"+itoa(a.Row), nil)["description"])
		}
		for op, write := range map[reconcile.Operation]reconcile.Write{
			reconcile.OpUpdate: {Row: 987654321, Fields: change("x")},
			reconcile.OpDelete: {Row: 987654321},
		} {
			o := w.written(t, "Tag", op, write)
			require.Equal(t, reconcile.Refused, o.Verdict, "%s of nothing: %+v", op, o)
			require.Equal(t, http.StatusNotFound, o.Status)
		}
		gone := w.written(t, "Tag", reconcile.OpDelete, reconcile.Write{Row: a.Row, IfVersion: first.Version, Message: "conformance"})
		require.Equal(t, reconcile.Done, gone.Verdict, "%+v", gone)
		status, _ := w.raw(t, http.MethodGet, "extras/tags/"+itoa(a.Row), nil)
		require.Equal(t, http.StatusNotFound, status)

		for _, kind := range w.set.Kinds() {
			for _, op := range []reconcile.Operation{reconcile.OpCreate, reconcile.OpDelete} {
				if kind.Resource.Mode == "managed" {
					continue
				}
				before := w.count()
				err := w.client(t, w.token).Write(t.Context(), kind.Name, op, []reconcile.Write{{Row: 1}}, func(int, reconcile.Outcome) {})
				require.Error(t, err, "%s of a %s", op, kind.Name)
				require.Empty(t, w.writes(before))
			}
		}
	})
}

// guards reports whether the server has ETags.
func (w *world) guards(t *testing.T) bool {
	t.Helper()
	instance, err := w.client(t, w.token).Instance(t.Context())
	require.NoError(t, err)
	return instance.NetBoxVersion >= "4.6"
}

func itoa(row reconcile.RowID) string {
	text, _ := json.Marshal(int64(row))
	return string(text)
}

// TestConformanceConflicts lets somebody else change an object between plan and
// apply. What they changed stands, and whether it concerns the plan is told by
// meaning, not by a time: where the server can't guard a write, apply looks first.
func TestConformanceConflicts(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		for name, c := range map[string]struct {
			behind map[string]any
			want   reconcile.Result
			after  string
		}{
			"in another field":  {map[string]any{"color": "00bcd4"}, reconcile.Applied, "wanted"},
			"to what is wanted": {map[string]any{"description": "wanted"}, reconcile.AlreadyDone, "wanted"},
			"to something else": {map[string]any{"description": "theirs"}, reconcile.Conflicted, "theirs"},
			"not at all":        {nil, reconcile.Applied, "wanted"},
		} {
			t.Run(name, func(t *testing.T) {
				own := w.fork()
				s := own.story(t)
				x := &thing{kind: w.set.Kind("Tag"), fields: map[string]any{"slug": own.tag, "name": own.tag, "description": "first"}}
				require.NoError(t, s.apply(x))
				plan, diags, err := s.plan(reconcile.PlanOptions{}, x.with(map[string]any{"description": "wanted"}))
				require.NoError(t, err)
				require.Empty(t, diags.Errors())
				if c.behind != nil {
					own.must(t, http.MethodPatch, "extras/tags/"+itoa(x.row), c.behind)
				}
				report := reconcile.Apply(t.Context(), plan, s.server, reconcile.ApplyOptions{})
				require.Equal(t, c.want, report.Steps[0].Result, "%+v", report.Steps[0])
				require.Equal(t, c.after, own.must(t, http.MethodGet, "extras/tags/"+itoa(x.row), nil)["description"])
			})
		}
	})
}
