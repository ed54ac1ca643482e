package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// Markers on a server of each kind: how they get there, what they survive, and
// that nothing but an owner's own is ever deleted.

// owner is a test's own: no other test's objects are this owner's.
func (w *world) owner(o ...func(*reconcile.Ownership)) reconcile.PlanOptions {
	options := reconcile.PlanOptions{Ownership: reconcile.Ownership{Owner: w.tag, Mark: []string{"Site"}}}
	for _, edit := range o {
		edit(&options.Ownership)
	}
	return options
}

// part makes a run one that knows that it is not the whole set.
func part(o *reconcile.Ownership) { o.Partial = "the test looks at some objects only" }

// pruning makes a run one that deletes orphans, as many as there are.
func pruning(o *reconcile.Ownership) {
	most := 1000
	o.Prune, o.Limits.MaxDeletes = true, &most
}

// marking sees to it that the plugin's kinds and Site can carry the marker, and
// no other kind of the core. A field that is there stays, and gains what it lacks.
func (w *world) marking(t *testing.T) {
	t.Helper()
	var types []any
	for _, k := range w.set.Kinds() {
		if k.Resource.Mode != schema.Lookup && k.Field("custom_fields") != nil && (k.Resource.Prune != "named" || k.Name == "Site") {
			types = append(types, k.Resource.ObjectType)
		}
	}
	page := w.must(t, http.MethodGet, "extras/custom-fields?name="+reconcile.MarkerField, nil)
	if found, _ := page["results"].([]any); len(found) > 0 {
		field := found[0].(map[string]any)
		have, _ := field["object_types"].([]any)
		for _, name := range have {
			if !slices.Contains(types, name) {
				types = append(types, name)
			}
		}
		if len(types) > len(have) {
			w.must(t, http.MethodPatch, fmt.Sprintf("extras/custom-fields/%v", field["id"]), map[string]any{"object_types": types})
		}
		return
	}
	w.must(t, http.MethodPost, "extras/custom-fields", map[string]any{"name": reconcile.MarkerField, "type": "json",
		"ui_visible": "hidden", "ui_editable": "no", "object_types": types})
}

// limited is a token that may do some actions with some kinds, and nothing that
// the plugin guards beyond that.
func (w *world) limited(t *testing.T, actions []string, kinds ...string) string {
	t.Helper()
	if w.sandbox != nil {
		token := "nbt_" + strings.Repeat("l", 12) + "." + (strings.Repeat("m", 30) + w.tag + "0000000000")[:40]
		require.NoError(t, w.sandbox.AddToken(sandbox.TokenSpec{Token: token, Write: true,
			Permissions: []sandbox.Permission{{Kinds: kinds, Actions: actions}}}))
		return token
	}
	user := w.must(t, http.MethodPost, "users/users", map[string]any{"username": w.tag, "password": "Cx1-" + w.tag + "-longenough"})
	var types []string
	for _, name := range kinds {
		types = append(types, w.set.Kind(name).Resource.ObjectType)
	}
	w.must(t, http.MethodPost, "users/permissions", map[string]any{"name": w.tag, "object_types": types, "actions": actions, "users": []any{user["id"]}})
	token := w.must(t, http.MethodPost, "users/tokens", map[string]any{"user": user["id"], "version": 2, "description": w.tag, "write_enabled": true})
	return fmt.Sprintf("nbt_%v.%v", token["key"], token["token"])
}

// markerOf is the marker that the server shows of a thing; nil for none.
func (w *world) markerOf(t *testing.T, x *thing) map[string]any {
	t.Helper()
	fields, _ := w.shown(t, x.kind, x.row)["custom_fields"].(map[string]any)
	m, _ := fields[reconcile.MarkerField].(map[string]any)
	return m
}

// named makes a thing with some fields.
func (w *world) named(kind string, fields map[string]any) *thing {
	return &thing{kind: w.set.Kind(kind), fields: fields}
}

// owned brings things about under an owner and requires that a second plan is
// empty.
func (s *story) owned(t *testing.T, o reconcile.PlanOptions, things ...*thing) *reconcile.Report {
	t.Helper()
	report, err := s.once(o, things...)
	require.NoError(t, err)
	require.NoError(t, failures(report))
	require.Empty(t, s.lines(t, o, things...), "a second plan")
	return report
}

