package render_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema/output"
)

// planDocument is the document of a plan.
func planDocument(t testing.TB, plan *reconcile.Plan, exitCode int) *render.PlanDocument {
	t.Helper()
	d, err := render.NewPlanDocument(plan.Record(), plan.Diagnostics, exitCode)
	require.NoError(t, err)
	return d
}

func reportDocument(r *reconcile.Report) *render.ReportDocument {
	return render.NewReportDocument(r, r.Plan.Record(), nil, 7)
}

// conforms checks a JSON output against the schema of its form.
func conforms(t *testing.T, form, got string) {
	t.Helper()
	text, err := output.Schema(form)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("form.json", doc))
	s, err := c.Compile("form.json")
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(got))
	require.NoError(t, err)
	require.NoError(t, s.Validate(value), got)
}

func TestJSONFormsMeetTheirSchemas(t *testing.T) {
	set, plan := world(t)
	report := fates(plan)
	state := &reconcile.State{Objects: map[string][]*reconcile.Object{"Shop": liveShops(set), "Town": nil}}
	yes := true
	checkup := render.Checkup{Findings: []render.Finding{{Status: render.Fine, Topic: "TLS", Summary: "good"}},
		Kinds:      []render.KindAccess{{Kind: "Shop", View: &yes}},
		PlanGrants: []render.Grant{{Name: "plan", Enabled: true, ObjectTypes: []string{"map.shop"}, Actions: []string{"view"}}}}
	for form, write := range map[string]func(io.Writer) error{
		"plan": func(w io.Writer) error { return render.Write(w, "json", planDocument(t, plan, 0), render.Style{}) },
		"drift": func(w io.Writer) error {
			return render.Write(w, "json", render.NewDriftDocument(reconcile.DriftOf(owned(set))), render.Style{})
		},
		"report": func(w io.Writer) error {
			return render.Write(w, "json", render.NewReportDocument(report, plan.Record(), approvals(report), 7), render.Style{})
		},
		"validate": func(w io.Writer) error { return render.ValidatedJSON(w, state, "no key", mistakes, 0) },
		"lint":     func(w io.Writer) error { return render.LintedJSON(w, state, findings, 3) },
		"objects":  func(w io.Writer) error { return render.ObjectsJSON(w, liveShops(set), nil) },
		"doctor":   func(w io.Writer) error { return render.DoctorJSON(w, checkup, 0) },
		"version": func(w io.Writer) error {
			return render.VersionJSON(w, render.About{Version: "1", Go: "go1", Platform: "a/b"})
		},
	} {
		t.Run(form, func(t *testing.T) {
			got := text(t, write)
			conforms(t, form, got)
			golden(t, form+".json", got)
			require.NotContains(t, got, "hunter2")
			for line := range strings.SplitSeq(got, "\n") {
				require.Empty(t, harmful(line))
			}

			failure := text(t, func(w io.Writer) error {
				return render.FailureJSON(w, render.Failure{Format: "proxbox-sync/" + form + "/v1", ExitCode: 3,
					Diagnostics: mistakes, Errors: []string{"no\x1b"}})
			})
			conforms(t, form, failure)
		})
	}
}

func TestASchemaRefusesWhatIsNotItsForm(t *testing.T) {
	_, plan := world(t)
	var value map[string]any
	require.NoError(t, json.Unmarshal([]byte(text(t, func(w io.Writer) error { return render.Write(w, "json", planDocument(t, plan, 0), render.Style{}) })), &value))
	schemaText, err := output.Schema("plan")
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("form.json", doc))
	s, err := c.Compile("form.json")
	require.NoError(t, err)
	require.NoError(t, s.Validate(value))
	for _, change := range []func(){
		func() { value["surprise"] = 1 },
		func() { delete(value, "surprise"); delete(value, "steps") },
	} {
		change()
		require.Error(t, s.Validate(value))
	}
}

func TestOutputFormsHaveSchemas(t *testing.T) {
	require.Equal(t, []string{"doctor", "drift", "export", "lint", "objects", "plan", "report", "restore", "validate", "version"}, output.Forms())
	_, err := output.Schema("common")
	require.Error(t, err)
}
