package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

const savedBefore = `
kind: Site
items: [{slug: a, name: one, count: 1}, {slug: b}, {slug: c}, {slug: gone, name: going}]
---
kind: Store
items: [{cluster: main, name: kept, size: 1, site: a}]
---
kind: Cluster
spec: {name: main, site: a}
---
kind: Door
spec: {name: front, domain: front.example}
`

// savedAfter has a step of every sort: a create with a secret, a cycle of
// references, an update, a secret that is rotated, a release, a delete.
const savedAfter = `
kind: Site
items: [{slug: a, name: two}, {slug: b, raw: {deep: [1, 2]}}, {slug: c}]
---
kind: Store
items: [{cluster: main, name: kept, size: 2, site: a}, {cluster: main, name: new, sites: [a, b]}]
---
kind: Cluster
spec: {name: main, site: a}
---
kind: Ring
items: [{name: x, next: y}, {name: y, next: x}]
---
kind: Door
items: [{name: front, domain: front.example}, {name: back, domain: back.example}]
`

func savedOptions() reconcile.PlanOptions {
	o := owned()
	most := 5
	o.Ownership.Prune, o.Ownership.Limits.MaxDeletes, o.Ownership.Mark = true, &most, []string{"Site"}
	return o
}

// savedStory is a server on which savedBefore was applied, and the documents of
// savedAfter.
func savedStory(t testing.TB) (*schema.Set, *memory, []reconcile.Document) {
	set := kinds(t)
	m := marked(t, set)
	for _, field := range m.rows["Extra"] {
		field.Fields["comments"] = "Installation 0123456789abcdef"
	}
	apply(t, set, m, seal(load(t, savedBefore), "Door", "password", "ENC[one]", time.Time{}), savedOptions())
	return set, m, seal(load(t, savedAfter), "Door", "password", "ENC[two]", time.Time{})
}

// reread is a record as a file gives it back.
func reread(t testing.TB, r *reconcile.Record) *reconcile.Record {
	t.Helper()
	data, err := json.Marshal(r)
	require.NoError(t, err)
	out, err := fromJSON(data)
	require.NoError(t, err)
	return out
}

func fromJSON(data []byte) (*reconcile.Record, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	out := &reconcile.Record{}
	return out, dec.Decode(out)
}

func moved(saved *reconcile.Record, now *reconcile.Plan) []string {
	var out []string
	for _, d := range reconcile.Moved(saved, now, "v1", time.Unix(1000, 0)) {
		about := strings.TrimSpace(d.Object + " " + d.Field)
		if about != "" {
			about += ": "
		}
		out = append(out, about+d.Summary)
	}
	return out
}

func savedRecord(p *reconcile.Plan) *reconcile.Record {
	r := p.Record()
	r.Tool = "v1"
	return r
}

func TestASavedPlanHoldsForThePlanThatItIs(t *testing.T) {
	set, m, docs := savedStory(t)
	plan := mustPlan(t, set, m, docs, savedOptions())
	record := savedRecord(plan)
	require.Greater(t, len(record.Steps), 8)
	require.Empty(t, moved(reread(t, record), mustPlan(t, set, m, docs, savedOptions())))
	require.Empty(t, moved(reread(t, record.WithoutValues()), plan))
	again := savedRecord(mustPlan(t, set, m, docs, savedOptions()))
	a, _ := json.Marshal(record)
	b, _ := json.Marshal(again)
	require.Equal(t, string(a), string(b), "the same plan gives the same bytes")
	require.NotContains(t, string(a), "plain of")
}

// informational members differ between two runs that do the same: what a token
// sees, where a document stands, what was allowed.
var informational = []string{"/manifests/", "/policy/", "/complete", "/unchanged", "/unmanaged", "/unread", "/orphans/", "/secrets/",
	"/summary/unchanged", "/position/", "/sealed", "/redacted", "/expires"}

func TestEveryForgedMemberOfASavedPlanIsFound(t *testing.T) {
	set, m, docs := savedStory(t)
	plan := mustPlan(t, set, m, docs, savedOptions())
	data, err := json.Marshal(savedRecord(plan))
	require.NoError(t, err)
	forged, let := 0, 0
	for _, path := range leaves(t, data) {
		for _, how := range []string{"other", "null"} {
			changed, same := forge(t, data, path, how)
			if same {
				continue
			}
			record, err := fromJSON(changed)
			if err != nil {
				continue // it can't even be read
			}
			if again, _ := json.Marshal(record); bytes.Equal(again, data) {
				continue // null of what is null or empty
			}
			forged++
			list := moved(record, plan)
			if slices.ContainsFunc(informational, func(part string) bool {
				return strings.HasPrefix(path, part) && !strings.HasPrefix(path, "/steps/") ||
					strings.HasPrefix(path, "/steps/") && (strings.Contains(path, part) && (part == "/position/" || part == "/sealed"))
			}) {
				let++
				continue
			}
			require.NotEmpty(t, list, "%s made %s", path, how)
		}
	}
	require.Greater(t, forged, 200)
	require.Less(t, let, forged/2)
}

