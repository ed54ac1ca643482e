package manifest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

func nested(text string, depth int) string {
	return strings.Repeat("[", depth) + text + strings.Repeat("]", depth)
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1, ", i)
	}
	return b.String()
}

func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func TestRefusesBadYAMLWithItsPlace(t *testing.T) {
	const fine = "apiVersion: proxbox-sync/v1\nkind: Thing\nspec: {name: a}\n---\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"bytes that are not UTF-8":             {head + "  name: \"\xff\"\n", []string{"4:10 not-utf8"}},
		"UTF-16":                               {"\xff\xfea\x00", []string{"1:1 not-utf8"}},
		"a NUL byte":                           {head + "  n\xc3\xb6: a\x00\n", []string{"4:8 nul-byte"}},
		"a control character":                  {head + "  name: a\x1b[31m\n", []string{"4:10 control-character"}},
		"a carriage return alone":              {head + "  name: a # x\r  evil: b\n", []string{"4:14 line-break"}},
		"a line break that editors don't show": {head + "  name: a # x\u2028  evil: b\n", []string{"4:14 line-break"}},
		"a byte order mark in a text":          {head + "  name: a\uFEFFb\n", []string{"4:10 byte-order-mark"}},
		"a marked file after another one without a separator":    {object("a") + "\uFEFF" + object("b"), []string{"5:1 byte-order-mark"}},
		"a marked file behind a line that has no end":            {head + "  name: a\uFEFF---\n" + object("b"), []string{"4:10 byte-order-mark"}},
		"a tab as indentation":                                   {head + "\tname: a\n", []string{"4:1 tab-indentation"}},
		"a tab as indentation after spaces":                      {head + "  name: a\n  sub:\n  \tx: y\n", []string{"6:3 tab-indentation"}},
		"a tab after a dash":                                     {head + "  list:\n  -\ta: b\n  \tc: d\n", []string{"5:4 tab-indentation"}},
		"conflict markers":                                       {head + "<<<<<<< HEAD\n  name: a\n=======\n  name: b\n>>>>>>> main\n", []string{"4:1 merge-conflict"}},
		"the rest of a conflict":                                 {head + "  name: a\n>>>>>>> main\n", []string{"5:1 merge-conflict"}},
		"conflict markers with Windows line ends":                {"<<<<<<< HEAD\r\na\r\n", []string{"1:1 merge-conflict"}},
		"flow nesting of 20,000":                                 {strings.Repeat("[", 20_000), []string{"1:101 too-deep"}},
		"closed flow nesting of 9,000":                           {strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), []string{"1:101 too-deep"}},
		"block nesting of 20,000":                                {strings.Repeat("- ", 20_000) + "a", []string{"1:201 too-deep"}},
		"nesting of 9,000 in the second document":                {fine + strings.Repeat("- ", 9_000) + "a", []string{"5:201 too-deep"}},
		"deep nesting through aliases":                           {"a: &a " + nested("x", 60) + "\nb: " + nested("*a", 45) + "\n", []string{"2:49 too-deep"}},
		"an alias bomb":                                          {bomb(), []string{"6:45 too-many-values"}},
		"an alias bomb in the second document":                   {fine + bomb(), []string{"10:45 too-many-values"}},
		"an alias cycle":                                         {"a: &a [x, *a]\n", []string{"1:11 alias-cycle"}},
		"an alias cycle in the second document":                  {fine + "a: &a {b: {c: *a}}\n", []string{"5:15 alias-cycle"}},
		"an alias cycle by merging":                              {"a: &a\n  <<: *a\n", []string{"2:7 alias-cycle"}},
		"an alias that nothing defines":                          {head + "  name: *hunter2\n", []string{"4:9 yaml-syntax"}},
		"an anchor with nothing behind it":                       {head + "  name: &hunter2\n", []string{"4:9 empty-anchor"}},
		"a tag of its own":                                       {head + "  name: !hunter2\n  b: !!binary aGk=\n  c: !!set {a}\n", []string{"4:9 unknown-tag", "5:6 unknown-tag", "6:6 unknown-tag"}},
		"a key that is given twice":                              {head + "  name: a\n  other: b\n  name: c\n", []string{"6:3 duplicate-key"}},
		"a key twice in the second document":                     {fine + head + "  {name: a, \"name\": c}\n", []string{"8:13 duplicate-key"}},
		"a key twice below an alias":                             {head + "  a: &a {x: 1, x: 2}\n  b: *a\n", []string{"4:16 duplicate-key"}},
		"<< twice":                                               {head + "  <<: {a: 1}\n  <<: {b: 1}\n", []string{"5:3 duplicate-key"}},
		"keys that are no text":                                  {head + "  1: a\n  true: b\n  null: c\n  2026-01-01: d\n  [a]: e\n", []string{"4:3 key-not-text", "5:3 key-not-text", "6:3 key-not-text", "7:3 key-not-text", "8:3 key-not-text"}},
		"a key without its colon":                                {head + "  name a\n  b: c\n", []string{"5:3 yaml-syntax"}},
		"a colon in a text":                                      {head + "  name: a: b\n", []string{"4:3 yaml-syntax"}},
		"indentation that doesn't fit":                           {head + "  name: a\n   b: c\n", []string{"5:4 yaml-syntax"}},
		"a quote that is never closed":                           {head + "  name: \"a\n  b: c\n", []string{"4:3 yaml-syntax"}},
		"a bracket that is never closed":                         {head + "  name: [a, b\n", []string{"4:9 yaml-syntax"}},
		"a list on several lines that is never closed":           {head + "  name: [x,\n    y\n  b: c\n", []string{"4:9 yaml-syntax"}},
		"a mapping that is never closed":                         {head + "  a: {b: c}\n  d: {e: [f]\n  g: h\n", []string{"5:6 yaml-syntax"}},
		"an empty list that is never closed":                     {head + "  a: b\n  c: [\n", []string{"5:6 yaml-syntax"}},
		"a bracket never closed before another document":         {head + "  a: b\n  c: {\n---\n" + object("b"), []string{"5:6 yaml-syntax"}},
		"a mapping never closed on the first line":               {"{a: [b, c]\n", []string{"1:1 yaml-syntax"}},
		"a key too far to the left":                              {head + "    name: a\n  b: c\n", []string{"5:3 yaml-syntax"}},
		"a key too far to the left in the second document":       {fine + head + "    name: a\n    x: y\n  b: c\n", []string{"10:3 yaml-syntax"}},
		"a list entry after spec":                                {head + "  name: a\n- x\n", []string{"5:1 yaml-syntax"}},
		"a list entry after a list":                              {head + "  list:\n    - a\n   - b\n", []string{"6:4 yaml-syntax"}},
		"a key among list entries":                               {"a:\n  - b\n  c: d\n", []string{"3:3 yaml-syntax"}},
		"a quote never closed on the first line":                 {"a: \"b\nc: d\n", []string{"1:1 yaml-syntax"}},
		"text after the end of a document":                       {object("a") + "...\nb\n...\n", []string{"6:1 yaml-syntax"}},
		"flow nesting of 20,000 on lines of the second document": {fine + "a: b\nc:\n" + strings.Repeat(" [\n", 20_000), []string{"107:2 too-deep"}},
		"a text that begins with @":                              {head + "  name: @a\n", []string{"4:3 yaml-syntax"}},
		"something merged that is no mapping":                    {head + "  <<: a\n  b: {<<: [{c: d}, [e]]}\n", []string{"4:7 bad-merge", "5:20 bad-merge"}},
		"a NUL in an escape":                                     {head + "  name: \"a\\0b\"\n", []string{"4:9 nul-byte"}},
		"too many defaults, times the items":                     {"apiVersion: proxbox-sync/v1\nkind: Thing\ndefaults: {" + members(200) + "}\nitems: [" + strings.Repeat("{a: 1},", 200) + "]\n", []string{"3:11 too-many-values"}},
		"too many values":                                        {"[" + strings.Repeat("a,", 20_000) + "]", []string{"1:40001 too-many-values"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := manifest.Options{}
			if strings.HasPrefix(name, "too many") {
				o.MaxNodes = 10_000
			}
			_, diags := read(c.text, o)
			requireDiagnostics(t, diags, c.want...)
			for _, d := range diags {
				require.Equal(t, "<stdin>", d.Pos.File)
				require.Equal(t, reconcile.Manifest, d.Trouble)
				require.NotContains(t, fmt.Sprintf("%+v", d), "hunter2")
			}
		})
	}
}

