package examples_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/examples"
	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/secrets"
	"proxbox-sync/schema"
)

// repositories lists the examples that are manifests with a project file.
func repositories(t *testing.T) []string {
	t.Helper()
	files, err := fs.Glob(examples.Files, "*/proxbox-sync.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = path.Dir(file)
	}
	return names
}

// requireClean fails with all diagnostics when there is one that matters.
func requireClean(t *testing.T, list reconcile.Diagnostics) {
	t.Helper()
	for _, d := range list {
		t.Errorf("%s:%d:%d: %s: %s (%s)", d.Pos.File, d.Pos.Line, d.Pos.Column, d.Severity, d.Summary, d.Detail)
	}
	if t.Failed() {
		t.FailNow()
	}
}

func TestExamplesStandOnTheirOwnOnAnEmptyServer(t *testing.T) {
	set := schema.Embedded()
	for _, name := range repositories(t) {
		t.Run(name, func(t *testing.T) {
			docs, diags := manifest.Load(t.Context(), []string{name}, manifest.Options{})
			requireClean(t, diags)
			desired, diags := reconcile.Desired(set, docs, reconcile.DesiredOptions{})
			requireClean(t, diags)
			requireClean(t, reconcile.Link(set, desired, &reconcile.State{}))
		})
	}
}

func TestExamplesExplainTheRisksThatTheyTake(t *testing.T) {
	set := schema.Embedded()
	for _, name := range repositories(t) {
		docs, found := manifest.Load(t.Context(), []string{name}, manifest.Options{})
		desired, _ := reconcile.Desired(set, docs, reconcile.DesiredOptions{})
		explained := map[string]bool{}
		data, err := fs.ReadFile(examples.Files, path.Join(name, "proxbox-sync.yaml"))
		require.NoError(t, err)
		nodes, diags := manifest.Parse(name, data, manifest.Options{})
		requireClean(t, diags)
		if ignore := nodes[0].Member("lint").Member("ignore"); ignore != nil {
			for _, entry := range ignore.Items {
				explained[fmt.Sprint(entry.Member("code").Value)] = entry.Member("reason") != nil
			}
		}
		for _, d := range reconcile.Lint(set, desired, found, reconcile.LintOptions{}) {
			require.True(t, explained[d.Code], "%s: %s: %s: %s", name, d.Pos.File, d.Object, d.Summary)
		}
	}
}

// The parts of the datacenter together use every managed kind, so that its
// run in the tests is one over all of them.
func TestTheDatacenterHasEveryManagedKind(t *testing.T) {
	docs, diags := manifest.Load(t.Context(), []string{"datacenter"}, manifest.Options{})
	requireClean(t, diags)
	used := map[string]bool{}
	for _, d := range docs {
		used[d.Kind] = true
	}
	for _, k := range schema.Embedded().Kinds() {
		if k.Resource.Mode != schema.Lookup && !used[k.Name] {
			t.Errorf("no document of kind %s", k.Name)
		}
	}
}

func TestSecretsStandOnlyInEncryptedPatches(t *testing.T) {
	set := schema.Embedded()
	for _, name := range repositories(t) {
		docs, diags := manifest.Load(t.Context(), []string{name}, manifest.Options{})
		requireClean(t, diags)
		sealed := 0
		for _, d := range docs {
			for _, m := range d.Spec.Members {
				f := set.Kind(d.Kind).Field(m.Name)
				if f == nil || !f.WriteOnly {
					continue
				}
				_, isSecret := m.Value.Value.(reconcile.Secret)
				require.True(t, isSecret, "%s: %s of a %s is not encrypted", m.Pos.File, m.Name, d.Kind)
				require.True(t, d.Meta.Patch && strings.HasSuffix(m.Pos.File, ".secrets.yaml"),
					"%s: %s of a %s stands outside a patch in a *.secrets.yaml file", m.Pos.File, m.Name, d.Kind)
				sealed++
			}
		}
		require.Positive(t, sealed, "%s has no secret to show", name)
	}
}

