package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// marked is a server with the custom field that holds markers.
func marked(t testing.TB, set *schema.Set) *memory {
	t.Helper()
	m := newMemory(set)
	m.put("Extra", map[string]any{"name": reconcile.MarkerField, "type": "json", "object_types": []any{"x.y", "x.door"}})
	return m
}

func owned() reconcile.PlanOptions {
	return reconcile.PlanOptions{Ownership: reconcile.Ownership{Owner: "prod"}}
}

// seal puts a secret as sops would leave it into every document of a kind.
func seal(docs []reconcile.Document, kind, field, cipher string, at time.Time) []reconcile.Document {
	for i := range docs {
		if docs[i].Kind == kind {
			spec := *docs[i].Spec
			spec.Members = append(append([]reconcile.Member(nil), spec.Members...), reconcile.Member{Name: field,
				Value: &reconcile.Node{Value: reconcile.NewSecret("plain of "+cipher, cipher).At(at)}})
			docs[i].Spec = &spec
		}
	}
	return docs
}

func apply(t testing.TB, set *schema.Set, m *memory, docs []reconcile.Document, o reconcile.PlanOptions) *reconcile.Report {
	t.Helper()
	r := reconcile.Apply(context.Background(), mustPlan(t, set, m, docs, o), m, reconcile.ApplyOptions{})
	require.NoError(t, r.Err)
	return r
}

// summary is a plan in words: steps with labels and marker, orphans, refusals.
func summary(p *reconcile.Plan) []string {
	var out []string
	for _, s := range p.Steps {
		c := s.Change
		line := fmt.Sprintf("%s %s", c.Action, c.Object())
		for _, fc := range c.Fields {
			line += " " + fc.Name
			if fc.Label != "" {
				line += "=" + fc.Label
			}
		}
		for _, sc := range c.Secrets {
			line += " " + sc.Name + "=" + sc.Why
		}
		for _, name := range c.Released {
			line += " released=" + name
		}
		for _, taken := range c.Takes {
			line += fmt.Sprintf(" takes=%s:%d", taken.What, taken.Count)
		}
		if c.Marker != nil && (c.Action == reconcile.Mark || c.Marker.Why == "adopted") {
			line += " (" + c.Marker.Why + ")"
		}
		out = append(out, line)
	}
	for _, x := range p.Orphans {
		if !x.Deleted {
			out = append(out, fmt.Sprintf("orphan %s: %s", x.Object, x.Why))
		}
	}
	for _, d := range p.Diagnostics.Errors() {
		out = append(out, "refused: "+d.Code)
	}
	return out
}

// plan makes a plan, also one that policy refuses.
func plan(t testing.TB, set *schema.Set, m *memory, docs []reconcile.Document, o reconcile.PlanOptions) []string {
	t.Helper()
	p, diags, err := reconcile.MakePlan(context.Background(), set, m, docs, o)
	require.NoError(t, err)
	if p == nil {
		var out []string
		for _, d := range diags.Errors() {
			out = append(out, "error: "+d.Code)
		}
		return out
	}
	return summary(p)
}

const shire = `
kind: Site
items: [{slug: a, name: A}, {slug: b, name: B}]
---
kind: Cluster
spec: {name: c1, site: a}
---
kind: Store
items: [{cluster: c1, name: s1, size: 1, site: a}]
`

func TestOwnersMarkWhatTheyWriteAndNothingIsLeft(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, shire), owned())
	for _, row := range m.rows["Site"] {
		marker := row.Fields["custom_fields"].(map[string]any)[reconcile.MarkerField].(map[string]any)
		require.Equal(t, "prod", marker["owner"])
		require.Equal(t, "created", marker["origin"])
		require.Len(t, marker["fields"], 2)
	}
	m.writes = nil
	require.Empty(t, plan(t, set, m, load(t, shire), owned()))
	require.Empty(t, m.writes)
}

