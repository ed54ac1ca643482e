package main

import (
	"io/fs"
	"net/http"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"os"

	"proxbox-sync/schema"
)

// TestConformanceInventedKind manages a kind that only a schema file knows,
// beside all others: no Go of the product names it, nor does any data of the
// sandbox.
func TestConformanceInventedKind(t *testing.T) {
	files := fstest.MapFS{}
	dir := os.DirFS(filepath.Join("..", "..", "schema"))
	names, err := fs.Glob(dir, "*.json")
	require.NoError(t, err)
	for _, name := range names {
		data, err := fs.ReadFile(dir, name)
		require.NoError(t, err)
		files[name] = &fstest.MapFile{Data: data}
	}
	invented, err := os.ReadFile(filepath.Join("..", "..", "testdata", "conformance", "Rack.json"))
	require.NoError(t, err)
	files["Rack.json"] = &fstest.MapFile{Data: invented}
	set, err := schema.Load(files)
	require.NoError(t, err)
	kind := set.Kind("Rack")

	w := newSandboxWorld(t, "", set)
	walkKind(t, w, kind)
	spellKind(t, w.fork(), kind)
	deleteTargets(t, w.fork(), kind)
	followSecrets(t, w, kind)
	status, _ := w.raw(t, http.MethodGet, "plugins/invented/racks", nil)
	require.Equal(t, http.StatusOK, status)
}
