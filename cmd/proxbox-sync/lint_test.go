package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// linted runs lint in a folder.
func linted(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Chdir(dir)
	var out, problems bytes.Buffer
	code = run(t.Context(), append([]string{"lint"}, args...), nil, strings.NewReader(""), &out, &problems)
	return code, out.String(), problems.String()
}

func TestTheExamplesAreCleanOrSayWhyNot(t *testing.T) {
	for name, reasons := range map[string]int{"homelab": 0, "datacenter": 2} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := linted(t, filepath.Join(exampleDir, name), "--fail-on", "warning")
			require.Zero(t, code, stdout+stderr)
			require.Equal(t, reasons, strings.Count(stdout, " is turned off: "), stdout)
			require.Equal(t, reasons, strings.Count(stdout, ": info: "), stdout)
		})
	}
}

func TestPathsOfIgnores(t *testing.T) {
	for name, c := range map[string]struct {
		pattern, file string
		want          bool
	}{
		"a file":                             {"lab/pve.yaml", "lab/pve.yaml", true},
		"another file":                       {"lab/pve.yaml", "lab/pve2.yaml", false},
		"a folder stands for what is in it":  {"lab", "lab/a/b.yaml", true},
		"a folder with the slash":            {"lab/", "lab/b.yaml", true},
		"a folder of a longer name":          {"lab", "laboratory/b.yaml", false},
		"a folder somewhere else":            {"lab", "prod/lab/b.yaml", false},
		"everything in a folder":             {"lab/**", "lab/a/b.yaml", true},
		"any depth":                          {"**/lab/*.yaml", "a/b/lab/x.yaml", true},
		"any depth, none at all":             {"**/lab/*.yaml", "lab/x.yaml", true},
		"any depth, another name":            {"**/lab/*.yaml", "lab/x.yml", false},
		"a star stays in its folder":         {"*/x.yaml", "a/b/x.yaml", false},
		"a star":                             {"lab-*/x.yaml", "lab-1/x.yaml", true},
		"all":                                {"**", "x.yaml", true},
		"many of them":                       {strings.Repeat("**/", 400) + "x", strings.Repeat("a/", 400) + "y", false},
		"an absolute file below the project": {"lab", "/repo/lab/x.yaml", true},
		"an absolute file elsewhere":         {"**", "/elsewhere/x.yaml", false},
		"from a folder below the project":    {"lab", "../repo/lab/x.yaml", true},
		"standard input":                     {"lab", "<stdin>", false},
		"no file at all":                     {"**", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &project{dir: "/repo", from: "/repo"}
			pattern := strings.Split(strings.TrimSuffix(c.pattern, "/"), "/")
			if c.want != p.covers([][]string{pattern})(c.file) {
				t.Errorf("%s covers %s: not %v", c.pattern, c.file, c.want)
			}
		})
	}
}

// The codes of rules and the names of kinds share one argument of explain.
func TestExplainTellsRulesFromKinds(t *testing.T) {
	for _, code := range reconcile.RuleCodes(schema.Embedded()) {
		require.Nil(t, schema.Embedded().Kind(code))
		var out, problems bytes.Buffer
		require.Zero(t, run(t.Context(), []string{"explain", code}, nil, strings.NewReader(""), &out, &problems), problems.String())
		require.True(t, strings.HasPrefix(out.String(), code+"  risk rule\n"))
	}
}

func TestASecretInARiskyObjectStaysHidden(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(`apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
spec: {name: a, domain: pve.example, mode: cluster, username: sync@pve, password: c4n4ry-password}
---
apiVersion: proxbox-sync/v1
kind: ProxmoxStorage
spec: {cluster: c, name: s, raw_config: {password: c4n4ry-inside}}
`), 0o600))
	for _, format := range []string{"text", "json"} {
		code, stdout, stderr := linted(t, dir, "--allow-plaintext-secrets", "--format", format, "a.yaml")
		require.Zero(t, code)
		require.Contains(t, stdout, "a password where an API token would do")
		require.Contains(t, stdout, "raw_config has an entry that is called like a secret")
		require.NotContains(t, stdout+stderr, "c4n4ry")
	}
}

func TestOnlyWhatManifestsCanMendFailsARun(t *testing.T) {
	list := reconcile.Diagnostics{
		{Severity: reconcile.Warning, Trouble: reconcile.Risk}, {Severity: reconcile.Info, Trouble: reconcile.Risk},
		{Severity: reconcile.Warning, Trouble: reconcile.Policy}, {Severity: reconcile.Warning, Trouble: reconcile.ServerSide},
		{Severity: reconcile.Warning, Trouble: reconcile.Manifest}, {Severity: reconcile.Error, Trouble: reconcile.Manifest},
	}
	if diff := cmp.Diff([]int{2, 0, 0}, []int{warnings(list), warnings(list[1:4]), warnings(nil)}); diff != "" {
		t.Error(diff)
	}
	require.Equal(t, exitDone, failOnFlag{"error"}.code(list))
	require.Equal(t, exitManifests, failOnFlag{"warning"}.code(list))
}
