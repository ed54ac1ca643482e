package render_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

// A plan that was saved is shown as it was when it was made, in every format.
func TestASavedPlanReadsAsAFreshOne(t *testing.T) {
	_, plan := world(t)
	for name, d := range map[string]*render.PlanDocument{
		"every form of a step": planDocument(t, plan, 0),
		"an owner's":           planDocument(t, owned(kinds(t)), 5),
		"many steps":           large(t, 50),
		"nothing to do":        planDocument(t, &reconcile.Plan{}, 0),
	} {
		t.Run(name, func(t *testing.T) {
			data, _, err := render.PlanBytes(d)
			require.NoError(t, err)
			read, err := render.ReadPlan(data)
			require.NoError(t, err)
			for _, format := range render.Formats() {
				require.Empty(t, cmp.Diff(written(t, format, d), written(t, format, read)), format)
			}
		})
	}
}

func TestWhatIsNoSavedPlanIsSaidInPlainWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "it is no saved plan: it is empty",
		"[]":                   "it is no saved plan: it is JSON of the type array",
		`{"steps": {}}`:        "it is no saved plan: steps must not be of the type object",
		`{"surprise": 1}`:      `it is no saved plan: unknown field "surprise"`,
		"{} {}":                "it is no saved plan: something follows it",
		`{"format": "plan/2"}`: `it is of the form "plan/2"; this version reads "proxbox-sync/plan/v1"`,
	} {
		_, err := render.ReadPlan([]byte(text))
		require.EqualError(t, err, want)
	}
}

// Who shows a plan does not trust it: whatever a file says that looks like one,
// each format has an answer to it.
func FuzzShow(f *testing.F) {
	d, err := render.NewPlanDocument(hostileRecord(benign), nil, 0)
	require.NoError(f, err)
	data, _, err := render.PlanBytes(d)
	require.NoError(f, err)
	f.Add(data)
	f.Add(bytes.ReplaceAll(data, []byte(`"wave": 1`), []byte(`"wave": -9999999999`)))
	f.Add(bytes.ReplaceAll(data, []byte(`"actions": [`), []byte(`"needs": [1,2,3,4,5,6,-1], "actions": [`)))
	f.Add([]byte(`{"format":"proxbox-sync/plan/v1","steps":[{"actions":null,"fields":[{"name":"x","changes":[{"op":"add"}]}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := render.LoosePlan(data)
		if err != nil {
			return
		}
		for _, format := range render.Formats() {
			require.NotEmpty(t, written(t, format, d))
		}
	})
}