func TestTheKeysSayThatTheyProtectNothing(t *testing.T) {
	for _, name := range repositories(t) {
		data, err := fs.ReadFile(examples.Files, path.Join(name, examples.ThrowAwayKey))
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(data, []byte("# THROW-AWAY KEY: PUBLISHED ON PURPOSE")))
		sops, err := fs.ReadFile(examples.Files, path.Join(name, ".sops.yaml"))
		require.NoError(t, err, "hidden files are embedded as well")
		recipient := regexp.MustCompile(`age1[0-9a-z]+`).FindString(string(data))
		require.NotEmpty(t, recipient)
		require.Contains(t, string(sops), recipient)
	}
}

// Each file opens with the key beside it, and nothing that is shown of it is
// what was encrypted: every made-up secret begins alike.
func TestTheThrowAwayKeysOpenTheSecretsAndNothingShowsThem(t *testing.T) {
	for _, name := range repositories(t) {
		key, err := fs.ReadFile(examples.Files, path.Join(name, examples.ThrowAwayKey))
		require.NoError(t, err)
		opener, err := secrets.New(secrets.Options{Env: func(variable string) string {
			return map[string]string{"SOPS_AGE_KEY": string(key)}[variable]
		}})
		require.NoError(t, err)
		docs, diags := manifest.Load(t.Context(), []string{name}, manifest.Options{
			Decrypt: func(file string, data []byte) (map[string]reconcile.Secret, error) {
				values, _, err := opener.Open(t.Context(), file, data)
				return values, err
			},
		})
		requireClean(t, diags)
		opened := 0
		for _, d := range docs {
			for _, m := range d.Spec.Members {
				secret, ok := m.Value.Value.(reconcile.Secret)
				if !ok {
					continue
				}
				text, ok := secret.Reveal()
				require.True(t, ok, "%s stays sealed", m.Pos.File)
				require.True(t, strings.HasPrefix(text, "made-up-"), "%s: not one of the made-up secrets", m.Pos.File)
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", d, d, d), "made-up-")
				opened++
			}
		}
		require.Positive(t, opened)
	}
}

var (
	hostPattern = regexp.MustCompile(`\b[a-z0-9-]+(\.[a-z0-9-]+)*\.(com|org|net|io|de|example|test|local|lan|internal)\b`)
	ipv4Pattern = regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)
	ipv6Pattern = regexp.MustCompile(`\b[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,}`)
	documentary = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("2001:db8::/32")}
	documentaryHosts = regexp.MustCompile(`(^|\.)(example\.(com|net|org)|example|test)$`)
)

// A copied example must not reach somebody's real host.
func TestHostsAndAddressesAreReservedForDocumentation(t *testing.T) {
	hosts, addresses := 0, 0
	for _, name := range repositories(t) {
		docs, diags := manifest.Load(t.Context(), []string{name}, manifest.Options{})
		requireClean(t, diags)
		eachText(docs, func(where, text string) {
			for _, host := range hostPattern.FindAllString(text, -1) {
				hosts++
				require.Regexp(t, documentaryHosts, host, where)
			}
			for _, a := range slices.Concat(ipv4Pattern.FindAllString(text, -1), ipv6Pattern.FindAllString(text, -1)) {
				address, err := netip.ParseAddr(a)
				if err != nil {
					continue // a time of day, a part of a UPID
				}
				addresses++
				require.True(t, slices.ContainsFunc(documentary, func(p netip.Prefix) bool { return p.Contains(address) }),
					"%s: %s", where, a)
			}
		})
	}
	require.Greater(t, hosts, 5)
	require.Greater(t, addresses, 10)
}

func eachText(docs []reconcile.Document, visit func(where, text string)) {
	var walk func(where string, n *reconcile.Node)
	walk = func(where string, n *reconcile.Node) {
		if text, ok := n.Value.(string); ok {
			visit(where, text)
		}
		for _, m := range n.Members {
			walk(m.Pos.File+" "+m.Name, m.Value)
		}
		for _, item := range n.Items {
			walk(where, item)
		}
	}
	for _, d := range docs {
		walk(d.Pos.File, d.Spec)
	}
}
