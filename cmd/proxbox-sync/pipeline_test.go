package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"proxbox-sync/examples"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// pipeline is what the example pipelines have in common: by job, the commands of
// this program, each with the environment that it gets.
type pipeline map[string][]ciStep

type ciStep struct {
	command string
	env     map[string]string
}

const (
	viewToken  = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"
	writeToken = "bbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
)

// ciSecrets are what is set beside the pipeline file, by job.
func ciSecrets(t *testing.T) map[string]map[string]string {
	key, err := examples.Files.ReadFile("homelab/" + examples.ThrowAwayKey)
	require.NoError(t, err)
	return map[string]map[string]string{
		"plan":  {"NETBOX_TOKEN": viewToken},
		"apply": {"NETBOX_TOKEN": writeToken, "SOPS_AGE_KEY": string(key)},
	}
}

var ciSecret = regexp.MustCompile(`^\$\{\{ secrets\.([A-Z_]+) }}$`)

func githubPipeline(t *testing.T, file []byte) pipeline {
	var doc struct {
		Env  map[string]string
		Jobs map[string]struct {
			Env   map[string]string
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(file, &doc))
	out := pipeline{}
	for name, job := range doc.Jobs {
		for _, step := range job.Steps {
			env := map[string]string{}
			for _, list := range []map[string]string{doc.Env, job.Env, step.Env} {
				maps.Copy(env, list)
			}
			for variable, v := range env {
				if found := ciSecret.FindStringSubmatch(v); found != nil {
					value, ok := ciSecrets(t)[name][found[1]]
					require.True(t, ok, "the job %s has no secret %s", name, found[1])
					env[variable] = value
				}
			}
			out.add(name, step.Run, env)
		}
	}
	return out
}

func gitlabPipeline(t *testing.T, file []byte) pipeline {
	var doc map[string]yaml.Node
	require.NoError(t, yaml.Unmarshal(file, &doc))
	variables := map[string]string{}
	common := doc["variables"]
	require.NoError(t, common.Decode(&variables))
	out := pipeline{}
	for name, secrets := range ciSecrets(t) {
		var job struct {
			Variables map[string]string
			Script    []string
		}
		node := doc[name]
		require.NoError(t, node.Decode(&job))
		env := map[string]string{}
		for _, list := range []map[string]string{variables, secrets, job.Variables} {
			maps.Copy(env, list)
		}
		for _, command := range job.Script {
			out.add(name, command, env)
		}
	}
	return out
}

func (p pipeline) add(job, command string, env map[string]string) {
	if strings.HasPrefix(command, "proxbox-sync ") {
		p[job] = append(p[job], ciStep{strings.TrimSpace(command), env})
	}
}

// run runs a job as its pipeline would, with the server in its place, until a
// command fails.
func (p pipeline) run(t *testing.T, job, url string) []outcome {
	require.NotEmpty(t, p[job], "the job %s runs nothing", job)
	var out []outcome
	for _, step := range p[job] {
		var env []string
		for name, v := range step.env {
			env = append(env, name+"="+strings.ReplaceAll(v, "https://netbox.example.net", url))
		}
		got := runWith(t.Context(), env, strings.Fields(step.command)[1:]...)
		require.Equal(t, int(exitDone), got.code, "%s: %s%s", step.command, got.stdout, got.stderr)
		require.NotContains(t, got.stdout+got.stderr, "warning: the environment variable")
		for _, secret := range []string{viewToken, writeToken, "AGE-SECRET-KEY"} {
			require.NotContains(t, got.stdout+got.stderr, secret)
		}
		out = append(out, got)
	}
	return out
}

func TestThePipelinesOfTheExamplesPlanAndApply(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		read func(*testing.T, []byte) pipeline
	}{
		"GitHub": {"ci/github/.github/workflows/netbox.yaml", githubPipeline},
		"GitLab": {"ci/gitlab/.gitlab-ci.yml", gitlabPipeline},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := examples.Files.ReadFile(c.file)
			require.NoError(t, err)
			jobs := c.read(t, file)
			var written atomic.Int32
			s, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
			require.NoError(t, err)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet && r.Method != http.MethodOptions {
					written.Add(1)
				}
				s.ServeHTTP(w, r)
			}))
			defer server.Close()
			require.NoError(t, s.AddToken(sandbox.TokenSpec{Token: viewToken, Permissions: []sandbox.Permission{{Actions: []string{"view"}}}}))
			require.NoError(t, s.AddToken(sandbox.TokenSpec{Token: writeToken, Write: true,
				Permissions: []sandbox.Permission{{Actions: []string{"view", "add", "change"}}}}))
			checkOutHomelab(t, server.URL)
			admin := []string{"PROXBOX_SYNC_URL=" + server.URL, "NETBOX_TOKEN=" + scriptToken}
			require.Zero(t, runWith(t.Context(), admin, "init", "--auto-approve").code)

			written.Store(0)
			require.Regexp(t, `Plan: \d+ to create`, jobs.run(t, "plan", server.URL)[0].stdout)
			require.Zero(t, written.Load(), "a plan writes nothing")
			applied := jobs.run(t, "apply", server.URL)
			require.Positive(t, written.Load())
			require.Contains(t, applied[len(applied)-1].stdout, "No changes.")
			require.Contains(t, jobs.run(t, "plan", server.URL)[0].stdout, "No changes.")
		})
	}
}

// checkOutHomelab makes the example the working directory, as a job finds it.
func checkOutHomelab(t *testing.T, url string) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(exampleDir, "homelab"))))
	require.NoError(t, os.Mkdir(filepath.Join(dir, ".git"), 0o700)) // the search for a project file ends here
	file := filepath.Join(dir, projectName)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	const there = "https://netbox.home.example"
	require.Contains(t, string(text), there)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), there, url)), 0o600))
	t.Chdir(dir)
}