func TestRefusesTheSameInASopsFile(t *testing.T) {
	const sopsTail = "sops: {mac: x}\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"conflict markers":               {"<<<<<<< HEAD\nmac: a\n" + sopsTail, []string{"1:1 merge-conflict"}},
		"a cycle in the second document": {object("a") + sopsTail + "---\na: &a [*a]\n" + sopsTail, []string{"7:8 alias-cycle"}},
		"a bomb in the second document":  {object("a") + sopsTail + "---\n" + bomb() + sopsTail, []string{"12:45 too-many-values"}},
		"a key twice":                    {head + "  a: b\n  a: c\n" + sopsTail, []string{"5:3 duplicate-key"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := read(c.text, manifest.Options{Decrypt: func(string, []byte) (map[string]reconcile.Secret, error) {
				t.Error("the file was given to be decrypted")
				return nil, nil
			}})
			requireDiagnostics(t, diags, c.want...)
		})
	}
}

func TestNamesBothPlacesOfADuplicateKey(t *testing.T) {
	_, diags := read(head+"  name: a\n  name: b\n", manifest.Options{})
	require.Len(t, diags, 1)
	require.Equal(t, `the key "name" is given twice`, diags[0].Summary)
	require.Equal(t, []reconcile.Related{{Pos: reconcile.Position{File: "<stdin>", Line: 4, Column: 3}, Message: "first given here"}}, diags[0].Related)
}

