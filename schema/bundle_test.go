package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// compileBundle compiles the bundle with a validator that the program does not
// use; it checks the bundle against the meta-schema on the way.
func compileBundle(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := Embedded().Bundle()
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // nothing is fetched
	require.NoError(t, c.AddResource("bundle.json", doc))
	compiled, err := c.Compile("bundle.json")
	require.NoError(t, err)
	return compiled
}

// documents reads a YAML stream as an editor sees it: dates stay text.
func documents(t *testing.T, text string) []any {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(text))
	var out []any
	for {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatalf("reading the sample: %v", err)
		}
		if v := plain(t, &n); v != nil {
			out = append(out, v)
		}
	}
}

func plain(t *testing.T, n *yaml.Node) any {
	t.Helper()
	switch n.Kind {
	case yaml.DocumentNode:
		return plain(t, n.Content[0])
	case yaml.AliasNode:
		return plain(t, n.Alias)
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, plain(t, c))
		}
		return out
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			out[n.Content[i].Value] = plain(t, n.Content[i+1])
		}
		return out
	}
	switch n.Tag {
	case "!!int", "!!float":
		return json.Number(n.Value)
	case "!!bool":
		return n.Value == "true"
	case "!!null":
		return nil
	}
	return n.Value
}

func TestTheBundleAcceptsAndRefuses(t *testing.T) {
	bundle := compileBundle(t)
	const head = "apiVersion: proxbox-sync/v1\n"
	const endpoint = head + "kind: ProxmoxEndpoint\n"
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"one object":                               {endpoint + "spec: {name: a, mode: cluster, domain: pve.example, tags: [prod, {slug: x}]}", true},
		"several objects with defaults":            {head + "kind: ProxmoxStorage\ndefaults: {cluster: prod, content: images}\nitems: [{name: a}, {name: b, port: 1}]", true},
		"several objects without defaults":         {head + "kind: ProxmoxStorage\nitems: [{cluster: prod, name: a}]", true},
		"no objects":                               {head + "kind: ProxmoxStorage\nitems: []", true},
		"a patch with nothing but key and secret":  {endpoint + "metadata: {patch: true}\nspec: {name: a, token_value: 'ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]'}\nsops: {version: 3.9.0}", true},
		"a patch of several objects":               {endpoint + "metadata: {patch: true}\nitems: [{name: a, password: x}]", true},
		"an object that somebody else made":        {head + "kind: ProxmoxNode\nmetadata: {existing: true, protect: true}\nspec: {endpoint: pve, name: n1, location: r1}", true},
		"an object that is created only":           {head + "kind: Site\nmetadata: {createOnly: true, ignoreChanges: [description]}\nspec: {slug: a, name: A}", true},
		"an object that must not exist":            {endpoint + "metadata: {absent: true}\nspec: {name: a}", true},
		"a renamed object with a risk taken":       {endpoint + "metadata: {renamedFrom: b, ignoreRisks: [{code: tls-not-verified, reason: lab}]}\nspec: {name: a, mode: cluster, domain: x}", true},
		"a long encrypted secret":                  {head + "kind: NetBoxEndpoint\nspec: {name: a, domain: nb, token_version: v2, token_key: k, token_secret: 'ENC[" + strings.Repeat("x", 400) + "]'}", true},
		"a reference by a mapping":                 {head + "kind: BackupRoutine\nspec: {endpoint: pve, job_id: j, selection: [100], storage: {cluster: {name: prod}, name: local}}", true},
		"a reference by id":                        {head + "kind: ProxmoxCluster\nspec: {endpoint: {id: 4}, name: c, mode: cluster, netbox_cluster: null}", true},
		"a date and a time":                        {head + "kind: VMTaskHistory\nspec: {upid: u, virtual_machine: v, node: n, task_type: t, username: r, status: s, description: d, start_time: 2026-01-31, end_time: 2026-01-31T04:00:00+02:00}", true},
		"settings":                                 {head + "kind: PluginSettings\nspec: {delete_orphans: false}", true},
		"anything in custom fields but our marker": {endpoint + "spec: {name: a, mode: cluster, domain: x, custom_fields: {a: [1, {b: null}]}}", true},

		"an endpoint whose host comes from a patch":    {endpoint + "spec: {name: a, mode: cluster}", true},
		"a token key whose version comes from a patch": {head + "kind: NetBoxEndpoint\nspec: {name: a, token_key: k}", true},
		"a secret that is null":                        {endpoint + "spec: {name: a, mode: cluster, domain: x, token_value: null}", true},
		"a tag in another script":                      {head + "kind: Tag\nspec: {name: Höhe, slug: höhe_東京-2}", true},

		"a slug with a space":                    {head + "kind: Tag\nspec: {name: a, slug: a b}", false},
		"a slug with a sign":                     {head + "kind: Tag\nspec: {name: a, slug: a→b}", false},
		"a name of white space":                  {head + "kind: Tag\nspec: {name: '  ', slug: a}", false},
		"a secret that is a number":              {endpoint + "spec: {name: a, mode: cluster, domain: x, token_value: 5}", false},
		"another version":                        {"apiVersion: proxbox-sync/v2\nkind: Site\nspec: {slug: a, name: b}", false},
		"no kind":                                {head + "spec: {name: a}", false},
		"an unknown kind":                        {head + "kind: ProxmoxEndpont\nspec: {name: a}", false},
		"a kind that is only referred to":        {head + "kind: User\nspec: {username: a}", false},
		"neither spec nor items":                 {endpoint, false},
		"both spec and items":                    {endpoint + "spec: {name: a, mode: cluster, domain: x}\nitems: []", false},
		"defaults without items":                 {endpoint + "defaults: {mode: cluster}\nspec: {name: a, mode: cluster, domain: x}", false},
		"an unknown key beside spec":             {endpoint + "sepc: {}\nspec: {name: a, mode: cluster, domain: x}", false},
		"unknown metadata":                       {endpoint + "metadata: {pacth: true}\nspec: {name: a, mode: cluster, domain: x}", false},
		"a risk taken without a reason":          {endpoint + "metadata: {ignoreRisks: [{code: tls-not-verified}]}\nspec: {name: a, mode: cluster, domain: x}", false},
		"metadata of a wrong type":               {endpoint + "metadata: {patch: 'yes'}\nspec: {name: a}", false},
		"an unknown field":                       {endpoint + "spec: {name: a, mode: cluster, domain: x, colour: red}", false},
		"an unknown field in defaults":           {endpoint + "defaults: {colour: red}\nitems: [{name: a, mode: cluster, domain: x}]", false},
		"an unknown field in a patch":            {endpoint + "metadata: {patch: true}\nspec: {name: a, tokn_value: x}", false},
		"a read-only field":                      {head + "kind: ProxmoxCluster\nspec: {endpoint: a, name: b, mode: cluster, node_count: 1}", false},
		"a bad choice":                           {endpoint + "spec: {name: a, mode: clustre, domain: x}", false},
		"a bad choice in items":                  {endpoint + "defaults: {domain: x}\nitems: [{name: a, mode: clustre}]", false},
		"a wrong type":                           {endpoint + "spec: {name: a, mode: cluster, domain: x, port: '8006'}", false},
		"a missing field":                        {endpoint + "spec: {name: a, domain: x}", false},
		"a missing field in items":               {head + "kind: ProxmoxStorage\nitems: [{name: a}]", false},
		"a patch that is none":                   {endpoint + "metadata: {patch: false}\nspec: {name: a}", false},
		"a key with both tokens":                 {head + "kind: NetBoxEndpoint\nspec: {name: a, domain: nb, token_version: v1, token_key: k}", false},
		"a list for a reference":                 {head + "kind: ProxmoxCluster\nspec: {endpoint: [a], name: b, mode: cluster}", false},
		"an unknown field in a reference":        {head + "kind: ProxmoxCluster\nspec: {endpoint: {nmae: a}, name: b, mode: cluster}", false},
		"a secret in a reference":                {head + "kind: ProxmoxCluster\nspec: {endpoint: {password: a}, name: b, mode: cluster}", false},
		"null for a reference that needs one":    {head + "kind: ProxmoxCluster\nspec: {endpoint: null, name: b, mode: cluster}", false},
		"our marker in custom fields":            {endpoint + "spec: {name: a, mode: cluster, domain: x, custom_fields: {proxbox_sync: {}}}", false},
		"a time without a zone":                  {head + "kind: VMBackup\nmetadata: {patch: true}\nspec: {creation_time: 2026-01-31T04:00:00}", false},
		"an address with a mask where none goes": {head + "kind: ProxmoxNode\nmetadata: {patch: true}\nspec: {ip_address: 192.0.2.1/24}", false},
	} {
		t.Run(name, func(t *testing.T) {
			docs := documents(t, c.text)
			require.Len(t, docs, 1)
			err := bundle.Validate(docs[0])
			if c.ok {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
		})
	}
}

