package main

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"proxbox-sync/examples"
)

// notRun are the steps of the examples that no test runs, with the reason.
var notRun = map[string]string{
	"kubernetes/base#manifests":                                     "clones from a server of others, with an image of others",
	"container/Dockerfile#go mod download":                          "fetches modules",
	"container/Dockerfile#CGO_ENABLED=0 make build VERSION=VERSION": "builds a release, which takes minutes; make build is built elsewhere",
}

func TestEveryStepOfThePipelinesRuns(t *testing.T) {
	var ran sync.Map
	t.Run("stories", func(t *testing.T) {
		for name, story := range map[string]func(*testing.T, *sync.Map){
			"GitHub": storiesOfGitHub, "GitLab": storiesOfGitLab, "Kubernetes": storiesOfKubernetes, "pre-commit": storiesOfPreCommit,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				story(t, &ran)
			})
		}
	})
	if t.Failed() {
		return // what did not come to its end ran fewer steps
	}
	steps := stepsOf(t)
	require.Greater(t, len(steps), 20)
	for _, step := range steps {
		_, isRun := ran.Load(step)
		switch reason := notRun[step]; {
		case !isRun && reason == "":
			t.Errorf("%s: no test runs it", step)
		case isRun && reason != "":
			t.Errorf("%s: it is run, and named as not run: %s", step, reason)
		}
	}
	for _, step := range slices.Sorted(maps.Keys(notRun)) {
		require.Contains(t, steps, step, "no such step")
	}
}

// stepsOf lists everything in the examples that runs a command.
func stepsOf(t *testing.T) []string {
	var out []string
	require.NoError(t, fs.WalkDir(examples.Files, "ci", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := examples.Files.ReadFile(name)
		require.NoError(t, err)
		steps, isKnown := stepsIn(t, strings.TrimPrefix(name, "ci/"), data)
		require.True(t, isKnown, "%s: nothing says what runs in such a file", name)
		out = append(out, steps...)
		return nil
	}))
	for _, hook := range hooks(t) {
		out = append(out, ".pre-commit-hooks.yaml#"+hook.ID)
	}
	return out
}

var dockerRun = regexp.MustCompile(`(?m)^RUN (.*)$`)

func stepsIn(t *testing.T, name string, data []byte) (out []string, isKnown bool) {
	switch dir := path.Dir(name); {
	case dir == "github/.github/workflows":
		var flow ghWorkflow
		require.NoError(t, yaml.Unmarshal(data, &flow))
		for id, job := range flow.Jobs {
			for _, step := range job.Steps {
				if step.Run != "" {
					out = append(out, path.Base(name)+"#"+id+"/"+step.Name)
				}
			}
		}
	case path.Base(name) == "action.yml":
		var action ghAction
		require.NoError(t, yaml.Unmarshal(data, &action))
		for _, step := range action.Runs.Steps {
			out = append(out, "action.yml#/"+step.Name)
		}
	case name == "gitlab/.gitlab-ci.yml":
		_, _, jobs := (&ciWorld{}).glPipeline(t)
		for job := range jobs {
			out = append(out, ".gitlab-ci.yml#"+job)
		}
	case name == "container/Dockerfile":
		for _, m := range dockerRun.FindAllStringSubmatch(string(data), -1) {
			out = append(out, name+"#"+strings.NewReplacer(`"$`, "", `"`, "").Replace(m[1]))
		}
	case name == "kubernetes/base/cronjob.yaml":
		var o overlay
		require.NoError(t, yaml.Unmarshal(data, &o.job))
		for _, c := range o.pod("initContainers").([]any) {
			out = append(out, "kubernetes/base#"+nameOf(c))
		}
	case strings.HasPrefix(name, "kubernetes/overlays/") && path.Base(name) == "kustomization.yaml":
		out = append(out, dir+"#proxbox-sync")
	case strings.HasPrefix(name, "kubernetes/"), strings.HasSuffix(name, ".md"), strings.HasSuffix(name, ".dockerignore"),
		name == "pre-commit/.pre-commit-config.yaml":
	default:
		return nil, false
	}
	return out, true
}

type hook struct {
	ID, Entry, Language, Files string
	PassFilenames              bool `yaml:"pass_filenames"`
}

func hooks(t *testing.T) (out []hook) {
	data, err := os.ReadFile(filepath.Join("..", "..", ".pre-commit-hooks.yaml"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &out))
	return out
}

func storiesOfPreCommit(t *testing.T, ran *sync.Map) {
	w := newCIWorld(t, ran)
	var config struct {
		Repos []struct{ Hooks []hook }
	}
	require.NoError(t, yaml.Unmarshal(w.file(t, "ci/pre-commit/.pre-commit-config.yaml"), &config))
	var used []string
	for _, h := range config.Repos[0].Hooks {
		used = append(used, h.ID)
	}
	run := func(h hook) (int, string) {
		var log strings.Builder
		code := w.bash(t, ".pre-commit-hooks.yaml#"+h.ID, w.repo, h.Entry, []string{filepath.Dir(w.program)}, nil, &log)
		return code, log.String()
	}
	list := hooks(t)
	for _, h := range list {
		require.Contains(t, used, h.ID)
		require.False(t, h.PassFilenames, "one manifest can't be judged alone")
		code, log := run(h)
		require.Zero(t, code, log)
	}
	change(t, filepath.Join(w.repo, "inventory", "storage.yaml"), "kind: ProxmoxStorage", "kind: ProxmoxStorag")
	code, log := run(list[0])
	require.Equal(t, int(exitManifests), code)
	require.Contains(t, log, "inventory/storage.yaml:2:7")
}
