package render_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

// owned is a plan with everything that ownership brings, which policy refuses.
func owned(set *schema.Set) *reconcile.Plan {
	townKind, shopKind := set.Kind("Town"), set.Kind("Shop")
	town := func(slug string, row reconcile.RowID) *reconcile.Object {
		o := &reconcile.Object{Kind: townKind, Row: row, Fields: map[string]any{"slug": slug}}
		if row == 0 {
			o.Doc = &reconcile.Document{Pos: at(3, 1)}
		}
		return o
	}
	shop := &reconcile.Object{Kind: shopKind, Doc: &reconcile.Document{Pos: at(8, 1)}, Fields: map[string]any{"town": "berlin", "name": "corner"}}
	field := func(name string, before, after any, label string, in ...reconcile.ValueChange) reconcile.FieldChange {
		return reconcile.FieldChange{Name: name, Field: shopKind.Field(name), Before: before, After: after, Label: label, Inner: in}
	}
	marker := func(why string) *reconcile.MarkerChange { return &reconcile.MarkerChange{Why: why} }
	steps := []*reconcile.Step{
		{Change: &reconcile.Change{Action: reconcile.Mark, Desired: town("adopted", 0), Live: town("adopted", 1), Marker: marker("adopted")}},
		{Change: &reconcile.Change{Action: reconcile.Mark, Desired: town("given-up", 0), Live: town("given-up", 2), Marker: marker("released")}},
		{Change: &reconcile.Change{Action: reconcile.Mark, Desired: town("less", 0), Live: town("less", 3), Marker: marker("updated"), Released: []string{"comments"}}},
		{Change: &reconcile.Change{Action: reconcile.Mark, Desired: town("healed", 0), Live: town("healed", 4), Marker: marker("updated")}},
		{Change: &reconcile.Change{Action: reconcile.Update, Desired: town("back", 0), Live: town("moved\x1b", 5), RenamedOutside: true, RenamedFrom: "moved\x1b",
			Fields: []reconcile.FieldChange{{Name: "slug", Field: townKind.Field("slug"), Before: "moved\x1b", After: "back", Label: reconcile.Drift}}}},
		{Change: &reconcile.Change{Action: reconcile.Update, Desired: town("new", 0), Live: town("old", 6), RenamedFrom: "old", Marker: marker("updated"),
			Fields: []reconcile.FieldChange{{Name: "slug", Field: townKind.Field("slug"), Before: "old", After: "new", Label: reconcile.Intent}}}},
		{Change: &reconcile.Change{Action: reconcile.Update, Desired: shop, Live: &reconcile.Object{Kind: shopKind, Row: 7}, Marker: marker("taken over"),
			Fields: []reconcile.FieldChange{field("size", reconcile.Number("1"), reconcile.Number("2"), reconcile.Intent),
				field("open", false, true, reconcile.Drift), field("mode", "wholesale", "retail", reconcile.Both),
				field("rate", nil, reconcile.Number("3"), reconcile.Adoption),
				field("address", strings.Repeat("x", 60), strings.Repeat("y", 60), reconcile.Drift),
				field("plan", map[string]any{}, map[string]any{}, reconcile.Both,
					reconcile.ValueChange{Path: "/door", Op: "add", After: "front"})},
			Secrets: []reconcile.SecretChange{{Name: "password", Why: "changed"}}},
			Risks: []string{"the credentials that the server has stored will be used with a new host (a → b)"}},
		{Change: &reconcile.Change{Action: reconcile.Create, Desired: town("gone", 0), Marker: marker("created")}},
		{Change: &reconcile.Change{Action: reconcile.Delete, Live: town("orphan", 8), Takes: []reconcile.Taken{
			{What: "Shop", Objects: []string{"orphan/a", "orphan/b"}, Count: 2}, {What: "map/shelves", Count: 1200}, {What: "map/doors", Unknown: true}}}},
		{Change: &reconcile.Change{Action: reconcile.Delete, Desired: town("absent", 0), Live: town("absent", 9)}},
	}
	for i, s := range steps {
		s.Index = i
	}
	state := func(field, status, why string, sent bool) reconcile.SecretState {
		return reconcile.SecretState{Object: shop, Field: field, Status: status, Why: why, Sent: sent}
	}
	return &reconcile.Plan{
		Instance: reconcile.Instance{URL: "https://netbox.example"}, Steps: steps, Owner: "prod", Unchanged: map[string]int{"Town": 40},
		Orphans: []reconcile.Orphan{
			{Object: town("orphan", 8), Origin: reconcile.OriginCreated, Deleted: true},
			{Object: town("safe", 10), Origin: reconcile.OriginCreated, Protect: true, Why: "it is protected"},
			{Object: town("copy", 11), Origin: reconcile.OriginAdopted, Copied: true, Why: "its marker is another object's"},
		},
		Secrets: []reconcile.SecretState{state("password", "changed", "", true), state("pin", "unknown", "the object is not ours yet", false),
			state("code", "unknown", "the object is not ours yet", false), state("key", "unchanged", "", false), state("card", "new", "", true)},
		Diagnostics: reconcile.Diagnostics{
			{Severity: reconcile.Warning, Trouble: reconcile.Policy, Code: "loose-setting", Summary: "--prune: orphans are deleted"},
			{Severity: reconcile.Warning, Code: "database-id", Summary: "a database id isn't portable"},
			{Severity: reconcile.Error, Trouble: reconcile.Policy, Code: "cascading-delete", Summary: "deleting Town orphan takes other objects along",
				Detail: "if that is meant, allow it with --max-deletes 1204"},
		},
	}
}

