package main

import (
	"runtime"
	"runtime/debug"

	"proxbox-sync/reconcile/render"
)

// release and commit are of a release build, set by the linker
// (-X main.release=v1.2.3): Go's own stamp would differ with where it is built.
var release, commit string

type versionCommand struct {
	Format string `help:"Form of the result: ${enum}." enum:"text,json" default:"text" group:"Output"`
}

func (c *versionCommand) result() (string, bool) { return render.VersionFormat, c.Format == "json" }

func (c *versionCommand) Run(a *app) error {
	if c.Format == "json" {
		return render.VersionJSON(a.stdout, aboutBuild())
	}
	return render.Version(a.stdout, aboutBuild(), a.style())
}

// aboutBuild says what the linker knows of the program.
func aboutBuild() render.About {
	about := render.About{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		if v := info.Main.Version; v != "" && v != "(devel)" {
			about.Version = v
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				about.Commit = s.Value
			case "vcs.modified":
				about.Modified = s.Value == "true"
			}
		}
		for _, m := range info.Deps {
			if m.Path == "github.com/getsops/sops/v3" {
				about.Sops = m.Version
			}
		}
	}
	if release != "" {
		about.Version = release
	}
	if commit != "" {
		about.Commit = commit
	}
	return about
}
