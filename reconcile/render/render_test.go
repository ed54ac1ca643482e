package render_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

func text(t *testing.T, write func(w io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, write(&b))
	return b.String()
}

func at(line, column int) reconcile.Position {
	return reconcile.Position{File: "shops/main.yaml", Line: line, Column: column}
}

var mistakes = reconcile.Diagnostics{
	{Severity: reconcile.Error, Code: "unknown-field", Pos: at(7, 3), Object: "Shop berlin/corner", Field: "opn",
		Summary: `unknown field "opn"`, Detail: `Did you mean "open"?`},
	{Severity: reconcile.Error, Code: "declared-twice", Pos: at(12, 1), Object: "Shop berlin/corner", Summary: "declared twice",
		Related: []reconcile.Related{{Pos: at(3, 1), Message: "first declared here"}, {Message: "Objects are told apart by their key."}}},
	{Severity: reconcile.Warning, Code: "database-id", Pos: reconcile.Position{File: "shops/other.yaml"}, Summary: "a database id isn't portable",
		Detail: "Another server will have another number for the same object, so that the manifest will say something else there. Write the key."},
	{Severity: reconcile.Warning, Code: "no-place", Summary: "::error::nowhere\nat all"},
}

// findings are those of risk rules, one of them turned off.
var findings = reconcile.Diagnostics{
	{Severity: reconcile.Warning, Trouble: reconcile.Risk, Code: "shop-open", Pos: at(7, 3), Object: "Shop berlin/corner", Field: "open",
		Summary: "the door is never locked", Detail: "Close it. (rule shop-open)"},
	{Severity: reconcile.Info, Trouble: reconcile.Risk, Code: "rule-ignored", Pos: reconcile.Position{File: "proxbox-sync.yaml", Line: 9, Column: 7},
		Summary: "rule shop-open is turned off: a market\x1b[2J", Detail: "1 finding is not reported",
		Related: []reconcile.Related{{Pos: at(14, 3), Message: "Shop berlin/market: the door is never locked"}}},
}

func TestFindingsAreTheResultOfLint(t *testing.T) {
	set := kinds(t)
	state := &reconcile.State{Objects: map[string][]*reconcile.Object{"Shop": liveShops(set)}}
	golden(t, "lint.txt", text(t, func(w io.Writer) error { return render.Linted(w, state, findings, render.Style{}) }))
	none := text(t, func(w io.Writer) error { return render.Linted(w, state, nil, render.Style{}) })
	require.Regexp(t, `^OK: [0-9]+ objects? of 1 kind, no findings\.\n$`, none)
}

func TestARuleIsExplainedForEachKindThatHasIt(t *testing.T) {
	golden(t, "rule.txt", text(t, func(w io.Writer) error {
		return render.ExplainRule(w, []reconcile.Rule{
			{Code: "open", Kind: "Shop", Severity: reconcile.Warning, Message: "the door is never locked", Why: "Close it."},
			{Code: "open", Kind: "Town", Severity: reconcile.Info, Message: "the gate is open", Why: "Towns have been lost that way."},
		}, render.Style{})
	}))
}

func TestDiagnosticsText(t *testing.T) {
	got := text(t, func(w io.Writer) error { return render.Diagnostics(w, mistakes, render.Style{}) })
	golden(t, "diagnostics.txt", got)
	require.Empty(t, text(t, func(w io.Writer) error { return render.Diagnostics(w, nil, render.Style{}) }))
}

func TestErrorTextOfSeveralLines(t *testing.T) {
	got := text(t, func(w io.Writer) error { return render.Error(w, errors.New("one\ntwo\x1b"), render.Style{}) })
	require.Equal(t, "error: one\n    two\\x1b\n", got)
}

