package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// parse runs the parser alone, under an environment.
func parse(t *testing.T, env []string, args ...string) (*app, *cli) {
	t.Helper()
	a := &app{env: newEnvironment(env), from: map[string]string{}, dir: t.TempDir()}
	g := &cli{}
	p, _ := newParser(g, a)
	_, err := p.Parse(args)
	require.NoError(t, err)
	return a, g
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	file := &project{URL: "https://file.example", file: "proxbox-sync.yaml"}
	for _, c := range []struct {
		why     string
		env     []string
		args    []string
		project *project
		want    string
		err     string
	}{
		{"a flag alone", nil, []string{"--url=https://flag.example"}, nil, "https://flag.example", ""},
		{"a flag over all", []string{"PROXBOX_SYNC_URL=https://env.example"}, []string{"--url=https://flag.example"}, file, "https://flag.example", ""},
		{"our variable over NetBox's", []string{"PROXBOX_SYNC_URL=https://env.example", "NETBOX_URL=https://old.example"}, nil, nil, "https://env.example", ""},
		{"NetBox's variable", []string{"NETBOX_URL=https://old.example"}, nil, nil, "https://old.example", ""},
		{"an empty variable is none", []string{"PROXBOX_SYNC_URL=", "NETBOX_URL=https://old.example"}, nil, nil, "https://old.example", ""},
		{"the file alone", nil, nil, file, "https://file.example", ""},
		{"the file agreeing with the environment", []string{"NETBOX_URL=https://file.example/api/"}, nil, file, "https://file.example/api/", ""},
		{"the file contradicting the environment", []string{"NETBOX_URL=https://env.example"}, nil, file, "", "its url is not the one in NETBOX_URL"},
		{"nothing", nil, nil, nil, "", "no server"},
	} {
		t.Run(c.why, func(t *testing.T) {
			a, g := parse(t, c.env, append([]string{"plan"}, c.args...)...)
			got, err := a.serverURL(g.Plan.serverFlags, c.project)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				require.Equal(t, exitUsage, codeOf(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestWhereTheTokenComesFrom(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	flagFile, envFile, ownFile := file("flag", "of-flag\n"), file("env", "of-env-file"), file("own", "of-project")
	named := &project{file: "p", dir: dir, root: dir, TokenEnv: "NETBOX_PROD_TOKEN"}
	inRepo := &project{file: "p", dir: dir, root: dir, TokenFile: ownFile}
	for _, c := range []struct {
		why     string
		env     []string
		args    []string
		project *project
		want    string
	}{
		{"the flag's file first", []string{"PROXBOX_SYNC_TOKEN=a"}, []string{"--token-file=" + flagFile}, nil, "of-flag"},
		{"our variable", []string{"PROXBOX_SYNC_TOKEN=a", "NETBOX_TOKEN=b", "PROXBOX_SYNC_TOKEN_FILE=" + envFile}, nil, named, "a"},
		{"our variable for a file", []string{"NETBOX_TOKEN=b", "PROXBOX_SYNC_TOKEN_FILE=" + envFile}, nil, nil, "of-env-file"},
		{"the variable that the project file names", []string{"NETBOX_TOKEN=b", "NETBOX_PROD_TOKEN=c"}, nil, named, "c"},
		{"the project's variable is not set: no other one is taken", []string{"NETBOX_TOKEN=b"}, nil, named, ""},
		{"the project's file", []string{"NETBOX_TOKEN=b"}, nil, inRepo, "of-project"},
		{"NetBox's variable", []string{"NETBOX_TOKEN=b", "NETBOX_API_TOKEN=c"}, nil, nil, "b"},
		{"its other name", []string{"NETBOX_API_TOKEN=c"}, nil, nil, "c"},
		{"none", nil, nil, nil, ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			a, g := parse(t, c.env, append([]string{"plan"}, c.args...)...)
			token, err := a.token(g.Plan.serverFlags, c.project)
			if c.want == "" {
				require.ErrorContains(t, err, "no token")
				require.Equal(t, exitUsage, codeOf(err))
				return
			}
			require.NoError(t, err)
			plain, ok := token.Reveal()
			require.True(t, ok)
			require.True(t, plain == c.want, "another token")
			require.Equal(t, reconcile.Redacted, fmt.Sprintf("%+v", token))
		})
	}
}

// A job whose setting came out empty must not do what nobody approved.
func TestAnEmptyVariableThatRestrictsIsAnError(t *testing.T) {
	command := map[string][]string{
		"allowed-origins": {"apply", "--auto-approve"},
		"plan":            {"apply", "--auto-approve"},
		"expect-digest":   {"apply", "--auto-approve", "--plan=plan.json"},
		"expires":         {"plan", "--out=plan.json"},
	}
	for _, flag := range restricting {
		got := runWith(t.Context(), []string{variable(flag) + "="}, command[flag]...)
		require.Equal(t, int(exitUsage), got.code, flag)
		require.Contains(t, got.stderr, "--"+flag+": it is empty")
	}
}

func TestEveryFlagHasAVariable(t *testing.T) {
	env := []string{
		"PROXBOX_SYNC_SELECT=ProxmoxStorage/a,b", "PROXBOX_SYNC_NO_DECRYPT=true", "PROXBOX_SYNC_TIMEOUT=5s",
		"PROXBOX_SYNC_ALLOWED_ORIGINS=https://a.example,https://b.example", "PROXBOX_SYNC_PARALLELISM=2", "PROXBOX_SYNC_BATCH_SIZE=20",
		"PROXBOX_SYNC_HEADER=X-A: 1, 2\nX-B: 3", "PROXBOX_SYNC_SEND_SECRETS=true", "PROXBOX_SYNC_FORMAT=json",
		"PROXBOX_SYNC_DETAILED_EXITCODE=1", "PROXBOX_SYNC_LOG_LEVEL=debug",
	}
	_, g := parse(t, env, "plan")
	p := g.Plan
	require.True(t, p.NoDecrypt && p.DetailedExitcode)
	require.Equal(t, "json", p.Format)
	require.Equal(t, "debug", g.LogLevel)
	require.Equal(t, "5s", p.Timeout.String())
	require.Equal(t, 2, p.Parallelism)
	require.Equal(t, 20, p.BatchSize)
	require.Empty(t, cmp.Diff(originsFlag{"https://a.example", "https://b.example"}, p.AllowedOrigins))
	require.Empty(t, cmp.Diff([]string{"X-A: 1, 2", "X-B: 3"}, p.Header))
	require.Empty(t, cmp.Diff(secretsFlag{""}, p.SendSecrets))
	require.Empty(t, cmp.Diff([]string{"ProxmoxStorage/a,b"}, p.Select))

	_, g = parse(t, env, "plan", "--log-level=info", "--format=text", "--no-decrypt=false", "--parallelism=3", "--select=Site")
	require.Equal(t, "info", g.LogLevel)
	require.Equal(t, "text", g.Plan.Format)
	require.False(t, g.Plan.NoDecrypt)
	require.Equal(t, 3, g.Plan.Parallelism)
	require.Empty(t, cmp.Diff([]string{"Site"}, g.Plan.Select))
}

func TestSendSecretsStandsAloneOrNamesWhatItMeans(t *testing.T) {
	for _, c := range []struct {
		args []string
		want secretsFlag
	}{
		{nil, nil},
		{[]string{"--send-secrets"}, secretsFlag{""}},
		{[]string{"--send-secrets", "manifests"}, secretsFlag{""}},
		{[]string{"--send-secrets=ProxmoxEndpoint/a.password", "--send-secrets=NetBoxEndpoint"},
			secretsFlag{"ProxmoxEndpoint/a.password", "NetBoxEndpoint"}},
	} {
		_, g := parse(t, nil, append([]string{"apply"}, c.args...)...)
		require.Empty(t, cmp.Diff(c.want, g.Apply.SendSecrets))
	}
	_, g := parse(t, []string{"PROXBOX_SYNC_SEND_SECRETS=false"}, "apply")
	require.Empty(t, g.Apply.SendSecrets)
}

func TestVariablesThatMeanNothingAreNamed(t *testing.T) {
	a, _ := parse(t, []string{"PROXBOX_SYNC_URL=x", "PROXBOX_SYNC_TOKEN=x", "PROXBOX_SYNC_PROD_TOKEN=x", "PROXBOX_SYNC_ALOW_HTTP=1"}, "version")
	require.Equal(t, []string{"the environment variable PROXBOX_SYNC_ALOW_HTTP means nothing to this program; did you mean PROXBOX_SYNC_ALLOW_HTTP?"},
		unknownVariables(a.env, a.model))
}

func TestHeaderMistakesDoNotRepeatTheHeader(t *testing.T) {
	_, err := parseHeaders([]string{"hunter2"}, false)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestChangelogMessageNamesTheCommit(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	write := func(t *testing.T, files map[string]string) string {
		dir := t.TempDir()
		for name, text := range files {
			path := filepath.Join(dir, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
		sub := filepath.Join(dir, "a", "b")
		require.NoError(t, os.MkdirAll(sub, 0o755))
		return sub
	}
	with, without := "proxbox-sync apply, commit 0123456789ab", "proxbox-sync apply"
	for _, c := range []struct {
		why   string
		env   []string
		files map[string]string
		want  string
	}{
		{"a CI system says it", []string{"GITHUB_SHA=" + commit}, nil, with},
		{"what is no commit is not repeated", []string{"GITHUB_SHA=::error::"}, map[string]string{".git/HEAD": commit}, with},
		{"a branch", nil, map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": commit + "\n"}, with},
		{"a packed branch", nil, map[string]string{".git/HEAD": "ref: refs/heads/main", ".git/packed-refs": "# pack-refs\n" + commit + " refs/heads/main\n"}, with},
		{"a reference that leaves the folder", nil, map[string]string{".git/HEAD": "ref: ../outside", "outside": commit}, without},
		{"a work tree whose .git is a file", nil, map[string]string{".git": "gitdir: /elsewhere"}, without},
		{"nothing to read", nil, map[string]string{".git/HEAD": ""}, without},
	} {
		t.Run(c.why, func(t *testing.T) {
			require.Equal(t, c.want, changelogMessage(newEnvironment(c.env), "apply", write(t, c.files), "", ""))
		})
	}
}

func TestTheModelIsComplete(t *testing.T) {
	a, _ := parse(t, nil, "version")
	require.NoError(t, kong.Visit(a.model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			require.NotEmpty(t, flag.Help, "--%s has no help", flag.Name)
			require.Empty(t, flag.Envs, "--%s: the environment is read by the resolver", flag.Name)
		}
		if command, ok := node.(*kong.Node); ok && command.Type == kong.CommandNode {
			require.NotEmpty(t, command.Help, "%s has no help", command.Name)
		}
		return next(nil)
	}))
}

func TestHeadersOfTheEnvironmentStandOnLinesOfTheirOwn(t *testing.T) {
	for _, c := range []struct {
		why, env string
		args     []string
		want     map[string]string
		err      string
	}{
		{"one on each line", "X-A: hunter2\nX-B: b", nil, map[string]string{"X-A": "hunter2", "X-B": "b"}, ""},
		{"a value with a comma", "X-A: hunter2,b", nil, map[string]string{"X-A": "hunter2,b"}, ""},
		{"a value with addresses", "X-A: https://a.example,https://b.example", nil, map[string]string{"X-A": "https://a.example,https://b.example"}, ""},
		{"two joined by a comma", "X-A: hunter2, X-B: b", nil, nil, "PROXBOX_SYNC_HEADER: it looks like several headers"},
		{"two joined by a comma alone", "X-A: hunter2,X-B:b", nil, nil, "PROXBOX_SYNC_HEADER: it looks like several headers"},
		{"the same as a flag", "", []string{"--header", "X-A: a, X-B: b"}, map[string]string{"X-A": "a, X-B: b"}, ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			a, g := parse(t, []string{"PROXBOX_SYNC_HEADER=" + c.env}, append([]string{"plan"}, c.args...)...)
			_, fromEnv := a.from["header"]
			h, err := parseHeaders(g.Plan.Header, fromEnv)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				require.NotContains(t, err.Error(), "hunter2")
				require.Equal(t, exitUsage, codeOf(err))
				return
			}
			require.NoError(t, err)
			require.Len(t, h, len(c.want))
			for name, value := range c.want {
				require.Equal(t, value, h.Get(name))
			}
		})
	}
}

// A list of servers that came out empty must not allow all of them.
func TestAnEmptyListOfAllowedServersIsWrongUsage(t *testing.T) {
	server := []string{"PROXBOX_SYNC_URL=http://127.0.0.1:1", "PROXBOX_SYNC_TOKEN=" + scriptToken, "PROXBOX_SYNC_TIMEOUT=1s"}
	for _, text := range []string{"", " ", ",", " , ", "https://a.example,", "\n"} {
		for _, command := range [][]string{{"get", "Site"}, {"doctor"}, {"plan", "m.yaml"}, {"apply", "--auto-approve", "m.yaml"}} {
			got := runWith(t.Context(), append(server, "PROXBOX_SYNC_ALLOWED_ORIGINS="+text), command...)
			require.Equal(t, int(exitUsage), got.code, "%q in the environment: %s", text, got.stderr)
			require.Contains(t, got.stderr, "empty")
			got = runWith(t.Context(), server, append(command, "--allowed-origins="+text)...)
			require.Equal(t, int(exitUsage), got.code, "%q as flag: %s", text, got.stderr)
			require.Contains(t, got.stderr, "empty")
		}
	}
	_, g := parse(t, []string{"PROXBOX_SYNC_ALLOWED_ORIGINS="}, "plan", "--allowed-origins=https://a.example, https://b.example", "--allowed-origins=https://c.example")
	require.Equal(t, originsFlag{"https://a.example", "https://b.example", "https://c.example"}, g.Plan.AllowedOrigins)
}
