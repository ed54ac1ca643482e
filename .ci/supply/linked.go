package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// targets are what a release is built for.
var targets = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// tags are those of the Makefile: they leave parts of sops' libraries out.
const tags = "grpcnotrace,disable_grpc_modules"

// module is a module of which a package is linked for some target.
type module struct {
	path, version string
	dir           string
	needs         map[string]bool   // paths of the modules that its packages import
	texts         map[string]string // files about licences, by path from dir
	licences      []string          // as SPDX names them, sorted
}

type listed struct {
	ImportPath, Dir string
	Standard        bool
	Imports         []string
	Module          *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version, Dir string }
	}
}

// itself is the path of the program's own module.
const itself = "proxbox-sync"

// linked are the modules of the program in a folder's module, for all targets,
// sorted by path, its own among them.
func linked(root string) ([]*module, error) {
	all := map[string]*module{}
	for _, target := range targets {
		system, arch, _ := strings.Cut(target, "/")
		packages, err := list(root, system, arch)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", target, err)
		}
		home := map[string]string{}
		for _, p := range packages {
			if p.Module != nil {
				home[p.ImportPath] = p.Module.Path
			}
		}
		for _, p := range packages {
			if p.Module == nil {
				continue
			}
			if p.Module.Replace != nil {
				return nil, fmt.Errorf("%s is replaced: a release is built from what is published", p.Module.Path)
			}
			m := all[p.Module.Path]
			if m == nil {
				m = &module{path: p.Module.Path, version: p.Module.Version, dir: p.Module.Dir, needs: map[string]bool{}, texts: map[string]string{}}
				all[m.path] = m
			}
			for _, imported := range p.Imports {
				if other := home[imported]; other != "" && other != m.path {
					m.needs[other] = true
				}
			}
			if err := m.readTexts(p.Dir); err != nil {
				return nil, err
			}
		}
	}
	return judged(slices.SortedFunc(maps.Values(all), func(a, b *module) int { return strings.Compare(a.path, b.path) }))
}

// judged recognises the licences of modules, and refuses what may not be linked.
func judged(modules []*module) ([]*module, error) {
	var wrong []error
	for _, m := range modules {
		var err error
		if m.licences, err = m.recognise(); err != nil {
			wrong = append(wrong, fmt.Errorf("%s %s: %w", m.path, m.version, err))
		}
	}
	return modules, errors.Join(wrong...)
}

func list(root, system, arch string) ([]listed, error) {
	cmd := exec.Command("go", "list", "-deps", "-tags", tags, "-json=ImportPath,Dir,Standard,Imports,Module", "./cmd/proxbox-sync")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, complaint.String())
	}
	var out []listed
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
}

var aboutLicence = regexp.MustCompile(`(?i)^(li[cs]en[cs]e|unlicense|copying|copyright|notice|patents)([-._].*)?$`)

// readTexts reads the files about licences in a package's folder and in those
// above it, up to the module's: a folder can hold what others wrote.
func (m *module) readTexts(dir string) error {
	for ; strings.HasPrefix(dir, m.dir); dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if !entry.Type().IsRegular() || !aboutLicence.MatchString(entry.Name()) || filepath.Ext(entry.Name()) == ".go" {
				continue
			}
			name, err := filepath.Rel(m.dir, filepath.Join(dir, entry.Name()))
			if err != nil {
				return err
			}
			text, err := fs.ReadFile(os.DirFS(m.dir), filepath.ToSlash(name))
			if err != nil {
				return err
			}
			m.texts[filepath.ToSlash(name)] = string(text)
		}
	}
	return nil
}
