package main

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// What the tests read of a kustomization.
type kustomization struct {
	Kind                  string
	Namespace             string
	Resources, Components []string
	Patches               []struct{ Path string }
	ConfigMapGenerator    []struct {
		Name, Behavior string
		Literals       []string
	} `yaml:"configMapGenerator"`
	Images []struct{ Name, NewName, NewTag string }
}

const k8sFolder = "ci/kubernetes/"

// overlay is one NetBox of the fleet: its job and its settings.
type overlay struct {
	job    map[string]any
	config map[string]string
}

// build puts an overlay together as kustomize does, as far as the examples
// need it.
func (w *ciWorld) build(t *testing.T, dir string, into *overlay) {
	var k kustomization
	require.NoError(t, yaml.Unmarshal(w.file(t, dir+"/kustomization.yaml"), &k))
	for _, name := range append(slices.Clone(k.Resources), k.Components...) {
		if !strings.HasSuffix(name, ".yaml") {
			w.build(t, path.Join(dir, name), into)
		} else if name == "cronjob.yaml" {
			require.NoError(t, yaml.Unmarshal(w.file(t, dir+"/"+name), &into.job))
		}
	}
	for _, c := range k.ConfigMapGenerator {
		for _, literal := range c.Literals {
			name, value, _ := strings.Cut(literal, "=")
			into.config[name] = value
		}
	}
	for _, p := range k.Patches {
		var patch map[string]any
		require.NoError(t, yaml.Unmarshal(w.file(t, dir+"/"+p.Path), &patch))
		into.job = strategicMerge(into.job, patch).(map[string]any)
	}
}

// strategicMerge merges maps, and lists of named things by their names.
func strategicMerge(base, patch any) any {
	switch patch := patch.(type) {
	case map[string]any:
		old, _ := base.(map[string]any)
		out := maps.Clone(old)
		if out == nil {
			out = map[string]any{}
		}
		for k, v := range patch {
			out[k] = strategicMerge(old[k], v)
		}
		return out
	case []any:
		out, isList := base.([]any)
		if !isList || nameOf(patch[0]) == "" {
			return patch
		}
		out = slices.Clone(out)
		for _, item := range patch {
			at := slices.IndexFunc(out, func(o any) bool { return nameOf(o) == nameOf(item) })
			if at < 0 {
				out = append(out, item)
			} else {
				out[at] = strategicMerge(out[at], item)
			}
		}
		return out
	}
	return patch
}