// lines are the steps of a plan in words.
func (s *story) lines(t *testing.T, o reconcile.PlanOptions, things ...*thing) []string {
	t.Helper()
	s.server.forget() // the test itself may have changed something
	plan, diags, err := s.plan(o, things...)
	require.NoError(t, err)
	require.Empty(t, diags.Errors())
	var lines []string
	for _, step := range plan.Steps {
		c := step.Change
		line := fmt.Sprintf("%s %s", c.Action, c.Object())
		for _, fc := range c.Fields {
			line += " " + fc.Name + "=" + fc.Label
		}
		if c.RenamedOutside {
			line += " (renamed outside)"
		}
		if c.Action == reconcile.Mark {
			line += " (" + c.Marker.Why + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestConformanceMarkersRideAlongWithEveryKind(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s, m := w.story(t), w.maker(t)
		var things []*thing
		for _, k := range w.set.Kinds() {
			if k.Resource.Mode == schema.Managed && k.Resource.Prune != "named" {
				things = append(things, m.minimal(k))
			}
		}
		site := w.named("Site", map[string]any{"slug": w.tag, "name": w.tag})
		unmarkable := w.named("Manufacturer", map[string]any{"slug": w.tag, "name": w.tag})
		things = append(append(slices.Clone(m.order), things...), site, unmarkable)
		secret := "canary-" + w.tag
		for _, x := range things {
			if x.kind.Field("password") != nil && x.kind.Field("password").WriteOnly {
				x.fields["password"] = reconcile.NewSecret(secret, "ENC["+w.tag+"]")
			}
		}

		o := w.owner(part)
		o.Ownership.Mark = append(o.Ownership.Mark, unmarkable.kind.Name)
		before := w.count()
		report := s.owned(t, o, things...)
		for _, r := range w.writes(before) {
			require.Equal(t, http.MethodPost, r.Method, "a marker needs no request of its own: %v", r)
		}
		require.Len(t, report.Steps, len(things))
		marked := 0
		for _, x := range things {
			named := x.kind.Resource.Prune == "named"
			marker := w.markerOf(t, x)
			if named && x != site {
				require.Nil(t, marker, "%s can't carry a marker", x)
				continue
			}
			marked++
			require.Equal(t, w.tag, marker["owner"], "%s", x)
			require.Equal(t, "created", marker["origin"], "%s", x)
			require.Len(t, marker["fields"], len(x.fields), "%s", x)
			require.NotContains(t, fmt.Sprint(marker), secret)
			require.NotContains(t, fmt.Sprint(marker), "ENC[")
		}
		require.Greater(t, marked, 10)
	})
}

// cost counts the requests of a plan, of its apply and of a second plan, by a
// client that has asked nothing yet.
type cost struct{ Plan, Apply, Again int }

func (w *world) costOf(t testing.TB, o reconcile.PlanOptions, docs []reconcile.Document) (c cost) {
	t.Helper()
	client := w.client(t, w.token)
	before := w.count()
	passed := func() int {
		n := w.count() - before
		before += n
		return n
	}
	plan, diags, err := reconcile.MakePlan(context.Background(), w.set, client, docs, o)
	require.NoError(t, err)
	require.Empty(t, diags.Errors())
	require.Len(t, plan.Steps, len(docs))
	c.Plan = passed()
	require.NoError(t, failures(reconcile.Apply(context.Background(), plan, client, reconcile.ApplyOptions{})))
	c.Apply = passed()
	plan, _, err = reconcile.MakePlan(context.Background(), w.set, w.client(t, w.token), docs, o)
	require.NoError(t, err)
	require.Empty(t, plan.Steps)
	c.Again = passed()
	return c
}

// many are storages on a cluster of the core.
func (w *world) many(prefix string, n int) []reconcile.Document {
	kind := w.named("ClusterType", map[string]any{"slug": prefix, "name": prefix})
	cluster := w.named("Cluster", map[string]any{"name": prefix, "type": kind})
	docs := []reconcile.Document{kind.document(), cluster.document()}
	for i := range n {
		docs = append(docs, w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": fmt.Sprintf("%s%05d", prefix, i), "storage_type": "dir"}).document())
	}
	return docs
}

func TestConformanceTheMarkerCostsOneRequestOfAPlanAndNoneOfAWrite(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		plain := w.costOf(t, reconcile.PlanOptions{}, w.many(w.tag+"p", 40))
		owned := w.costOf(t, w.owner(part), w.many(w.tag+"o", 40))
		require.LessOrEqual(t, owned.Plan, plain.Plan+1)
		require.Equal(t, plain.Apply, owned.Apply)
		require.LessOrEqual(t, owned.Again, plain.Again+1)
	})
}

