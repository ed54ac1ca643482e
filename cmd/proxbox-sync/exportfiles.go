package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/render"
)

// Limits of one exported file. A group that is larger is split by a digest of
// the keys, so that one object more moves no other one to another file.
const (
	maxFileObjects = 5000
	maxFileBytes   = 4 << 20
)

// coreFolder holds what is NetBox's own.
const coreFolder = "core"

// place decides which file each new document goes to: the one that has documents
// of its kind, about what it hangs on, or else one that is named after both.
func (x *exportRun) place() {
	groups := map[string][]*freshDocument{}
	for _, d := range x.fresh {
		at := d.kind.Name + "\x00" + d.home
		groups[at] = append(groups[at], d)
	}
	for at, group := range groups {
		file := x.homes[at]
		if file != "" && !x.sealed(file) {
			for _, d := range group {
				d.file = file
			}
			continue
		}
		size := 0
		for _, d := range group {
			size += len(d.text)
		}
		shards := 1
		for len(group)/shards > maxFileObjects || size/shards > maxFileBytes {
			shards *= 2
		}
		base := layout(group[0])
		for _, d := range group {
			name := base
			if shards > 1 {
				sum := sha256.Sum256([]byte(d.key))
				name += fmt.Sprintf("-part-%0*d", len(fmt.Sprint(shards)), (int(sum[0])<<8|int(sum[1]))%shards+1)
			}
			d.file = x.shown(name + ".yaml")
		}
	}
}

// shown is a file of the folder as positions name it.
func (x *exportRun) shown(name string) string {
	return relative(x.a.dir, filepath.Join(x.out, filepath.FromSlash(name)))
}

// layout is the file that a document goes to where no other one of its kind and
// home is, without its ending: a file a kind, or a folder a kind with a file for
// each cluster or endpoint.
func layout(d *freshDocument) string {
	name := strings.ToLower(d.kind.Name)
	if d.kind.Resource.Prune == "named" {
		name = path.Join(coreFolder, name)
	}
	if d.home != "" {
		name = path.Join(name, safeName(d.home))
	}
	return name
}

var (
	unsafeRunes = regexp.MustCompile(`[^a-z0-9_-]+`)
	ambiguous   = regexp.MustCompile(`-[0-9a-f]{12}$|-part-[0-9]+$`)
	// reservedNames mean something to Windows or to this program.
	reservedNames = regexp.MustCompile(`^(con|prn|aux|nul|conin|conout|com[0-9]|lpt[0-9]|proxbox-sync)$`)
)

// safeName is a file name for a name that anybody may have given. One that is not
// itself a plain lower-case name gets a digest, so that no two of them share a
// file, also where case does not count.
func safeName(name string) string {
	slug := strings.Trim(unsafeRunes.ReplaceAllString(strings.ToLower(name), "-"), "-_")
	if len(slug) > 60 {
		slug = slug[:60]
	}
	if slug == name && slug != "" && !ambiguous.MatchString(slug) && !reservedNames.MatchString(slug) {
		return slug
	}
	sum := sha256.Sum256([]byte(name))
	return strings.TrimPrefix(slug+"-"+hex.EncodeToString(sum[:6]), "-")
}

// fileEdits are what is to be done to one file.
type fileEdits struct {
	edits []manifest.Edit
	// said are the documents' values after the edits, for the check of the result.
	said  []expected
	fresh []*freshDocument
}

// expected is a value that a document must have in the end.
type expected struct {
	object *reconcile.Object // the document as it was
	edit   reconcile.FieldEdit
}

