package secrets_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

// BenchmarkLoad500Files reads 500 sops files with a secret each, as a run does: on
// all cores that it uses, and one after the other.
func BenchmarkLoad500Files(b *testing.B) {
	id := ageKey(b)
	dir := b.TempDir()
	const files = 500
	for i := range files {
		text := fmt.Sprintf("apiVersion: proxbox-sync/v1\nkind: ProxmoxEndpoint\nmetadata: {patch: true}\nspec: {name: pve%d, password: secret%d}\n", i, i)
		file := encrypt(b, text, recipe{groups: forAge(b, id), rule: "^password$"})
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("e%03d.secrets.yaml", i)), []byte(file), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		sets [][]string
	}{{"at once", [][]string{{dir}}}, {"one by one", each(paths)}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				p := withKey(b, id)
				o := manifest.Options{Decrypt: func(file string, data []byte) (map[string]reconcile.Secret, error) {
					values, _, err := p.Open(context.Background(), file, data)
					return values, err
				}}
				n := 0
				for _, set := range c.sets {
					docs, diags := manifest.Load(context.Background(), set, o)
					if diags.HasErrors() {
						b.Fatal(diags)
					}
					n += len(docs)
				}
				if n != files {
					b.Fatalf("%d documents", n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*files), "us/file")
		})
	}
}

func each(paths []string) [][]string {
	var out [][]string
	for _, p := range paths {
		out = append(out, []string{p})
	}
	return out
}