func TestWhatIsThereIsAdoptedReleasedOrLeftToItsOwner(t *testing.T) {
	for _, c := range []struct {
		why, text string
		marker    any
		edit      func(*reconcile.Ownership)
		want      []string
	}{
		{"without a marker it is adopted, in one step", "kind: Site\nspec: {slug: a, name: A}", nil, nil,
			[]string{"mark Site a (adopted)"}},
		{"adoption comes with changes", "kind: Site\nspec: {slug: a, name: other}", nil, nil,
			[]string{"update Site a name=adoption (adopted)"}},
		{"adoption can be forbidden", "kind: Site\nspec: {slug: a, name: A}", nil,
			func(w *reconcile.Ownership) { w.NoAdopt = true }, []string{"mark Site a (adopted)", "refused: not-adopted"}},
		{"another owner's is a conflict", "kind: Site\nspec: {slug: a, name: A}", foreign("other"), nil, []string{"error: other-owner"}},
		{"another owner's can be taken over", "kind: Site\nspec: {slug: a, name: A}", foreign("other"),
			func(w *reconcile.Ownership) { w.TakeOwnership = true }, []string{"mark Site a (taken over)"}},
		{"a marker of a newer version is not touched", "kind: Site\nspec: {slug: a, name: A}",
			map[string]any{"v": reconcile.Number("2")}, nil, []string{"error: unknown-marker"}},
		{"a marker that is text is not touched", "kind: Site\nspec: {slug: a, name: A}", "hello", nil, []string{"error: unknown-marker"}},
		{"a copied marker does not make an object ours", "kind: Site\nspec: {slug: a, name: A}", foreign("prod"), nil,
			[]string{"mark Site a (adopted, its marker was another object's)"}},
		{"a copied marker is no way around --no-adopt", "kind: Site\nspec: {slug: a, name: A}", foreign("prod"),
			func(w *reconcile.Ownership) { w.NoAdopt = true },
			[]string{"mark Site a (adopted, its marker was another object's)", "refused: not-adopted"}},
		{"createOnly never owns", "kind: Site\nmetadata: {createOnly: true}\nspec: {slug: a, name: A}", nil, nil, nil},
		{"absent deletes", "kind: Site\nmetadata: {absent: true}\nspec: {slug: a}", nil, nil,
			[]string{"delete Site a"}},
		{"absent is kept from another owner's", "kind: Site\nmetadata: {absent: true}\nspec: {slug: a}", foreign("other"), nil,
			[]string{"error: other-owner"}},
		{"release of what is not ours is nothing", "kind: Site\nmetadata: {release: true}\nspec: {slug: a}", nil, nil, nil},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := marked(t, set)
			m.put("Site", map[string]any{"slug": "a", "name": "A", "custom_fields": map[string]any{"theirs": "x", reconcile.MarkerField: c.marker}})
			o := owned()
			if c.edit != nil {
				c.edit(&o.Ownership)
			}
			require.Empty(t, cmp.Diff(c.want, plan(t, set, m, load(t, c.text), o)))
		})
	}
}

// foreign is the marker of another owner.
func foreign(owner string) map[string]any {
	return map[string]any{"v": reconcile.Number("1"), "owner": owner, "key": "0123456789abcdef", "origin": "created", "fields": map[string]any{}}
}

func TestReleaseForgetsAndKeeps(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, shire), owned())
	released := strings.Replace(shire, "kind: Site\nitems", "kind: Site\nmetadata: {release: true}\nspec: {slug: b}\n---\nkind: Site\nitems", 1)
	released = strings.Replace(released, ", {slug: b, name: B}", "", 1)
	require.Empty(t, cmp.Diff([]string{"mark Site b (released)"}, plan(t, set, m, load(t, released), owned())))
	apply(t, set, m, load(t, released), owned())
	require.Empty(t, plan(t, set, m, load(t, released), owned()))
	require.Len(t, m.rows["Site"], 2)

	// A field that leaves the manifest is released, its value stays.
	less := strings.Replace(released, ", name: A", "", 1)
	require.Empty(t, cmp.Diff([]string{"mark Site a released=name (updated)"}, plan(t, set, m, load(t, less), owned())))
	// In a partial run it is not: the rest may stand in a file that was not named.
	o := owned()
	o.Ownership.Partial = "only some paths were given"
	require.Empty(t, plan(t, set, m, load(t, less), o))
}

