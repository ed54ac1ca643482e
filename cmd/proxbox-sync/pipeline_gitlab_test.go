package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const glFile = "ci/gitlab/.gitlab-ci.yml"

// What the tests read of a GitLab pipeline.
type glJob struct {
	Extends, Stage string
	Before         []string `yaml:"before_script"`
	Script         []string
	Rules          []struct{ If, When string }
	Needs          []glNeed
	Environment    struct{ Name string }
	Artifacts      struct {
		When  string
		Paths []string
	}
}

// glNeed is a job's name, alone or under a key.
type glNeed struct{ Job string }

func (n *glNeed) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		n.Job = node.Value
		return nil
	}
	return node.Decode((*struct{ Job string })(n))
}

// glSecrets are what is set beside the file, by environment.
func (w *ciWorld) glSecrets(environment string) map[string]string {
	switch environment {
	case "netbox/plan":
		return map[string]string{"NETBOX_TOKEN": viewToken}
	case "netbox/note":
		return map[string]string{"NOTE_TOKEN": w.platform.token("note", "project_42_bot_1", map[string]string{"api": "write"})}
	case "netbox/approved":
		return map[string]string{"READ_TOKEN": w.platform.token("read", "project_42_bot_2", map[string]string{"api": "read", "artifacts": "read"})}
	case "netbox/apply":
		return map[string]string{"NETBOX_TOKEN": writeToken, "SOPS_AGE_KEY": w.key}
	case "netbox/rehearsal":
		return map[string]string{"SOPS_AGE_KEY": w.key}
	}
	return nil
}

// glPipeline reads the file: its variables, its stages, and the jobs that run.
func (w *ciWorld) glPipeline(t *testing.T) (variables map[string]string, stages []string, jobs map[string]glJob) {
	var head struct {
		Variables map[string]string
		Stages    []string
	}
	var doc map[string]yaml.Node
	text := w.file(t, glFile)
	require.NoError(t, yaml.Unmarshal(text, &head))
	require.NoError(t, yaml.Unmarshal(text, &doc))
	all := map[string]glJob{}
	for name, node := range doc {
		if slices.Contains([]string{"workflow", "stages", "variables", "default"}, name) {
			continue
		}
		var job glJob
		require.NoError(t, node.Decode(&job), name)
		all[name] = job
	}
	jobs = map[string]glJob{}
	for name, job := range all {
		if !strings.HasPrefix(name, ".") {
			job.Before = all[job.Extends].Before
			jobs[name] = job
		}
	}
	return head.Variables, head.Stages, jobs
}

// glRun runs the pipeline of an event as GitLab would. A job that waits for
// somebody runs when manual names it.
func (w *ciWorld) glRun(t *testing.T, event map[string]string, manual string) map[string]ended {
	t.Helper()
	variables, stages, jobs := w.glPipeline(t)
	env := maps.Clone(variables)
	maps.Copy(env, map[string]string{"CI_API_V4_URL": "https://gitlab.example.net/api/v4", "CI_PROJECT_ID": "42", "CI_DEFAULT_BRANCH": "main",
		"GITLAB_CI": "true"})
	maps.Copy(env, event)
	w.runs++
	env["CI_PIPELINE_URL"] = fmt.Sprintf("https://gitlab.example.net/acme/netbox/-/pipelines/%d", w.runs)
	out := map[string]ended{}
	dirs := map[string]string{} // of artifacts
	failed := false             // in an earlier stage
	for _, stage := range stages {
		isFailing := failed
		for _, name := range slices.Sorted(maps.Keys(jobs)) {
			job := jobs[name]
			if job.Stage != stage {
				continue
			}
			when := job.when(t, env)
			held := failed
			if len(job.Needs) > 0 {
				held = slices.ContainsFunc(job.Needs, func(n glNeed) bool { return out[n.Job].code != 0 })
			}
			if when == "" || when == "manual" && manual != name || when == "on_success" && held {
				out[name] = ended{result: "skipped"}
				continue
			}
			out[name], dirs[name] = w.glJob(t, name, job, env, dirs)
			isFailing = isFailing || out[name].code != 0
		}
		failed = isFailing
	}
	return out
}

// when says under which condition an event starts a job, "" for none.
func (j glJob) when(t *testing.T, env map[string]string) string {
	for _, rule := range j.Rules {
		if evaluate(t, rule.If, func(name string) string { return env[strings.TrimPrefix(name, "$")] }) {
			if rule.When == "" {
				return "on_success"
			}
			return rule.When
		}
	}
	return ""
}

func (w *ciWorld) glJob(t *testing.T, name string, job glJob, env map[string]string, dirs map[string]string) (ended, string) {
	w.jobs++
	id := fmt.Sprint(100 + w.jobs)
	env = maps.Clone(env)
	env["CI_JOB_ID"] = id
	maps.Copy(env, w.glSecrets(job.Environment.Name))
	at, bin := t.TempDir(), t.TempDir()
	require.NoError(t, os.CopyFS(at, os.DirFS(w.repo)))
	for _, need := range job.Needs {
		if dirs[need.Job] != "" {
			require.NoError(t, os.CopyFS(at, os.DirFS(dirs[need.Job])))
		}
	}
	// One shell for all entries, and a folder for programs that is not this machine's.
	script := strings.ReplaceAll(strings.Join(append(slices.Clone(job.Before), job.Script...), "\n"), "/usr/local/bin/", bin+"/")
	var log strings.Builder
	code := w.bash(t, ".gitlab-ci.yml#"+name, at, script, []string{bin}, env, &log)
	out := ended{result: "success", code: code, log: log.String()}
	if code != 0 {
		out.result = "failure"
	}
	if code != 0 && job.Artifacts.When != "always" {
		return out, ""
	}
	kept := t.TempDir()
	for _, path := range job.Artifacts.Paths {
		if info, err := os.Stat(filepath.Join(at, path)); err == nil && info.IsDir() {
			require.NoError(t, os.CopyFS(filepath.Join(kept, path), os.DirFS(filepath.Join(at, path))))
			w.platform.keep(t, id+"/artifacts/"+strings.TrimSuffix(path, "/"), filepath.Join(at, path))
		}
	}
	return out, kept
}
