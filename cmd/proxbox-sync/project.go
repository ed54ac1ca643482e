package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"proxbox-sync/reconcile"
)

const (
	projectName = "proxbox-sync.yaml"
	// maxProjectBytes bounds the project file and what it points to.
	maxProjectBytes = 1 << 20
)

// tokenEnvPattern is what variables a project file may name: a pull request
// must not send some other secret of the environment to the server.
var tokenEnvPattern = regexp.MustCompile(`^(PROXBOX_SYNC|NETBOX)_[A-Z0-9_]*TOKEN[A-Z0-9_]*$`)

// project is the project file: what would otherwise be flags, as far as a file
// that pull requests may change is allowed to decide it.
type project struct {
	file string // as shown, relative to the working directory
	dir  string // absolute folder of the file
	root string // absolute folder of the repository; dir where there is none
	from string // absolute working directory

	URL           string
	TokenEnv      string
	TokenFile     string
	CAFile        string
	Manifests     []string
	IgnoreChanges map[string][]string
	Owner         string
	Mark          []string // core kinds that are marked and pruned as well
	Prune         *bool
	prunePos      reconcile.Position
	Limits        limits
	IgnoreRisks   []reconcile.RiskIgnore // risk rules that are turned off
}

// limits are those of the project file.
type limits struct {
	MaxDeletes, MaxDeletePercent, MaxUpdates, MaxUpdatePercent limit
}

// limit is one number of the project file, nil where it has none.
type limit struct {
	name string // as in the file
	pos  reconcile.Position
	n    *int
}

// findProject looks for the project file in dir and above, up to the folder
// that has a .git, or the root. It returns nil when there is none.
func findProject(dir string) (*project, error) { return projectAt(dir, dir) }

// projectAt looks for the project file in folder and above; its paths are shown
// as seen from dir.
func projectAt(dir, folder string) (*project, error) {
	here := folder
	var file string
	for {
		candidate := filepath.Join(here, projectName)
		if _, err := os.Lstat(candidate); err == nil && file == "" {
			file = candidate
		}
		_, err := os.Lstat(filepath.Join(here, ".git"))
		inRepository := err == nil
		up := filepath.Dir(here)
		if inRepository || up == here {
			if file == "" {
				return nil, nil
			}
			root := filepath.Dir(file)
			if inRepository {
				root = here
			}
			return readProject(dir, file, root)
		}
		here = up
	}
}

func readProject(dir, file, root string) (*project, error) {
	p := &project{file: relative(dir, file), dir: filepath.Dir(file), root: root, from: dir}
	data, err := p.read(file)
	if err != nil {
		return nil, fmt.Errorf("reading the project file: %w", err)
	}
	list := p.decode(data)
	if list.HasErrors() {
		return nil, &failure{list: list.Sorted()}
	}
	return p, nil
}

// relative shortens a path for display.
func relative(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil {
		return filepath.ToSlash(rel)
	}
	return file
}

// read returns a regular file inside the repository.
func (p *project) read(file string) ([]byte, error) { return readInside(p.root, file, maxProjectBytes) }

// readInside returns a regular file inside a folder; a symlink out of it is
// refused by os.Root.
func readInside(dir, file string, limit int64) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	rel, err := filepath.Rel(dir, file)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(rel)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: rel, Err: errors.New("not a regular file")}
	}
	f, err := root.Open(rel)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLimited(f, limit)
}

// inside turns a path of the project file into an absolute one, which must not
// leave the repository.
func (p *project) inside(path string) (string, error) {
	if filepath.IsAbs(path) {
		return "", errors.New("must be relative to the project file")
	}
	abs := filepath.Join(p.dir, filepath.FromSlash(path))
	rel, err := filepath.Rel(p.root, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return "", errors.New("must not leave the repository")
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		realRoot, err := filepath.EvalSymlinks(p.root)
		if err != nil {
			return "", err
		}
		if rel, err := filepath.Rel(realRoot, real); err != nil || !filepath.IsLocal(rel) {
			return "", errors.New("is a link that leaves the repository")
		}
	}
	return abs, nil
}

// readLimited reads all of r, or fails when it has more than limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	return data, nil
}