// world is a plan with every form that a step can take.
func world(t *testing.T) (*schema.Set, *reconcile.Plan) {
	set := kinds(t)
	shopKind, townKind := set.Kind("Shop"), set.Kind("Town")
	town := func(slug string) *reconcile.Object {
		return &reconcile.Object{Kind: townKind, Fields: map[string]any{"slug": slug}}
	}
	berlin := town("berlin")
	shop := func(name string, line int) *reconcile.Object {
		return &reconcile.Object{Kind: shopKind, Doc: &reconcile.Document{Pos: at(line, 1)},
			Fields: map[string]any{"town": reconcile.Ref{Target: berlin, Kind: "Town"}, "name": name}}
	}
	field := func(o *reconcile.Object, name string, before, after any, in ...reconcile.ValueChange) reconcile.FieldChange {
		return reconcile.FieldChange{Name: name, Field: o.Kind.Field(name), Before: before, After: after, Inner: in}
	}
	corner, market, old := shop("corner", 3), shop("market\x1b[2J", 14), shop("old", 22)
	long := strings.Repeat("A long text about a shop. ", 6)
	steps := []*reconcile.Step{
		{Change: &reconcile.Change{Action: reconcile.Create, Desired: berlin, Fields: []reconcile.FieldChange{
			field(berlin, "slug", nil, "berlin"), field(berlin, "comments", nil, long),
			{Name: "custom_fields.owner", After: "team a"}}}},
		{Wave: 1, Needs: []int{0}, Deferred: []string{"towns"}, Change: &reconcile.Change{Action: reconcile.Create, Desired: corner,
			Fields: []reconcile.FieldChange{
				field(corner, "town", nil, "berlin"), field(corner, "name", nil, "corner"), field(corner, "host", nil, nil),
				field(corner, "size", nil, reconcile.Number("12")), field(corner, "open", nil, true),
				field(corner, "plan", nil, map[string]any{"rooms": []any{reconcile.Number("1"), "back room"}, "b:c": ""})},
			Secrets: []reconcile.SecretChange{{Name: "password", Why: "new"}}}},
		{Wave: 1, Risks: []string{"stored credentials go to a new place: till.example → evil.example"}, Change: &reconcile.Change{
			Action: reconcile.Update, Desired: market, Live: &reconcile.Object{Kind: shopKind, Row: 7},
			Fields: []reconcile.FieldChange{
				field(market, "host", "till.example", "evil.example"),
				field(market, "name", "yes", "##[command]"),
				field(market, "address", strings.Repeat("x", 60), strings.Repeat("y", 90)),
				field(market, "plan", map[string]any{}, map[string]any{},
					reconcile.ValueChange{Path: "/rooms/0", Op: "replace", Before: reconcile.Number("1"), After: reconcile.Number("2")},
					reconcile.ValueChange{Path: "/door", Op: "add", After: "front"},
					reconcile.ValueChange{Path: "/attic", Op: "remove", Before: nil},
					reconcile.ValueChange{Path: "/text", Op: "replace", Before: long, After: long + "More."}),
				field(market, "towns", []any{"bonn"}, []any{"berlin"},
					reconcile.ValueChange{Op: "remove", Path: "/0", Before: "bonn"},
					reconcile.ValueChange{Op: "add", Path: "/0", After: "berlin"}),
			},
			Secrets: []reconcile.SecretChange{{Name: "password", Why: "asked", Sealed: true}}}},
		{Wave: 2, Needs: []int{1}, Link: true, Change: &reconcile.Change{Action: reconcile.Update, Desired: corner,
			Fields: []reconcile.FieldChange{field(corner, "towns", nil, []any{"berlin", "bonn"})}}},
		{Wave: 2, Change: &reconcile.Change{Action: reconcile.Update, Desired: old,
			Fields: []reconcile.FieldChange{field(old, "since", nil, "2026-01-31T18:00:00Z")}}},
	}
	for i, s := range steps {
		s.Index = i
	}
	return set, &reconcile.Plan{
		Instance:  reconcile.Instance{URL: "https://netbox.example/sub", NetBoxVersion: "4.7.3", PluginVersion: "0.0.29"},
		Steps:     steps,
		Unchanged: map[string]int{"Town": 3, "Shop": 1200, "Law": 0}, Diagnostics: mistakes[2:3],
	}
}

func TestPlanText(t *testing.T) {
	_, plan := world(t)
	got := text(t, func(w io.Writer) error { return render.Write(w, "text", planDocument(t, plan, 0), render.Style{}) })
	golden(t, "plan.txt", got)
	for line := range strings.SplitSeq(got, "\n") {
		require.LessOrEqual(t, len([]rune(line)), 80, line)
		require.Empty(t, harmful(line))
	}
}

