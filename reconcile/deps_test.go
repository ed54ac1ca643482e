package reconcile_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "proxbox-sync"

// imports lists what the packages that match a pattern reach, themselves left
// out: everything with deps, else what their files name, tests inside the package included. A test outside
// of its package may join two parts, as cmd does.
func imports(t *testing.T, pattern string, deps bool) map[string][]string {
	t.Helper()
	format := `{{.ImportPath}} {{join .Imports " "}} {{join .TestImports " "}}`
	if deps {
		format = `{{.ImportPath}} {{join .Deps " "}}`
	}
	text, err := exec.Command("go", "list", "-f", format, pattern).Output()
	require.NoError(t, err)
	out := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		out[words[0]] = slices.DeleteFunc(words[1:], func(s string) bool { return s == words[0] })
	}
	require.NotEmpty(t, out)
	return out
}

// The hub is pure: it knows no technology, not even through somebody else.
func TestTheHubReachesNoTechnology(t *testing.T) {
	for _, path := range imports(t, module+"/reconcile", true)[module+"/reconcile"] {
		for _, forbidden := range []string{"net/http", "gopkg.in/yaml", "go.yaml.in/", "github.com/getsops/", "github.com/alecthomas/kong", "os/exec"} {
			require.False(t, strings.HasPrefix(path, forbidden), "reconcile reaches %s", path)
		}
		if strings.HasPrefix(path, module+"/") {
			require.Equal(t, module+"/schema", path)
		}
	}
}

// Parts know the hub and the schema, never each other, so that each can be
// understood and tested alone. The sandbox doesn't even know the hub: it and
// the client can't be wrong together.
func TestPartsDoNotKnowEachOther(t *testing.T) {
	hub, kinds := module+"/reconcile", module+"/schema"
	allowed := map[string][]string{
		hub + "/manifest": {hub, kinds},
		hub + "/secrets":  {hub, kinds},
		hub + "/netbox":   {hub, kinds},
		hub + "/render":   {hub, kinds, kinds + "/output"},
		hub + "/sandbox":  {kinds},
		kinds:             {},
		kinds + "/output": {},
	}
	reached := imports(t, hub+"/...", false)
	for path, list := range imports(t, kinds+"/...", false) {
		reached[path] = list
	}
	for path, may := range allowed {
		require.Contains(t, reached, path)
		for _, other := range reached[path] {
			if strings.HasPrefix(other, module+"/") && !slices.Contains(may, other) {
				t.Errorf("%s imports %s", path, other)
			}
		}
	}
}

// Only one package links sops, and only the command line links kong.
func TestHeavyLibrariesHaveOneDoor(t *testing.T) {
	doors := map[string]string{
		"github.com/getsops/":                      module + "/reconcile/secrets",
		"github.com/alecthomas/kong":               module + "/cmd/proxbox-sync",
		"github.com/santhosh-tekuri/jsonschema/v5": module + "/schema",
	}
	format := `{{.ImportPath}} {{join .Imports " "}}`
	text, err := exec.Command("go", "list", "-f", format, module+"/...").Output()
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		for _, path := range words[1:] {
			for library, door := range doors {
				if strings.HasPrefix(path, library) {
					seen[library] = true
					require.Equal(t, door, words[0], "imports %s", path)
				}
			}
		}
	}
	require.Len(t, seen, len(doors))
}
