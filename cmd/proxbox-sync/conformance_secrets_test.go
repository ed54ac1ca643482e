package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

// awkward has characters that encodings change. What a test sends begins with
// its own prefix, so that it can be searched for.
const awkward = `canary"<&>\ä€'`

// TestConformanceSecrets follows every write-only field: it is sent on create,
// on an update only when that is asked for, and it never comes back.
func TestConformanceSecrets(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		for _, kind := range w.set.Kinds() {
			if kind.Resource.Mode == schema.Lookup || !slices.ContainsFunc(kind.Fields, func(f *schema.Field) bool { return f.WriteOnly }) {
				continue
			}
			t.Run(kind.Name, func(t *testing.T) { followSecrets(t, w, kind) })
		}
	})
}

func followSecrets(t *testing.T, w *world, kind *schema.Kind) {
	if w.sandbox != nil { // other kinds' secrets may be in the way of one
		w = newSandboxWorld(t, w.generation, w.set)
	}
	for _, f := range kind.Fields {
		_, untouched := lookupField(table().Untouched, kind, f.Name)
		if !f.WriteOnly || untouched && w.real || !w.writable(t, kind, f.Name) {
			continue
		}
		_, refused := lookupField(table().Refused, kind, f.Name)
		shown := w.showsSecret(t, kind, f.Name)
		if refused && !shown {
			continue // it has a test of its own
		}
		t.Run(f.Name, func(t *testing.T) {
			own := w.fork()
			(&secretStory{t: t, s: own.story(t), m: own.maker(t), kind: kind, f: f, shown: shown}).run()
		})
	}
}

type secretStory struct {
	t    *testing.T
	s    *story
	m    *maker
	kind *schema.Kind
	f    *schema.Field
	// shown is set where an old server shows the field in plain text to whoever
	// reads it; the product then must not.
	shown bool
	out   bytes.Buffer // everything that was said
}

func (x *secretStory) run() {
	first, second := x.m.w.tag+awkward+"1", x.m.w.tag+awkward+"2"
	object := x.object(first)
	report, err := x.do(reconcile.PlanOptions{SendSecrets: x.onlyForSingletons()}, append(x.m.order, object)...)
	require.NoError(x.t, err)
	require.NoError(x.t, failures(report))
	if x.kind.Resource.Mode == schema.Singleton {
		object.row = rowOf(x.s.w.rows(x.t, x.kind)[0])
	}
	require.NotZero(x.t, object.row)
	x.arrived(object, first)

	changed := object.with(map[string]any{x.f.Name: reconcile.NewSecret(second, "")})
	require.NoError(x.t, x.s.settled(changed), "a secret can't be compared, so without being asked nothing is sent")
	ask := []reconcile.SecretSelection{{Kind: x.kind.Name, Field: x.f.Name}}
	for _, v := range []any{reconcile.NewSecret(second, ""), ""} {
		changed = object.with(map[string]any{x.f.Name: v})
		if v == "" && x.shown {
			continue // a server that shows it keeps it when none is sent
		}
		if v == "" && len(x.s.w.set.Validate(x.kind, map[string]any{x.f.Name: ""}, schema.Partial)) > 0 {
			continue
		}
		if with, ok := lookupField(table().With, x.kind, x.f.Name+"="); v == "" && ok {
			changed = changed.with(x.m.fill(with).(map[string]any))
		}
		report, err = x.do(reconcile.PlanOptions{SendSecrets: ask}, changed)
		require.NoError(x.t, err)
		require.Len(x.t, report.Steps, 1)
		require.NoError(x.t, failures(report))
		plain := ""
		if v != "" {
			plain = second
		}
		x.arrived(object, plain)
		require.NoError(x.t, x.s.settled(changed))
	}
	x.silent(object)
}

