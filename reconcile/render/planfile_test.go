package render_test

import (
	"bytes"
	"encoding/json"
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

// FuzzPlanFile: whatever a plan says, its file reads as what was written, byte for
// byte; and a file that was changed by hand is none.
func FuzzPlanFile(f *testing.F) {
	for _, text := range []string{benign, "", "\u2028<b>", "\x1b[2J", "\xff"} {
		data, err := json.Marshal(hostileRecord(text))
		require.NoError(f, err)
		f.Add(data, 100)
	}
	f.Add([]byte(`{"steps": [{"before": {"a": 1e3, "b": 12345678901234567890.5}, "after": null, "takes": [{"count": 0}]}]}`), 40)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		record := &reconcile.Record{}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if dec.Decode(record) != nil {
			return
		}
		d, err := render.NewPlanDocument(record, nil, 0)
		require.NoError(t, err)
		file, digest, err := render.PlanBytes(d)
		require.NoError(t, err)
		read, err := render.ReadPlan(file)
		require.NoError(t, err)
		again, same, err := render.PlanBytes(read)
		require.NoError(t, err)
		require.Equal(t, string(file), string(again))
		require.Equal(t, digest, same)
		changed := bytes.Clone(file)
		changed[uint(at)%uint(len(changed))] ^= 1
		_, err = render.ReadPlan(changed)
		require.Error(t, err)
		require.Less(t, len(err.Error()), 4096, "a file must not fill a report")
	})
}
