package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
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
func (w *world) marking(t testing.TB) {
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
		reader := w.story(t)
		reader.server.Server = w.client(t, w.limited(t, 2, true, grant{kinds: []string{"Site", "CustomField"}, actions: []string{"view"}}))
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

func TestConformanceACustomFieldAndItsValuesInOneRun(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		name := w.tag + "_zone"
		choices := w.named("CustomFieldChoiceSet", map[string]any{"name": w.tag, "extra_choices": []any{[]any{"a", "Zone A"}, []any{"b", "Zone B"}}})
		field := w.named("CustomField", map[string]any{"name": name, "type": "select", "choice_set": choices,
			"object_types": []any{"virtualization.cluster", "virtualization.clustertype"}})
		kind := w.named("ClusterType", map[string]any{"slug": w.tag, "name": w.tag, "custom_fields": map[string]any{name: "a"}})
		cluster := w.named("Cluster", map[string]any{"name": w.tag, "type": kind, "custom_fields": map[string]any{name: "b"}})
		require.NoError(t, w.story(t).apply(cluster, kind, field, choices))
		custom, _ := w.shown(t, cluster.kind, cluster.row)["custom_fields"].(map[string]any)
		require.Empty(t, cmp.Diff(map[string]any{"value": "b", "label": "Zone B"}, custom[name]))
	})
}
