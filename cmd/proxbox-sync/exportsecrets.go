package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

// The endings of a file of secrets, and of the skeleton of one.
const (
	secretsEnding  = ".secrets.yaml"
	skeletonEnding = manifest.SkeletonEnding
)

const skeletonHead = `# Secrets that are not in Git yet. Put in what applies, in quotes, and remove the rest; then
# encrypt the file with sops and take .todo off its name. A null changes nothing.
`

// skeletonKey is how a patch document names an exported object.
type skeletonKey []reconcile.ExportedField

// keyOf takes the key out of an exported object's fields, and what tells it from
// its namesakes.
func keyOf(o *reconcile.Exported) skeletonKey {
	kind := o.Object.Kind
	var out skeletonKey
	for _, f := range o.Fields {
		if slices.Contains(kind.Resource.Key, f.Name) || o.Namesake && slices.ContainsFunc(kind.Resource.Unique, func(u []string) bool { return slices.Contains(u, f.Name) }) {
			out = append(out, f)
		}
	}
	return out
}

// skeletons are the files in which missing secrets are to be filled in, by name;
// nil for one that has nothing left. What can't be written is returned.
func (x *exportRun) skeletons(exports *reconcile.Exports) (map[string][]byte, []string, error) {
	placed := map[*reconcile.Object]string{}
	for _, d := range x.fresh {
		placed[d.object] = d.file
	}
	type waiting struct {
		object *reconcile.Object
		fields []string
	}
	groups := map[string][]*waiting{}
	index := map[*reconcile.Object]*waiting{}
	for _, c := range exports.Secrets {
		if c.State != reconcile.SecretMissing {
			continue
		}
		o := c.Object
		file := placed[o]
		if o.Doc != nil {
			file = o.Doc.Pos.File
		}
		if file == "" || !x.inside(file) {
			continue
		}
		if index[o] == nil {
			index[o] = &waiting{object: o}
			groups[file] = append(groups[file], index[o])
		}
		index[o].fields = append(index[o].fields, c.Field)
	}
	out := map[string][]byte{}
	var cant []string
	for _, file := range slices.Sorted(maps.Keys(groups)) {
		list := groups[file]
		slices.SortFunc(list, func(a, b *waiting) int {
			return cmp.Or(strings.Compare(a.object.Kind.Name, b.object.Kind.Name), strings.Compare(a.object.Key, b.object.Key))
		})
		var texts []string
		for _, w := range list {
			texts = append(texts, render.SkeletonText(w.object.Kind, x.keys[w.object], w.fields))
		}
		name, text, why := x.skeleton(file, strings.Join(texts, "---\n"))
		if why != "" {
			cant = append(cant, why)
			continue
		}
		x.todo = append(x.todo, name)
		if text != nil {
			out[name] = text
		}
	}
	if len(x.c.Select) == 0 {
		x.filledIn(out)
	}
	return out, cant, nil
}

// skeleton is the file for the secrets of the objects that a file declares. A nil
// text says that it is there already.
func (x *exportRun) skeleton(file, text string) (name string, data []byte, why string) {
	base := strings.TrimSuffix(strings.TrimSuffix(file, path.Ext(file)), ".secrets")
	if x.c.Encrypt {
		return x.encrypted(base, text)
	}
	name = base + skeletonEnding
	data = []byte(skeletonHead + text)
	old, err := x.contents(name)
	switch {
	case err != nil:
		return "", nil, fmt.Sprintf("%s can't be read: %v", name, err)
	case old == nil:
		return name, data, ""
	case string(old) == string(data):
		return name, nil, ""
	case !untouched(name, old):
		return "", nil, name + " was filled in and is left alone: encrypt it with sops, take .todo off its name, and export again"
	}
	return name, data, ""
}

// untouched reports whether a skeleton still holds nothing but keys and nulls.
func untouched(name string, data []byte) bool {
	docs, list := manifest.Documents(name, data)
	if list.HasErrors() {
		return false
	}
	for _, doc := range docs {
		k := schema.Embedded().Kind(doc.Kind)
		if k == nil {
			return false
		}
		for _, m := range doc.Spec.Members {
			f := k.Field(m.Name)
			if f == nil || f.WriteOnly && (m.Value.Shape != reconcile.Scalar || m.Value.Value != nil) {
				return false
			}
		}
	}
	return true
}

