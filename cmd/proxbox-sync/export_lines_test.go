package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestExportSetsLinesBesideAComment writes a value of several lines in place of one
// that a comment follows, and everything else that changed in that file: what can't
// be written there is named, and hinders nothing else.
func TestExportSetsLinesBesideAComment(t *testing.T) {
	t.Parallel()
	const before = `apiVersion: proxbox-sync/v1
kind: ProxmoxStorage
spec:
  cluster: c
  name: plain
  content: old # why
---
apiVersion: proxbox-sync/v1
kind: ProxmoxStorage
spec: {cluster: c, name: q, content: old} # and this
---
apiVersion: proxbox-sync/v1
kind: ProxmoxStorage
items:
  - {cluster: c, name: i, content: old} # an item
  - cluster: c
    name: tagged
    content: !!str old
  - cluster: c
    name: lines
    content: |-
      old
      lines
`
	for _, content := range []string{"l1\nl2", "#x\ny", "a: b\nc: d", "- x\ny", "a \nb", "x\n", "\n"} {
		c := clickedTogether(t)
		k := c.make("virtualization/clusters", map[string]any{"name": "c", "type": 1})
		for _, name := range []string{"plain", "q", "i", "tagged", "lines"} {
			c.make("plugins/proxbox/storage", map[string]any{"cluster": k, "name": name, "storage_type": "dir", "content": content})
		}
		c.make("plugins/proxbox/storage", map[string]any{"cluster": k, "name": "zz-new", "storage_type": "dir"})
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "s.yaml"), []byte(before), 0o600))
		code, said := c.exported(dir, "--select", "ProxmoxStorage")
		require.Equal(t, 7, code, said)
		require.Contains(t, said, "its value has an anchor or a tag")
		require.Contains(t, said, "1 new, 4 changed, 0 as before, 0 removed; 1 file written")
		text := filesIn(t, dir)["s.yaml"]
		for _, kept := range []string{" # why\n", " # and this\n", " # an item\n", "content: !!str old\n", "name: zz-new\n"} {
			require.Contains(t, text, kept)
		}
		require.Equal(t, 1, strings.Count(text, "old"), text)
		c.must(t, http.MethodPatch, "plugins/proxbox/storage/4", map[string]any{"content": "old"})
		code, stdout, stderr := c.command(t, "plan", dir, "--detailed-exitcode")
		require.Zero(t, code, "%q: %s", content, stdout+stderr)
	}
}
