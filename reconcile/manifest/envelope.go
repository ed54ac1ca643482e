package manifest

import (
	"fmt"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// APIVersion is the form of manifests that this program reads.
const APIVersion = "proxbox-sync/v1"

var topKeys = []string{"apiVersion", "kind", "metadata", "spec", "items", "defaults"}

// envelope takes the objects out of one document.
func (f *file) envelope(n *reconcile.Node) []reconcile.Document {
	if n.Shape != reconcile.Mapping {
		f.report(n.Pos, "not-a-manifest", "a document that is not a mapping",
			"A manifest begins with apiVersion: "+APIVersion+" and kind. Several objects are several documents, separated by ---, or items of one.")
		return nil
	}
	if !f.apiVersion(n) {
		return nil
	}
	doc := reconcile.Document{Pos: n.Pos}
	ok := f.kind(n, &doc)
	f.unknownKeys(n)
	if meta := n.Member("metadata"); meta != nil {
		doc.Meta = f.metadata(meta)
	}
	specs := f.specs(n)
	if !ok {
		return nil
	}
	if doc.Meta.RenamedFrom != nil && len(specs) > 1 {
		f.report(doc.Meta.RenamedFrom.Pos, "contradiction", "metadata.renamedFrom for several items",
			"One old name can't be that of several objects: give the renamed object a document of its own.")
	}
	docs := make([]reconcile.Document, len(specs))
	for i, spec := range specs {
		docs[i] = doc
		docs[i].Spec = spec
		if n.Member("items") != nil {
			docs[i].Pos = spec.Pos
		}
	}
	return docs
}

// apiVersion reports whether the document is meant for this program: the
// mistakes of a file for another one are not listed key by key. What has a kind
// and fields is meant, unless its apiVersion names another program.
func (f *file) apiVersion(n *reconcile.Node) bool {
	version := n.Member("apiVersion")
	whole := n.Member("kind") != nil && (n.Member("spec") != nil || n.Member("items") != nil)
	if version == nil {
		meant := n.Member("spec") != nil || n.Member("items") != nil
		detail := "Begin it with apiVersion: " + APIVersion + "."
		if !meant || n.Member("kind") == nil {
			detail = "Every document begins with apiVersion: " + APIVersion + " and kind. Files of other programs don't belong among the manifests."
		}
		f.report(n.Pos, "no-api-version", "a document without apiVersion", detail)
		return meant
	}
	text, ok := f.text(version, "apiVersion")
	switch {
	case !ok:
		_, secret := version.Value.(reconcile.Secret) // then so is the rest
		return whole && !secret
	case text == APIVersion:
		return true
	case strings.HasPrefix(text, "proxbox-sync/v") && !strings.EqualFold(text, APIVersion):
		f.report(version.Pos, "unknown-api-version", "a manifest form that this version of proxbox-sync does not know",
			"It reads apiVersion: "+APIVersion+".")
		return whole
	}
	meant := strings.EqualFold(text, APIVersion) || schema.Nearest(text, []string{APIVersion}) != ""
	detail := "This document seems to belong to another program; such files don't belong among the manifests."
	if meant {
		detail = ""
	}
	f.report(version.Pos, "wrong-api-version", "apiVersion must be "+APIVersion, detail)
	return meant || whole && !strings.Contains(text, "/")
}

// text returns the text of a scalar of the envelope; anything else is reported.
func (f *file) text(n *reconcile.Node, key string) (string, bool) {
	switch value := n.Value.(type) {
	case reconcile.Secret:
		f.encrypted(n, key)
		return "", false
	case string:
		if n.Shape == reconcile.Scalar && value != "" {
			return value, true
		}
	}
	f.report(n.Pos, "wrong-type", key+" must be a text", quoteHint(n))
	return "", false
}

// encrypted reports an encrypted value where proxbox-sync has to read it
// without a key.
func (f *file) encrypted(n *reconcile.Node, key string) {
	f.report(n.Pos, "encrypted-envelope", key+" is encrypted",
		"Only secret fields may be encrypted. Let encrypted_regex in .sops.yaml name them, decrypt the file and encrypt it anew.")
}

func quoteHint(n *reconcile.Node) string {
	if n.Plain != "" {
		return "If text is meant, put it in quotes."
	}
	return ""
}

func (f *file) kind(n *reconcile.Node, doc *reconcile.Document) bool {
	kind := n.Member("kind")
	if kind == nil {
		f.report(n.Pos, "no-kind", "a document without kind", "")
		return false
	}
	var ok bool
	doc.KindPos = kind.Pos
	doc.Kind, ok = f.text(kind, "kind")
	return ok
}

// unknownKeys reports top-level keys that have no meaning. Fields that stand
// beside spec instead of in it are the usual mistake.
func (f *file) unknownKeys(n *reconcile.Node) {
	for _, m := range n.Members {
		switch m.Name {
		case "apiVersion", "kind", "metadata", "spec", "items", "defaults":
			continue
		}
		f.report(m.Pos, "unknown-key", fmt.Sprintf("unknown key %s beside kind", quoted(m.Name)),
			suggest(m.Name, topKeys, "The fields of an object stand under spec."))
	}
}

// suggest names the key that was probably meant, or says otherwise.
func suggest(name string, known []string, otherwise string) string {
	if near := schema.Nearest(name, known); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	return otherwise
}

// specs returns the fields of each object: those of spec, or of each of items
// with the defaults under it.
func (f *file) specs(n *reconcile.Node) []*reconcile.Node {
	spec, items, defaults := n.Member("spec"), n.Member("items"), n.Member("defaults")
	switch {
	case spec != nil && items != nil:
		f.report(items.Pos, "spec-and-items", "spec and items in one document", "spec is for one object, items for several.",
			reconcile.Related{Pos: spec.Pos, Message: "the spec"})
		return nil
	case items != nil:
		return f.items(items, defaults)
	case spec == nil:
		f.report(n.Pos, "no-spec", "a document without spec and items", "spec holds the fields of one object, items those of several.")
		return nil
	}
	if defaults != nil {
		f.report(defaults.Pos, "defaults-without-items", "defaults without items", "Defaults stand under each of items; spec has none.")
	}
	if !f.fields(spec, "spec") {
		return nil
	}
	return []*reconcile.Node{spec}
}

// fields reports a value that is not a mapping of fields.
func (f *file) fields(n *reconcile.Node, what string) bool {
	if n.Shape == reconcile.Mapping {
		return true
	}
	if _, secret := n.Value.(reconcile.Secret); secret {
		f.encrypted(n, what)
		return false
	}
	f.report(n.Pos, "wrong-type", what+" must be a mapping of fields", "")
	return false
}

func (f *file) items(items, defaults *reconcile.Node) []*reconcile.Node {
	if items.Shape != reconcile.Sequence {
		f.report(items.Pos, "wrong-type", "items must be a list", "")
		return nil
	}
	if defaults != nil && !f.fields(defaults, "defaults") {
		defaults = nil
	}
	// A few large defaults under many small items would multiply to more than
	// the file's own values.
	if defaults != nil && len(defaults.Members) > f.o.MaxNodes/max(1, len(items.Items)) {
		f.tooMany(defaults.Pos)
		return nil
	}
	var out []*reconcile.Node
	for _, item := range items.Items {
		if f.fields(item, "an item") {
			out = append(out, withDefaults(item, defaults))
		}
	}
	return out
}

// withDefaults returns item with the defaults that it does not have itself. The
// values are shared between the items.
func withDefaults(item, defaults *reconcile.Node) *reconcile.Node {
	if defaults == nil {
		return item
	}
	have := make(map[string]bool, len(item.Members))
	out := &reconcile.Node{Pos: item.Pos, Shape: reconcile.Mapping}
	for _, m := range item.Members {
		have[m.Name] = true
		out.Members = append(out.Members, m)
	}
	for _, m := range defaults.Members {
		if !have[m.Name] {
			out.Members = append(out.Members, m)
		}
	}
	return out
}