func TestDriftIsToldFromIntent(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, load(t, "kind: Site\nspec: {slug: a, name: one, count: 1, raw: {x: 1}}"), owned())
	for id, row := range m.rows["Site"] {
		row.Fields["count"] = reconcile.Number("2")                    // somebody changed it
		row.Fields["raw"] = map[string]any{"x": reconcile.Number("2")} // and this
		m.rows["Site"][id] = row
	}
	docs := load(t, "kind: Site\nspec: {slug: a, name: two, count: 1, raw: {x: 3}, custom_fields: {new: 1}}")
	require.Empty(t, cmp.Diff([]string{"update Site a name=intent raw=conflict count=drift custom_fields.new=adoption"},
		plan(t, set, m, docs, owned())))
	apply(t, set, m, docs, owned())
	require.Empty(t, plan(t, set, m, docs, owned()))
}

func TestSecretsAreSentWhenTheirCiphertextChanged(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	door := func(cipher string, at time.Time) []reconcile.Document {
		return seal(load(t, "kind: Door\nspec: {name: d}"), "Door", "password", cipher, at)
	}
	first := apply(t, set, m, door("ENC[one]", day), owned())
	require.Equal(t, 1, first.Count(reconcile.Applied))
	require.Empty(t, plan(t, set, m, door("ENC[one]", day.Add(time.Hour)), owned()))
	require.Empty(t, cmp.Diff([]string{"update Door d password=changed"}, plan(t, set, m, door("ENC[two]", day.Add(time.Hour)), owned())))
	apply(t, set, m, door("ENC[two]", day.Add(time.Hour)), owned())

	back := door("ENC[one]", day)
	require.Contains(t, plan(t, set, m, back, owned()), "refused: older-secret")
	o := owned()
	o.Ownership.AllowOlderSecrets = true
	require.Empty(t, cmp.Diff([]string{"update Door d password=changed"}, plan(t, set, m, back, o)))

	for _, row := range m.rows["Door"] {
		row.Fields["custom_fields"] = map[string]any{} // somebody took the marker away
	}
	p, _, err := reconcile.MakePlan(context.Background(), set, m, back, owned())
	require.NoError(t, err)
	require.Equal(t, []string{"mark Door d (adopted)"}, summary(p))
	require.Equal(t, "unknown", p.Secrets[0].Status)
	o = owned()
	o.Ownership.AcceptSecrets = true
	apply(t, set, m, back, o)
	require.Empty(t, plan(t, set, m, back, owned()))
	for _, w := range m.writes {
		require.NotContains(t, w, "plain of")
	}
}

func TestStoredCredentialsAreNotPointedElsewhere(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	door := func(domain, cipher string) []reconcile.Document {
		return seal(load(t, fmt.Sprintf("kind: Door\nspec: {name: d, domain: %s}", domain)), "Door", "password", cipher, at)
	}
	apply(t, set, m, door("here", "ENC[1]"), owned())
	require.Contains(t, plan(t, set, m, door("there", "ENC[1]"), owned()), "refused: retargeted-credentials")
	require.NotContains(t, plan(t, set, m, door("there", "ENC[2]"), owned()), "refused: retargeted-credentials")

	refused, diags, err := reconcile.MakePlan(context.Background(), set, m, door("there", "ENC[1]"), owned())
	require.NoError(t, err)
	require.Contains(t, diags.Errors()[0].Summary, "a new domain (here → there) would send the stored credentials")
	require.Equal(t, "domain", diags.Errors()[0].Field)
	require.Len(t, refused.Steps[0].Risks, 1)
	anew, diags, err := reconcile.MakePlan(context.Background(), set, m, door("there", "ENC[2]"), owned())
	require.NoError(t, err)
	require.Empty(t, diags.Errors())
	require.Empty(t, anew.Steps[0].Risks, "all its secrets are sent anew")
	asked := owned()
	asked.SendSecrets = []reconcile.SecretSelection{{}}
	require.Contains(t, plan(t, set, m, door("there", "ENC[1]"), asked), "refused: retargeted-credentials",
		"whoever moved the domain need not have had the key")
	require.NotContains(t, plan(t, set, m, door("there", "ENC[2]"), asked), "refused: retargeted-credentials")
	o := owned()
	o.Ownership.AllowRetarget = []reconcile.Selection{{Kind: "Door", Key: "d"}}
	require.NotContains(t, plan(t, set, m, door("there", "ENC[1]"), o), "refused: retargeted-credentials")
}

