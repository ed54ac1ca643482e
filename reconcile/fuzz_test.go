package reconcile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

// FuzzMarker puts whatever JSON there is where markers are kept: on an object that
// a manifest names and on one that none does. Neither is deleted or changed unless
// the marker is ours to the letter; what is written instead reads as ours.
func FuzzMarker(f *testing.F) {
	set := kinds(f)
	real := marked(f, set)
	apply(f, set, real, load(f, "kind: Site\nspec: {slug: named, count: 1}"), owned())
	m, _ := (&island{memory: real}).marker("Site", 2).(map[string]any)
	key := fmt.Sprint(m["key"])
	good, err := json.Marshal(m)
	require.NoError(f, err)
	for _, text := range []string{string(good), "null", "{}", `{"v": 2}`, `{"v": 1.0, "owner": "prod"}`, `[1]`, `"prod"`,
		strings.Replace(string(good), `"prod"`, `"other"`, 1), strings.Replace(string(good), `{`, `{"protect": true,`, 1),
		strings.Replace(string(good), `{`, `{"sealed": "2026-11-01T00:00:00Z", "others": {"x": {"count": "aa"}},`, 1)} {
		f.Add(text)
	}
	docs := load(f, "kind: Site\nspec: {slug: named, count: 1}")
	o := owned()
	most := 10
	o.Ownership.Prune, o.Ownership.PruneAdopted, o.Ownership.Limits.MaxDeletes = true, true, &most
	f.Fuzz(func(t *testing.T, text string) {
		value, ok := plainValue(text)
		if !ok {
			t.Skip()
		}
		m := marked(t, set)
		named := m.put("Site", map[string]any{"slug": "named", "custom_fields": map[string]any{reconcile.MarkerField: value}})
		lone := m.put("Site", map[string]any{"slug": "lone", "custom_fields": map[string]any{reconcile.MarkerField: value}})
		before := m.rows["Site"][named]
		plan, diags, err := reconcile.MakePlan(context.Background(), set, m, docs, o)
		require.NoError(t, err)
		for _, d := range diags {
			require.Less(t, len(d.Summary)+len(d.Detail), 4096, "a marker must not fill a report")
		}
		if plan == nil || diags.HasErrors() {
			require.Equal(t, before, m.rows["Site"][named])
			return
		}
		require.NoError(t, reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{}).Err)
		require.Contains(t, m.rows["Site"], named)
		require.Contains(t, m.rows["Site"], lone, "its marker is a copy, or none of ours")
		now, _ := (&island{memory: m}).marker("Site", named).(map[string]any)
		require.Equal(t, "prod", now["owner"])
		require.Equal(t, key, now["key"])
		again := mustPlan(t, set, m, docs, o)
		require.Empty(t, summaryOfSteps(again))
	})
}

// plainValue is JSON as the client hands it on.
func plainValue(text string) (any, bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil, false
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return plain(v)
}

func plain(v any) (any, bool) {
	good := true
	switch v := v.(type) {
	case json.Number:
		n, err := reconcile.ParseNumber(v.String())
		return n, err == nil
	case []any:
		for i := range v {
			one, ok := plain(v[i])
			v[i], good = one, good && ok
		}
	case map[string]any:
		for name := range v {
			one, ok := plain(v[name])
			v[name], good = one, good && ok
		}
	}
	return v, good
}

