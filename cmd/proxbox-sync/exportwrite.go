package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/render"
)

// finish decides what is written, writes it, and says what became of it.
func (x *exportRun) finish(exports *reconcile.Exports, list reconcile.Diagnostics) error {
	x.fresh = slices.DeleteFunc(x.fresh, func(d *freshDocument) bool { return exports.Dropped[d.kind.Name][d.row] })
	x.latest()
	x.place()
	gone, stay, err := x.removals(exports.Gone)
	if err != nil {
		return failed(list, err)
	}
	files, cant := x.edits(gone)
	texts, more, err := x.rewrite(files)
	if err != nil {
		return failed(list, err)
	}
	cant = append(cant, more...)
	skeletons, more := x.skeletons(exports, gone)
	cant = append(cant, more...)
	for file, text := range skeletons {
		texts[file] = text
	}
	if err := x.write(texts); err != nil {
		return failed(list, err)
	}
	d := x.report(exports, list, texts)
	d.Changed = changed(files)
	d.Removed, d.Stay, d.Cant = len(gone), stay, cant
	code := exitDone
	if d.Incomplete() {
		code = exitPartly
	}
	d.Ended(int(code))
	format := "text"
	if x.c.Format == "json" {
		format = "json"
	} else if err := render.Diagnostics(x.a.stderr, list, x.a.errStyle()); err != nil {
		return err
	}
	return errors.Join(render.Write(x.a.stdout, format, d, x.a.style()), said(code))
}

// changed counts the documents that have other values now.
func changed(files map[string]*fileEdits) int {
	objects := map[*reconcile.Object]bool{}
	for _, f := range files {
		for _, s := range f.said {
			objects[s.object] = true
		}
	}
	return len(objects)
}

// latest keeps of an object that was handed out twice what came last.
func (x *exportRun) latest() {
	last := map[string]*freshDocument{}
	for _, d := range x.fresh {
		last[fmt.Sprintf("%s %d", d.kind.Name, d.row)] = d
	}
	x.fresh = slices.DeleteFunc(x.fresh, func(d *freshDocument) bool {
		return last[fmt.Sprintf("%s %d", d.kind.Name, d.row)] != d
	})
}

// removals parts the documents whose object is gone into those that are removed
// and those that stay, with the reason. More than the limits allow is refused.
func (x *exportRun) removals(gone []*reconcile.Object) (remove []*reconcile.Object, stay []string, err error) {
	kinds := map[string]int{}
	for _, d := range gone {
		file := d.Doc.Pos.File
		patched := slices.IndexFunc(d.Doc.Spec.Members, func(m reconcile.Member) bool { return m.Patched })
		switch {
		case !x.inside(file):
		case !x.c.RemoveGone:
			stay = append(stay, fmt.Sprintf("%s (%s:%d): the server shows no such object", d.Label(), file, d.Doc.Pos.Line))
		case d.Doc.Meta.Protect:
			stay = append(stay, fmt.Sprintf("%s (%s:%d): metadata.protect: it stays", d.Label(), file, d.Doc.Pos.Line))
		case d.Doc.Meta.CreateOnly || d.Doc.Meta.Existing:
			stay = append(stay, fmt.Sprintf("%s (%s:%d): it is made by others", d.Label(), file, d.Doc.Pos.Line))
		case patched >= 0 || len(d.Doc.Unfilled) > 0:
			where := ""
			if patched >= 0 {
				m := d.Doc.Spec.Members[patched]
				where = fmt.Sprintf(" (%s:%d)", m.Pos.File, m.Pos.Line)
			}
			stay = append(stay, fmt.Sprintf("%s (%s:%d): a patch document belongs to it%s: remove both", d.Label(), file, d.Doc.Pos.Line, where))
		default:
			remove = append(remove, d)
			kinds[d.Kind.Name]++
		}
	}
	if x.c.MaxRemovals != nil {
		if len(remove) > *x.c.MaxRemovals {
			return nil, nil, &statusError{code: exitPolicy, err: fmt.Errorf(
				"%d documents would be removed, and --max-removals allows %d: nothing was written", len(remove), *x.c.MaxRemovals)}
		}
		return remove, stay, nil
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		all := len(x.documents.Objects[kind])
		if n := kinds[kind]; n == all || all >= 10 && n*100 > all*reconcile.DefaultDeletePercent {
			return nil, nil, &statusError{code: exitPolicy, err: fmt.Errorf(
				"%d of %d documents of %s would be removed: nothing was written. Is this the right server, and does the token see all of it? "+
					"If it is meant, allow it with --max-removals %d", n, all, kind, len(remove))}
		}
	}
	return remove, stay, nil
}

