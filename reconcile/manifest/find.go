package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"proxbox-sync/reconcile"
)

// StdinName is how standard input is called in diagnostics.
const StdinName = "<stdin>"

// source is one file that is to be read.
type source struct {
	name string   // as diagnostics show it
	root *os.Root // nil for standard input
	rel  string   // below root, with slashes
}

// finder collects sources. Folders are opened as os.Root, so that nothing below
// one is read from outside it, whatever symbolic links are put there.
type finder struct {
	ctx     context.Context
	o       Options
	base    *os.Root // of Options.Within
	roots   []*os.Root
	sources []source
	seen    map[stamp][]fs.FileInfo
	met     int // files and folders met, also those that were met before
	stdin   bool
	bytes   int64
	diags   reconcile.Diagnostics
}

// stamp makes the search for the same file quick; os.SameFile decides.
type stamp struct {
	size int64
	time time.Time
}

func find(ctx context.Context, paths []string, o Options) *finder {
	w := &finder{ctx: ctx, o: o, seen: map[stamp][]fs.FileInfo{}}
	if o.Within != "" {
		base, err := os.OpenRoot(o.Within)
		if err != nil {
			w.refuse(o.Within, err)
			return w
		}
		w.base, w.roots = base, append(w.roots, base)
	}
	if len(paths) == 0 {
		w.report("", "no-manifests", "no manifests were named", "Name files or folders, or - for standard input.")
	}
	for _, p := range paths {
		if p == "-" {
			if !w.stdin {
				w.stdin = true
				w.sources = append(w.sources, source{name: StdinName})
			}
			continue
		}
		if p == "" { // filepath.Clean would make it the working directory
			w.report("", "empty-path", "an empty path among the manifests", "Is a variable not set? The working directory is written as a dot.")
			continue
		}
		w.argument(filepath.Clean(p))
	}
	return w
}

func (w *finder) close() {
	for _, root := range w.roots {
		_ = root.Close()
	}
}

func (w *finder) report(name, code, summary, detail string) {
	w.diags = append(w.diags, reconcile.Diagnostic{
		Severity: reconcile.Error, Code: code,
		Pos: reconcile.Position{File: filepath.ToSlash(name)}, Summary: summary, Detail: detail,
	})
}

// refuse reports why a path can't be read.
func (w *finder) refuse(name string, err error) {
	code, summary, detail := explain(err)
	w.report(name, code, summary, detail)
}

// explain says in words why a file system refused. The error's own text names
// paths, and calls a symbolic link's escape by several names.
func explain(err error) (code, summary, detail string) {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	switch {
	case strings.Contains(err.Error(), "escapes"):
		return "symlink-escapes", "a symbolic link leads out of the folder that was named",
			"Manifests are read only from below the folders named on the command line. Name the target itself, or copy it."
	case errors.Is(err, syscall.ELOOP):
		return "symlink-loop", "symbolic links that lead in a circle, or too many of them one behind the other", "Remove the link."
	case errors.Is(err, fs.ErrNotExist):
		return "no-such-file", "there is no such file or folder", ""
	case errors.Is(err, fs.ErrPermission):
		return "unreadable", "this may not be read", "The user who runs proxbox-sync lacks the permission."
	}
	return "unreadable", "this can't be read: " + err.Error(), ""
}

// argument finds what one path means: a folder to be searched or a file.
func (w *finder) argument(name string) {
	rel, info, err := w.stat(name)
	if err != nil {
		w.refuse(name, err)
		return
	}
	if info.IsDir() {
		root, err := w.open(name, rel)
		if err != nil {
			w.refuse(name, err)
			return
		}
		before := w.met + len(w.diags.Errors())
		w.folder(root, ".", name, nil)
		if w.met+len(w.diags.Errors()) == before {
			w.report(name, "no-manifests", "a folder without manifests",
				"Manifests are files named *.yaml or *.yml; hidden ones are left out.")
		}
		return
	}
	if configuration(filepath.Base(name)) {
		w.report(name, "not-a-manifest", "this is a configuration file, not a manifest", "")
		return
	}
	root, base := w.base, rel
	if w.base == nil {
		if root, err = os.OpenRoot(filepath.Dir(name)); err != nil {
			w.refuse(name, err)
			return
		}
		w.roots, base = append(w.roots, root), filepath.Base(name)
	}
	if info, err = root.Stat(base); err != nil {
		w.refuse(name, err)
		return
	}
	w.file(root, base, name, info)
}

// stat looks at an argument, below Options.Within when that is set.
func (w *finder) stat(name string) (rel string, info fs.FileInfo, err error) {
	if w.base == nil {
		info, err = os.Stat(name)
		return "", info, err
	}
	within, err := filepath.Abs(w.o.Within)
	if err != nil {
		return "", nil, err
	}
	full, err := filepath.Abs(name)
	if err != nil {
		return "", nil, err
	}
	rel, err = filepath.Rel(within, full)
	if err != nil || !filepath.IsLocal(rel) {
		return "", nil, errors.New("path escapes from the project")
	}
	info, err = w.base.Stat(rel)
	return rel, info, err
}

func (w *finder) open(name, rel string) (*os.Root, error) {
	root, err := (*os.Root)(nil), error(nil)
	if w.base != nil {
		root, err = w.base.OpenRoot(rel)
	} else {
		root, err = os.OpenRoot(name)
	}
	if err == nil {
		w.roots = append(w.roots, root)
	}
	return root, err
}