// edits are what is to be done, by file. What can't be done is returned.
func (x *exportRun) edits(gone []*reconcile.Object) (map[string]*fileEdits, []string) {
	files := map[string]*fileEdits{}
	at := func(file string) *fileEdits {
		if files[file] == nil {
			files[file] = &fileEdits{}
		}
		return files[file]
	}
	var cant []string
	for _, o := range x.changed {
		d := o.Object.Peer
		for _, e := range o.Edits {
			file := e.Fields.File
			if e.Patched {
				file = e.At.File
			}
			switch {
			case x.sealed(file):
				cant = append(cant, fmt.Sprintf("%s: %s is %s on the server; it stands in %s, and sops files are not written: change it with sops edit",
					d.Label(), strings.Join(e.Path, "."), render.YAMLValue(e.Value), file))
			case e.Patched:
				cant = append(cant, fmt.Sprintf("%s: %s is %s on the server; a patch document decides it (%s:%d): change it there",
					d.Label(), strings.Join(e.Path, "."), render.YAMLValue(e.Value), file, e.At.Line))
			default:
				f := at(file)
				f.edits = append(f.edits, setEdit(e))
				f.said = append(f.said, expected{d, e})
			}
		}
	}
	for _, d := range gone {
		if x.sealed(d.Doc.Pos.File) {
			cant = append(cant, fmt.Sprintf("%s is gone from the server; it stands in %s, and sops files are not written: remove it there", d.Label(), d.Doc.Pos.File))
			continue
		}
		f := at(d.Doc.Pos.File)
		f.edits = append(f.edits, manifest.Edit{Remove: d.Doc.Pos})
	}
	for _, d := range x.fresh {
		f := at(d.file)
		f.fresh = append(f.fresh, d)
	}
	for file, f := range files {
		slices.SortFunc(f.fresh, func(a, b *freshDocument) int {
			// Namesakes by what they say: ids differ after a restore.
			return cmp.Or(strings.Compare(a.kind.Name+"\x00"+a.key, b.kind.Name+"\x00"+b.key), strings.Compare(a.text, b.text))
		})
		f.edits = append(f.edits, x.inserts(file, f.fresh)...)
	}
	return files, cant
}

func setEdit(e reconcile.FieldEdit) manifest.Edit {
	name := e.Path[len(e.Path)-1]
	return manifest.Edit{Fields: e.Fields, Name: name, Flow: render.YAMLValue(e.Value),
		Block: func(indent string) string { return render.YAMLMember(indent, name, e.Value) }}
}

// sealed reports whether a file is one of sops: it has its block.
func (x *exportRun) sealed(file string) bool {
	if known, ok := x.sops[file]; ok {
		return known
	}
	data, err := x.contents(file)
	x.sops[file] = err == nil && sopsBlock.Match(data)
	return x.sops[file]
}

var sopsBlock = regexp.MustCompile(`(?m)^["']?sops["']?[ \t]*:`)

// docPlace is where the document of an object begins.
type docPlace struct {
	key string
	pos reconcile.Position
}

// places are the documents with one object each, by file and kind, in the order
// of their file.
func (x *exportRun) places() map[string]map[string][]docPlace {
	if x.placed != nil {
		return x.placed
	}
	x.placed = map[string]map[string][]docPlace{}
	for kind, objects := range x.documents.Objects {
		for _, o := range objects {
			file := o.Doc.Pos.File
			if o.Doc.Spec.Pos == o.Doc.Pos { // one of several items
				continue
			}
			if x.placed[file] == nil {
				x.placed[file] = map[string][]docPlace{}
			}
			x.placed[file][kind] = append(x.placed[file][kind], docPlace{o.Key, o.Doc.Pos})
		}
	}
	for _, kinds := range x.placed {
		for _, list := range kinds {
			slices.SortFunc(list, func(a, b docPlace) int { return a.pos.Line - b.pos.Line })
		}
	}
	return x.placed
}

