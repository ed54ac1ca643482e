package main

import (
	"os"
	"path/filepath"

	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/sandbox"
)

// findProject decides which project a restore is about: that of the one folder
// which was named, if it has one, else that of the working directory. A project
// that was named is restored as a whole: its manifests are those that it lists.
func (c *restoreCommand) findProject(a *app) (*project, error) {
	if len(c.Paths) != 1 || c.Paths[0] == "" || c.Paths[0] == "-" {
		return findProject(a.dir)
	}
	folder := c.Paths[0]
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(a.dir, folder)
	}
	if _, err := os.Lstat(filepath.Join(folder, projectName)); err != nil {
		return findProject(a.dir)
	}
	p, err := projectAt(a.dir, filepath.Clean(folder))
	if err == nil && len(p.Manifests) > 0 {
		c.Paths = nil
	}
	return p, err
}

// folder is where the manifests' repository is.
func (r *restoring) folder() string {
	if r.project != nil {
		return r.project.dir
	}
	return r.dir
}

// drillServer begins the sandbox of a drill. What a write makes NetBox call
// answers there: whether it does so in reality can't be rehearsed.
func (r *restoring) drillServer() (*netbox.Client, func(), error) {
	f := r.command.serverFlags
	if f.Parallelism < 1 || f.BatchSize < 1 {
		return nil, nil, usagef("--parallelism and --batch-size: at least 1")
	}
	return r.ownSandbox(sandbox.Options{Generation: r.command.Generation, Kinds: r.set, Backends: true},
		netbox.Config{Parallelism: f.Parallelism, BatchSize: f.BatchSize, ReadLimit: int64(f.ReadLimit) << 20, Timeout: f.Timeout, UserAgent: "proxbox-sync/" + aboutBuild().Version})
}