func TestPlanOfAnOwnerText(t *testing.T) {
	got := text(t, func(w io.Writer) error {
		return render.Write(w, "text", planDocument(t, owned(kinds(t)), 0), render.Style{})
	})
	golden(t, "owned.txt", got)
	for line := range strings.SplitSeq(got, "\n") {
		require.LessOrEqual(t, len([]rune(line)), 80, line)
		require.Empty(t, harmful(line))
	}
}

func TestAPlanThatPolicyRefusesIsDataAllTheSame(t *testing.T) {
	got := text(t, func(w io.Writer) error {
		return render.Write(w, "json", planDocument(t, owned(kinds(t)), 5), render.Style{})
	})
	conforms(t, "plan", got)
	golden(t, "owned.json", got)
	require.Contains(t, got, `"ok": false`)
}

func TestDriftText(t *testing.T) {
	got := text(t, func(w io.Writer) error {
		return render.Write(w, "text", render.NewDriftDocument(reconcile.DriftOf(owned(kinds(t)))), render.Style{})
	})
	golden(t, "drift.txt", got)
	for line := range strings.SplitSeq(got, "\n") {
		require.Empty(t, harmful(line))
	}
	require.NotContains(t, got, "cascading")

	none := text(t, func(w io.Writer) error {
		return render.Write(w, "text", render.NewDriftDocument(reconcile.DriftOf(&reconcile.Plan{})), render.Style{})
	})
	require.Equal(t, "No drift: nobody changed what is managed.\n", none)
}

func TestAReportOfMarkers(t *testing.T) {
	plan := owned(kinds(t))
	r := &reconcile.Report{Plan: plan, Steps: []reconcile.StepReport{
		{Step: plan.Steps[0], Result: reconcile.Unmarked, Status: 403},
		{Step: plan.Steps[9], Result: reconcile.Applied},
	}}
	got := text(t, func(w io.Writer) error { return render.Write(w, "text", reportDocument(r), render.Style{}) })
	require.Contains(t, got, "not marked    = Town adopted")
	require.Contains(t, got, "applied       - Town absent")
	require.Contains(t, got, "Apply: 1 applied, 1 not marked.")
	conforms(t, "report", text(t, func(w io.Writer) error {
		return render.Write(w, "json", render.NewReportDocument(r, r.Plan.Record(), nil, 0), render.Style{})
	}))
}

// approvals are connections with every verdict.
func approvals(r *reconcile.Report) []reconcile.ApprovalReport {
	o := r.Steps[0].Step.Change.Object()
	verdict := func(v reconcile.ApprovalVerdict, differs ...string) reconcile.ApprovalReport {
		return reconcile.ApprovalReport{Object: o, Row: 4, ApprovalResult: reconcile.ApprovalResult{Verdict: v, Differs: differs, Status: 200}}
	}
	return []reconcile.ApprovalReport{verdict(reconcile.Approved), verdict(reconcile.WasApproved), verdict(reconcile.TargetDiffers, "port\x1b"),
		verdict(reconcile.TargetChanged), verdict(reconcile.NotEnabled), verdict(reconcile.NoApproval), verdict(reconcile.ApprovalForbidden),
		{Object: o, Row: 4, Err: errors.New("no answer")}}
}

func TestApprovalsText(t *testing.T) {
	_, plan := world(t)
	got := text(t, func(w io.Writer) error {
		return render.Write(w, "text", render.NewReportDocument(fates(plan), plan.Record(), approvals(fates(plan)), 7), render.Style{})
	})
	golden(t, "approvals.txt", got)
	for line := range strings.SplitSeq(got, "\n") {
		require.LessOrEqual(t, len([]rune(line)), 80, line)
		require.Empty(t, harmful(line))
	}
}

// TestADeleteShowsWhatGoes has the values of an object that is deleted in the forms
// in which an object is folded.
func TestADeleteShowsWhatGoes(t *testing.T) {
	record := &reconcile.Record{Steps: []reconcile.RecordStep{{Actions: []string{"delete"}, Kind: "Site", Key: "gone", ID: 3,
		Before: map[string]any{"name": "Gone", "comments": "", "tags": []any{"edge"}, "size": nil}}}}
	doc, err := render.NewPlanDocument(record, nil, 0)
	require.NoError(t, err)
	for _, format := range []string{"markdown", "html"} {
		var b strings.Builder
		require.NoError(t, render.Write(&b, format, doc, render.Style{}))
		require.Contains(t, b.String(), "Gone", format)
		require.Contains(t, b.String(), "edge", format)
		require.NotContains(t, b.String(), "comments", format)
	}
	var b strings.Builder
	require.NoError(t, render.Write(&b, "markdown", doc, render.Style{}))
	require.Contains(t, b.String(), "- name: Gone\n- tags: ")
	require.NotContains(t, b.String(), "  name:")
}
