package sandbox

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// TestRecordedOptions compares what OPTIONS says of each list path. Fields of
// kinds outside the plugin that the kind's schema doesn't have are left out.
func TestRecordedOptions(t *testing.T) {
	s, err := New(Options{Token: testToken})
	require.NoError(t, err)
	p := &player{s: s}
	for path, recorded := range readJSON[map[string]json.RawMessage](t, "../../testdata/exchanges/options-0.0.29.post6.json") {
		t.Run(path, func(t *testing.T) {
			m := s.byPath[path]
			require.NotNil(t, m)
			w := do(t, s, "OPTIONS", "/api/"+path+"/", nil)
			want, got := p.metadata(t, m, recorded), p.metadata(t, m, w.Body.Bytes())
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("OPTIONS %s (-recorded +sandbox):\n%s", path, diff)
			}
		})
	}
}

func (p *player) metadata(t *testing.T, m *model, body []byte) any {
	t.Helper()
	doc, ok := p.normal(body).(map[string]any)
	require.True(t, ok, "%s", body)
	actions, _ := doc["actions"].(map[string]any)
	for _, action := range actions {
		for name, d := range action.(map[string]any) {
			if !m.shows(name) {
				delete(action.(map[string]any), name)
			}
			for limit, v := range d.(map[string]any) {
				if n, ok := v.(json.Number); ok {
					f, err := n.Float64() // the recording had big limits rounded
					require.NoError(t, err)
					d.(map[string]any)[limit] = f
				}
			}
		}
	}
	return doc
}