func TestColourOnlyAddsToThePlan(t *testing.T) {
	_, plan := world(t)
	plainText := text(t, func(w io.Writer) error { return render.Write(w, "text", planDocument(t, plan, 0), render.Style{}) })
	coloured := text(t, func(w io.Writer) error {
		return render.Write(w, "text", planDocument(t, plan, 0), render.Style{Color: true})
	})
	require.Contains(t, coloured, "\x1b[32m+ Town berlin\x1b[0m")
	for _, code := range []string{"0", "1", "2", "31", "32", "33", "36"} {
		coloured = strings.ReplaceAll(coloured, "\x1b["+code+"m", "")
	}
	require.Empty(t, cmp.Diff(plainText, coloured))
}

func TestPlanWithoutChanges(t *testing.T) {
	for _, c := range []struct {
		unchanged map[string]int
		want      string
	}{
		{map[string]int{"Town": 3, "Shop": 41}, "No changes. All 44 objects are as the manifests say.\n"},
		{map[string]int{"Town": 1}, "No changes. The one object is as the manifests say.\n"},
		{nil, "No changes. The manifests describe no objects.\n"},
	} {
		plan := &reconcile.Plan{Unchanged: c.unchanged}
		require.Equal(t, c.want, text(t, func(w io.Writer) error { return render.Write(w, "text", planDocument(t, plan, 0), render.Style{}) }))
	}
}

func fates(plan *reconcile.Plan) *reconcile.Report {
	return &reconcile.Report{Plan: plan, Interrupted: true, Err: errors.New("the token was refused"), Steps: []reconcile.StepReport{
		{Step: plan.Steps[0], Result: reconcile.Applied, Row: 4, Status: 201, Request: "r-1"},
		{Step: plan.Steps[1], Result: reconcile.Failed, Status: 400, Request: "r-2", Messages: []reconcile.FieldMessage{
			{Field: "size", Text: "A valid integer is required."}, {Text: "The whole is wrong.\n::warning::x"}}},
		{Step: plan.Steps[2], Result: reconcile.Conflicted, Err: errors.New("somebody changed the object after the plan was made; plan again")},
		{Step: plan.Steps[3], Result: reconcile.Blocked, BlockedBy: []int{1}},
		{Step: plan.Steps[4], Result: reconcile.NotAttempted},
	}}
}

// A file says it all: what stands above a report on a terminal, and of many
// objects that went well as many as leave room for the others.
func TestReportTextAloneHasThePlan(t *testing.T) {
	_, plan := world(t)
	d := reportDocument(fates(plan))
	got := text(t, func(w io.Writer) error { return render.Write(w, "text", d, render.Style{Whole: true}) })
	above := text(t, func(w io.Writer) error { return render.Write(w, "text", planDocument(t, plan, 0), render.Style{}) })
	below := text(t, func(w io.Writer) error { return render.Write(w, "text", d, render.Style{}) })
	require.Empty(t, cmp.Diff(above+"\n"+below, got))

	many := &reconcile.Report{Plan: plan}
	for range 67 {
		many.Steps = append(many.Steps, reconcile.StepReport{Step: plan.Steps[0], Result: reconcile.Applied})
	}
	got = text(t, func(w io.Writer) error {
		return render.Write(w, "text", reportDocument(many), render.Style{Whole: true})
	})
	require.Equal(t, 50, strings.Count(got, "\napplied  "))
	require.Contains(t, got, "\n... and 17 more applied\n")
	got = text(t, func(w io.Writer) error { return render.Write(w, "text", reportDocument(many), render.Style{}) })
	require.Equal(t, "\nApply: 67 applied.\n", got)
}

func TestReportText(t *testing.T) {
	_, plan := world(t)
	got := text(t, func(w io.Writer) error { return render.Write(w, "text", reportDocument(fates(plan)), render.Style{}) })
	golden(t, "report.txt", got)
	for line := range strings.SplitSeq(got, "\n") {
		require.Empty(t, harmful(line))
	}
}

