package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

// manyStorages is a manifest of what stored makes.
func (w *world) manyStorages(t testing.TB, n int) string {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "apiVersion: proxbox-sync/v1\nkind: ProxmoxStorage\ndefaults: {cluster: %s, storage_type: dir, content: iso}\nitems:\n", w.tag)
	for i := range n {
		fmt.Fprintf(&b, "  - {name: %s}\n", storageName(w.tag, i))
	}
	file := filepath.Join(t.TempDir(), "storages.yaml")
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
	return file
}

// TestConformanceNoopRequests counts what a plan of many objects asks for when
// nothing has changed: a page for each thousand, and a few requests that don't
// depend on the number.
func TestConformanceNoopRequests(t *testing.T) {
	for _, generation := range []string{"published", "0.0.15.post2", "0.0.29.post6"} {
		t.Run(generation, func(t *testing.T) {
			requests := func(n int) int {
				w := newSandboxWorld(t, generation, schema.Embedded())
				w.stored(t, n)
				file := w.manyStorages(t, n)
				before := w.count()
				out := w.cli(t, "plan", "--detailed-exitcode", file)
				require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
				require.Empty(t, w.writes(before))
				pages := 0
				for _, r := range w.since(before) {
					if strings.HasSuffix(r.Path, "plugins/proxbox/storage") {
						pages++
					}
				}
				// One more than the pages where only an empty one tells the end.
				require.LessOrEqual(t, pages, n/maxPage+1)
				return len(w.since(before)) - pages
			}
			few, many := requests(10), requests(10_000)
			require.Equal(t, few, many, "requests beside the pages")
			require.LessOrEqual(t, many, 4, "versions, the root document, clusters")
		})
	}
}

// BenchmarkNoopPlan10000 plans 10,000 objects against the sandbox over loopback,
// of which none has changed: the whole program, files included.
func BenchmarkNoopPlan10000(b *testing.B) {
	w := newSandboxWorld(b, "", schema.Embedded())
	w.stored(b, 10_000)
	file := w.manyStorages(b, 10_000)
	env := []string{"PROXBOX_SYNC_URL=" + w.url, "PROXBOX_SYNC_TOKEN=" + w.token}
	b.ReportAllocs()
	for b.Loop() {
		out := runWith(b.Context(), env, "plan", "--detailed-exitcode", file)
		if out.code != 0 {
			b.Fatalf("%d %s%s", out.code, out.stdout, out.stderr)
		}
	}
}
