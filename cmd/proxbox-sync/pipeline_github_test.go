package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// What the tests read of a workflow, and of a composite action.
type ghWorkflow struct {
	Env         map[string]string
	Permissions map[string]string
	Jobs        map[string]ghJob
}

type ghJob struct {
	If, Needs, Environment string
	Timeout                int `yaml:"timeout-minutes"`
	Permissions            map[string]string
	Outputs                map[string]string
	Steps                  []ghStep
}

type ghStep struct {
	ID, Name, If, Uses, Run string
	With, Env               map[string]string
	ContinueOnError         bool `yaml:"continue-on-error"`
}

type ghAction struct {
	Inputs  map[string]struct{ Default string }
	Outputs map[string]struct{ Value string }
	Runs    struct{ Steps []ghStep }
}

const (
	ghFolder   = "ci/github/.github/"
	ghOwn      = "./.github/actions/proxbox-sync"
	ghActionAt = ghFolder + "actions/proxbox-sync/action.yml"
)

// ghSecrets are what is set beside the files, by environment.
func (w *ciWorld) ghSecrets(environment string) map[string]string {
	switch environment {
	case "netbox-plan":
		return map[string]string{"NETBOX_TOKEN": viewToken}
	case "netbox-apply":
		return map[string]string{"NETBOX_TOKEN": writeToken, "SOPS_AGE_KEY": w.key}
	case "netbox-rehearsal":
		return map[string]string{"SOPS_AGE_KEY": w.key}
	}
	return nil
}

// ended is what a job came to.
type ended struct {
	result  string // success, failure, skipped
	code    int    // of the step that failed
	outputs map[string]string
	log     string
}

// ghRun runs a workflow as GitHub would on an event: its jobs in the order of
// their needs, each on a machine of its own. event has the context's values.
func (w *ciWorld) ghRun(t *testing.T, name string, event map[string]string) map[string]ended {
	t.Helper()
	var flow ghWorkflow
	require.NoError(t, yaml.Unmarshal(w.file(t, ghFolder+"workflows/"+name+".yaml"), &flow))
	w.runs++
	event = maps.Clone(event)
	event["github.run_id"] = strconv.Itoa(w.runs)
	out := map[string]ended{}
	for len(out) < len(flow.Jobs) {
		before := len(out)
		for _, id := range slices.Sorted(maps.Keys(flow.Jobs)) {
			job := flow.Jobs[id]
			if _, isDone := out[id]; isDone {
				continue
			}
			needed, isReady := out[job.Needs]
			if job.Needs != "" && !isReady {
				continue
			}
			m := w.ghMachine(t, name+".yaml#"+id, flow, job, event)
			for k, v := range needed.outputs {
				m.context["needs."+job.Needs+".outputs."+k] = v
			}
			m.context["needs."+job.Needs+".result"] = needed.result
			out[id] = m.job(t, job, needed)
		}
		require.Greater(t, len(out), before, "%s: jobs that need each other", name)
	}
	return out
}

// machine runs one job.
type machine struct {
	*ciWorld
	name           string
	context        map[string]string // "github.sha" and so on
	env            map[string]string // of workflow and job
	home, temp, at string            // at is the working directory
	path           []string          // what steps added to PATH
	log            strings.Builder
	failed         int
}

func (w *ciWorld) ghMachine(t *testing.T, name string, flow ghWorkflow, job ghJob, event map[string]string) *machine {
	m := &machine{ciWorld: w, name: name, context: maps.Clone(event), env: map[string]string{}, home: t.TempDir(), temp: t.TempDir(), at: t.TempDir()}
	maps.Copy(m.env, flow.Env)
	maps.Copy(m.env, map[string]string{"GITHUB_SHA": event["github.sha"], "GITHUB_REPOSITORY": "acme/netbox", "GITHUB_RUN_ID": event["github.run_id"],
		"GITHUB_SERVER_URL": "https://github.example", "GITHUB_ACTIONS": "true", "RUNNER_TEMP": m.temp})
	m.context["runner.temp"] = m.temp
	m.context["github.token"] = w.platform.token(name, "github-actions[bot]", job.Permissions)
	if event["github.event.pull_request.head.repo.full_name"] != "acme/fork" { // a fork gets none
		for k, v := range w.ghSecrets(job.Environment) {
			m.context["secrets."+k] = v
		}
	}
	return m
}