// unsaid is a value that a rewritten file does not have.
type unsaid struct {
	expected
	file string
}

// check reads the new texts as a plan would, and returns what they don't say.
func (x *exportRun) check(files map[string]*fileEdits, texts map[string][]byte) ([]unsaid, error) {
	changed := false
	for _, f := range files {
		changed = changed || len(f.edits) > 0 && len(f.said) > 0
	}
	if len(x.docs) == 0 || !changed && len(files) == 0 {
		return nil, nil
	}
	var docs []reconcile.Document
	for _, doc := range x.docs {
		if _, touched := texts[doc.Pos.File]; !touched {
			docs = append(docs, doc)
		}
	}
	var list reconcile.Diagnostics
	for _, file := range slices.Sorted(maps.Keys(texts)) {
		more, diags := manifest.Documents(file, texts[file])
		docs, list = append(docs, more...), append(list, diags...)
	}
	desired, more := reconcile.Desired(x.set, docs, x.desiredOptions())
	if list = append(list, more...).Errors(); len(list) > 0 {
		return nil, failed(list.Sorted(), errors.New("the manifests would not be valid any more: nothing was written"))
	}
	index := map[string][]*reconcile.Object{}
	for _, objects := range desired.Objects {
		for _, o := range objects {
			index[o.WrittenKey()] = append(index[o.WrittenKey()], o)
			index[o.Kind.Name+"\x00"+o.Doc.Pos.File] = append(index[o.Kind.Name+"\x00"+o.Doc.Pos.File], o)
		}
	}
	var bad []unsaid
	for file, f := range files {
		for _, s := range f.said {
			says := func(o *reconcile.Object) bool { return reconcile.Says(o.Doc, s.edit.Path, s.edit.Value) }
			found := index[s.object.WrittenKey()]
			if !slices.ContainsFunc(found, says) && (len(found) > 0 || !slices.ContainsFunc(index[s.object.Kind.Name+"\x00"+file], says)) {
				bad = append(bad, unsaid{s, file})
			}
		}
	}
	return bad, nil
}

// write puts the files in their places, all of them or, as far as it gets, each
// whole.
func (x *exportRun) write(texts map[string][]byte) error {
	if len(texts) == 0 {
		return nil
	}
	if err := os.MkdirAll(x.out, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(x.out)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, file := range slices.Sorted(maps.Keys(texts)) {
		if err := x.a.ctx.Err(); err != nil {
			return err
		}
		rel, err := x.rel(file)
		if err != nil {
			return err
		}
		if err := writeInside(root, rel, texts[file]); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
	}
	return nil
}

// rel is a file's name in the folder.
func (x *exportRun) rel(file string) (string, error) {
	name := filepath.FromSlash(file)
	if !filepath.IsAbs(name) {
		name = filepath.Join(x.a.dir, name)
	}
	return filepath.Rel(x.out, name)
}

var errLink = errors.New("a symbolic link is in the way; nothing is written through one")

// writeInside writes a whole file or nothing, and removes it where data is nil.
// It follows no link.
func writeInside(root *os.Root, rel string, data []byte) error {
	folder := filepath.Dir(rel)
	for i := range strings.Split(folder, string(filepath.Separator)) {
		part := filepath.Join(strings.Split(folder, string(filepath.Separator))[:i+1]...)
		info, err := root.Lstat(part)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := root.Mkdir(part, 0o755); err != nil {
				return err
			}
		case err != nil:
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			return errLink
		}
	}
	mode := fs.FileMode(0o644)
	switch info, err := root.Lstat(rel); {
	case errors.Is(err, fs.ErrNotExist):
		if data == nil {
			return nil
		}
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return errLink
	case !info.Mode().IsRegular():
		return errors.New("something that is not a file is in the way")
	default:
		mode = info.Mode().Perm()
	}
	if data == nil {
		return root.Remove(rel)
	}
	return replaceInside(root, rel, data, mode)
}