// BenchmarkMarkers shows what markers cost a bulk write: ns/object without an
// owner and with one.
func BenchmarkMarkers(b *testing.B) {
	const n = 1000
	for _, owner := range []string{"", "bench"} {
		b.Run(map[bool]string{true: "plain", false: "owned"}[owner == ""], func(b *testing.B) {
			w := newSandboxWorld(b, sandbox.DefaultGeneration, schema.Embedded())
			w.must(b, http.MethodPost, "extras/custom-fields", map[string]any{"name": reconcile.MarkerField, "type": "json",
				"object_types": []string{w.set.Kind("ProxmoxStorage").Resource.ObjectType}})
			o := reconcile.PlanOptions{Ownership: reconcile.Ownership{Owner: owner, Partial: "a benchmark"}}
			client := w.client(b, w.token)
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				plan, diags, err := reconcile.MakePlan(context.Background(), w.set, client, w.many(fmt.Sprintf("b%d", i), n), o)
				require.NoError(b, err)
				require.Empty(b, diags.Errors())
				b.StartTimer()
				require.NoError(b, failures(reconcile.Apply(context.Background(), plan, client, reconcile.ApplyOptions{})))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/object")
		})
	}
}

func TestConformanceARefusedCreateLeavesNothing(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s := w.story(t)
		w.must(t, http.MethodPost, "dcim/sites", map[string]any{"name": w.tag, "slug": w.tag})
		twin := w.named("Site", map[string]any{"name": w.tag, "slug": w.tag + "-b"})
		report, err := s.once(w.owner(part), twin)
		require.NoError(t, err)
		require.Len(t, report.Steps, 1)
		require.Equal(t, reconcile.Failed, report.Steps[0].Result)
		page := w.must(t, http.MethodGet, "dcim/sites?name="+w.tag, nil)
		sites := page["results"].([]any)
		require.Len(t, sites, 1, "the refused one is not there")
		require.Nil(t, sites[0].(map[string]any)["custom_fields"].(map[string]any)[reconcile.MarkerField], "and nobody else got its marker")
	})
}

func TestConformanceUsersOwnCustomFieldsStay(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s := w.story(t)
		for _, name := range []string{w.tag + "_note", w.tag + "_ours"} {
			w.must(t, http.MethodPost, "extras/custom-fields", map[string]any{"name": name, "type": "text", "object_types": []any{"dcim.site"}})
		}
		site := w.named("Site", map[string]any{"name": w.tag, "slug": w.tag})
		s.owned(t, w.owner(part), site)
		path := fmt.Sprintf("dcim/sites/%d", site.row)
		w.must(t, http.MethodPatch, path, map[string]any{"custom_fields": map[string]any{w.tag + "_note": "theirs"}})
		custom := func() map[string]any { return w.shown(t, site.kind, site.row)["custom_fields"].(map[string]any) }
		require.NotNil(t, custom()[reconcile.MarkerField], "a write of another custom field leaves the marker")
		require.Empty(t, s.lines(t, w.owner(part), site))

		changed := site.with(map[string]any{"facility": "F", "custom_fields": map[string]any{w.tag + "_ours": "ours"}})
		before := w.count()
		s.owned(t, w.owner(part), changed)
		require.Len(t, w.writes(before), 1, "field, custom field and marker go together")
		require.Equal(t, "theirs", custom()[w.tag+"_note"])
		require.Equal(t, "ours", custom()[w.tag+"_ours"])
		fields := custom()[reconcile.MarkerField].(map[string]any)["fields"].(map[string]any)
		require.Contains(t, fields, "custom_fields."+w.tag+"_ours")
		require.NotContains(t, fields, "custom_fields."+w.tag+"_note")

		// What somebody changes is drift, and only what is declared is repaired.
		w.must(t, http.MethodPatch, path, map[string]any{"facility": "G", "custom_fields": map[string]any{w.tag + "_ours": "x", w.tag + "_note": "y"}})
		require.Empty(t, cmp.Diff([]string{fmt.Sprintf("update Site %s facility=drift custom_fields.%s_ours=drift", w.tag, w.tag)},
			s.lines(t, w.owner(part), changed)))
		s.owned(t, w.owner(part), changed)
		require.Equal(t, "y", custom()[w.tag+"_note"])
		require.Equal(t, "ours", custom()[w.tag+"_ours"])
	})
}

