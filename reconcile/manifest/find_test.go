//go:build unix

package manifest_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

// requireFound loads paths below folder and compares the objects' names and the
// diagnostics, as "file code".
func requireFound(t *testing.T, folder string, o manifest.Options, paths, objects, diagnostics []string) {
	t.Helper()
	t.Chdir(folder)
	docs, diags := manifest.Load(context.Background(), paths, o)
	var got []string
	for _, d := range diags {
		require.NotContains(t, d.Summary+d.Detail, folder)
		got = append(got, d.Pos.File+" "+d.Code)
	}
	if diff := cmp.Diff(diagnostics, got); diff != "" {
		t.Fatalf("diagnostics (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(objects, names(docs)); diff != "" {
		t.Fatalf("objects (-want +got):\n%s", diff)
	}
}

func TestFindsManifestsInFilesAndFolders(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"m/b.yaml":                object("b"),
		"m/a.yml":                 object("a"),
		"m/a/deep/c.YAML":         object("c"),
		"m/.hidden.yaml":          "not: [yaml",
		"m/.hidden/x.yaml":        "not: [yaml",
		"m/later.yaml.todo":       "not: [yaml",
		"m/readme.md":             "not: [yaml",
		"m/proxbox-sync.yaml":     "not: [yaml",
		"m/.sops.yaml":            "not: [yaml",
		"n/only.txt":              object("text"),
		"empty/.keep":             "",
		"nothing/nothing.yaml":    "",
		"broken/x.yaml":           "a: [",
		".hidden/explicit.yaml":   object("explicit"),
		"documents/several.yaml":  object("one") + "---\n# nothing\n---\n" + object("two"),
		"m2/proxbox-sync.yml":     "",
		"m2/nested/folder.yaml/f": "",
	})
	for name, c := range map[string]struct{ paths, objects, diagnostics []string }{
		"a folder, in the order of names":       {[]string{"m"}, []string{"c", "a", "b"}, nil},
		"arguments, in their order":             {[]string{"m/b.yaml", "m/a.yml"}, []string{"b", "a"}, nil},
		"a file that is named twice, once":      {[]string{"m/b.yaml", "m", "./m/../m/b.yaml"}, []string{"b", "c", "a"}, nil},
		"a folder that is named twice, once":    {[]string{"m", "m", "m/a"}, []string{"c", "a", "b"}, nil},
		"a file of any name, when it is named":  {[]string{"n/only.txt", ".hidden/explicit.yaml"}, []string{"text", "explicit"}, nil},
		"several documents of a file":           {[]string{"documents"}, []string{"one", "two"}, nil},
		"an empty file, which is fine":          {[]string{"nothing"}, nil, nil},
		"a folder without manifests, a mistake": {[]string{"n", "empty", "m2"}, nil, []string{"empty no-manifests", "m2 no-manifests", "n no-manifests"}},
		"what is not there":                     {[]string{"m/b.yaml", "no/such"}, []string{"b"}, []string{"no/such no-such-file"}},
		"configuration instead of a manifest":   {[]string{"m/proxbox-sync.yaml", "m/.sops.yaml"}, nil, []string{"m/.sops.yaml not-a-manifest", "m/proxbox-sync.yaml not-a-manifest"}},
		"the mistakes of all files in one run":  {[]string{"broken", "no", "m"}, []string{"c", "a", "b"}, []string{"broken/x.yaml yaml-syntax", "no no-such-file"}},
		"an empty path":                         {[]string{""}, nil, []string{" empty-path"}},
		"no paths at all":                       {nil, nil, []string{" no-manifests"}},
		"standard input beside files":           {[]string{"m/b.yaml", "-", "-"}, []string{"b", "stdin"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			requireFound(t, folder, manifest.Options{Stdin: strings.NewReader(object("stdin"))}, c.paths, c.objects, c.diagnostics)
		})
	}
}