// An editor must never complain of what the program accepts: for each field, a
// value that passes the kind passes the bundle.
func TestTheBundleIsNeverStricterThanTheKinds(t *testing.T) {
	bundle := compileBundle(t)
	for _, k := range Embedded().Kinds() {
		if k.Resource.Mode == Lookup {
			continue
		}
		for _, f := range k.Fields {
			if f.ReadOnly {
				continue
			}
			for _, v := range samples(f) {
				if Embedded().Validate(k, map[string]any{f.Name: v}, Partial) != nil {
					continue
				}
				doc := map[string]any{
					"apiVersion": apiVersion, "kind": k.Name,
					"metadata": map[string]any{"patch": true},
					"spec":     map[string]any{f.Name: v},
				}
				if err := bundle.Validate(doc); err != nil {
					t.Errorf("%s.%s: the kind accepts %v, the bundle does not: %v", k.Name, f.Name, v, err)
				}
			}
		}
	}
}

func samples(f *Field) []any {
	out := []any{
		nil, true, "", "  ", " x ", "x", "x-1", "ff5722", "{node}", json.Number("0"), json.Number("1"), json.Number("5000"), json.Number("2.5"),
		"192.0.2.7", "192.0.2.7/24", "192.0.2.0/24", "2001:db8::1/64", "2026-01-31", "2026-01-31T04:00:00.123Z",
		[]any{}, []any{"a"}, map[string]any{}, map[string]any{"id": json.Number("4")}, strings.Repeat("x", 5000),
	}
	for _, e := range f.Enum {
		out = append(out, e)
	}
	return out
}