// typedSecrets are mistakes for the skeletons among some findings that somebody
// typed secrets into and did not encrypt.
func (a *app) typedSecrets(list reconcile.Diagnostics) (out reconcile.Diagnostics) {
	for _, d := range list {
		if d.Code != reconcile.SecretUnfilled.Code || !strings.HasSuffix(d.Pos.File, skeletonEnding) {
			continue
		}
		name := filepath.FromSlash(d.Pos.File)
		if !filepath.IsAbs(name) {
			name = filepath.Join(a.dir, name)
		}
		data, err := readInside(filepath.Dir(name), name, manifest.DefaultMaxFileBytes)
		if err == nil && !untouched(d.Pos.File, data) {
			out = append(out, reconcile.Diagnostic{Severity: reconcile.Error, Trouble: reconcile.SecretKey, Code: "plaintext-secret", Pos: d.Pos,
				Summary: "a skeleton with secrets in plain text", Detail: "encrypt it with sops, and take .todo off its name, before it is committed"})
		}
	}
	return out
}

// filledIn takes away skeletons that nobody touched and that are of no use any
// more.
func (x *exportRun) filledIn(out map[string][]byte) {
	_ = filepath.WalkDir(x.out, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.HasSuffix(name, skeletonEnding) {
			return nil
		}
		file := relative(x.a.dir, name)
		if slices.Contains(x.todo, file) {
			return nil
		}
		if data, err := x.contents(file); err == nil && untouched(file, data) {
			out[file] = nil
		}
		return nil
	})
}

// report is what is said of the run.
func (x *exportRun) report(exports *reconcile.Exports, list reconcile.Diagnostics, texts map[string][]byte) *render.ExportDocument {
	d := render.NewExportDocument(exports, list)
	d.Folder, d.Owner = relative(x.a.dir, x.out), x.a.report.owner
	d.New, d.Changed, d.Unchanged, d.Elsewhere = len(x.fresh), len(x.changed), x.kept, x.elsewhere
	d.Files = slices.Sorted(maps.Keys(texts))
	d.Unset = x.unset
	d.Skeletons, d.Encrypted, d.Recipients = x.todo, x.c.Encrypt, x.recipients
	d.Uncovered = x.project != nil && !x.belongs()
	return d
}

// encrypted is the skeleton as a sops file under a name that is free. A
// recipient that no existing file has is refused: it may have been added by
// whoever wants to read along.
func (x *exportRun) encrypted(base, text string) (name string, data []byte, why string) {
	for n := 1; ; n++ {
		name = base + secretsEnding
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", base, n, secretsEnding)
		}
		if old, err := x.contents(name); err == nil && old == nil {
			break
		}
	}
	refuse := func(reason string) (string, []byte, string) {
		return "", nil, fmt.Sprintf("%s was not written: %s", name, reason)
	}
	abs := filepath.Join(x.a.dir, filepath.FromSlash(name))
	rules, folder, err := x.a.creationRules(x.project, abs)
	if err != nil {
		return refuse(err.Error())
	}
	rel, err := filepath.Rel(folder, abs)
	if err != nil {
		return refuse(err.Error())
	}
	e, err := rules.ForNew(filepath.ToSlash(rel))
	if err != nil {
		return refuse(err.Error() + "; leave --encrypt out, and encrypt the skeleton with sops")
	}
	var fresh []string
	for _, id := range slices.Sorted(maps.Keys(e.Recipients)) {
		_, key, _ := strings.Cut(id, " ")
		if !x.known[id] && !slices.Contains(x.c.NewRecipient, key) {
			fresh = append(fresh, key)
		}
		if !slices.Contains(x.recipients, e.Name(id)) {
			x.recipients = append(x.recipients, e.Name(id))
		}
	}
	if len(fresh) > 0 {
		return refuse(fmt.Sprintf("no existing sops file is encrypted for %s: if that is right, allow it with --new-recipient %s",
			strings.Join(fresh, " and "), strings.Join(fresh, " --new-recipient ")))
	}
	data, err = e.Encrypt(x.a.ctx, x.a.env.Get, []byte(text), time.Now())
	if err != nil {
		return refuse(err.Error())
	}
	return name, data, ""
}