func TestFollowsNoLinkOutOfAFolder(t *testing.T) {
	folder := t.TempDir()
	outside := t.TempDir()
	write(t, outside, map[string]string{"secret.yaml": object("outside")})
	write(t, folder, map[string]string{
		"m/real/a.yaml": object("a"),
		"inside/b.yaml": object("b"), "inside/data/c.yaml": object("c"),
	})
	link := func(target, name string) {
		name = filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.Symlink(target, name))
	}
	link(filepath.Join(outside, "secret.yaml"), "absolute/x.yaml")
	link("../m/real/a.yaml", "relative/x.yaml")
	link(outside, "directory/x")
	link("..", "loop/sub/up")
	link("self.yaml", "self/self.yaml")
	link("nowhere.yaml", "dangling/x.yaml")
	link("nowhere", "dangling/text")
	link("b.yaml", "inside/also-b.yaml")
	link("data", "inside/again")
	link("m", "linked")
	write(t, folder, map[string]string{"loop/z.yaml": object("z")})
	for i := range 7 {
		// Twisted links: the number of ways through them doubles with each.
		write(t, folder, map[string]string{"twist/" + letter(i) + "/f.yaml": object(letter(i))})
		link("../"+letter(i+1), "twist/"+letter(i)+"/left")
		link("../"+letter(i+1), "twist/"+letter(i)+"/right")
	}
	write(t, folder, map[string]string{"twist/" + letter(7) + "/f.yaml": object(letter(7))})

	for name, c := range map[string]struct{ paths, objects, diagnostics []string }{
		"an absolute link":                       {[]string{"absolute"}, nil, []string{"absolute/x.yaml symlink-escapes"}},
		"an absolute link, named itself":         {[]string{"absolute/x.yaml"}, nil, []string{"absolute/x.yaml symlink-escapes"}},
		"a relative link":                        {[]string{"relative"}, nil, []string{"relative/x.yaml symlink-escapes"}},
		"a link to a folder":                     {[]string{"directory"}, nil, []string{"directory/x symlink-escapes"}},
		"a link to a folder above":               {[]string{"loop"}, []string{"z"}, []string{"loop/sub/up symlink-loop"}},
		"a link to itself":                       {[]string{"self"}, nil, []string{"self/self.yaml symlink-loop"}},
		"a link to nothing":                      {[]string{"dangling"}, nil, []string{"dangling/text no-such-file", "dangling/x.yaml no-such-file"}},
		"links that stay inside, each file once": {[]string{"inside"}, []string{"c", "b"}, nil},
		"a link that is the argument":            {[]string{"linked"}, []string{"a"}, nil},
	} {
		t.Run(name, func(t *testing.T) { requireFound(t, folder, manifest.Options{}, c.paths, c.objects, c.diagnostics) })
	}
	t.Run("links that multiply the ways", func(t *testing.T) {
		t.Chdir(folder)
		docs, diags := manifest.Load(context.Background(), []string{"twist"}, manifest.Options{})
		require.Empty(t, diags)
		require.Len(t, docs, 8)
	})
	for name, c := range map[string]struct{ paths, objects, diagnostics []string }{
		"a folder of the project":                            {[]string{"m", "inside/b.yaml"}, []string{"a", "b"}, nil},
		"the project itself":                                 {[]string{"m/../m"}, []string{"a"}, nil},
		"a path out of the project":                          {[]string{"../x", "/etc/hosts"}, nil, []string{"../x symlink-escapes", "/etc/hosts symlink-escapes"}},
		"a link to a folder out of it":                       {[]string{"directory/x"}, nil, []string{"directory/x symlink-escapes"}},
		"a link inside it, now that all of it is the border": {[]string{"relative/x.yaml", "linked"}, []string{"a"}, nil},
	} {
		t.Run("within a project: "+name, func(t *testing.T) {
			requireFound(t, folder, manifest.Options{Within: folder}, c.paths, c.objects, c.diagnostics)
		})
	}
}

func letter(i int) string { return string(rune('a' + i)) }

func TestReadsRegularFilesOnly(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, map[string]string{"m/a.yaml": object("a"), "locked/x.yaml": object("x"), "large/x.yaml": strings.Repeat("# comment\n", 200)})
	require.NoError(t, syscall.Mkfifo(filepath.Join(folder, "m/fifo.yaml"), 0o644))
	require.NoError(t, syscall.Mkfifo(filepath.Join(folder, "m/fifo"), 0o644))
	requireFound(t, folder, manifest.Options{}, []string{"m"}, []string{"a"}, []string{"m/fifo.yaml not-a-file"})
	requireFound(t, folder, manifest.Options{}, []string{"m/fifo", "/dev/null"}, nil, []string{"/dev/null not-a-file", "m/fifo not-a-file"})
	requireFound(t, folder, manifest.Options{MaxFileBytes: 1999}, []string{"large"}, nil, []string{"large/x.yaml too-large"})
	requireFound(t, folder, manifest.Options{MaxTotalBytes: 2010}, []string{"large", "m/a.yaml"}, nil, []string{"m/a.yaml too-large"})
	if os.Geteuid() != 0 { // root may read everything
		require.NoError(t, os.Chmod(filepath.Join(folder, "locked/x.yaml"), 0))
		requireFound(t, folder, manifest.Options{}, []string{"locked"}, nil, []string{"locked/x.yaml unreadable"})
	}
	// A regular file whose reading fails, for root as well.
	if _, err := os.Stat("/proc/self/mem"); err == nil {
		requireFound(t, folder, manifest.Options{}, []string{"/proc/self/mem"}, nil, []string{"/proc/self/mem unreadable"})
	}
}

func TestRefusesAFileOf50MB(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large.yaml")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.NoError(t, os.Truncate(file, 50<<20))
	_, diags := manifest.Load(context.Background(), []string{file}, manifest.Options{})
	require.Len(t, diags, 1)
	require.Equal(t, "this file is larger than 16 MiB", diags[0].Summary)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '#'
	}
	return len(p), nil
}

func TestStandardInput(t *testing.T) {
	_, diags := manifest.Load(context.Background(), []string{"-"}, manifest.Options{Stdin: zeros{}, MaxFileBytes: 1000})
	require.Equal(t, "this file is larger than 1000 bytes", diags[0].Summary)
	_, diags = manifest.Load(context.Background(), []string{"-"}, manifest.Options{})
	requireDiagnostics(t, diags, "0:0 unreadable")

	read, write := io.Pipe()
	defer func() { _ = write.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	docs, diags := manifest.Load(ctx, []string{"-"}, manifest.Options{Stdin: read})
	require.Empty(t, docs)
	require.True(t, diags.HasErrors())
	require.Equal(t, reconcile.Diagnostics{{Severity: reconcile.Error, Code: "interrupted", Summary: "reading the manifests was interrupted"}}, diags)
}
