package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A manifest that turns into a link out of its folder, into a pipe's worth of
// rubbish or into nothing, again and again while it is read: what is outside is
// never what is read.
func TestAFileThatChangesWhileItIsReadLeadsNowhere(t *testing.T) {
	dir := t.TempDir()
	repo, outside := filepath.Join(dir, "repo"), filepath.Join(dir, "outside.yaml")
	require.NoError(t, os.Mkdir(repo, 0o755))
	tag := "apiVersion: proxbox-sync/v1\nkind: Tag\nspec: {name: Prod, slug: prod}\n"
	require.NoError(t, os.WriteFile(outside, []byte(strings.ReplaceAll(tag, "Tag", outsideCanary)), 0o600))
	file, next := filepath.Join(repo, "tag.yaml"), filepath.Join(dir, "next")
	require.NoError(t, os.WriteFile(file, []byte(tag), 0o600))

	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			var err error
			switch i % 4 {
			case 0:
				err = os.Symlink(outside, next)
			case 1:
				err = os.WriteFile(next, []byte(tag), 0o600)
			case 2:
				err = os.WriteFile(next, []byte(strings.Repeat("# much\n", 1<<16)), 0o600)
			case 3:
				err = os.WriteFile(next, nil, 0o600)
			}
			if err == nil {
				err = os.Rename(next, file)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	codes := map[int]int{}
	for range 200 {
		got := runWith(t.Context(), []string{"HOME=" + dir}, "validate", repo)
		codes[got.code]++
		require.Contains(t, []int{int(exitDone), int(exitManifests)}, got.code, got.stderr)
		require.NotContains(t, got.stdout+got.stderr, outsideCanary)
	}
	close(stop)
	changing.Wait()
	require.Positive(t, codes[int(exitDone)], "it was a manifest at times")
	require.Positive(t, codes[int(exitManifests)], "and at times it was not")
}