// The address that an endpoint refers to is renamed: the endpoint itself does
// not change, and its credentials go elsewhere all the same.
func TestStoredCredentialsAreNotPointedElsewhereByARenamedTarget(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	posts := func(site, cipher string) []reconcile.Document {
		return seal(load(t, site+"\n---\nkind: Post\nspec: {name: p, at: "+site[strings.LastIndex(site, " ")+1:len(site)-1]+"}"), "Post", "password", cipher, at)
	}
	apply(t, set, m, posts("kind: Site\nspec: {slug: here}", "ENC[1]"), owned())
	moved := "kind: Site\nmetadata: {renamedFrom: here}\nspec: {slug: there}"
	require.Contains(t, plan(t, set, m, posts(moved, "ENC[1]"), owned()), "refused: retargeted-credentials")
	require.NotContains(t, plan(t, set, m, posts(moved, "ENC[2]"), owned()), "refused: retargeted-credentials")
	o := owned()
	o.Ownership.AllowRetarget = []reconcile.Selection{{Kind: "Post", Key: "p"}}
	require.NotContains(t, plan(t, set, m, posts(moved, "ENC[1]"), o), "refused: retargeted-credentials")
	// Also when only the core's manifests are planned.
	o = owned()
	o.Ownership.Partial = "only some paths were given"
	require.Contains(t, plan(t, set, m, load(t, moved), o), "refused: retargeted-credentials")
}

// The last digit before == has four bits that mean nothing.
func TestAnotherSpellingOfACiphertextIsNoNewSecret(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	door := func(tag string) []reconcile.Document {
		return seal(load(t, "kind: Door\nspec: {name: d}"), "Door", "password", "ENC[AES256_GCM,data:bw==,iv:bw==,tag:"+tag+",type:str]", at)
	}
	apply(t, set, m, door("bw=="), owned())
	require.Empty(t, plan(t, set, m, door("bx=="), owned()))
	require.NotEmpty(t, plan(t, set, m, door("cw=="), owned()))
}

func TestRenamesThatCantBeTold(t *testing.T) {
	for _, c := range []struct{ why, text string }{
		{"the old name is declared as well", "kind: Site\nspec: {slug: a}\n---\nkind: Site\nmetadata: {renamedFrom: a}\nspec: {slug: x}"},
		{"two objects claim one old name", "kind: Site\nmetadata: {renamedFrom: a}\nspec: {slug: x}\n---\nkind: Site\nmetadata: {renamedFrom: a}\nspec: {slug: z}"},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := marked(t, set)
			m.put("Site", map[string]any{"slug": "a"})
			require.Equal(t, []string{"error: rename-conflict"}, plan(t, set, m, load(t, c.text), owned()))
		})
	}
}

func TestRenames(t *testing.T) {
	set := kinds(t)
	renamed := strings.NewReplacer("{name: c1,", "{name: c2,", "cluster: c1", "cluster: c2",
		"kind: Cluster", "kind: Cluster\nmetadata: {renamedFrom: c1}").Replace(strings.Replace(shire, "\n---\nkind: Cluster", "\n---\nkind: Cluster", 1))

	m := marked(t, set)
	apply(t, set, m, load(t, shire), owned())
	want := []string{"update Cluster c2 name=intent", "mark Store c2/s1 (updated)"}
	got := plan(t, set, m, load(t, renamed), owned())
	// Cluster carries no custom fields here, so there is no label.
	require.Empty(t, cmp.Diff([]string{strings.Replace(want[0], "=intent", "", 1), want[1]}, got))
	apply(t, set, m, load(t, renamed), owned())
	require.Empty(t, plan(t, set, m, load(t, renamed), owned()))
	require.Len(t, m.rows["Cluster"], 1)

	m.put("Cluster", map[string]any{"name": "c1"})
	require.Contains(t, plan(t, set, m, load(t, renamed), owned()), "error: rename-conflict")

	// Somebody renames a site on the server: it is recognised by its marker.
	m = marked(t, set)
	apply(t, set, m, load(t, shire), owned())
	for id, row := range m.rows["Site"] {
		if row.Fields["slug"] == "b" {
			row.Fields["slug"] = "moved"
			m.rows["Site"][id] = row
		}
	}
	require.Empty(t, cmp.Diff([]string{"update Site b slug=drift"}, plan(t, set, m, load(t, shire), owned())))
	apply(t, set, m, load(t, shire), owned())
	require.Len(t, m.rows["Site"], 2)
}