func TestCutsLongNamesInMessages(t *testing.T) {
	long := strings.Repeat("ñ", 1000)
	_, diags := read(head+"  "+long+": a\n  "+long+": b\n"+long+": c\nmetadata: {"+long+": d}\n", manifest.Options{})
	require.Len(t, diags, 3)
	for _, d := range diags {
		require.Contains(t, d.Summary, strings.Repeat("ñ", 80)+"…\"")
		require.NotContains(t, d.Summary+d.Detail, strings.Repeat("ñ", 81))
	}
}

func TestReportsTheMistakesOfAllDocumentsBeforeASyntaxError(t *testing.T) {
	docs, diags := read(object("a")+"---\n"+head+"  b: .inf\n---\na: [\n", manifest.Options{})
	require.Len(t, docs, 2)
	requireDiagnostics(t, diags, "9:6 not-finite", "11:4 yaml-syntax")
}

func TestShowsNoMoreThanAHundredMistakesOfAFile(t *testing.T) {
	_, diags := read(head+"  a: ["+strings.Repeat("0x1,", 1000)+"]\n", manifest.Options{})
	require.Len(t, diags, 101)
	require.Equal(t, "too-many-mistakes", diags[0].Code)
}

func TestReadsWindowsFilesWithTheRightPlaces(t *testing.T) {
	text := "\uFEFF" + strings.ReplaceAll("apiVersion: proxbox-sync/v1\nkind: Thing\nspec:\n  größe: {ñ: ok, x: 0x1}\n", "\n", "\r\n")
	docs, diags := read(text, manifest.Options{})
	requireDiagnostics(t, diags, "4:21 ambiguous-number")
	require.Len(t, docs, 1)
	require.Equal(t, reconcile.Position{File: "<stdin>", Line: 1, Column: 1}, docs[0].Pos)
	require.Equal(t, "größe", docs[0].Spec.Members[0].Name)
	_, diags = read("\uFEFFx: 0x1\n", manifest.Options{})
	require.Equal(t, 1, diags[0].Pos.Column)
}

func TestReadsMarkedFilesThatWereJoined(t *testing.T) {
	const mark = "\uFEFF"
	for name, text := range map[string]string{
		"a mark before the separator":               mark + object("a") + mark + "---\n" + object("b"),
		"a mark after the separator":                mark + object("a") + "---\n" + mark + object("b"),
		"marks before and after, Windows line ends": strings.ReplaceAll(mark+object("a")+mark+"---\n"+mark+object("b"), "\n", "\r\n"),
		"a mark before a comment":                   mark + "# x\n" + object("a") + mark + "# y\n\n---\n" + object("b"),
		"a mark at the end":                         object("a") + "---\n" + object("b") + mark,
	} {
		t.Run(name, func(t *testing.T) {
			docs, diags := read(text, manifest.Options{})
			require.Empty(t, diags)
			require.Equal(t, []string{"a", "b"}, names(docs))
			for _, d := range docs {
				require.Equal(t, 1, d.Pos.Column)
			}
		})
	}
	_, diags := read(object("a")+mark+"---\n"+mark+"x: 0x1\n", manifest.Options{})
	requireDiagnostics(t, diags, "6:1 no-api-version", "6:4 ambiguous-number")
}

