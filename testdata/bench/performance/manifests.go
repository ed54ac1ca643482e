package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
)

// perFile is how many objects of a list stand in one file.
const perFile = 1000

// storages writes manifests of n storage rows of a cluster, and of the cluster
// itself. content is what an update changes.
func storages(dir, tag string, n int, content string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	head := fmt.Sprintf(`apiVersion: proxbox-sync/v1
kind: ClusterType
spec: {name: %[1]s, slug: %[1]s}
---
apiVersion: proxbox-sync/v1
kind: Cluster
spec: {name: %[1]s, type: %[1]s}
`, tag)
	if err := os.WriteFile(filepath.Join(dir, "cluster.yaml"), []byte(head), 0o600); err != nil {
		return err
	}
	for from := 0; from < n; from += perFile {
		if err := storageFile(filepath.Join(dir, fmt.Sprintf("storage-%06d.yaml", from)), tag, from, min(from+perFile, n), "defaults: {cluster: "+tag+", storage_type: dir, content: "+content+"}"); err != nil {
			return err
		}
	}
	return nil
}

// absent writes manifests by which the storage rows must not exist.
func absent(dir, tag string, n int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return storageFile(filepath.Join(dir, "storage.yaml"), tag, 0, n, "metadata: {absent: true}\ndefaults: {cluster: "+tag+"}")
}

func storageFile(path, tag string, from, to int, head string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if failed := f.Close(); err == nil {
			err = failed
		}
	}()
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, "apiVersion: proxbox-sync/v1\nkind: ProxmoxStorage\n%s\nitems:\n", head)
	for i := from; i < to; i++ {
		fmt.Fprintf(w, "  - {name: %s}\n", storageName(tag, i))
	}
	return w.Flush()
}

func storageName(tag string, i int) string { return fmt.Sprintf("%s-%06d", tag, i) }