// FuzzReference writes whatever YAML there is where a reference stands. It is a
// mistake with its place and without a guess, or leads to the one object that it
// names: the same that its number leads to.
func FuzzReference(f *testing.F) {
	for _, text := range []string{"a", "twin", "{name: a}", "{name: twin, site: x}", "{id: 3}", "{site: {slug: y}}", "3", `"3"`, "null", "[a]", "{}",
		"{name: a, nmae: b}", "{id: 99}", "{id: 3, name: a}", "{site: null}", "{name: {name: a}}", `"a "`, "A", "!!str 3", "yes"} {
		f.Add(text)
	}
	set := kinds(f)
	m := newMemory(set)
	x := m.put("Site", map[string]any{"slug": "x"})
	y := m.put("Site", map[string]any{"slug": "y"})
	for _, c := range []map[string]any{{"name": "a", "site": nil}, {"name": "twin", "site": x}, {"name": "twin", "site": y}, {"name": "3", "site": x}} {
		m.put("Cluster", c)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := "apiVersion: proxbox-sync/v1\nkind: Store\nspec:\n  name: n\n  cluster: " + text + "\n"
		docs, diags := manifest.Documents("m.yaml", []byte(file))
		if diags.HasErrors() || len(docs) != 1 {
			t.Skip()
		}
		at := func(docs []reconcile.Document) (reconcile.RowID, reconcile.Diagnostics) {
			plan, diags, err := reconcile.MakePlan(context.Background(), set, m, docs, planOptions())
			require.NoError(t, err)
			if diags.HasErrors() {
				return 0, diags
			}
			require.Len(t, plan.Steps, 1)
			ref, ok := plan.Steps[0].Change.Desired.Fields["cluster"].(reconcile.Ref)
			require.True(t, ok)
			if ref.Target != nil {
				return ref.Target.Row, diags
			}
			return ref.Row, diags
		}
		row, diags := at(docs)
		lines := 1 + strings.Count(file, "\n")
		for _, d := range diags.Errors() {
			require.True(t, d.Code != "" && d.Summary != "" && d.Pos.File == "m.yaml" && d.Pos.Line > 0 && d.Pos.Line <= lines, "%+v", d)
		}
		if diags.HasErrors() {
			return
		}
		require.Contains(t, m.rows["Cluster"], row)
		cluster := docs[0].Spec.Member("cluster")
		if name, ok := cluster.Value.(string); ok && cluster.Shape == reconcile.Scalar {
			require.Equal(t, strings.TrimSpace(name), m.rows["Cluster"][row].Fields["name"])
		}
		byNumber, _ := manifest.Documents("m.yaml", fmt.Appendf(nil, "apiVersion: proxbox-sync/v1\nkind: Store\nspec: {name: n, cluster: {id: %d}}\n", row))
		same, diags := at(byNumber)
		require.Empty(t, diags.Errors())
		require.Equal(t, row, same)
	})
}

// FuzzSavedPlan compares whatever file there is with a plan. Only one that says
// the same, step by step, holds; and what it says is bounded.
func FuzzSavedPlan(f *testing.F) {
	set, m, docs := savedStory(f)
	plan := mustPlan(f, set, m, docs, savedOptions())
	data, err := json.Marshal(savedRecord(plan))
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte(strings.Replace(string(data), `"create"`, `"update"`, 1)))
	f.Add([]byte(strings.Replace(string(data), `"index":1`, `"index":-1`, 1)))
	f.Add(bytes.Replace(data, []byte(`"steps":[`), []byte(`"steps":[{},`), 1))
	f.Add([]byte(`{"steps":[{"actions":["delete"],"kind":"Site","key":"a","id":1}]}`))
	now := byTitle(reread(f, savedRecord(plan)).Steps)
	f.Fuzz(func(t *testing.T, data []byte) {
		saved, err := fromJSON(data)
		if err != nil {
			return
		}
		diags := reconcile.Moved(saved, plan, "v1", time.Unix(1000, 0))
		for _, d := range diags {
			require.True(t, d.Severity == reconcile.Error && d.Summary != "" && d.Code != "", "%+v", d)
		}
		if len(diags) > 0 || saved.Redacted {
			return
		}
		// What holds does to each object what the plan does now, and nothing else.
		then := byTitle(saved.Steps)
		for title, steps := range now {
			require.Len(t, then[title], len(steps), title)
			for i := range steps {
				require.Equal(t, steps[i].Actions, then[title][i].Actions, title)
				require.Equal(t, steps[i].After, then[title][i].After, title)
			}
		}
		for title := range then {
			require.Contains(t, now, title, "a step that the plan does not have holds")
		}
	})
}

func byTitle(steps []reconcile.RecordStep) map[string][]reconcile.RecordStep {
	out := map[string][]reconcile.RecordStep{}
	for _, s := range steps {
		out[s.Title()] = append(out[s.Title()], s)
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b reconcile.RecordStep) int { return a.Index - b.Index })
	}
	return out
}
