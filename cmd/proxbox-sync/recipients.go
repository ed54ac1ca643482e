package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/secrets"
)

const sopsConfigName = ".sops.yaml"

// recipients compares for whom sops files are encrypted with the .sops.yaml
// above each of them.
type recipients struct {
	dir    string // working directory, which file names are relative to
	within string // folder of the repository, "" for none

	mu      sync.Mutex // files are read by several goroutines
	configs map[string]*secrets.CreationRules
	found   reconcile.Diagnostics
}

func newRecipients(dir string, p *project) *recipients {
	r := &recipients{dir: dir, configs: map[string]*secrets.CreationRules{}}
	if p != nil {
		r.within = p.root
	}
	return r
}

// check compares one file.
func (r *recipients) check(file string, info secrets.Info) {
	if file == manifest.StdinName {
		return
	}
	abs := filepath.FromSlash(file)
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(r.dir, abs)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	top := r.top(abs)
	for here := filepath.Dir(abs); ; here = filepath.Dir(here) {
		if rules, ok := r.rules(top, filepath.Join(here, sopsConfigName)); ok {
			if rel, err := filepath.Rel(here, abs); err == nil && rules != nil {
				r.found = append(r.found, rules.Check(file, rel, info)...)
			}
			return
		}
		if here == top || here == filepath.Dir(here) {
			return
		}
	}
}

// top is the folder above which a file's configuration is not looked for: that
// of its repository, or its own. What lies higher is somebody else's.
func (r *recipients) top(abs string) string {
	if rel, err := filepath.Rel(r.within, abs); r.within != "" && err == nil && filepath.IsLocal(rel) {
		return r.within
	}
	for here := filepath.Dir(abs); ; here = filepath.Dir(here) {
		if _, err := os.Lstat(filepath.Join(here, ".git")); err == nil {
			return here
		}
		if here == filepath.Dir(here) {
			return filepath.Dir(abs)
		}
	}
}

// rules reads a .sops.yaml once; ok is false where there is none. One that
// can't be read is reported, and has no rules.
func (r *recipients) rules(top, file string) (rules *secrets.CreationRules, ok bool) {
	if rules, ok := r.configs[file]; ok {
		return rules, true
	}
	data, err := readInside(top, file, maxProjectBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	name := relative(r.dir, file)
	r.configs[file] = nil
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		r.unreadable(reconcile.Position{File: name}, err.Error())
		return nil, true
	}
	nodes, list := manifest.Parse(name, data, manifest.Options{})
	switch {
	case list.HasErrors():
		first := list.Errors()[0]
		r.unreadable(first.Pos, first.Summary)
		return nil, true
	case len(nodes) == 0 || nodes[0] == nil: // sops reads the first document alone
		return nil, true
	}
	rules, err = secrets.ReadCreationRules(nodes[0])
	if err != nil {
		r.unreadable(reconcile.Position{File: name}, err.Error())
		return nil, true
	}
	r.configs[file] = rules
	return rules, true
}

func (r *recipients) unreadable(pos reconcile.Position, why string) {
	d := reconcile.SopsConfig.Finding(pos)
	d.Summary += ": " + why
	r.found = append(r.found, d)
}

// creationRules are those of the .sops.yaml above a file that is yet to be
// written, and the folder of that.
func (a *app) creationRules(p *project, abs string) (*secrets.CreationRules, string, error) {
	r := newRecipients(a.dir, p)
	top := r.top(abs)
	for here := filepath.Dir(abs); ; here = filepath.Dir(here) {
		rules, ok := r.rules(top, filepath.Join(here, sopsConfigName))
		switch {
		case ok && rules != nil:
			return rules, here, nil
		case ok:
			return nil, "", fmt.Errorf("%s can't be read", relative(a.dir, filepath.Join(here, sopsConfigName)))
		case here == top || here == filepath.Dir(here):
			return nil, "", errors.New("there is no " + sopsConfigName + " that says for whom; proxbox-sync init writes one")
		}
	}
}
