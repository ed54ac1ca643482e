package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// thing is an object that a test manages: what a manifest would say of it, and
// the server's number once it is there. A field that refers to something holds
// a *thing.
type thing struct {
	kind   *schema.Kind
	fields map[string]any
	meta   reconcile.Metadata
	row    reconcile.RowID
}

// with returns the same object with further fields declared, and only these of
// the fields that don't have to be there.
func (x *thing) with(fields map[string]any) *thing {
	y := *x
	y.fields = maps.Clone(x.fields)
	maps.Copy(y.fields, fields)
	return &y
}

// secret reports whether a write-only field is declared.
func (x *thing) secret() bool {
	for name := range x.fields {
		if x.kind.Field(name).WriteOnly {
			return true
		}
	}
	return false
}

// String is the kind and what distinguishes the thing.
func (x *thing) String() string {
	return fmt.Sprintf("%s %v", x.kind.Name, x.selector())
}

// document is the thing as a manifest document.
func (x *thing) document() reconcile.Document {
	pos := reconcile.Position{File: x.kind.Name + ".yaml", Line: 1, Column: 1}
	return reconcile.Document{Kind: x.kind.Name, KindPos: pos, Pos: pos, Meta: x.meta, Spec: node(x.fields, pos)}
}

// node is a value as a manifest would write it.
func node(v any, pos reconcile.Position) *reconcile.Node {
	n := &reconcile.Node{Pos: pos, Value: v}
	switch v := v.(type) {
	case *thing:
		return node(v.selector(), pos)
	case whole:
		parts := map[string]any{}
		for _, name := range v.kind.Resource.Key {
			parts[name] = v.fields[name]
		}
		return node(parts, pos)
	case numbered:
		return node(map[string]any{"id": number(strconv.FormatInt(int64(v.row), 10))}, pos)
	case map[string]any:
		n.Shape, n.Value = reconcile.Mapping, nil
		for i, name := range slices.Sorted(maps.Keys(v)) {
			at := reconcile.Position{File: pos.File, Line: pos.Line + 1 + i, Column: pos.Column + 2}
			n.Members = append(n.Members, reconcile.Member{Name: name, Pos: at, Value: node(v[name], at)})
		}
	case []any:
		n.Shape, n.Value = reconcile.Sequence, nil
		for i, item := range v {
			at := reconcile.Position{File: pos.File, Line: pos.Line + 1 + i, Column: pos.Column + 2}
			n.Items = append(n.Items, node(item, at))
		}
	case json.Number:
		n.Value = number(v.String())
	case int:
		n.Value = number(strconv.Itoa(v))
	}
	return n
}

func number(text string) reconcile.Number {
	n, err := reconcile.ParseNumber(text)
	if err != nil {
		panic(fmt.Sprintf("%q: %v", text, err))
	}
	return n
}

// selector is a reference to the thing: its key's last field where the others
// are null, else a map of them.
func (x *thing) selector() any {
	parts := map[string]any{}
	for _, name := range x.kind.Resource.Key {
		if v := x.fields[name]; v != nil {
			parts[name] = v
		}
	}
	last := x.kind.Resource.Key[len(x.kind.Resource.Key)-1]
	if _, ok := parts[last]; ok && len(parts) == 1 {
		return parts[last]
	}
	return parts
}

// run is one story with one server: a client, and what was asked for so far.
type story struct {
	w      *world
	server *remembering
}

func (w *world) story(t testing.TB) *story {
	return &story{w: w, server: &remembering{Server: w.client(t, w.token), changes: w.changes, shared: w.shared, reads: map[string]remembered{}}}
}

// plan plans for some things and nothing else.
func (s *story) plan(o reconcile.PlanOptions, things ...*thing) (*reconcile.Plan, reconcile.Diagnostics, error) {
	docs := make([]reconcile.Document, len(things))
	for i, x := range things {
		docs[i] = x.document()
		// These tests walk through the very fields that point credentials elsewhere.
		o.Ownership.AllowRetarget = append(o.Ownership.AllowRetarget, reconcile.Selection{Kind: x.kind.Name})
	}
	o.Desired.AllowPlaintextSecrets = true
	return reconcile.MakePlan(context.Background(), s.w.set, s.server, docs, o)
}

// apply brings things about, notes their rows, and returns an error when
// anything speaks against it or when a second plan would change something.
func (s *story) apply(things ...*thing) error {
	var o reconcile.PlanOptions
	if slices.ContainsFunc(things, (*thing).secret) {
		o.SendSecrets = []reconcile.SecretSelection{{}}
	}
	report, err := s.once(o, things...)
	if err != nil {
		return err
	}
	if err := failures(report); err != nil {
		return err
	}
	return s.settled(things...)
}

// once plans and applies.
func (s *story) once(o reconcile.PlanOptions, things ...*thing) (*reconcile.Report, error) {
	plan, diags, err := s.plan(o, things...)
	switch {
	case err != nil:
		return nil, err
	case diags.HasErrors():
		return nil, diags.Errors()
	}
	report := reconcile.Apply(context.Background(), plan, s.server, reconcile.ApplyOptions{Message: "conformance"})
	for _, r := range report.Steps {
		if r.Row == 0 || r.Step.Change.Desired == nil {
			continue
		}
		for _, x := range things {
			if r.Step.Change.Desired.Kind == x.kind && sameKey(r.Step.Change.Desired, x) {
				x.row = r.Row
			}
		}
	}
	return report, nil
}

// sameKey compares the plain parts of a key; names are random.
func sameKey(o *reconcile.Object, x *thing) bool {
	for _, name := range x.kind.Resource.Key {
		switch want := x.fields[name].(type) {
		case *thing:
			ref, ok := o.Fields[name].(reconcile.Ref)
			if !ok || ref.Target == nil || !sameKey(ref.Target, want) {
				return false
			}
		case nil, string:
			if o.Fields[name] != want {
				return false
			}
		}
	}
	return true
}

