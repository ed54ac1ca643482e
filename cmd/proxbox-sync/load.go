package main

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/secrets"
)

// needKey says what becomes of a sops file that no key is at hand for.
type needKey bool

const (
	keyOptional needKey = false // its secrets stay sealed
	keyRequired needKey = true  // it is an error
)

// manyDocuments is from how many on garbage is collected twice as often as usual:
// it takes a tenth to a quarter more computing, and less memory by as much.
const manyDocuments = 20_000

// documents reads the manifests that the arguments or the project file name.
func (a *app) documents(f manifestFlags, p *project, key needKey) ([]reconcile.Document, reconcile.Diagnostics, error) {
	options := manifest.Options{Stdin: a.stdin}
	paths := f.Paths
	if len(paths) == 0 {
		if p == nil || len(p.Manifests) == 0 {
			return nil, nil, usagef("no manifests: name files or folders, or list them under manifests in %s", projectName)
		}
		for _, abs := range p.Manifests {
			paths = append(paths, relative(a.dir, abs))
		}
		options.Within = p.root
	}
	if slices.Contains(paths, "") {
		return nil, nil, usagef("an empty path among the manifests: is a variable not set? The working directory is written as .")
	}
	var err error
	checked := newRecipients(a.dir, p)
	options.Decrypt, err = a.opener(secrets.Options{
		Env: a.env.Get, NoDecrypt: f.NoDecrypt, SealWithoutKey: key == keyOptional, AllowedKeys: f.AllowKey,
	}, checked.check)
	if err != nil {
		return nil, nil, usagef("--allow-key: %w", err)
	}
	docs, list := manifest.Load(a.ctx, paths, options)
	if len(docs) >= manyDocuments && a.env.Get("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	if err := a.ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("reading the manifests: %w", err)
	}
	if err := a.sparesManifests(docs, list); err != nil {
		return nil, nil, err
	}
	return docs, append(list, checked.found...).Sorted(), nil
}

// sparesManifests refuses to write a result over a file that was read. Nothing is
// written then, not even why.
func (a *app) sparesManifests(docs []reconcile.Document, list reconcile.Diagnostics) error {
	outputs := map[string]string{} // flag by file
	for _, t := range a.report.targets {
		outputs[t.file] = "--report " + t.format + "=" + t.file
	}
	outputs[a.report.plan] = "--out " + a.report.plan
	delete(outputs, "")
	delete(outputs, "-")
	if len(outputs) == 0 {
		return nil
	}
	files := map[string]bool{}
	for _, d := range docs {
		files[d.Pos.File] = true
	}
	for _, d := range list {
		files[d.Pos.File] = true
	}
	delete(files, "")
	for _, out := range slices.Sorted(maps.Keys(outputs)) {
		for file := range files {
			if sameFile(out, file) {
				a.report.targets = nil
				return usagef("%s: that file is one of the manifests; write to another one", outputs[out])
			}
		}
	}
	return nil
}

// opener returns the function by which manifests get their secrets opened.
// opened, if not nil, is told what each good file says of itself.
func (a *app) opener(o secrets.Options, opened func(string, secrets.Info)) (func(string, []byte) (map[string]reconcile.Secret, error), error) {
	opener, err := secrets.New(o)
	if err != nil {
		return nil, err
	}
	return func(file string, data []byte) (map[string]reconcile.Secret, error) {
		values, info, err := opener.Open(a.ctx, file, data)
		if err == nil && opened != nil {
			opened(file, info)
		}
		if err == nil {
			a.log.Debug("read a sops file", "file", file, "secrets", len(values))
		}
		return values, err
	}, nil
}

// desiredOptions are what flags and project file say about manifests.
func desiredOptions(f manifestFlags, p *project) reconcile.DesiredOptions {
	o := reconcile.DesiredOptions{AllowPlaintextSecrets: f.AllowPlaintextSecrets}
	if p != nil {
		o.IgnoreChanges = p.IgnoreChanges
	}
	return o
}
