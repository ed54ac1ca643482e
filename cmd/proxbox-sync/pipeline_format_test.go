package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"proxbox-sync/examples"
)

// format compiles a published schema of testdata/formats, or a definition of it.
func format(t *testing.T, name, definition string) *jsonschema.Schema {
	file, err := os.Open(filepath.Join("..", "..", "testdata", "formats", name))
	require.NoError(t, err)
	defer file.Close()
	doc, err := jsonschema.UnmarshalJSON(file)
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.UseRegexpEngine(anyRegexp)
	const at = "urn:formats"
	delete(doc.(map[string]any), "$id")
	require.NoError(t, c.AddResource(at, doc))
	s, err := c.Compile(at + definition)
	require.NoError(t, err)
	return s
}

// anyRegexp takes an expression that Go's don't know (a look-ahead) for one that
// everything matches.
func anyRegexp(text string) (jsonschema.Regexp, error) {
	if r, err := regexp.Compile(text); err == nil {
		return r, nil
	}
	return regexp.Compile("")
}

// definitions are the Kubernetes objects among the examples, by kind.
var definitions = map[string]string{
	"CronJob": "io.k8s.api.batch.v1.CronJob", "NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
}

func TestOurOwnWorkflowsAreOfThePublishedForm(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", ".github", "workflows", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var doc map[string]any
		require.NoError(t, yaml.Unmarshal(data, &doc), file)
		require.NoError(t, format(t, "github-workflows.json", "").Validate(doc), file)
	}
}

func TestPipelinesAreOfThePublishedForms(t *testing.T) {
	checked := 0
	require.NoError(t, fs.WalkDir(examples.Files, "ci", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, "ml") {
			return err
		}
		data, err := examples.Files.ReadFile(name)
		require.NoError(t, err)
		var doc map[string]any
		require.NoError(t, yaml.Unmarshal(data, &doc), name)
		var s *jsonschema.Schema
		switch kind, _ := doc["kind"].(string); {
		case strings.Contains(name, "/workflows/"):
			s = format(t, "github-workflows.json", "")
		case strings.HasSuffix(name, "action.yml"):
			s = format(t, "github-actions.json", "")
		case strings.HasSuffix(name, ".gitlab-ci.yml"):
			s = format(t, "gitlab-ci.json", "")
		case kind == "CronJob" && !strings.Contains(name, "/base/"):
			return nil // a patch; what it makes is checked below
		case definitions[kind] != "":
			s = format(t, "kubernetes.json", "#/definitions/"+definitions[kind])
		case kind == "Kustomization", kind == "Component", strings.HasSuffix(name, ".pre-commit-config.yaml"):
			return nil // no schema of these is published; kustomize and pre-commit read them
		}
		require.NotNil(t, s, "%s: of what form is it?", name)
		require.NoError(t, s.Validate(doc), name)
		checked++
		return nil
	}))
	for _, name := range []string{"ams", "lab"} {
		o := overlay{config: map[string]string{}}
		(&ciWorld{url: "https://netbox." + name + ".example.net"}).build(t, k8sFolder+"overlays/"+name, &o)
		require.NoError(t, format(t, "kubernetes.json", "#/definitions/"+definitions["CronJob"]).Validate(o.job), name)
		checked++
	}
	require.Equal(t, 9, checked, "three workflows, an action, a pipeline, a job and a policy, two overlays")
}

func TestTheFormsRefuseWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ file, definition, text string }{
		"a permission that GitHub has not":  {"github-workflows.json", "", "{on: push, jobs: {a: {runs-on: x, permissions: {content: read}, steps: [{run: a}]}}}"},
		"a step that does two things":       {"github-workflows.json", "", "{on: push, jobs: {a: {runs-on: x, steps: [{run: a, uses: b}]}}}"},
		"an action's step without a shell":  {"github-actions.json", "", "{name: a, description: b, runs: {using: composite, steps: [{run: a}]}}"},
		"a GitLab job without a script":     {"gitlab-ci.json", "", "{a: {scripts: [b]}}"},
		"a field that a CronJob has not":    {"kubernetes.json", "#/definitions/" + definitions["CronJob"], "{apiVersion: batch/v1, kind: CronJob, spec: {schedules: x}}"},
		"a policy type that has no meaning": {"kubernetes.json", "#/definitions/" + definitions["NetworkPolicy"], "{apiVersion: v1, kind: NetworkPolicy}"},
	} {
		t.Run(name, func(t *testing.T) {
			var doc any
			require.NoError(t, yaml.Unmarshal([]byte(c.text), &doc))
			require.Error(t, format(t, c.file, c.definition).Validate(doc))
		})
	}
}

