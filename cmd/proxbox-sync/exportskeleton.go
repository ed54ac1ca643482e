package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

// skeletonEntry is a document of a skeleton: the secrets of one object.
type skeletonEntry struct {
	name    string // its kind and key, in one spelling
	secrets []string
	text    string
}

// entryName spells what a skeleton names an object by.
func entryName(kind *schema.Kind, key skeletonKey) string {
	parts := make([]string, len(key))
	for i, f := range key {
		parts[i] = f.Name + ": " + render.YAMLValue(f.Value)
	}
	slices.Sort(parts)
	return kind.Name + "\x00" + strings.Join(parts, "\x00")
}

// skeletons are the files in which missing secrets are to be filled in, by name;
// nil for one that has nothing left. What can't be written is returned. An entry
// stays as it is as long as its document stays and this run does not know better:
// its object may not have been asked for, be hidden, or be gone.
func (x *exportRun) skeletons(exports *reconcile.Exports, removed []*reconcile.Object) (map[string][]byte, []string) {
	out := map[string][]byte{}
	var cant []string
	todo := map[string][]skeletonEntry{}
	for base, entries := range x.missing(exports) {
		if !x.c.Encrypt {
			todo[x.freeBase(base)+skeletonEnding] = entries
			continue
		}
		name, text, why := x.encrypted(base, textOf(entries))
		if why != "" {
			cant = append(cant, why)
			continue
		}
		x.todo = append(x.todo, name)
		if text != nil {
			out[name] = text
		}
	}
	for _, name := range x.skeletonFiles() {
		if _, ok := todo[name]; !ok {
			todo[name] = nil // nothing is missing any more
		}
	}
	known := x.knownEntries(removed)
	for name, entries := range todo {
		text, changed, why := x.skeleton(name, entries, known)
		switch {
		case why != "":
			cant = append(cant, why)
			continue
		case changed:
			out[name] = text
		}
		if text != nil {
			x.todo = append(x.todo, name)
		}
	}
	slices.Sort(x.todo)
	slices.Sort(cant)
	return out, cant
}