// leaves lists the paths of all leaves of a JSON document.
func leaves(t testing.TB, data []byte) []string {
	var v any
	require.NoError(t, json.Unmarshal(data, &v))
	var out []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, x := range v {
				walk(path+"/"+name, x)
			}
		case []any:
			for i, x := range v {
				walk(fmt.Sprintf("%s/%d", path, i), x)
			}
		default:
			out = append(out, path)
		}
	}
	walk("", v)
	slices.Sort(out)
	return out
}

// forge changes one leaf; same says that it can't be changed in that way.
func forge(t testing.TB, data []byte, path, how string) (changed []byte, same bool) {
	t.Helper()
	var root any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&root))
	parts := strings.Split(path[1:], "/")
	at := root
	for _, part := range parts[:len(parts)-1] {
		switch x := at.(type) {
		case map[string]any:
			at = x[part]
		case []any:
			i := 0
			_, err := fmt.Sscan(part, &i)
			require.NoError(t, err)
			at = x[i]
		}
	}
	other := func(v any) any {
		switch v := v.(type) {
		case string:
			return v + "x"
		case bool:
			return !v
		case json.Number:
			return json.Number("1" + v)
		}
		return "x"
	}
	last := parts[len(parts)-1]
	switch x := at.(type) {
	case map[string]any:
		if how == "null" {
			same = x[last] == nil
			x[last] = nil
		} else {
			x[last] = other(x[last])
		}
	case []any:
		i := 0
		_, err := fmt.Sscan(last, &i)
		require.NoError(t, err)
		if how == "null" {
			return nil, true
		}
		x[i] = other(x[i])
	}
	changed, err := json.Marshal(root)
	require.NoError(t, err)
	return changed, same
}

func TestStepsThatAreMissingOrAddedInASavedPlanAreFound(t *testing.T) {
	set, m, docs := savedStory(t)
	plan := mustPlan(t, set, m, docs, savedOptions())
	for i := range savedRecord(plan).Steps {
		less := savedRecord(plan)
		less.Steps = slices.Delete(less.Steps, i, i+1)
		require.NotEmpty(t, moved(reread(t, less), plan), "without step %d", i)

		more := savedRecord(plan)
		twin := more.Steps[i]
		twin.Key += "-other"
		more.Steps = append(more.Steps, twin)
		require.NotEmpty(t, moved(reread(t, more), plan), "with a twin of step %d", i)

		same := savedRecord(plan)
		same.Steps = append(same.Steps, same.Steps[i])
		require.NotEmpty(t, moved(reread(t, same), plan), "with step %d twice", i)
	}
	swapped := savedRecord(plan)
	swapped.Steps[0], swapped.Steps[1] = swapped.Steps[1], swapped.Steps[0]
	require.NotEmpty(t, moved(reread(t, swapped), plan))
}

func TestWhatIsLeftOfASavedPlanIsCarriedOut(t *testing.T) {
	set, m, docs := savedStory(t)
	n := len(mustPlan(t, set, m, docs, savedOptions()).Steps)
	for k := range n + 1 {
		set, m, docs := savedStory(t)
		plan := mustPlan(t, set, m, docs, savedOptions())
		saved := reread(t, savedRecord(plan))
		cut := *plan
		cut.Steps = plan.Steps[:k]
		require.NoError(t, reconcile.Apply(context.Background(), &cut, m, reconcile.ApplyOptions{}).Err)

		rest := mustPlan(t, set, m, docs, savedOptions())
		require.Empty(t, moved(saved, rest), "after %d of %d steps", k, n)
		for i := k; i < n; i++ {
			forged := reread(t, saved)
			if slices.Contains(forged.Steps[i].Actions, "link") {
				continue // the rest of a create: what it sets is compared, and nothing else
			}
			if s := &forged.Steps[i]; s.Before != nil {
				s.Before = nil
				require.NotEmpty(t, moved(forged, rest), "step %d after %d of %d steps", i, k, n)
			}
			forged = reread(t, saved)
			forged.Steps[i].Released = []string{"x"}
			require.NotEmpty(t, moved(forged, rest), "step %d after %d of %d steps", i, k, n)
		}
		require.NoError(t, reconcile.Apply(context.Background(), rest, m, reconcile.ApplyOptions{}).Err)
		done := mustPlan(t, set, m, docs, savedOptions())
		require.Empty(t, done.Steps)
		require.Empty(t, moved(saved, done), "a plan that is done holds")
	}
}

