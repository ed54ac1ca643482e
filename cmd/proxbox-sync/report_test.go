package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Hosts and user names stand in every report: nobody else may read it, and none
// is left half written.
func TestReportsAreForTheirOwnerAlone(t *testing.T) {
	_, env := serving(t, func(*http.Request) {})
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o644))
	got := runWith(t.Context(), env, "plan", "--report", "html="+file, "--report", "text="+filepath.Join(dir, "report.txt"), writeFile(t, "m.yaml", threeWaves))
	require.Equal(t, int(exitDone), got.code, got.stderr)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing but the reports is left")
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode(), e.Name())
		require.Greater(t, info.Size(), int64(100))
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.txt"))
	require.NoError(t, err)
	require.Equal(t, got.stdout, string(text), "a terminal's width and colours aside, it is what standard output has")
}

// A report that can't be written any more is said after an apply, which is done.
func TestAReportThatCanNotBeWrittenIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	require.NoError(t, os.Mkdir(dir, 0o755))
	file := filepath.Join(dir, "report.md")
	_, env := serving(t, func(*http.Request) { _ = os.RemoveAll(dir) })
	got := runWith(t.Context(), env, "apply", "--auto-approve", "--report", "markdown="+file, writeFile(t, "m.yaml", threeWaves))
	require.Equal(t, int(exitError), got.code)
	require.Contains(t, got.stdout, "applied")
	require.Contains(t, got.stderr, "writing the report "+file)
}