// inserts puts new documents into a file: in the order of the keys, where the
// documents of their kind have that order, each of which has its own document.
func (x *exportRun) inserts(file string, fresh []*freshDocument) []manifest.Edit {
	if len(fresh) == 0 {
		return nil
	}
	places := x.places()[file]
	byKey := func(a, b docPlace) int { return strings.Compare(a.key, b.key) }
	texts := map[reconcile.Position][]string{}
	var order []reconcile.Position
	for _, d := range fresh {
		before, list := reconcile.Position{}, places[d.kind.Name]
		if slices.IsSortedFunc(list, byKey) {
			if i, _ := slices.BinarySearchFunc(list, docPlace{key: d.key}, byKey); i < len(list) {
				before = list[i].pos
			}
		}
		if texts[before] == nil {
			order = append(order, before)
		}
		texts[before] = append(texts[before], d.text)
	}
	var out []manifest.Edit
	for _, before := range order {
		out = append(out, manifest.Edit{Before: before, Insert: strings.Join(texts[before], "---\n")})
	}
	return out
}

// rewrite makes the new contents of the files, nil for one that has nothing left.
// A change that did not come out as it was meant is left out, and named; the
// others of its file are made.
func (x *exportRun) rewrite(files map[string]*fileEdits) (map[string][]byte, []string, error) {
	out := map[string][]byte{}
	var cant []string
	again := files
	for len(again) > 0 {
		for file, f := range again {
			failed, err := x.rewriteFile(file, f, out)
			if err != nil {
				return nil, nil, err
			}
			cant = append(cant, failed...)
		}
		bad, err := x.check(files, out)
		if err != nil {
			return nil, nil, err
		}
		again = map[string]*fileEdits{}
		for _, b := range bad {
			cant = append(cant, fmt.Sprintf("%s: %s: %s can't be set there (%s)", b.object.Label(), strings.Join(b.edit.Path, "."), render.YAMLValue(b.edit.Value), b.file))
			files[b.file].leaveOut(b.expected)
			again[b.file] = files[b.file]
		}
	}
	slices.Sort(cant)
	return out, slices.Compact(cant), nil
}

// rewriteFile makes the new contents of one file, unless they are the old ones.
func (x *exportRun) rewriteFile(file string, f *fileEdits, out map[string][]byte) (cant []string, err error) {
	delete(out, file)
	data, err := x.contents(file)
	if err != nil {
		return nil, err
	}
	text, failed := manifest.Rewrite(file, data, f.edits)
	for _, e := range failed {
		cant = append(cant, fmt.Sprintf("%s can't be changed in place: %s", editPlace(file, e.Edit), e.Reason))
		f.said = slices.DeleteFunc(f.said, func(s expected) bool { return s.makes(e.Edit) })
	}
	if string(text) != string(data) || text == nil {
		out[file] = text
	}
	return cant, nil
}

// makes reports whether an edit of a file is the one that a value comes by.
func (s expected) makes(e manifest.Edit) bool {
	return e.Fields == s.edit.Fields && e.Name == s.edit.Path[len(s.edit.Path)-1]
}

// leaveOut takes one change out of those of a file.
func (f *fileEdits) leaveOut(s expected) {
	f.edits = slices.DeleteFunc(f.edits, s.makes)
	f.said = slices.DeleteFunc(f.said, func(other expected) bool {
		return other.edit.Fields == s.edit.Fields && slices.Equal(other.edit.Path, s.edit.Path)
	})
}

func editPlace(file string, e manifest.Edit) string {
	pos := e.Fields
	if pos == (reconcile.Position{}) {
		pos = e.Remove
	}
	if pos.Line == 0 {
		return file
	}
	text := fmt.Sprintf("%s:%d:%d", file, pos.Line, pos.Column)
	if e.Name != "" {
		text += ": " + e.Name + ": " + e.Flow
	}
	return text
}

// contents are the bytes of a file that is there already.
func (x *exportRun) contents(file string) ([]byte, error) {
	name := filepath.FromSlash(file)
	if !filepath.IsAbs(name) {
		name = filepath.Join(x.a.dir, name)
	}
	if _, err := os.Lstat(name); os.IsNotExist(err) {
		return nil, nil
	}
	return readInside(x.out, name, manifest.DefaultMaxFileBytes)
}
