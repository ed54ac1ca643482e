package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/reconcile/secrets"
	"proxbox-sync/schema"
)

type exportCommand struct {
	Out            string   `required:"" short:"o" help:"Folder that the manifests are written to; it may have some already." placeholder:"DIR" group:"Export"`
	Select         []string `help:"Only this kind, or this object; may be repeated." placeholder:"KIND[/KEY]" sep:"none" group:"Export"`
	All            bool     `help:"Also what this owner does not manage." group:"Export"`
	WithReferences bool     `help:"Also the objects of NetBox itself that these refer to, with createOnly: what a restore into an empty NetBox needs." group:"Export"`
	Complete       bool     `help:"Add what is set on the server to documents that leave fields out on purpose as well." group:"Export"`
	RemoveGone     bool     `help:"Remove documents whose object the server does not have any more." group:"Export"`
	MaxRemovals    *int     `help:"Allow so many removals, also where they are more than 30 % of a kind's documents or the last one." placeholder:"N" group:"Export"`
	Encrypt        bool     `help:"Encrypt the skeletons of missing secrets, for the recipients in .sops.yaml." group:"Export"`
	NewRecipient   []string `help:"Recipient (age or PGP) that --encrypt may use though no sops file has it yet; may be repeated." placeholder:"KEY" sep:"none" group:"Export"`
	Format         string   `help:"Form of the result: ${enum}." enum:"text,json" default:"text" group:"Output"`
	ownerFlag
	serverFlags
}

// Help is shown by export --help.
func (*exportCommand) Help() string {
	return `Writes manifests for what is live: what this owner manages, or with --all, and
without an owner, everything of the plugin. References are written by key, secrets never:
they can't be read back. For those that are not in Git there is a skeleton,
*.secrets.yaml.todo, of what has to be filled in; --encrypt makes it a sops file instead,
so that filling in is one sops edit.

Into a folder that has manifests already it writes only what changed: comments, order and
form of everything else stay, and sops files are never written. Documents whose object is
gone stay too, and are named, unless --remove-gone is given.

The same live state gives the same files. Ends with 7 when something could not be exported.`
}

func (c *exportCommand) result() (string, bool) { return render.ExportFormat, c.Format == "json" }

func (c *exportCommand) Run(a *app) error {
	p, err := findProject(a.dir)
	if err != nil {
		return err
	}
	set := schema.Embedded()
	x := &exportRun{a: a, c: c, set: set, project: p, homes: map[string]string{}, sops: map[string]bool{}, keys: map[*reconcile.Object]skeletonKey{}, known: map[string]bool{}}
	if x.out, err = x.folder(); err != nil {
		return err
	}
	options := reconcile.ExportOptions{All: c.All, References: c.WithReferences, Complete: c.Complete}
	if options.Select, err = selections(set, c.Select); err != nil {
		return err
	}
	if options.Ownership.Owner, err = a.owner(c.ownerFlag, p); err != nil {
		return err
	}
	if p != nil {
		options.Ownership.Mark, options.IgnoreChanges = p.Mark, p.IgnoreChanges
	}
	client, err := a.connect(c.serverFlags, p, set)
	if err != nil {
		return err
	}
	list, err := x.read()
	if err != nil || list.HasErrors() {
		return failed(list, err)
	}
	exports, more, err := reconcile.Export(a.ctx, set, client, x.documents, options, x.take)
	list = append(list, more...).Sorted()
	if err != nil || exports == nil {
		return failed(list, err)
	}
	return x.finish(exports, list)
}

// exportRun is one run of export.
type exportRun struct {
	a       *app
	c       *exportCommand
	set     *schema.Set
	project *project
	out     string // absolute folder

	docs      []reconcile.Document
	documents *reconcile.State
	fresh     []*freshDocument
	changed   []*reconcile.Exported // with documents that have to change
	// homes are the files that have documents of a kind and of what its objects
	// hang on.
	homes     map[string]string
	keys      map[*reconcile.Object]skeletonKey
	sops      map[string]bool                  // whether a file is one of sops
	placed    map[string]map[string][]docPlace // see places
	elsewhere int                              // objects that documents outside of the folder declare
	unset     []string
	todo      []string // skeletons of secrets
	// recipients are those that skeletons are encrypted for; known those that an
	// existing sops file has.
	recipients []string
	known      map[string]bool
	mu         sync.Mutex // of known: files are read by several goroutines
	kept       int        // documents that stay as they are
}

// freshDocument is a new document.
type freshDocument struct {
	kind   *schema.Kind
	row    reconcile.RowID
	key    string // what it is sorted by
	home   string
	text   string
	file   string            // where it goes, once that is decided
	object *reconcile.Object // live; nil for kinds without secrets
}