func TestReadsALargeFileOfManyObjects(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: proxbox-sync/v1\nkind: Thing\nitems:\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "  - {name: storage-%d, cluster: prod, nodes: [a, b], size: %d}\n", i, i)
	}
	docs, diags := read(b.String(), manifest.Options{})
	require.Empty(t, diags)
	require.Len(t, docs, 10_000)
}

func TestParsesOtherYAMLWithTheSameChecks(t *testing.T) {
	nodes, diags := manifest.Parse("proxbox-sync.yaml", []byte("owner: prod\nlimits: {max: 010}\n"), manifest.Options{})
	requireDiagnostics(t, diags, "2:15 ambiguous-number")
	require.Equal(t, reconcile.Position{File: "proxbox-sync.yaml", Line: 1, Column: 1}, nodes[0].Members[0].Pos)
	nodes, diags = manifest.Parse("proxbox-sync.yaml", nil, manifest.Options{})
	require.Empty(t, diags)
	require.Empty(t, nodes)
	_, diags = manifest.Parse("proxbox-sync.yaml", []byte("a: ENC[x]\n"), manifest.Options{})
	requireDiagnostics(t, diags, "1:4 no-sops-block")
}

func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		object("a"), bomb(), "a: &a [*a]\n", head + "  <<: [{a: 1}, *x]\n  b: &x {c: !!str 1}\n",
		"sops: {mac: x}\nspec: {a: 'ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]'}\n",
		"\uFEFFa: |\r\n  b\r\n---\n...\n# c\n", "? [a, b]\n: {c: 1e99999, d: 0o17}\n", "\tx", "- - - - a\n-", "<<<<<<< a",
		"apiVersion: proxbox-sync/v1\nkind: Thing\nmetadata: {patch: true, ignoreChanges: [a]}\ndefaults: {a: 1}\nitems: [{b: 2}, {}]\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		docs, diags := manifest.Load(context.Background(), []string{"-"}, manifest.Options{
			Stdin: strings.NewReader(text), MaxNodes: 10_000,
			Decrypt: func(string, []byte) (map[string]reconcile.Secret, error) { return nil, nil },
		})
		lines := 1 + strings.Count(text, "\n")
		for _, d := range diags {
			if d.Code == "unreadable-yaml" {
				t.Fatalf("a panic: %v", d)
			}
			if d.Pos.Line > lines+1 || d.Code == "" || d.Summary == "" || d.Pos.File == "" {
				t.Fatalf("a diagnostic out of place: %+v", d)
			}
			if strings.Contains(d.Summary+d.Detail, "ENC[AES256_GCM") || len(d.Summary)+len(d.Detail) > 4096 {
				t.Fatalf("a diagnostic that shows what it must not: %+v", d)
			}
		}
		for _, d := range docs {
			if d.Spec == nil || d.Spec.Shape != reconcile.Mapping || d.Kind == "" {
				t.Fatalf("a document without fields: %+v", d)
			}
			again, diags := manifest.Documents("again.yaml", []byte(written(d)))
			if diags.HasErrors() || len(again) != 1 || again[0].Kind != d.Kind {
				t.Fatalf("what was written again does not read: %v\n%s", diags, written(d))
			}
			if diff := cmp.Diff(said(d.Spec), said(again[0].Spec)); diff != "" {
				t.Fatalf("what was written again says something else:\n%s", diff)
			}
		}
	})
}

// written is a document in YAML that is JSON as well, but for its numbers.
func written(d reconcile.Document) string {
	return fmt.Sprintf("{apiVersion: proxbox-sync/v1, kind: %s, spec: %s}\n", quoted(d.Kind), flow(d.Spec))
}

func quoted(s string) string {
	data, _ := json.Marshal(s)
	return string(data)
}

func flow(n *reconcile.Node) string {
	var parts []string
	switch n.Shape {
	case reconcile.Mapping:
		for _, m := range n.Members {
			parts = append(parts, quoted(m.Name)+": "+flow(m.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case reconcile.Sequence:
		for _, item := range n.Items {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	switch v := n.Value.(type) {
	case string:
		return quoted(v)
	case nil:
		return "null"
	default:
		return fmt.Sprint(v)
	}
}