func TestConformanceATokenThatMayNotMarkCannotAdopt(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		made := w.must(t, http.MethodPost, "dcim/sites", map[string]any{"name": w.tag, "slug": w.tag})
		site := w.named("Site", map[string]any{"name": w.tag, "slug": w.tag})
		id, _ := made["id"].(json.Number).Int64()
		site.row = reconcile.RowID(id)
		reader := &story{w: w, server: &remembering{Server: w.client(t, w.limited(t, []string{"view"}, "Site", "CustomField")), reads: map[string]remembered{}}}
		require.Empty(t, cmp.Diff([]string{"mark Site " + w.tag + " (adopted)"}, reader.lines(t, w.owner(part), site)))
		report, err := reader.once(w.owner(part), site)
		require.NoError(t, err)
		require.NoError(t, report.Err, "a marker that is refused is no failure of the run")
		require.Equal(t, reconcile.Unmarked, report.Steps[0].Result, "%+v", report.Steps[0])
		require.Nil(t, w.markerOf(t, site))

		// One that may adopts it, and nothing but the marker changes.
		before := w.shown(t, site.kind, site.row)
		w.story(t).owned(t, w.owner(part), site)
		require.Equal(t, "adopted", w.markerOf(t, site)["origin"])
		after := w.shown(t, site.kind, site.row)
		for _, name := range []string{"last_updated", "custom_fields"} {
			delete(before, name)
			delete(after, name)
		}
		require.Empty(t, cmp.Diff(before, after))
	})
}

func TestConformanceWhatADeleteTakesAlong(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s, m := w.story(t), w.maker(t)
		endpoint := m.target(w.set.Kind("ProxmoxEndpoint"), 0)
		things := []*thing{
			m.minimal(w.set.Kind("ProxmoxCluster")), m.minimal(w.set.Kind("ProxmoxNode")), m.minimal(w.set.Kind("ProxmoxNode")),
			m.minimal(w.set.Kind("BackupRoutine")), m.minimal(w.set.Kind("Replication")),
		}
		things[2].fields["name"] = w.tag + "second"
		things[4].fields["endpoint"] = endpoint
		s.owned(t, w.owner(part), append(slices.Clone(m.order), things...)...)
		foreign := 0
		if w.real {
			for i := range 2 {
				w.must(t, http.MethodPost, "plugins/proxbox/firewall/aliases", map[string]any{
					"endpoint": endpoint.row, "name": fmt.Sprintf("%s%d", w.tag, i), "cidr": "192.0.2.0/24", "scope": "datacenter", "firewall_level": "datacenter"})
				foreign++
			}
		}

		gone := *endpoint
		gone.fields = map[string]any{"name": endpoint.fields["name"]}
		gone.meta = reconcile.Metadata{Absent: true}
		plan, _, err := s.plan(w.owner(part), &gone)
		require.NoError(t, err)
		require.Len(t, plan.Steps, 1)
		require.Equal(t, reconcile.Delete, plan.Steps[0].Change.Action)
		got := map[string]int{}
		for _, taken := range plan.Steps[0].Change.Takes {
			if !taken.Unknown {
				got[taken.What] = taken.Count
				require.True(t, taken.What == strings.ToLower(taken.What) || len(taken.Objects) == taken.Count, "ours are named: %+v", taken)
			}
		}
		want := map[string]int{"ProxmoxCluster": 1, "ProxmoxNode": 2, "BackupRoutine": 1, "Replication": 1}
		if foreign > 0 {
			want["plugins/proxbox/firewall/aliases"] = foreign
		}
		require.Empty(t, cmp.Diff(want, got))
		require.True(t, plan.Diagnostics.HasErrors(), "a delete that cascades is refused without a number")

		report, err := s.once(w.owner(part, pruningLimit), &gone)
		require.NoError(t, err)
		require.NoError(t, failures(report))
		for _, x := range append(things, endpoint) {
			status, _ := w.raw(t, http.MethodGet, fmt.Sprintf("%s/%d", w.path(t, x.kind), x.row), nil)
			require.Equal(t, http.StatusNotFound, status, "%s", x)
		}
	})
}

