package manifest

import (
	"errors"
	"strconv"

	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

// maxDiagnostics is how many mistakes of one file are shown: beyond that the
// file as a whole is the mistake.
const maxDiagnostics = 100

// file is one file on its way to documents.
type file struct {
	name string
	data []byte
	o    Options

	docs  []*yaml.Node        // document nodes, in order
	sops  *yaml.Node          // key node of the first sops block, nil in a plain file
	roots map[*yaml.Node]bool // the mappings at the top of documents
	// secrets are the encrypted leaves. A leaf that nothing decrypted is sealed.
	secrets map[*yaml.Node]reconcile.Secret
	leaves  map[string]*yaml.Node // the same by document and pointer

	diags   reconcile.Diagnostics
	skipped int
}

func newFile(name string, data []byte, o Options) *file {
	return &file{name: name, data: dropMarks(data), o: o, secrets: map[*yaml.Node]reconcile.Secret{}, leaves: map[string]*yaml.Node{}}
}

// at is the place of a node.
func (f *file) at(n *yaml.Node) reconcile.Position {
	return reconcile.Position{File: f.name, Line: n.Line, Column: n.Column}
}

// report adds an error of the manifest. The texts never hold a value of the
// file: any of them may be a secret that stands in the wrong place.
func (f *file) report(pos reconcile.Position, code, summary, detail string, related ...reconcile.Related) {
	f.add(reconcile.Diagnostic{
		Severity: reconcile.Error, Trouble: reconcile.Manifest, Code: code,
		Pos: pos, Summary: summary, Detail: detail, Related: related,
	})
}

// maxShown is how many characters of a name from the file a message shows.
const maxShown = 80

// quoted is a name from the file as messages show it.
func quoted(name string) string {
	n := 0
	for i := range name {
		if n++; n > maxShown {
			return strconv.Quote(name[:i] + "…")
		}
	}
	return strconv.Quote(name)
}

// distrust adds an error about what can't be decrypted or trusted.
func (f *file) distrust(pos reconcile.Position, code, summary, detail string, related ...reconcile.Related) {
	f.add(reconcile.Diagnostic{
		Severity: reconcile.Error, Trouble: reconcile.SecretKey, Code: code,
		Pos: pos, Summary: summary, Detail: detail, Related: related,
	})
}

func (f *file) add(d reconcile.Diagnostic) {
	if len(f.diags) < maxDiagnostics {
		f.diags = append(f.diags, d)
		return
	}
	if f.skipped++; f.skipped == 1 {
		f.diags = append(f.diags, reconcile.Diagnostic{
			Severity: reconcile.Error, Trouble: d.Trouble, Code: "too-many-mistakes",
			Pos:     reconcile.Position{File: f.name},
			Summary: "more mistakes in this file than are shown",
		})
	}
}

// decrypt lets the caller's function open the encrypted leaves. A file that has
// a mistake is not given to it: sops survives neither cycles nor bombs.
func (f *file) decrypt() {
	if f.sops == nil || f.o.Decrypt == nil || f.diags.HasErrors() {
		return
	}
	plain, err := f.o.Decrypt(f.name, f.data)
	if err != nil {
		f.add(f.decryptDiagnostic(err))
		return
	}
	for path, leaf := range f.leaves {
		if secret, ok := plain[path]; ok {
			f.secrets[leaf] = secret
			continue
		}
		f.distrust(f.at(leaf), "not-decrypted", "this value was not decrypted",
			"sops sees the file in another form than it stands here. Write it anew with sops.")
	}
}

func (f *file) decryptDiagnostic(err error) reconcile.Diagnostic {
	var explained interface{ Diagnostic() reconcile.Diagnostic }
	d := reconcile.Diagnostic{
		Severity: reconcile.Error, Trouble: reconcile.SecretKey, Code: "not-decrypted",
		Summary: "this file can't be decrypted",
	}
	if errors.As(err, &explained) {
		d = explained.Diagnostic()
	}
	d.Pos = f.at(f.sops)
	return d
}
