package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writeOutput writes a whole file or nothing: beside it first, synced, and then
// in its place. A link in its place is replaced and never followed.
func writeOutput(name string, data []byte) error {
	if info, err := os.Lstat(name); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a folder", name)
	}
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer root.Close()
	return replaceInside(root, filepath.Base(name), data, 0o600)
}

// replaceInside puts a whole file in the place of another one in a folder.
func replaceInside(root *os.Root, rel string, data []byte, mode fs.FileMode) (err error) {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	temporary := filepath.Join(filepath.Dir(rel), "."+filepath.Base(rel)+"."+hex.EncodeToString(random[:]))
	f, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), root.Remove(temporary))
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return root.Rename(temporary, rel)
}
