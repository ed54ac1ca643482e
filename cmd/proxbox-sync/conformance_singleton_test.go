package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// TestConformanceSingletons walks the fields of the objects that the server
// makes itself. A generation may not have made it yet: then the first apply
// makes the server do so.
func TestConformanceSingletons(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		for _, kind := range w.set.Kinds() {
			if kind.Resource.Mode != schema.Singleton {
				continue
			}
			t.Run(kind.Name, func(t *testing.T) {
				if w.real {
					w.restoreAfter(t, kind)
				}
				walkSingleton(t, w, kind)
			})
		}
	})
}

func walkSingleton(t *testing.T, w *world, kind *schema.Kind) {
	m := w.maker(t)
	walk := &walker{t: t, s: w.story(t), m: m, base: &thing{kind: kind, fields: map[string]any{}}}
	rows := w.rows(t, kind)
	first := kind.Fields[slices.IndexFunc(kind.Fields, func(f *schema.Field) bool { return f.Class == schema.Boolean && !f.ReadOnly })].Name
	plan, diags, err := walk.s.plan(reconcile.PlanOptions{}, walk.base.with(map[string]any{first: true}))
	require.NoError(t, err)
	require.Empty(t, diags.Errors())
	for _, step := range plan.Steps {
		require.Equal(t, reconcile.Update, step.Change.Action, "it can only be changed")
	}
	if len(rows) == 0 {
		require.Len(t, plan.Steps, 1, "a row that isn't there yet has no values")
	}
	for _, v := range []bool{true, false} {
		require.NoError(t, walk.s.apply(walk.base.with(map[string]any{first: v})))
	}
	rows = w.rows(t, kind)
	require.Len(t, rows, 1)
	walk.base.row = rowOf(rows[0])
	require.Equal(t, false, rows[0][first])
	walk.fields()
}

func (w *world) rows(t testing.TB, kind *schema.Kind) []map[string]any {
	t.Helper()
	list, _ := w.must(t, http.MethodGet, w.path(t, kind), nil)["results"].([]any)
	rows := make([]map[string]any, len(list))
	for i := range list {
		rows[i] = list[i].(map[string]any)
	}
	return rows
}

// restoreAfter puts the values of a singleton back when the test ends.
func (w *world) restoreAfter(t *testing.T, kind *schema.Kind) {
	t.Helper()
	rows := w.rows(t, kind)
	require.Len(t, rows, 1)
	body := map[string]any{}
	for _, f := range kind.Fields {
		if v, ok := rows[0][f.Name]; ok && !f.ReadOnly && !f.WriteOnly && f.Class != schema.Map {
			body[f.Name] = sendable(f, v)
		}
	}
	path := fmt.Sprintf("%s/%v", w.path(t, kind), rows[0]["id"])
	t.Cleanup(func() {
		status, answer := w.raw(t, http.MethodPatch, path, body)
		require.Equal(t, http.StatusOK, status, "%v", answer)
		after := w.rows(t, kind)[0]
		for _, name := range []string{"id", "created", "last_updated", "custom_fields"} {
			delete(after, name)
			delete(rows[0], name)
		}
		require.True(t, maps.EqualFunc(rows[0], after, equal), "the values before the test are not back")
	})
}

// sendable turns a value that the server shows into one that it takes.
func sendable(f *schema.Field, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if f.Class == schema.Choice {
			return v["value"]
		}
		if id, ok := v["id"].(json.Number); ok && f.Class == schema.Reference {
			return id
		}
	case []any:
		if f.Class == schema.ReferenceSet {
			return rowsOf(v)
		}
	}
	return v
}