// folder searches one folder. above holds it and the folders on the way to it:
// a symbolic link to one of them would go round for ever.
func (w *finder) folder(root *os.Root, rel, name string, above []fs.FileInfo) {
	info, err := root.Stat(rel)
	if err != nil {
		w.refuse(name, err)
		return
	}
	if slices.ContainsFunc(above, func(x fs.FileInfo) bool { return os.SameFile(x, info) }) {
		w.report(name, "symlink-loop", "a symbolic link to a folder that contains it", "Remove the link.")
		return
	}
	if w.again(info) {
		return // twisted links must not multiply the work
	}
	entries, err := fs.ReadDir(root.FS(), rel)
	if err != nil {
		w.refuse(name, err)
		return
	}
	above = append(slices.Clip(above), info)
	for _, e := range entries {
		if w.ctx.Err() != nil {
			return
		}
		if strings.HasPrefix(e.Name(), ".") || configuration(e.Name()) {
			continue
		}
		w.entry(root, path.Join(rel, e.Name()), filepath.Join(name, e.Name()), e, above)
	}
}

// entry follows one entry of a folder.
func (w *finder) entry(root *os.Root, rel, name string, e fs.DirEntry, above []fs.FileInfo) {
	if !e.IsDir() && strings.HasSuffix(e.Name(), SkeletonEnding) {
		w.diags = append(w.diags, skeleton(name))
		return
	}
	if !e.IsDir() && e.Type()&fs.ModeSymlink == 0 && !named(e.Name()) {
		return
	}
	info, err := root.Stat(rel)
	switch {
	case err != nil:
		w.refuse(name, err)
	case info.IsDir():
		w.folder(root, rel, name, above)
	case named(e.Name()):
		w.file(root, rel, name, info)
	}
}

// file adds a regular file that was not met before.
func (w *finder) file(root *os.Root, rel, name string, info fs.FileInfo) {
	if !info.Mode().IsRegular() {
		w.report(name, "not-a-file", "this is not a regular file", "")
		return
	}
	if info.Size() > w.o.MaxFileBytes {
		w.report(name, "too-large", tooLarge(w.o.MaxFileBytes), "Split it into several files.")
		return
	}
	if w.again(info) {
		return
	}
	if w.bytes += info.Size(); w.bytes > w.o.MaxTotalBytes {
		w.report(name, "too-large", fmt.Sprintf("with this file the manifests are larger than %d MiB", w.o.MaxTotalBytes>>20), "")
		return
	}
	w.met++
	w.sources = append(w.sources, source{name: filepath.ToSlash(name), root: root, rel: rel})
}

// again reports whether a file or folder was met before, and remembers it.
func (w *finder) again(info fs.FileInfo) bool {
	s := stamp{info.Size(), info.ModTime()}
	if slices.ContainsFunc(w.seen[s], func(x fs.FileInfo) bool { return os.SameFile(x, info) }) {
		w.met++
		return true
	}
	w.seen[s] = append(w.seen[s], info)
	return false
}

// SkeletonEnding ends the names of files in which secrets wait to be filled in.
// They are no manifests.
const SkeletonEnding = ".secrets.yaml.todo"

func skeleton(name string) reconcile.Diagnostic {
	d := reconcile.SecretUnfilled.Finding(reconcile.Position{File: filepath.ToSlash(name)})
	d.Summary = "secrets that are yet to be filled in"
	return d
}

func named(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

// configuration reports whether a file sets up this program or sops.
func configuration(name string) bool {
	switch name {
	case "proxbox-sync.yaml", "proxbox-sync.yml", ".sops.yaml", ".sops.yml":
		return true
	}
	return false
}

func tooLarge(limit int64) string {
	if limit >= 1<<20 {
		return fmt.Sprintf("this file is larger than %d MiB", limit>>20)
	}
	return fmt.Sprintf("this file is larger than %d bytes", limit)
}

// read returns the bytes of a source.
func (s source) read(ctx context.Context, o Options) ([]byte, *reconcile.Diagnostic) {
	data, err := s.bytes(ctx, o)
	diag := reconcile.Diagnostic{Severity: reconcile.Error, Pos: reconcile.Position{File: s.name}}
	switch {
	case err != nil:
		diag.Code, diag.Summary, diag.Detail = explain(err)
		return nil, &diag
	case int64(len(data)) > o.MaxFileBytes:
		diag.Code, diag.Summary, diag.Detail = "too-large", tooLarge(o.MaxFileBytes), "Split it into several files."
		return nil, &diag
	}
	return data, nil
}

func (s source) bytes(ctx context.Context, o Options) ([]byte, error) {
	if s.root == nil {
		return readInput(ctx, o)
	}
	// The file may have been replaced since it was looked at: opening a FIFO
	// must not wait for a writer.
	file, err := s.root.OpenFile(s.rel, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return io.ReadAll(io.LimitReader(file, o.MaxFileBytes+1))
}

// readInput reads standard input until its end or that of ctx. Nothing can
// interrupt the read itself, so a goroutine may be left behind in it.
func readInput(ctx context.Context, o Options) ([]byte, error) {
	if o.Stdin == nil {
		return nil, errors.New("there is no standard input")
	}
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() { done <- r }()
		defer reconcile.Recovered(&r.err)
		r.data, r.err = io.ReadAll(io.LimitReader(o.Stdin, o.MaxFileBytes+1))
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