// settled is an error when a plan for the things has any step.
func (s *story) settled(things ...*thing) error {
	plan, diags, err := s.plan(reconcile.PlanOptions{}, things...)
	switch {
	case err != nil:
		return fmt.Errorf("planning again: %w", err)
	case diags.HasErrors():
		return fmt.Errorf("planning again: %w", diags.Errors())
	case len(plan.Steps) > 0:
		return fmt.Errorf("a second plan is not empty: %s", stepTexts(plan))
	}
	return nil
}

func stepTexts(plan *reconcile.Plan) string {
	var texts []string
	for _, step := range plan.Steps {
		for _, f := range step.Change.Fields {
			texts = append(texts, fmt.Sprintf("%s %s: %v -> %v", step.Change, f.Name, f.Before, f.After))
		}
		for _, f := range step.Change.Secrets {
			texts = append(texts, fmt.Sprintf("%s %s (secret)", step.Change, f.Name))
		}
	}
	return strings.Join(texts, "; ")
}

// failures is an error that lists what a report has beside success.
func failures(report *reconcile.Report) error {
	var texts []string
	for _, r := range report.Steps {
		if r.Result != reconcile.Applied {
			texts = append(texts, fmt.Sprintf("%s: %s %v %v", r.Step.Change, r.Result, r.Messages, r.Err))
		}
	}
	if report.Err != nil {
		texts = append(texts, report.Err.Error())
	}
	if len(texts) > 0 {
		return fmt.Errorf("not applied: %s", strings.Join(texts, "; "))
	}
	return nil
}

// maker makes things of every kind from the schema and a table of values.
type maker struct {
	t     testing.TB
	w     *world
	n     int
	pool  map[string][]*thing // things that others refer to, by kind
	order []*thing            // those of them that the tool manages
}

func (w *world) maker(t testing.TB) *maker { return &maker{t: t, w: w, pool: map[string][]*thing{}} }

// minimal makes a thing that declares no more than it has to.
func (m *maker) minimal(kind *schema.Kind) *thing {
	m.t.Helper()
	if kind.Resource.Mode == schema.Lookup {
		return m.lookup(kind)
	}
	x := &thing{kind: kind, fields: map[string]any{}}
	names := append(slices.Clone(kind.Resource.Key), kind.Required...)
	for _, name := range names {
		if _, ok := x.fields[name]; !ok {
			x.fields[name] = m.first(kind, kind.Field(name))
		}
	}
	for name, v := range table().Also[kind.Name] {
		x.fields[name] = m.fill(v)
	}
	return x
}

// first is the first value of a field that has to be there.
func (m *maker) first(kind *schema.Kind, f *schema.Field) any {
	m.t.Helper()
	if f.Class == schema.Reference {
		if f.Nullable && !slices.Contains(table().Refer, kind.Name+"."+f.Name) {
			return nil
		}
		return m.target(m.w.set.Kind(f.Ref.Kind), 0)
	}
	return m.values(kind, f)[0]
}

// target returns the i-th thing of a kind that others may refer to.
func (m *maker) target(kind *schema.Kind, i int) *thing {
	m.t.Helper()
	if standsAlone(kind) {
		return m.w.shared.target(m, kind, i)
	}
	for len(m.pool[kind.Name]) <= i {
		x := m.minimal(kind)
		m.pool[kind.Name] = append(m.pool[kind.Name], x)
		if kind.Resource.Mode != schema.Lookup {
			m.order = append(m.order, x)
		}
	}
	return m.pool[kind.Name][i]
}

// standsAlone reports whether the smallest object of a kind refers to nothing.
func standsAlone(kind *schema.Kind) bool {
	for _, v := range table().Also[kind.Name] {
		if text, ok := v.(string); ok && strings.HasPrefix(text, "@") {
			return false
		}
	}
	return kind.Resource.Mode == schema.Managed && !slices.ContainsFunc(kind.Required, func(name string) bool {
		f := kind.Field(name)
		return f.Class == schema.Reference && (!f.Nullable || slices.Contains(table().Refer, kind.Name+"."+name))
	})
}

// sharedThings are targets that need no others themselves. All tests of a
// server refer to the same ones: a real server takes a fifth of a second to
// delete a tag.
type sharedThings struct {
	mu     sync.Mutex
	things map[string][]*thing
	made   atomic.Int64
}

func (p *sharedThings) target(m *maker, kind *schema.Kind, i int) *thing {
	m.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.things[kind.Name]) <= i {
		own := m.w.fork().maker(m.t)
		x := own.minimal(kind)
		require.NoError(m.t, own.w.story(m.t).apply(append(own.order, x)...))
		p.things[kind.Name] = append(p.things[kind.Name], x)
		p.made.Add(1)
	}
	return p.things[kind.Name][i]
}

// lookup makes an object of a kind that the tool does not manage, behind its back.
func (m *maker) lookup(kind *schema.Kind) *thing {
	m.t.Helper()
	body := map[string]any{}
	x := &thing{kind: kind, fields: map[string]any{}}
	require.NotEmptyf(m.t, table().Lookup[kind.Name], "fields.json does not say how to make a %s", kind.Name)
	for name, v := range table().Lookup[kind.Name] {
		v = m.fill(v)
		x.fields[name] = v
		if ref, ok := v.(*thing); ok {
			v = ref.row
		}
		body[name] = v
	}
	answer := m.w.must(m.t, http.MethodPost, m.w.path(m.t, kind), body)
	id, err := answer["id"].(json.Number).Int64()
	require.NoError(m.t, err)
	x.row = reconcile.RowID(id)
	return x
}