// object declares the secret and what it needs.
func (x *secretStory) object(plain string) *thing {
	object := &thing{kind: x.kind, fields: map[string]any{}}
	if x.kind.Resource.Mode != schema.Singleton {
		object = x.m.minimal(x.kind)
	}
	if with, ok := lookupField(table().With, x.kind, x.f.Name); ok {
		object = object.with(x.m.fill(with).(map[string]any))
	}
	return object.with(map[string]any{x.f.Name: reconcile.NewSecret(plain, "")})
}

func (x *secretStory) onlyForSingletons() []reconcile.SecretSelection {
	if x.kind.Resource.Mode == schema.Singleton {
		return []reconcile.SecretSelection{{}}
	}
	return nil
}

// do plans and applies, and keeps everything that is printed of it.
func (x *secretStory) do(o reconcile.PlanOptions, things ...*thing) (*reconcile.Report, error) {
	report, err := x.s.once(o, things...)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&x.out, "%+v %#v\n", report.Plan, report)
	for _, step := range report.Plan.Steps {
		fmt.Fprintf(&x.out, "%+v %+v %#v\n", step.Change, step.Change.Desired, step.Change.Desired.Fields)
		require.NoError(x.t, json.NewEncoder(&x.out).Encode([]any{step.Change.Fields, step.Change.Secrets}))
	}
	doc, err := render.NewPlanDocument(report.Plan.Record(), report.Plan.Diagnostics, 0)
	require.NoError(x.t, err)
	for _, format := range render.Formats() {
		require.NoError(x.t, render.Write(&x.out, format, doc, render.Style{}))
		require.NoError(x.t, render.Write(&x.out, format, render.NewReportDocument(report, doc.Record, nil, 0), render.Style{}))
	}
	return report, nil
}

// arrived proves what the server has; only the sandbox tells, and old servers.
func (x *secretStory) arrived(object *thing, want string) {
	if x.shown {
		if x.s.w.shown(x.t, x.kind, object.row)[x.f.Name] != want {
			x.t.Errorf("the server does not have the secret as it was sent")
		}
		return
	}
	if x.s.w.sandbox == nil {
		return
	}
	have, _ := x.s.w.sandbox.PlainSecret(x.kind.Name, int64(object.row), x.f.Name)
	if have != want {
		x.t.Errorf("the server does not have the secret as it was sent")
	}
}

// silent proves that the secret is nowhere in what was said and in what the
// server shows.
func (x *secretStory) silent(object *thing) {
	path := x.s.w.path(x.t, x.kind)
	for _, p := range []string{path, path + "?brief=1", fmt.Sprintf("%s/%d", path, object.row), path + "?fields=" + x.f.Name} {
		if x.shown {
			break
		}
		_, answer := x.s.w.raw(x.t, http.MethodGet, p, nil)
		fmt.Fprintf(&x.out, "%v\n", answer)
	}
	if strings.Contains(x.out.String(), x.m.w.tag+"canary") || findCanary(x.out.String()) != "" {
		x.t.Error("the secret was shown")
	}
}

// showsSecret reports whether rows of a kind hold a write-only field all the same.
func (w *world) showsSecret(t testing.TB, kind *schema.Kind, name string) bool {
	t.Helper()
	if kind.Resource.Mode == schema.Singleton {
		return false
	}
	w = w.fork()
	m := w.maker(t)
	made := m.minimal(kind)
	require.NoError(t, w.story(t).apply(append(m.order, made)...))
	_, shown := w.shown(t, kind, made.row)[name]
	return shown
}

// writable asks the server whether a field can be set. Of a singleton it says
// nothing: then trying tells.
func (w *world) writable(t testing.TB, kind *schema.Kind, name string) bool {
	t.Helper()
	options := w.must(t, http.MethodOptions, w.path(t, kind), nil)
	actions, _ := options["actions"].(map[string]any)
	if len(actions) == 0 {
		return true
	}
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		fields, _ := actions[method].(map[string]any)
		if f, ok := fields[name].(map[string]any); ok {
			return f["read_only"] != true
		}
	}
	return false
}