// freeBase is a name that a file of secrets can have, since none has it yet: the
// skeleton is to be encrypted and to lose its last ending.
func (x *exportRun) freeBase(base string) string {
	for n := 1; ; n++ {
		name := base
		if n > 1 {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		if old, err := x.contents(name + secretsEnding); err == nil && old == nil {
			return name
		}
	}
}

// missing are the secrets that are not in Git, by the file that declares their
// object, without its ending.
func (x *exportRun) missing(exports *reconcile.Exports) map[string][]skeletonEntry {
	placed := map[*reconcile.Object]string{}
	for _, d := range x.fresh {
		placed[d.object] = d.file
	}
	var objects []*reconcile.Object
	fields := map[*reconcile.Object][]string{}
	for _, c := range exports.Secrets {
		if c.State == reconcile.SecretMissing {
			if fields[c.Object] == nil {
				objects = append(objects, c.Object)
			}
			fields[c.Object] = append(fields[c.Object], c.Field)
		}
	}
	out := map[string][]skeletonEntry{}
	for _, o := range objects {
		file := placed[o]
		if o.Doc != nil {
			file = o.Doc.Pos.File
		}
		if file == "" || !x.inside(file) {
			continue
		}
		base := strings.TrimSuffix(strings.TrimSuffix(file, path.Ext(file)), ".secrets")
		out[base] = append(out[base], skeletonEntry{name: entryName(o.Kind, x.keys[o]), secrets: fields[o],
			text: render.SkeletonText(o.Kind, x.keys[o], fields[o])})
	}
	for _, entries := range out {
		sortEntries(entries)
	}
	return out
}

// knownEntries are the objects of which this run knows what is missing, and those
// whose documents it removes.
func (x *exportRun) knownEntries(removed []*reconcile.Object) map[string]bool {
	out := map[string]bool{}
	for o, key := range x.keys {
		out[entryName(o.Kind, key)] = true
	}
	for _, o := range removed {
		var key skeletonKey
		for _, m := range o.Doc.Spec.Members {
			if slices.Contains(o.Kind.Resource.Key, m.Name) {
				key = append(key, reconcile.ExportedField{Name: m.Name, Value: m.Value.Bare()})
			}
		}
		out[entryName(o.Kind, key)] = true
	}
	return out
}

// skeleton is what a skeleton is to hold, nil for nothing, and whether that is to
// be written. What was in it and still holds keeps its text.
func (x *exportRun) skeleton(name string, entries []skeletonEntry, known map[string]bool) (text []byte, changed bool, why string) {
	old, err := x.contents(name)
	if err != nil {
		return nil, false, fmt.Sprintf("%s can't be read: %v", name, err)
	}
	there, plain := skeletonEntries(name, old)
	if !plain {
		if len(entries) == 0 {
			return nil, false, ""
		}
		return nil, false, name + " was filled in and is left alone: encrypt it with sops, take .todo off its name, and export again"
	}
	now := map[string]int{}
	for i, e := range entries {
		now[e.name] = i
	}
	for _, e := range there {
		i, wanted := now[e.name]
		switch {
		case wanted && slices.Equal(entries[i].secrets, e.secrets):
			entries[i].text = e.text
		case !wanted && !known[e.name]:
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		return nil, old != nil, ""
	}
	sortEntries(entries)
	text = []byte(skeletonHead + textOf(entries))
	return text, string(text) != string(old), ""
}

func sortEntries(entries []skeletonEntry) {
	slices.SortFunc(entries, func(a, b skeletonEntry) int { return cmp.Compare(a.name, b.name) })
}

func textOf(entries []skeletonEntry) string {
	texts := make([]string, len(entries))
	for i, e := range entries {
		texts[i] = e.text
	}
	return strings.Join(texts, "---\n")
}

// skeletonEntries takes a skeleton apart. plain says that it holds nothing but
// keys and nulls, a document for each object.
func skeletonEntries(name string, data []byte) (entries []skeletonEntry, plain bool) {
	if len(data) == 0 {
		return nil, true
	}
	docs, list := manifest.Documents(name, data)
	texts := strings.Split(strings.TrimPrefix(string(data), skeletonHead), "\n---\n")
	if list.HasErrors() || len(docs) != len(texts) {
		return nil, false
	}
	for i, doc := range docs {
		k := schema.Embedded().Kind(doc.Kind)
		if k == nil || !onlyNulls(k, doc) {
			return nil, false
		}
		var key skeletonKey
		e := skeletonEntry{text: strings.TrimSuffix(texts[i], "\n") + "\n"}
		for _, m := range doc.Spec.Members {
			if k.Field(m.Name).WriteOnly {
				e.secrets = append(e.secrets, m.Name)
			} else {
				key = append(key, reconcile.ExportedField{Name: m.Name, Value: m.Value.Bare()})
			}
		}
		e.name = entryName(k, key)
		entries = append(entries, e)
	}
	return entries, true
}

// untouched reports whether a skeleton still holds nothing but keys and nulls.
func untouched(name string, data []byte) bool {
	docs, list := manifest.Documents(name, data)
	return !list.HasErrors() && !slices.ContainsFunc(docs, func(doc reconcile.Document) bool {
		k := schema.Embedded().Kind(doc.Kind)
		return k == nil || !onlyNulls(k, doc)
	})
}

// onlyNulls reports whether a document has known fields only, and no secret.
func onlyNulls(k *schema.Kind, doc reconcile.Document) bool {
	return !slices.ContainsFunc(doc.Spec.Members, func(m reconcile.Member) bool {
		f := k.Field(m.Name)
		return f == nil || f.WriteOnly && (m.Value.Shape != reconcile.Scalar || m.Value.Value != nil)
	})
}

// skeletonFiles are the skeletons of the folder.
func (x *exportRun) skeletonFiles() (names []string) {
	_ = filepath.WalkDir(x.out, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.HasSuffix(name, skeletonEnding) {
			names = append(names, relative(x.a.dir, name))
		}
		return nil
	})
	return names
}