func TestWhatMovedIsNamed(t *testing.T) {
	edit := func(text, old, new string) []reconcile.Document {
		changed := strings.Replace(text, old, new, 1)
		if changed == text {
			t.Fatalf("%q is not there", old)
		}
		return seal(load(t, changed), "Door", "password", "ENC[two]", time.Time{})
	}
	row := func(m *memory, kind, field string, value any) reconcile.Row {
		for _, r := range m.rows[kind] {
			if r.Fields[field] == value {
				return r
			}
		}
		t.Fatalf("no %s with %s %v", kind, field, value)
		return reconcile.Row{}
	}
	for _, c := range []struct {
		name string
		docs []reconcile.Document
		live func(m *memory)
		edit func(r *reconcile.Record)
		want []string
	}{
		{name: "a live value that the plan changes", live: func(m *memory) { row(m, "Site", "slug", "a").Fields["name"] = "theirs" },
			want: []string{"Site a name: it moved"}},
		{name: "a live value that it does not change", live: func(m *memory) { row(m, "Site", "slug", "c").Fields["name"] = "theirs" }},
		{name: "a live value that was as declared", live: func(m *memory) { row(m, "Store", "name", "kept").Fields["site"] = nil },
			want: []string{"Store main/kept site: a field more"}},
		{name: "an object that is gone", live: func(m *memory) { delete(m.rows["Store"], row(m, "Store", "name", "kept").ID) },
			want: []string{"Store main/kept: another step"}},
		{name: "an object that somebody made", live: func(m *memory) {
			m.put("Store", map[string]any{"name": "new", "cluster": row(m, "Cluster", "name", "main").ID})
		},
			want: []string{"Store main/new: another step"}},
		{name: "an object that is to the letter what a create makes", live: func(m *memory) { m.put("Ring", map[string]any{"name": "x"}) }},
		{name: "an orphan that somebody took over", live: func(m *memory) {
			row(m, "Site", "slug", "gone").Fields["custom_fields"] = map[string]any{}
		}, want: []string{"Site gone: a step less"}},
		{name: "a managed value of what it deletes", live: func(m *memory) { row(m, "Site", "slug", "gone").Fields["name"] = "theirs" },
			want: []string{"Site gone: it moved"}},
		{name: "a value of what it deletes that nobody managed", live: func(m *memory) { row(m, "Site", "slug", "gone").Fields["count"] = reconcile.Number("7") }},
		{name: "an orphan that is gone is done", live: func(m *memory) { delete(m.rows["Site"], row(m, "Site", "slug", "gone").ID) }},
		{name: "an object of nobody", live: func(m *memory) { m.put("Site", map[string]any{"slug": "other"}) }},
		{name: "another value in the manifests", docs: edit(savedAfter, "name: two", "name: three"),
			want: []string{"Site a name: another value", "Site a: another marker"}},
		{name: "a document more", docs: edit(savedAfter, "{slug: c}", "{slug: c}, {slug: d}"), want: []string{"Site d: a step more"}},
		{name: "a document less", docs: edit(savedAfter, ", {cluster: main, name: new, sites: [a, b]}", ""),
			want: []string{"Store main/new: a step less"}},
		{name: "another secret", docs: seal(load(t, savedAfter), "Door", "password", "ENC[three]", time.Time{}),
			want: []string{"Door back password: another secret", "Door back: another marker", "Door front password: another secret", "Door front: another marker"}},
		{name: "a plan of another server", edit: func(r *reconcile.Record) { r.Server.URL = "http://other" },
			want: []string{`the server is another: the plan was made with "http://other", this is "http://memory"`}},
		{name: "a plan of another installation at the same URL", edit: func(r *reconcile.Record) { r.Server.Identity = "ffffffffffffffff" },
			want: []string{`the identity of the server is another: the plan was made with "ffffffffffffffff", this is "0123456789abcdef"`}},
		{name: "a plan of a token that could not see the identity", edit: func(r *reconcile.Record) { r.Server.Identity = "" },
			want: []string{"whether this is the server that the plan was made with can't be told: one of the two tokens may not view the custom field proxbox_sync"}},
		{name: "a plan that has expired", edit: func(r *reconcile.Record) { r.Expires = "1970-01-01T00:00:01Z" },
			want: []string{"the plan was good until 1970-01-01T00:00:01Z"}},
		{name: "a plan that has not", edit: func(r *reconcile.Record) { r.Expires = "2070-01-01T00:00:01Z" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, m, docs := savedStory(t)
			saved := reread(t, savedRecord(mustPlan(t, set, m, docs, savedOptions())))
			if c.docs != nil {
				docs = c.docs
			}
			if c.live != nil {
				c.live(m)
			}
			if c.edit != nil {
				c.edit(saved)
			}
			got := moved(saved, mustPlan(t, set, m, docs, savedOptions()))
			slices.Sort(got)
			require.Empty(t, cmp.Diff(c.want, got))
		})
	}
}

// BenchmarkSavedPlan reports what a saved plan costs by its number of steps: to
// make, write, read and compare it.
func BenchmarkSavedPlan(b *testing.B) {
	for _, n := range []int{0, 100, 1000, 10_000} {
		set := kinds(b)
		m := newMemory(set)
		docs := stores(b, max(n, 1))
		if n == 0 {
			reconcile.Apply(context.Background(), mustPlan(b, set, m, docs, planOptions()), m, reconcile.ApplyOptions{})
		}
		plan := mustPlan(b, set, m, docs, planOptions())
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			size := 0
			for b.Loop() {
				saved := reread(b, savedRecord(plan))
				data, _ := json.Marshal(saved)
				size = len(data)
				if list := moved(saved, plan); len(list) > 0 {
					b.Fatal(list)
				}
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