func TestReportCountsWhatWentWellWhenItIsMuch(t *testing.T) {
	_, plan := world(t)
	r := &reconcile.Report{Plan: plan}
	for range 60 {
		r.Steps = append(r.Steps, reconcile.StepReport{Step: plan.Steps[0], Result: reconcile.Applied})
	}
	r.Steps = append(r.Steps, reconcile.StepReport{Step: plan.Steps[1], Result: reconcile.Failed})
	got := text(t, func(w io.Writer) error { return render.Write(w, "text", reportDocument(r), render.Style{}) })
	require.NotContains(t, got, "Town berlin")
	require.Contains(t, got, "Shop berlin/corner")
	require.Contains(t, got, "Apply: 60 applied, 1 failed.")
}

// liveShops are two live shops, one with everything awkward in it.
func liveShops(set *schema.Set) []*reconcile.Object {
	berlin := &reconcile.Object{Kind: set.Kind("Town"), Row: 1, Fields: map[string]any{"slug": "berlin"}}
	ref := reconcile.Ref{Target: berlin, Kind: "Town", Row: 1}
	return []*reconcile.Object{
		{Kind: set.Kind("Shop"), Row: 7, Version: "2026-01-31T18:00:00Z", Fields: map[string]any{
			"town": ref, "name": "corner", "host": "till.example", "mode": "retail", "open": true, "size": reconcile.Number("12"),
			"rate": reconcile.Number("2.5"), "since": nil, "address": "192.0.2.7/24", "towns": []any{ref, reconcile.Ref{Kind: "Town", Row: 9}},
			"hours": []any{"08:00", "no"}, "plan": map[string]any{"rooms": []any{map[string]any{"name": "back"}}, "empty": map[string]any{}},
			"visitors": reconcile.Number("5")}},
		{Kind: set.Kind("Shop"), Row: 8, Fields: map[string]any{
			"town": ref, "name": "true\n::error::\u202e", "host": nil, "mode": "wholesale", "open": false, "size": nil,
			"towns": []any{}, "plan": nil, "password": reconcile.NewSecret("hunter2", "")}},
	}
}

func TestLiveObjectsAsTableAndManifests(t *testing.T) {
	set := kinds(t)
	objects := liveShops(set)
	table := text(t, func(w io.Writer) error { return render.Table(w, set.Kind("Shop"), objects, render.Style{}) })
	golden(t, "table.txt", table)
	manifests := text(t, func(w io.Writer) error { return render.Manifests(w, objects, render.Style{}) })
	golden(t, "manifests.yaml", manifests)
	for line := range strings.SplitSeq(table+manifests, "\n") {
		require.Empty(t, harmful(line))
	}
	require.NotContains(t, table+manifests, "hunter2")
}

func TestTheSingletonHasATableAndAManifest(t *testing.T) {
	set := kinds(t)
	law := []*reconcile.Object{{Kind: set.Kind("Law"), Fields: map[string]any{"level": reconcile.Number("3")}}}
	require.Equal(t, "LEVEL\n3\n", text(t, func(w io.Writer) error { return render.Table(w, set.Kind("Law"), law, render.Style{}) }))
	require.Equal(t, "apiVersion: proxbox-sync/v1\nkind: Law\nspec:\n  level: 3\n",
		text(t, func(w io.Writer) error { return render.Manifests(w, law, render.Style{}) }))
}

func TestExplain(t *testing.T) {
	set := kinds(t)
	var b bytes.Buffer
	require.NoError(t, render.Kinds(&b, set, render.Style{}))
	for _, name := range []string{"Shop", "Law", "Person"} {
		b.WriteString("\n=== " + name + "\n")
		require.NoError(t, render.Explain(&b, set, set.Kind(name), render.Style{}))
	}
	for _, f := range set.Kind("Shop").Fields {
		b.WriteString("\n=== Shop." + f.Name + "\n")
		require.NoError(t, render.ExplainField(&b, set, set.Kind("Shop"), f, render.Style{}))
	}
	golden(t, "explain.txt", b.String())
}

func TestExplainsTheRulesOfACreate(t *testing.T) {
	set := schema.Embedded()
	got := text(t, func(w io.Writer) error { return render.Explain(w, set, set.Kind("NetBoxEndpoint"), render.Style{}) })
	require.Contains(t, got, "To create one: token_version v2 needs token_secret")
}

func TestExplainShowsABlankChoice(t *testing.T) {
	set := schema.Embedded()
	kind := set.Kind("ProxmoxEndpoint")
	got := text(t, func(w io.Writer) error {
		return render.ExplainField(w, set, kind, kind.Field("environment"), render.Style{})
	})
	require.Contains(t, got, "lab,\n            \"\", or null")
}

