package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

// contracts are the recorded contracts of server generations, below
// testdata/contract.
var contracts = map[string]string{
	"published":    "published.json",
	"0.0.15.post2": "netbox-4.5.9-proxbox-0.0.15.post2.json",
	"0.0.29.post6": "netbox-4.7.3-proxbox-0.0.29.post6.json",
}

// TestConformanceGenerations compares the fields that each server has with
// those of the recorded contract of its generation, so that what the walk finds
// to be missing really is.
func TestConformanceGenerations(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		generation := w.generation
		if w.real {
			instance, err := w.client(t, w.token).Instance(t.Context())
			require.NoError(t, err)
			if generation = instance.PluginVersion; contracts[generation] == "" {
				t.Skipf("there is no recording of plugin version %s", generation)
			}
		}
		for name, want := range recorded(t, contracts[generation]) {
			kind := w.set.Kind(name)
			if kind.Resource.Mode != schema.Managed {
				continue
			}
			m := w.fork().maker(t)
			x := m.minimal(kind)
			require.NoError(t, m.w.story(t).apply(append(m.order, x)...))
			known := w.knownFields(t, kind, x.row)
			for _, f := range kind.Fields {
				if _, listed := want[f.Name]; listed != known[f.Name] && !f.ReadOnly && !(f.WriteOnly && generation != "0.0.29.post6") &&
					(generation != "published" || listed) {
					t.Errorf("%s.%s: recorded %t, the server has it: %t", name, f.Name, listed, known[f.Name])
				}
			}
		}
	})
}

// recorded are the fields of a contract by kind.
func recorded(t *testing.T, file string) map[string]map[string]bool {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "contract", file))
	require.NoError(t, err)
	var contract struct {
		Kinds map[string]struct {
			Rows   []string
			Fields map[string]json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal(data, &contract))
	require.NotEmpty(t, contract.Kinds)
	out := map[string]map[string]bool{}
	for name, kind := range contract.Kinds {
		out[name] = map[string]bool{}
		for _, field := range kind.Rows {
			out[name][field] = true
		}
		for field := range kind.Fields {
			out[name][field] = true
		}
	}
	return out
}

// TestConformanceDoctor has the program check each server, for tokens that may
// do everything and next to nothing.
func TestConformanceDoctor(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		for _, token := range []string{w.token, w.tokenV1} {
			out := w.cliAs(t, token, "doctor", "--format", "json")
			require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
			var report struct {
				Kinds []struct {
					Kind string
					View *bool
				}
			}
			require.NoError(t, json.Unmarshal([]byte(out.stdout), &report), "%s", out.stdout)
			for _, kind := range w.set.Kinds() {
				require.True(t, slices.ContainsFunc(report.Kinds, func(k struct {
					Kind string
					View *bool
				}) bool {
					return k.Kind == kind.Name && k.View != nil && *k.View
				}), "%s in %s", kind.Name, out.stdout)
			}
		}
		before := w.count()
		out := w.cliAs(t, w.limited(t, 2, false, grant{kinds: siteKinds}), "doctor")
		require.Contains(t, out.stdout+out.stderr, "netbox_proxbox.view_proxmoxstorage", "what is missing is there to be pasted")
		for _, r := range w.writes(before) {
			require.Contains(t, r.Path, "users/", "a checkup wrote something")
		}
	})
}
