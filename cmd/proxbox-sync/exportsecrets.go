package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/render"
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

// report is what is said of the run.
func (x *exportRun) report(exports *reconcile.Exports, list reconcile.Diagnostics, texts map[string][]byte) *render.ExportDocument {
	d := render.NewExportDocument(exports, list)
	d.Folder, d.Owner = relative(x.a.dir, x.out), x.a.report.owner
	d.New, d.Unchanged, d.Elsewhere = len(x.fresh), x.kept, x.elsewhere
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
	name = x.freeBase(base) + secretsEnding
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
