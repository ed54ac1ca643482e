package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// TestConformanceDeletes deletes what every reference of every kind points at
// and compares what becomes of the holder with what its schema says.
func TestConformanceDeletes(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		for _, kind := range w.set.Kinds() {
			if kind.Resource.Mode != schema.Managed {
				continue
			}
			t.Run(kind.Name, func(t *testing.T) {
				t.Parallel()
				deleteTargets(t, w.fork(), kind)
			})
		}
	})
}

// pair is an object and what one of its references points at.
type pair struct {
	f              *schema.Field
	holder, target *thing
}

func deleteTargets(t *testing.T, w *world, kind *schema.Kind) {
	m := w.maker(t)
	s := w.story(t)
	base := m.minimal(kind)
	require.NoError(t, s.apply(append(slices.Clone(m.order), base)...))
	known := w.knownFields(t, kind, base.row)
	var pairs []pair
	var things []*thing
	for _, f := range kind.Fields {
		_, interfaces := lookupField(table().Interfaces, kind, f.Name)
		if f.Ref == nil || f.ReadOnly || !known[f.Name] || interfaces {
			continue
		}
		p := m.pair(kind, f)
		pairs = append(pairs, p)
		things = append(things, p.holder)
	}
	require.NoError(t, s.apply(append(slices.Clone(m.order), things...)...))
	for _, p := range pairs {
		outcome := s.remove(t, p.target)
		before := fmt.Sprintf("%s.%s, delete of %s", kind.Name, p.f.Name, p.target)
		switch p.f.Ref.OnDelete {
		case "refuse":
			if outcome.Verdict != reconcile.Refused || outcome.Status != http.StatusConflict || len(outcome.Messages) == 0 {
				t.Errorf("%s: %+v, want a refusal", before, outcome)
			}
			if !w.exists(t, p.holder) || !w.exists(t, p.target) {
				t.Errorf("%s: something is gone", before)
			}
		case "cascade":
			if outcome.Verdict != reconcile.Done || w.exists(t, p.holder) || w.exists(t, p.target) {
				t.Errorf("%s: %+v, want both gone", before, outcome)
			}
		default:
			if outcome.Verdict != reconcile.Done || w.exists(t, p.target) {
				t.Errorf("%s: %+v, want it gone", before, outcome)
			} else if !w.exists(t, p.holder) {
				t.Errorf("%s: the holder is gone as well", before)
			} else if v := w.shown(t, kind, p.holder.row)[p.f.Name]; !isNothing(v) {
				t.Errorf("%s: the holder still shows %v", before, v)
			}
		}
	}
}

// pair makes an object that refers to one of its own by a field.
func (m *maker) pair(kind *schema.Kind, f *schema.Field) pair {
	m.t.Helper()
	target := m.own(m.w.set.Kind(f.Ref.Kind), nil)
	if target.kind.Resource.Mode == schema.Lookup {
		m.order = m.order[:len(m.order)-1]
	}
	var v any = target
	if f.Class == schema.ReferenceSet {
		v = []any{target}
	}
	fields := map[string]any{f.Name: v}
	for _, at := range []string{f.Name, f.Name + "=delete"} {
		with, _ := lookupField(table().With, kind, at)
		maps.Copy(fields, m.fill(anyMap(with)).(map[string]any))
	}
	fields[f.Name] = v
	return pair{f, m.minimal(kind).with(fields), target}
}

func anyMap(m map[string]any) any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// remove deletes one thing through the product's client, or behind its back
// where the product only looks such things up.
func (s *story) remove(t *testing.T, x *thing) (outcome reconcile.Outcome) {
	t.Helper()
	if x.kind.Resource.Mode == schema.Lookup {
		status, answer := s.w.raw(t, http.MethodDelete, fmt.Sprintf("%s/%d", s.w.path(t, x.kind), x.row), nil)
		outcome.Status, outcome.Verdict = status, reconcile.Done
		if status >= 300 {
			outcome.Verdict, outcome.Messages = reconcile.Refused, []reconcile.FieldMessage{{Text: fmt.Sprint(answer)}}
		}
		return outcome
	}
	calls := 0
	err := s.server.Write(t.Context(), x.kind.Name, reconcile.OpDelete, []reconcile.Write{{Row: x.row}},
		func(_ int, o reconcile.Outcome) { outcome, calls = o, calls+1 })
	require.NoError(t, err)
	require.Equal(t, 1, calls)
	return outcome
}

// exists asks the server for an object.
func (w *world) exists(t *testing.T, x *thing) bool {
	t.Helper()
	status, _ := w.raw(t, http.MethodGet, fmt.Sprintf("%s/%d?fields=id", w.path(t, x.kind), x.row), nil)
	require.Contains(t, []int{http.StatusOK, http.StatusNotFound}, status)
	return status == http.StatusOK
}
