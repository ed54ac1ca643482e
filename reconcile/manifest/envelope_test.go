package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

func at(line, column int) reconcile.Position {
	return reconcile.Position{File: "<stdin>", Line: line, Column: column}
}

func TestTakesObjectsOutOfTheirEnvelope(t *testing.T) {
	docs, diags := read(`# a comment
apiVersion: proxbox-sync/v1
kind: Thing
metadata:
  protect: true
  ignoreChanges: [version, data.a, version]
spec:
  name: a
---
apiVersion: proxbox-sync/v1
kind: Other
metadata: {existing: true, patch: false}
defaults: {cluster: prod, content: [images], nothing: null}
items:
  - {name: one, content: null}
  - name: two
    cluster: test
---
apiVersion: proxbox-sync/v1
kind: Thing
metadata:
items: []
---
apiVersion: proxbox-sync/v1
kind: Thing
metadata: {patch: true}
spec: {name: a, x: y}
---
apiVersion: proxbox-sync/v1
kind: Thing
metadata: {createOnly: true}
spec: {name: b}
`, manifest.Options{})
	require.Empty(t, diags)
	type object struct {
		Kind         string
		KindPos, Pos reconcile.Position
		Meta         reconcile.Metadata
		Spec         any
	}
	var got []object
	for _, d := range docs {
		got = append(got, object{d.Kind, d.KindPos, d.Pos, d.Meta, value(d.Spec)})
	}
	want := []object{
		{"Thing", at(3, 7), at(2, 1), reconcile.Metadata{
			Protect: true, Pos: at(5, 3),
			IgnoreChanges: []reconcile.Ignore{{Path: "version", Pos: at(6, 19)}, {Path: "data.a", Pos: at(6, 28)}},
		}, map[string]any{"name": "a"}},
		{"Other", at(11, 7), at(15, 5), reconcile.Metadata{Existing: true, Pos: at(12, 11)},
			map[string]any{"name": "one", "content": nil, "cluster": "prod", "nothing": nil}},
		{"Other", at(11, 7), at(16, 5), reconcile.Metadata{Existing: true, Pos: at(12, 11)},
			map[string]any{"name": "two", "content": []any{"images"}, "cluster": "test", "nothing": nil}},
		{"Thing", at(25, 7), at(24, 1), reconcile.Metadata{Patch: true, Pos: at(26, 11)}, map[string]any{"name": "a", "x": "y"}},
		{"Thing", at(30, 7), at(29, 1), reconcile.Metadata{CreateOnly: true, Pos: at(31, 11)}, map[string]any{"name": "b"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("documents (-want +got):\n%s", diff)
	}
	require.Equal(t, at(13, 21), docs[1].Spec.Member("cluster").Pos, "a default keeps its place")
}

func TestRefusesAWrongEnvelope(t *testing.T) {
	const begin = "apiVersion: proxbox-sync/v1\nkind: Thing\n"
	for name, c := range map[string]struct {
		text    string
		want    []string
		says    string // in the first diagnostic
		objects int
	}{
		"a list":                              {"- a\n- b\n", []string{"1:1 not-a-manifest"}, "documents", 0},
		"a text":                              {"hello\n", []string{"1:1 not-a-manifest"}, "", 0},
		"a Kubernetes manifest":               {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {x: y}\ndata: {}\n", []string{"1:13 wrong-api-version"}, "another program", 0},
		"a Compose file":                      {"version: '3'\nservices: {web: {image: a}}\n", []string{"1:1 no-api-version"}, "other programs", 0},
		"a newer form":                        {"apiVersion: proxbox-sync/v2\nkind: Thing\nnew: {}\n", []string{"1:13 unknown-api-version"}, "proxbox-sync/v1", 0},
		"a slip in apiVersion":                {"apiVersion: proxbox-synk/v1\nkind: Thing\nspek: {}\n", []string{"1:1 no-spec", "1:13 wrong-api-version", "3:1 unknown-key"}, "", 0},
		"a newer form, and other mistakes":    {"apiVersion: proxbox-sync/v2\nkind:\nmetadata: {patch: 1}\nspec: []\n", []string{"1:13 unknown-api-version", "2:6 wrong-type", "3:19 wrong-type", "4:7 wrong-type"}, "", 0},
		"only the version":                    {"apiVersion: v1\nkind: [a]\nspec: 1\n", []string{"1:13 wrong-api-version", "2:7 wrong-type", "3:7 wrong-type"}, "", 0},
		"an empty apiVersion":                 {"apiVersion:\nkind: Thing\nspec: 1\n", []string{"1:12 wrong-type", "3:7 wrong-type"}, "", 0},
		"no apiVersion in what is a manifest": {"kind: Thing\nspec: {a: b}\n", []string{"1:1 no-api-version"}, "Begin it", 1},
		"apiVersion is a number":              {"apiVersion: 1\nkind: Thing\nspec: {}\n", []string{"1:13 wrong-type"}, "", 1},
		"no kind":                             {"apiVersion: proxbox-sync/v1\nspec: {}\n", []string{"1:1 no-kind"}, "", 0},
		"an empty kind":                       {"apiVersion: proxbox-sync/v1\nkind:\nspec: {}\n", []string{"2:6 wrong-type"}, "", 0},
		"a kind that is a switch word":        {"apiVersion: proxbox-sync/v1\nkind: [a]\nspec: {}\n", []string{"2:7 wrong-type"}, "", 0},
		"an unknown key beside kind":          {begin + "name: a\nspecs: {}\nspec: {}\n", []string{"3:1 unknown-key", "4:1 unknown-key"}, "under spec", 1},
		"a near miss beside kind":             {begin + "metdata: {}\nspec: {}\n", []string{"3:1 unknown-key"}, `Did you mean "metadata"?`, 1},
		"neither spec nor items":              {begin, []string{"1:1 no-spec"}, "", 0},
		"both spec and items":                 {begin + "spec: {}\nitems: []\n", []string{"4:8 spec-and-items"}, "", 0},
		"defaults beside spec":                {begin + "spec: {}\ndefaults: {}\n", []string{"4:11 defaults-without-items"}, "", 1},
		"a spec that is nothing":              {begin + "spec:\n", []string{"3:6 wrong-type"}, "spec must be a mapping", 0},
		"a spec that is a list":               {begin + "spec: [a]\n", []string{"3:7 wrong-type"}, "", 0},
		"items that are a mapping":            {begin + "items: {a: b}\n", []string{"3:8 wrong-type"}, "items must be a list", 0},
		"items that are nothing":              {begin + "items:\n", []string{"3:7 wrong-type"}, "", 0},
		"an item that is no mapping":          {begin + "items: [a, {b: c}, null]\n", []string{"3:9 wrong-type", "3:20 wrong-type"}, "an item must be a mapping", 1},
		"defaults that are a list":            {begin + "defaults: [a]\nitems: [{b: c}]\n", []string{"3:11 wrong-type"}, "", 1},
		"metadata that is a list":             {begin + "metadata: [a]\nspec: {}\n", []string{"3:11 wrong-type"}, "", 1},
		"an unknown key in metadata":          {begin + "metadata: {name: a, ignorechanges: [b]}\nspec: {}\n", []string{"3:12 unknown-key", "3:21 unknown-key"}, "under spec", 1},
		"a near miss in metadata":             {begin + "metadata: {protected: true}\nspec: {}\n", []string{"3:12 unknown-key"}, `Did you mean "protect"?`, 1},
		"what contradicts itself":             {begin + "metadata: {renamedFrom: a, absent: true, release: true}\nspec: {}\n", []string{"3:25 contradiction", "3:51 contradiction"}, "", 1},
		"yes where true is meant":             {begin + "metadata: {protect: yes, existing: \"true\", patch: 1, createOnly: [true]}\nspec: {}\n", []string{"3:21 wrong-type", "3:36 wrong-type", "3:51 wrong-type", "3:66 wrong-type"}, "write true or false", 1},
		"ignoreChanges that is one name":      {begin + "metadata: {ignoreChanges: version}\nspec: {}\n", []string{"3:27 wrong-type"}, "list of field names", 1},
		"ignoreChanges with something else":   {begin + "metadata: {ignoreChanges: [a, 1, null, [b]]}\nspec: {}\n", []string{"3:31 wrong-type", "3:34 wrong-type", "3:40 wrong-type"}, "", 1},
		"existing and createOnly":             {begin + "metadata: {existing: true, createOnly: true}\nspec: {}\n", []string{"3:40 contradiction"}, "", 1},
		"a patch that says how to be treated": {begin + "metadata: {patch: true, protect: true, ignoreChanges: [a]}\nspec: {}\n", []string{"3:25 contradiction", "3:40 contradiction"}, "", 1},
		"mistakes of several documents":       {begin + "---\nkind: Thing\nspec: {}\n---\n- a\n", []string{"1:1 no-spec", "4:1 no-api-version", "7:1 not-a-manifest"}, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			docs, diags := read(c.text, manifest.Options{})
			requireDiagnostics(t, diags, c.want...)
			require.Contains(t, diags[0].Summary+diags[0].Detail, c.says)
			require.Len(t, docs, c.objects)
		})
	}
}

func TestEmptyFilesAndDocumentsAreFine(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "spaces": "  \n\n", "a comment": "# hello\n", "a separator": "---\n", "separators": "---\n---\n...\n---\n",
		"null": "null\n", "a mark": "\uFEFF", "a comment between separators": "---\n# a\n---\n# b\n",
	} {
		t.Run(name, func(t *testing.T) {
			docs, diags := read(text, manifest.Options{})
			require.Empty(t, diags)
			require.Empty(t, docs)
		})
	}
}
