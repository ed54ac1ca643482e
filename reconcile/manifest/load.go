package manifest

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"proxbox-sync/reconcile"
)

// Limits of what is read, where Options says nothing else.
const (
	DefaultMaxFileBytes  = 16 << 20
	DefaultMaxTotalBytes = 256 << 20
	DefaultMaxDepth      = 100
	DefaultMaxNodes      = 1_000_000
)

// workers is how many files are worked on at once. Decryption gains from two
// and nothing from more on the machines that CI has.
const workers = 2

// Options say what Load may read and how secrets are opened.
type Options struct {
	// Stdin is read for the path "-".
	Stdin io.Reader
	// Within, when set, is a folder that no path may leave, not even through a
	// symbolic link: for paths that a project file names.
	Within string
	// Decrypt opens the encrypted values of a sops file. The result is keyed by
	// "<document index>#<JSON pointer>" over the file as it stands, the sops
	// block left out. It is called from several goroutines, once a file, after
	// all checks of the file have passed. An error that has a method
	// Diagnostic() reconcile.Diagnostic is reported as that diagnostic; of any
	// other one only the fact is. When nil, secrets stay sealed.
	Decrypt func(file string, data []byte) (map[string]reconcile.Secret, error)

	MaxFileBytes  int64 // of one file
	MaxTotalBytes int64 // of all files of one call
	MaxDepth      int   // of nested mappings and lists, aliases followed
	MaxNodes      int   // values of one file, aliases followed
}

func (o Options) withDefaults() Options {
	if o.MaxFileBytes <= 0 {
		o.MaxFileBytes = DefaultMaxFileBytes
	}
	if o.MaxTotalBytes <= 0 {
		o.MaxTotalBytes = DefaultMaxTotalBytes
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = DefaultMaxDepth
	}
	if o.MaxNodes <= 0 {
		o.MaxNodes = DefaultMaxNodes
	}
	return o
}

// Load reads the documents of files and folders. Folders are searched for
// *.yaml and *.yml, hidden ones left out; "-" is standard input; a file that is
// named twice is read once. The documents come in the order of the paths, inside
// a folder by name.
//
// The diagnostics are those of all files, sorted. Documents that could be read
// are returned beside the diagnostics of others; they describe the whole only
// when there is no error among the diagnostics.
func Load(ctx context.Context, paths []string, o Options) ([]reconcile.Document, reconcile.Diagnostics) {
	o = o.withDefaults()
	found := find(ctx, paths, o)
	defer found.close()

	type result struct {
		docs  []reconcile.Document
		diags reconcile.Diagnostics
	}
	results := make([]result, len(found.sources))
	var group errgroup.Group
	group.SetLimit(workers)
	for i, src := range found.sources {
		group.Go(func() error {
			if ctx.Err() == nil {
				results[i].docs, results[i].diags = load(ctx, src, o)
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return no error

	all := 0
	for _, r := range results {
		all += len(r.docs)
	}
	docs, diags := make([]reconcile.Document, 0, all), found.diags
	for _, r := range results {
		docs = append(docs, r.docs...)
		diags = append(diags, r.diags...)
	}
	if ctx.Err() != nil {
		diags = append(diags, reconcile.Diagnostic{
			Severity: reconcile.Error, Code: "interrupted",
			Summary: "reading the manifests was interrupted",
		})
	}
	return docs, diags.Sorted()
}

// Parse turns YAML text into one node a document, with the checks that manifests
// get and without their envelope; an empty document is nil. It is for the
// project's own configuration; encrypted values are errors there.
func Parse(name string, data []byte, o Options) ([]*reconcile.Node, reconcile.Diagnostics) {
	o.Decrypt = nil
	f := newFile(name, data, o.withDefaults())
	var nodes []*reconcile.Node
	f.guarded(func() { nodes = f.nodes() })
	return nodes, f.diags.Sorted()
}

// Documents takes the documents out of the text of one file, without looking at
// the file itself; secrets stay sealed.
func Documents(name string, data []byte) ([]reconcile.Document, reconcile.Diagnostics) {
	docs, diags := documents(newFile(name, data, Options{}.withDefaults()))
	return docs, diags.Sorted()
}

// load is the way of one file from its bytes to its documents.
func load(ctx context.Context, src source, o Options) ([]reconcile.Document, reconcile.Diagnostics) {
	data, diag := src.read(ctx, o)
	if diag != nil {
		return nil, reconcile.Diagnostics{*diag}
	}
	return documents(newFile(src.name, data, o))
}

func documents(f *file) ([]reconcile.Document, reconcile.Diagnostics) {
	var docs []reconcile.Document
	f.guarded(func() {
		for _, n := range f.nodes() {
			if n != nil {
				docs = append(docs, f.envelope(n)...)
			}
		}
	})
	return docs, f.diags
}

// nodes reads, checks and decrypts the file.
func (f *file) nodes() []*reconcile.Node {
	if !f.parse() {
		return nil
	}
	f.checkSecrets()
	f.decrypt()
	return f.convert()
}

// guarded runs fn and turns a panic into a diagnostic. The value of the panic
// is not shown: it may hold a piece of the file.
func (f *file) guarded(fn func()) {
	defer func() {
		if r := recover(); r != nil {
			f.report(reconcile.Position{File: f.name}, "unreadable-yaml", "this file can't be read as YAML",
				fmt.Sprintf("Reading it ended in an internal error (%T). Please report this with a file that shows it and holds no secret.", r))
		}
	}()
	fn()
}