func nameOf(v any) string {
	m, _ := v.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

// dig follows keys and, with a name, into the item of a list.
func dig(v any, keys ...string) any {
	for _, key := range keys {
		switch at := v.(type) {
		case map[string]any:
			v = at[key]
		case []any:
			i := slices.IndexFunc(at, func(o any) bool { return nameOf(o) == key })
			if i < 0 {
				return nil
			}
			v = at[i]
		}
	}
	return v
}

func (o overlay) pod(keys ...string) any {
	return dig(o.job, append([]string{"spec", "jobTemplate", "spec", "template", "spec"}, keys...)...)
}

// run runs the command of an overlay's container as its pod would: the program
// alone, with the variables that the pod gives it, in the folder of a checkout.
func (w *ciWorld) runOverlay(t *testing.T, name string) (o overlay, log string, code int) {
	o = overlay{config: map[string]string{}}
	w.build(t, k8sFolder+"overlays/"+name, &o)
	mounts := t.TempDir()
	checkout := filepath.Join(mounts, "git", "sync", ".worktrees", mainCommit)
	require.NoError(t, os.MkdirAll(filepath.Join(checkout, name), 0o755))
	require.NoError(t, os.CopyFS(filepath.Join(checkout, name), os.DirFS(w.repo)))
	require.NoError(t, os.Symlink(checkout, filepath.Join(mounts, "git", "manifests")))
	secrets := filepath.Join(mounts, "run", "secrets", "netbox")
	require.NoError(t, os.MkdirAll(secrets, 0o755))
	files := map[string]map[string]string{"netbox-reader": {"token": viewToken}, "netbox-writer": {"token": writeToken, "age.key": w.key}}
	for file, text := range files[dig(o.pod("volumes", "netbox-secret", "secret"), "secretName").(string)] {
		require.NoError(t, os.WriteFile(filepath.Join(secrets, file), []byte(text), 0o440))
	}
	container := o.pod("containers", "proxbox-sync")
	env := maps.Clone(o.config)
	for _, v := range dig(container, "env").([]any) {
		env[nameOf(v)] = strings.Replace(dig(v, "value").(string), "/run/", mounts+"/run/", 1)
	}
	command := "exec proxbox-sync"
	for _, arg := range dig(container, "args").([]any) {
		command += " '" + arg.(string) + "'"
	}
	var out strings.Builder
	code = w.bash(t, "kubernetes/overlays/"+name+"#proxbox-sync", mounts+dig(container, "workingDir").(string), command,
		[]string{filepath.Dir(w.program)}, env, &out)
	return o, out.String(), code
}

func storiesOfKubernetes(t *testing.T, ran *sync.Map) {
	w := newCIWorld(t, ran)
	// The laboratory is looked at, with a token that may read and without a key.
	o, log, code := w.runOverlay(t, "lab")
	require.Zero(t, code, log)
	require.NotContains(t, log, "drift)")
	require.Zero(t, w.writes.Load())
	require.Equal(t, "Forbid", dig(o.job, "spec", "concurrencyPolicy"))
	// Amsterdam is applied, twice: the second time there is nothing to do.
	_, log, code = w.runOverlay(t, "ams")
	require.Zero(t, code, log)
	require.Regexp(t, `Apply: \d+ applied`, log)
	require.Positive(t, w.writes.Swap(0))
	_, log, code = w.runOverlay(t, "ams")
	require.Zero(t, code, log)
	require.Zero(t, w.writes.Load())
	w.behindItsBack(t, "snippets")
	_, log, code = w.runOverlay(t, "lab")
	require.Equal(t, int(exitChanges), code)
	require.Contains(t, log, "snippets")
	require.Zero(t, w.writes.Load())
}

func TestPodsHaveNoMoreThanTheyNeed(t *testing.T) {
	for _, name := range []string{"ams", "lab"} {
		w := &ciWorld{url: "https://netbox." + name + ".example.net"}
		o := overlay{config: map[string]string{}}
		w.build(t, k8sFolder+"overlays/"+name, &o)
		require.Equal(t, false, o.pod("automountServiceAccountToken"))
		require.Equal(t, true, o.pod("securityContext", "runAsNonRoot"))
		require.Equal(t, "RuntimeDefault", o.pod("securityContext", "seccompProfile", "type"))
		for _, list := range []string{"initContainers", "containers"} {
			for _, c := range o.pod(list).([]any) {
				want := map[string]any{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []any{"ALL"}}}
				if diff := cmp.Diff(want, dig(c, "securityContext")); diff != "" {
					t.Errorf("%s: %s: %s", name, nameOf(c), diff)
				}
			}
		}
		for _, v := range []string{"PROXBOX_SYNC_URL", "PROXBOX_SYNC_ALLOWED_ORIGINS", "PROXBOX_SYNC_OWNER", "PROXBOX_SYNC_PRUNE"} {
			require.NotEmpty(t, o.config[v], "%s: %s", name, v)
		}
		require.Equal(t, o.config["PROXBOX_SYNC_URL"], o.config["PROXBOX_SYNC_ALLOWED_ORIGINS"])
	}
}

// kustomize itself, where it is at hand, must make of the overlays what the
// tests make of them.
func TestKustomizeBuildsTheSame(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("needs kubectl")
	}
	for _, name := range []string{"ams", "lab"} {
		w := &ciWorld{url: "https://netbox." + name + ".example.net"}
		o := overlay{config: map[string]string{}}
		w.build(t, k8sFolder+"overlays/"+name, &o)
		out, err := exec.CommandContext(t.Context(), "kubectl", "kustomize", filepath.Join(exampleDir, k8sFolder, "overlays", name)).Output()
		require.NoError(t, err)
		built := map[string]map[string]any{}
		for text := range strings.SplitSeq(string(out), "\n---\n") {
			var doc map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(text), &doc))
			built[doc["kind"].(string)] = doc
		}
		require.Equal(t, dig(o.job, "spec", "schedule"), dig(built["CronJob"], "spec", "schedule"))
		there := overlay{job: built["CronJob"]}
		for _, keys := range [][]string{{"containers", "proxbox-sync", "args"}, {"containers", "proxbox-sync", "workingDir"}, {"volumes", "netbox-secret"}} {
			if diff := cmp.Diff(there.pod(keys...), o.pod(keys...)); diff != "" {
				t.Errorf("%s: %v: kustomize (-), the tests (+)\n%s", name, keys, diff)
			}
		}
		for k, v := range o.config {
			require.Equal(t, v, dig(built["ConfigMap"], "data", k), k)
		}
	}
}