// pruningLimit allows deletes, and prunes nothing.
func pruningLimit(o *reconcile.Ownership) {
	pruning(o)
	o.Prune = false
}

func TestConformancePruneTakesOrphansOfThisOwnerOnly(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s, m := w.story(t), w.maker(t)
		cluster := m.target(w.set.Kind("Cluster"), 0)
		stores := make([]*thing, 12)
		for i := range stores {
			stores[i] = w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": fmt.Sprintf("%s%02d", w.tag, i), "storage_type": "dir"})
		}
		base := append(slices.Clone(m.order), stores...)
		s.owned(t, w.owner(), base...)
		discovered := w.must(t, http.MethodPost, w.path(t, stores[0].kind), map[string]any{
			"cluster": cluster.row, "name": w.tag + "discovered", "storage_type": "dir"})
		other := w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": w.tag + "other", "storage_type": "dir"})
		theirs := w.owner(part)
		theirs.Ownership.Owner = w.tag + "-other"
		s.owned(t, theirs, append(slices.Clone(m.order), other)...)
		protected := *stores[10]
		protected.meta = reconcile.Metadata{Protect: true}
		s.owned(t, w.owner(), append(append(slices.Clone(m.order), stores[:10]...), &protected, stores[11])...)

		left := append(slices.Clone(m.order), stores[:10]...)
		require.Empty(t, s.lines(t, w.owner(), left...), "without the flag orphans are listed, no more")
		plan, _, err := s.plan(w.owner(), left...)
		require.NoError(t, err)
		require.Len(t, plan.Orphans, 2)
		last := fmt.Sprintf("delete ProxmoxStorage %s/%s11", cluster.fields["name"], w.tag)
		require.Empty(t, cmp.Diff([]string{last}, s.lines(t, w.owner(pruning), left...)))
		report, err := s.once(w.owner(pruning), left...)
		require.NoError(t, err)
		require.NoError(t, failures(report))
		s.server.forget()
		require.Empty(t, s.lines(t, w.owner(pruning), left...))

		status := func(id any) int {
			code, _ := w.raw(t, http.MethodGet, fmt.Sprintf("%s/%v", w.path(t, stores[0].kind), id), nil)
			return code
		}
		require.Equal(t, http.StatusNotFound, status(stores[11].row))
		for what, id := range map[string]any{"a discovered one": discovered["id"], "another owner's": other.row,
			"a protected one": stores[10].row, "one in the manifests": stores[0].row} {
			require.Equal(t, http.StatusOK, status(id), what)
		}
	})
}

func TestConformanceRenamedOutsideIsRenamedBack(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		w.marking(t)
		s, m := w.story(t), w.maker(t)
		cluster := m.target(w.set.Kind("Cluster"), 0)
		store := w.named("ProxmoxStorage", map[string]any{"cluster": cluster, "name": w.tag, "storage_type": "dir"})
		things := append(slices.Clone(m.order), store)
		s.owned(t, w.owner(), things...)
		path := fmt.Sprintf("%s/%d", w.path(t, store.kind), store.row)
		w.must(t, http.MethodPatch, path, map[string]any{"name": w.tag + "moved"})
		require.Empty(t, cmp.Diff([]string{fmt.Sprintf("update ProxmoxStorage %s/%s name=drift (renamed outside)", cluster.fields["name"], w.tag)},
			s.lines(t, w.owner(pruning), things...)))
		row := store.row
		s.owned(t, w.owner(pruning), things...)
		require.Equal(t, row, store.row)
		require.Equal(t, w.tag, w.shown(t, store.kind, row)["name"])
	})
}

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
		weak := w.client(t, w.limited(t, []string{"view", "add", "change"}, "ProxmoxEndpoint", "NetBoxEndpoint"))
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