func (m *machine) job(t *testing.T, job ghJob, needed ended) ended {
	runs := job.Needs == "" || needed.result == "success"
	if job.If != "" {
		runs = evaluate(t, job.If, m.lookup(t)) && (runs || strings.Contains(job.If, "cancelled()"))
	}
	if !runs {
		return ended{result: "skipped"}
	}
	for _, step := range job.Steps {
		m.step(t, step, m.name)
	}
	out := ended{result: "success", code: m.failed, outputs: map[string]string{}, log: m.log.String()}
	if m.failed != 0 {
		out.result = "failure"
	}
	for k, v := range job.Outputs {
		out.outputs[k] = m.expand(t, v)
	}
	return out
}

func (m *machine) step(t *testing.T, step ghStep, in string) {
	if step.If == "" && m.failed != 0 || step.If != "" && !evaluate(t, step.If, m.lookup(t)) {
		return
	}
	code := 0
	switch action, _, _ := strings.Cut(step.Uses, "@"); action {
	case "":
		code = m.script(t, step, in+"/"+step.Name)
	case "actions/checkout":
		require.NoError(t, os.CopyFS(m.at, os.DirFS(m.repo)))
	case "actions/upload-artifact":
		m.upload(t, step.With)
	case "actions/download-artifact":
		code = m.download(t, step.With)
	case ghOwn:
		code = m.composite(t, step)
	default:
		t.Fatalf("%s: nothing stands in for %s", in, step.Uses)
	}
	if code != 0 && !step.ContinueOnError && m.failed == 0 {
		m.failed = code
	}
}

// script runs a step's commands as the runner's bash does.
func (m *machine) script(t *testing.T, step ghStep, name string) int {
	files := map[string]string{}
	env := maps.Clone(m.env)
	for _, v := range []string{"GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"} {
		files[v] = filepath.Join(t.TempDir(), v)
		require.NoError(t, os.WriteFile(files[v], nil, 0o600))
		env[v] = files[v]
	}
	for k, v := range step.Env {
		env[k] = m.expand(t, v)
	}
	code := m.bash(t, name, m.at, step.Run, m.path, env, &m.log)
	read := func(name string) []string {
		data, err := os.ReadFile(files[name])
		require.NoError(t, err)
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	for _, line := range read("GITHUB_OUTPUT") {
		k, v, _ := strings.Cut(line, "=")
		m.context["steps."+step.ID+".outputs."+k] = v
	}
	m.path = append(read("GITHUB_PATH"), m.path...)
	m.log.WriteString(strings.Join(read("GITHUB_STEP_SUMMARY"), "\n"))
	return code
}

// composite runs the action of the examples. It sees its inputs, and the
// environment of the step that uses it.
func (m *machine) composite(t *testing.T, step ghStep) int {
	var action ghAction
	require.NoError(t, yaml.Unmarshal(m.file(t, ghActionAt), &action))
	outer, env, failed := m.context, m.env, m.failed
	defer func() { m.env, m.failed = env, failed }()
	m.context, m.env, m.failed = maps.Clone(outer), maps.Clone(env), 0
	for k, v := range step.Env {
		m.env[k] = m.expand(t, v)
	}
	for k, input := range action.Inputs {
		m.context["inputs."+k] = input.Default
	}
	for k, v := range step.With {
		require.Contains(t, action.Inputs, k, "an input that the action doesn't have")
		m.context["inputs."+k] = m.expand(t, v)
	}
	for _, inner := range action.Runs.Steps {
		m.step(t, inner, "action.yml#")
	}
	for k, output := range action.Outputs {
		outer["steps."+step.ID+".outputs."+k] = m.expand(t, output.Value)
	}
	m.context = outer
	return m.failed
}

func (m *machine) upload(t *testing.T, with map[string]string) {
	from := m.expand(t, with["path"])
	if info, err := os.Stat(from); err == nil && !info.IsDir() {
		dir := t.TempDir()
		require.NoError(t, os.Link(from, filepath.Join(dir, filepath.Base(from))))
		from = dir
	}
	if !m.platform.keep(t, m.context["github.run_id"]+"/"+with["name"], from) {
		m.log.WriteString("Warning: no files were found\n")
	}
}

func (m *machine) download(t *testing.T, with map[string]string) int {
	run := m.context["github.run_id"]
	if other := m.expand(t, with["run-id"]); other != "" {
		token := m.expand(t, with["github-token"])
		require.Equal(t, "read", m.platform.rights[token]["actions"], "another run's artifact needs actions: read")
		run = other
	}
	to := m.expand(t, with["path"])
	if !filepath.IsAbs(to) {
		to = filepath.Join(m.at, to)
	}
	if !m.platform.restore(t, run+"/"+with["name"], to) {
		m.log.WriteString("Error: Unable to download artifact(s): Artifact not found\n")
		return 1
	}
	return 0
}