func TestDoctorText(t *testing.T) {
	yes, no := true, false
	c := render.Checkup{
		Instance: reconcile.Instance{URL: "https://netbox.example", NetBoxVersion: "4.7.3"},
		Findings: []render.Finding{
			{Status: render.Fine, Topic: "TLS", Summary: "TLS 1.3, the certificate holds until 2027-01-01"},
			{Status: render.Warned, Topic: "secrets", Summary: "this server shows tokens in plain text to who may read them", Detail: "Older plugins do. Limit who may view the endpoints."},
			{Status: render.Broken, Topic: "token", Summary: "refused\x1b"},
			{Status: render.Noted, Topic: "plugin", Summary: "connections need approval"},
		},
		Kinds:     []render.KindAccess{{Kind: "Shop", Path: "map/shops", View: &yes, Add: &no}, {Kind: "Law"}},
		PlanNeeds: []string{"map.view_shop"}, ApplyNeeds: []string{"map.add_shop", "map.change_shop"},
		PlanGrants:  []render.Grant{{Name: "plan", Enabled: true, ObjectTypes: []string{"map.shop"}, Actions: []string{"view"}}},
		ApplyGrants: []render.Grant{{Name: "apply", Enabled: true, ObjectTypes: []string{"map.shop"}, Actions: []string{"add", "change"}}},
	}
	golden(t, "doctor.txt", text(t, func(w io.Writer) error { return render.Doctor(w, c, render.Style{}) }))
}

func TestDoctorTextBeginsWithAFinding(t *testing.T) {
	c := render.Checkup{Findings: []render.Finding{{Status: render.Broken, Topic: "url", Summary: "no answer"}}}
	got := text(t, func(w io.Writer) error { return render.Doctor(w, c, render.Style{}) })
	require.Equal(t, "  error    url  no answer\n", got)
}

func TestProgressRewritesItsLineOnATerminalOnly(t *testing.T) {
	_, plan := world(t)
	clock := time.Unix(0, 0)
	now := func() time.Time { return clock }
	steps := func(terminal bool) string {
		return text(t, func(w io.Writer) error {
			p := render.NewProgress(w, render.Style{}, terminal, now)
			p.Step(1, 2000, reconcile.StepReport{Step: plan.Steps[0], Result: reconcile.Applied})
			clock = clock.Add(11 * time.Second)
			p.Step(2, 2000, reconcile.StepReport{Step: plan.Steps[2], Result: reconcile.Failed})
			p.End()
			return nil
		})
	}
	require.Equal(t, "\r1 of 2,000 steps  Town berlin\x1b[K\r2 of 2,000 steps, 1 with trouble  Shop berlin/market\\x1b[2J\x1b[K\r\x1b[K", steps(true))
	require.Equal(t, "2 of 2,000 steps, 1 with trouble\n", steps(false))
}

// Whatever text an object holds, its manifest reads back as that text.
func FuzzManifests(f *testing.F) {
	for _, s := range []string{"", "a", "yes", "010", "1e3", "null", "~", "- a", "a: b", "#", "a #b", "'", `"\`, "\n", "{", "2026-01-01", "12:30:45", "::1", "😀", "\u0085", "\u2028", " a ", "<<", "="} {
		f.Add(s)
	}
	set := kinds(f)
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || strings.Contains(s, "\ufffd") {
			t.Skip()
		}
		object := &reconcile.Object{Kind: set.Kind("Town"), Fields: map[string]any{
			"slug": "x", "comments": s, "custom_fields": map[string]any{"k" + s: []any{s, map[string]any{"in": s}}}}}
		got := text(t, func(w io.Writer) error { return render.Manifests(w, []*reconcile.Object{object}, render.Style{}) })
		for line := range strings.SplitSeq(got, "\n") {
			require.Empty(t, harmful(line))
		}
		var back struct {
			Spec struct {
				Comments string
				Fields   map[string]any `yaml:"custom_fields"`
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(got), &back), got)
		require.Equal(t, s, back.Spec.Comments)
		require.Equal(t, map[string]any{"k" + s: []any{s, map[string]any{"in": s}}}, back.Spec.Fields)
	})
}