// folder is where the manifests go.
func (x *exportRun) folder() (string, error) {
	if x.c.Out == "" {
		return "", usagef("--out is empty: name the folder that the manifests are written to")
	}
	out, err := filepath.Abs(x.c.Out)
	if err != nil {
		return "", err
	}
	if err := x.noLink(out); err != nil {
		return "", err
	}
	info, err := os.Stat(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return out, nil
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", usagef("--out %s: this is not a folder", x.c.Out)
	}
	return out, nil
}

// noLink refuses a folder that is a symbolic link, or that one in the repository
// leads to: a pull request may bring such a link along.
func (x *exportRun) noLink(out string) error {
	top := filepath.Dir(out)
	if x.project != nil && below(x.project.root, out) {
		top = x.project.root
	}
	for path := out; path != top; path = filepath.Dir(path) {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return usagef("--out %s: %s is a symbolic link, and nothing is written through one", x.c.Out, relative(x.a.dir, path))
		}
	}
	return nil
}

// read takes in the documents that are there: those of the folder, and where it
// belongs to the project, the project's other ones, so that nothing is declared
// twice. No key is needed.
func (x *exportRun) read() (reconcile.Diagnostics, error) {
	var paths []string
	if _, err := os.Stat(x.out); err == nil {
		paths = append(paths, relative(x.a.dir, x.out))
	}
	if x.belongs() {
		for _, path := range x.project.Manifests {
			if _, err := os.Stat(path); err == nil {
				paths = append(paths, relative(x.a.dir, path))
			}
		}
	}
	x.documents = &reconcile.State{}
	if len(paths) == 0 {
		return nil, nil
	}
	open, err := x.a.opener(secrets.Options{Env: x.a.env.Get, NoDecrypt: true}, x.knows)
	if err != nil {
		return nil, err
	}
	docs, list := manifest.Load(x.a.ctx, paths, manifest.Options{Decrypt: open})
	if err := x.a.ctx.Err(); err != nil {
		return nil, err
	}
	list = withoutExpected(list)
	x.docs = docs
	var more reconcile.Diagnostics
	x.documents, more = reconcile.Desired(x.set, docs, x.desiredOptions())
	return append(list, more...).Sorted(), nil
}

func (x *exportRun) desiredOptions() reconcile.DesiredOptions {
	return desiredOptions(manifestFlags{}, x.project)
}

// withoutExpected drops that a folder has no manifests, or skeletons of secrets:
// that is what export is for.
func withoutExpected(list reconcile.Diagnostics) reconcile.Diagnostics {
	var out reconcile.Diagnostics
	for _, d := range list {
		if d.Code != "no-manifests" && d.Code != reconcile.SecretUnfilled.Code {
			out = append(out, d)
		}
	}
	return out
}

// belongs reports whether the project's manifests and the folder overlap.
func (x *exportRun) belongs() bool {
	if x.project == nil {
		return false
	}
	for _, path := range x.project.Manifests {
		if below(path, x.out) || below(x.out, path) {
			return true
		}
	}
	return false
}

// below reports whether a path is a folder or in it; both are absolute.
func below(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

// inside reports whether a file, as positions name it, is in the folder.
func (x *exportRun) inside(file string) bool {
	path := filepath.FromSlash(file)
	if !filepath.IsAbs(path) {
		path = filepath.Join(x.a.dir, path)
	}
	return below(x.out, path)
}

// take notes what becomes of one exported object.
func (x *exportRun) take(o *reconcile.Exported) error {
	kind := o.Object.Kind
	d := o.Object.Peer
	if hasSecrets(kind) {
		owner := o.Object
		if d != nil {
			owner = d
		}
		x.keys[owner] = keyOf(o)
	}
	if d == nil {
		fresh := &freshDocument{kind: kind, row: o.Object.Row, key: o.Object.Key, home: o.Home, text: render.ManifestText(o)}
		if hasSecrets(kind) { // of the others nothing is kept but their text: there may be very many
			fresh.object = o.Object
		}
		x.fresh = append(x.fresh, fresh)
		return nil
	}
	file := d.Doc.Pos.File
	if len(o.Unset) > 0 {
		x.unset = append(x.unset, fmt.Sprintf("%s: %s", d.Label(), strings.Join(o.Unset, ", ")))
	}
	switch {
	case !x.inside(file):
		x.elsewhere++
	case len(o.Edits) > 0:
		x.changed = append(x.changed, o)
	default:
		x.kept++
	}
	if at := kind.Name + "\x00" + o.Home; x.inside(file) && (x.homes[at] == "" || file < x.homes[at]) {
		x.homes[at] = file
	}
	return nil
}

func hasSecrets(k *schema.Kind) bool {
	for _, f := range k.Fields {
		if f.WriteOnly {
			return true
		}
	}
	return false
}

// knows notes for whom an existing file is encrypted.
func (x *exportRun) knows(_ string, info secrets.Info) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range info.Keys {
		x.known[k.ID] = true
	}
}