func TestTheBundleKeepsTheOrderOfFields(t *testing.T) {
	raw, err := Embedded().Bundle()
	require.NoError(t, err)
	text := string(raw)
	start := strings.Index(text, `"ProxmoxStorage.fields"`)
	require.Positive(t, start)
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^        "(\w+)": \{$`).FindAllStringSubmatch(text[start:], -1) {
		if got = append(got, m[1]); len(got) == 4 {
			break
		}
	}
	if diff := cmp.Diff([]string{"cluster", "name", "storage_type", "content"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, err := Embedded().Bundle()
	require.NoError(t, err)
	require.True(t, bytes.Equal(raw, again), "the bundle is always the same")
}

// Validators in other languages read patterns by ECMA-262 or by Python's rules:
// what only some know would make the whole bundle useless there.
func TestPatternsArePortable(t *testing.T) {
	raw, err := Embedded().Bundle()
	require.NoError(t, err)
	texts := [][]byte{raw}
	for _, k := range Embedded().Kinds() {
		texts = append(texts, k.Raw)
	}
	require.NotContains(t, string(raw), "x-lint", "rules are lint's business: an editor would not know the word")
	unportable := regexp.MustCompile(`\\\\[pPAzZQEhHRXCK]|\(\?|\[\[:|\\\\x\{|\\u0000`)
	found := 0
	for _, text := range texts {
		for _, m := range regexp.MustCompile(`"pattern": ?("(?:[^"\\]|\\.)*")`).FindAllSubmatch(text, -1) {
			found++
			if bad := unportable.Find(m[1]); bad != nil {
				t.Errorf("the pattern %s has %s", m[1], bad)
			}
		}
	}
	require.Greater(t, found, 10)
}

func TestTheBundleHasNoVendorKeywords(t *testing.T) {
	raw, err := Embedded().Bundle()
	require.NoError(t, err)
	require.NotContains(t, string(raw), `"x-`)
}

func TestTheExamplesSatisfyTheBundle(t *testing.T) {
	bundle := compileBundle(t)
	n := 0
	err := filepath.WalkDir(filepath.Join("..", "examples"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".yaml" || slices.Contains([]string{"proxbox-sync.yaml", ".sops.yaml"}, d.Name()) {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(raw, []byte(apiVersion)) {
			return err
		}
		for i, doc := range documents(t, string(raw)) {
			n++
			if err := bundle.Validate(doc); err != nil {
				t.Errorf("%s, document %d: %v", path, i+1, err)
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Positive(t, n, "no example was found")
}
