package manifest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

// head begins a manifest of one object; its spec is the fourth line on.
const head = "apiVersion: proxbox-sync/v1\nkind: Thing\nspec:\n"

// read loads one text as standard input.
func read(text string, o manifest.Options) ([]reconcile.Document, reconcile.Diagnostics) {
	o.Stdin = strings.NewReader(text)
	return manifest.Load(context.Background(), []string{"-"}, o)
}

// brief writes diagnostics as "line:column code".
func brief(diags reconcile.Diagnostics) []string {
	var out []string
	for _, d := range diags {
		out = append(out, fmt.Sprintf("%d:%d %s", d.Pos.Line, d.Pos.Column, d.Code))
	}
	return out
}

func requireDiagnostics(t *testing.T, diags reconcile.Diagnostics, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, brief(diags)); diff != "" {
		t.Fatalf("diagnostics (-want +got):\n%s\n%v", diff, diags)
	}
	for _, d := range diags {
		require.NotEmpty(t, d.Summary)
		require.NotContains(t, d.Summary, "\n")
	}
}

// value turns a node into plain values, its secrets included, for comparison.
func value(n *reconcile.Node) any {
	switch {
	case n == nil:
		return nil
	case n.Shape == reconcile.Mapping:
		out := map[string]any{}
		for _, m := range n.Members {
			out[m.Name] = value(m.Value)
		}
		return out
	case n.Shape == reconcile.Sequence:
		out := []any{}
		for _, item := range n.Items {
			out = append(out, value(item))
		}
		return out
	}
	if secret, ok := n.Value.(reconcile.Secret); ok {
		plain, open := secret.Reveal()
		return fmt.Sprintf("secret %q open=%v cipher=%v", plain, open, secret.Cipher() != "")
	}
	return n.Value
}

func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

func object(name string) string { return head + "  name: " + name + "\n" }

// names are the names of the objects, in order.
func names(docs []reconcile.Document) []string {
	var out []string
	for _, d := range docs {
		out = append(out, fmt.Sprint(d.Spec.Member("name").Value))
	}
	return out
}