var pinned = regexp.MustCompile(`^[a-z-]+/[a-z-]+@[0-9a-f]{40}$`)

// What a pull request could turn against the workflows.
func TestWorkflowsGiveStrangersNothing(t *testing.T) {
	files, err := fs.Glob(examples.Files, ghFolder+"workflows/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 3)
	for _, name := range files {
		data, err := examples.Files.ReadFile(name)
		require.NoError(t, err)
		var flow ghWorkflow
		require.NoError(t, yaml.Unmarshal(data, &flow))
		require.Contains(t, string(data), "\npermissions: {}\n", "%s: rights are given by job", name)
		require.NotContains(t, string(data), "  pull_request_target:", name)
		require.Equal(t, flow.Env["PROXBOX_SYNC_URL"], flow.Env["PROXBOX_SYNC_ALLOWED_ORIGINS"])
		for id, job := range flow.Jobs {
			require.NotEmpty(t, job.Permissions, "%s: %s", name, id)
			require.NotZero(t, job.Timeout, "%s: %s", name, id)
			writes := false
			for scope, right := range job.Permissions {
				writes = writes || right == "write"
				require.NotEqual(t, "contents write", scope+" "+right)
			}
			require.False(t, writes && job.Environment != "", "%s: %s: what may write to the platform holds no secret", name, id)
			for _, step := range job.Steps {
				noExpression(t, step)
				if step.Uses != "" && step.Uses != ghOwn {
					require.Regexp(t, pinned, step.Uses)
					require.Regexp(t, regexp.QuoteMeta(step.Uses)+` # v\d+\.\d+\.\d+\n`, string(data))
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") {
					require.Equal(t, "false", step.With["persist-credentials"])
				}
			}
		}
	}
	var action ghAction
	data, err := examples.Files.ReadFile(ghActionAt)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &action))
	for _, step := range action.Runs.Steps {
		noExpression(t, step)
	}
}

// noExpression: text that others wrote must not become part of a script.
func noExpression(t *testing.T, step ghStep) {
	require.NotContains(t, step.Run, "${{", step.Name)
}

var secretName = regexp.MustCompile(`secrets\.([A-Z_]+)`)

// docs/ci.md says which job holds what.
func TestEachJobHoldsNoMoreThanItsRowSays(t *testing.T) {
	want := map[string][]string{
		"netbox-plan.yaml check": nil, "netbox-plan.yaml plan": {"netbox-plan", "NETBOX_TOKEN"}, "netbox-plan.yaml comment": nil,
		"netbox-apply.yaml approved": nil, "netbox-apply.yaml apply": {"netbox-apply", "NETBOX_TOKEN", "SOPS_AGE_KEY"},
		"netbox-nightly.yaml drift": {"netbox-plan", "NETBOX_TOKEN"}, "netbox-nightly.yaml issue": nil,
		"netbox-nightly.yaml rehearsal": {"netbox-rehearsal", "SOPS_AGE_KEY"}, ".gitlab-ci.yml rehearsal": {"netbox/rehearsal"},
		".gitlab-ci.yml check": nil, ".gitlab-ci.yml plan": {"netbox/plan"}, ".gitlab-ci.yml note": {"netbox/note"},
		".gitlab-ci.yml approved": {"netbox/approved"}, ".gitlab-ci.yml apply": {"netbox/apply"}, ".gitlab-ci.yml drift": {"netbox/plan"},
	}
	got := map[string][]string{}
	files, err := fs.Glob(examples.Files, ghFolder+"workflows/*.yaml")
	require.NoError(t, err)
	for _, name := range files {
		data, err := examples.Files.ReadFile(name)
		require.NoError(t, err)
		var flow ghWorkflow
		require.NoError(t, yaml.Unmarshal(data, &flow))
		require.NotContains(t, fmt.Sprint(flow.Env), "secrets.", "a job's secret is no other one's")
		for id, job := range flow.Jobs {
			var holds []string
			for _, found := range secretName.FindAllStringSubmatch(fmt.Sprint(job), -1) {
				holds = append(holds, found[1])
			}
			slices.Sort(holds)
			if job.Environment != "" {
				holds = append([]string{job.Environment}, slices.Compact(holds)...)
			}
			got[path.Base(name)+" "+id] = holds
		}
	}
	_, _, jobs := (&ciWorld{}).glPipeline(t)
	for name, job := range jobs {
		var holds []string
		if job.Environment.Name != "" {
			holds = []string{job.Environment.Name}
		}
		got[path.Base(glFile)+" "+name] = holds
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
