package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"proxbox-sync/reconcile/render"
)

// maxMessage bounds a change log message, in characters. NetBox keeps 200.
const maxMessage = 200

// commitVariables are where CI systems say which commit they run.
var commitVariables = []string{"GITHUB_SHA", "CI_COMMIT_SHA", "BUILD_SOURCEVERSION", "GIT_COMMIT", "BITBUCKET_COMMIT", "CIRCLE_SHA1"}

var commitPattern = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// changelogMessage is kept by the server with every change that a command makes.
func changelogMessage(env environment, command, dir, owner, digest string) string {
	text := "proxbox-sync " + command
	if owner != "" {
		text += ", owner " + owner
	}
	if len(digest) > 12 {
		text += ", plan " + digest[:12]
	}
	if commit := gitCommit(env, dir); commit != "" {
		text += ", commit " + commit[:12]
	}
	r := []rune(render.Escape(text))
	return string(r[:min(len(r), maxMessage)])
}

// gitCommit is the commit that the manifests are from, "" when it isn't known.
// Git is not run: a repository's configuration can make it run anything.
func gitCommit(env environment, dir string) string {
	for _, name := range commitVariables {
		if commit := env.Get(name); commitPattern.MatchString(commit) {
			return commit
		}
	}
	for {
		git := filepath.Join(dir, ".git")
		if info, err := os.Lstat(git); err == nil {
			if !info.IsDir() {
				return ""
			}
			return headCommit(git)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// headCommit reads HEAD of a .git folder, and the branch that it names.
func headCommit(git string) string {
	root, err := os.OpenRoot(git)
	if err != nil {
		return ""
	}
	defer root.Close()
	read := func(name string) string {
		info, err := root.Stat(name)
		if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
			return ""
		}
		data, err := root.ReadFile(name)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(data))
	}
	head := read("HEAD")
	branch, isBranch := strings.CutPrefix(head, "ref: ")
	if !isBranch {
		return validCommit(head)
	}
	if !filepath.IsLocal(branch) {
		return ""
	}
	if commit := validCommit(read(branch)); commit != "" {
		return commit
	}
	for line := range strings.Lines(read("packed-refs")) {
		if commit, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == branch {
			return validCommit(commit)
		}
	}
	return ""
}

func validCommit(text string) string {
	if commitPattern.MatchString(text) {
		return text
	}
	return ""
}
