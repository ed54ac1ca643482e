// Package docs_test keeps the documentation true.
package docs_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/schema"
)

var update = flag.Bool("update", false, "write kinds.md, the rules of lint.md and the cases of reliability.md anew")

// pages are all texts for people, by path from this folder.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"*.md", "../*.md", "../examples/*.md", "../examples/*/*.md"} {
		names, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range names {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			out[name] = string(data)
		}
	}
	require.Greater(t, len(out), 8)
	return out
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

func TestManifestsInTheTextsAreValid(t *testing.T) {
	set := schema.Embedded()
	blocks := 0
	for name, text := range pages(t) {
		for _, m := range yamlBlock.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(m[1], "apiVersion:") {
				continue
			}
			blocks++
			docs, diags := manifest.Load(t.Context(), []string{"-"}, manifest.Options{Stdin: strings.NewReader(m[1])})
			if !diags.HasErrors() {
				desired, more := reconcile.Desired(set, docs, reconcile.DesiredOptions{})
				diags = append(append(diags, more...), reconcile.Link(set, desired, nil)...)
			}
			for _, d := range diags {
				t.Errorf("%s: line %d of a block: %s (%s)\n%s", name, d.Pos.Line, d.Summary, d.Detail, m[1])
			}
		}
	}
	require.GreaterOrEqual(t, blocks, 4)
}

var link = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for name, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor := m[1], m[2]
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = filepath.Join(filepath.Dir(name), target)
				_, err := os.Stat(file)
				require.NoError(t, err, "%s links to %s", name, target)
			}
			if anchor != "" {
				require.Contains(t, anchors(all[file]), anchor[1:], "%s links to %s%s", name, target, anchor)
			}
		}
	}
}

// anchors are the names that a page's headings get.
func anchors(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(line, "#"); ok {
			heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
			heading = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(heading, "")
			out = append(out, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return out
}

const kindsHead = `# Kinds

Generated from the schema files: ` + "`go test ./docs -update`" + `. Everything about one:
` + "`proxbox-sync explain KIND`" + `.

Managed kinds are created and updated. The settings are one object that the server makes; only updated.
The kinds at the end can be referred to, not managed.

| kind | what it is | key | secrets |
|---|---|---|---|
`

func TestTheListOfKindsIsThatOfTheSchemas(t *testing.T) {
	var b strings.Builder
	b.WriteString(kindsHead)
	for _, mode := range []schema.Mode{schema.Managed, schema.Singleton, schema.Lookup} {
		for _, k := range schema.Embedded().Kinds() {
			if k.Resource.Mode != mode {
				continue
			}
			var secrets []string
			for _, f := range k.Fields {
				if f.WriteOnly {
					secrets = append(secrets, "`"+f.Name+"`")
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", k.Name, strings.ReplaceAll(k.Description, "|", `\|`),
				strings.Join(k.Resource.Key, ", "), strings.Join(secrets, ", "))
		}
	}
	if *update {
		require.NoError(t, os.WriteFile("kinds.md", []byte(b.String()), 0o644))
	}
	got, err := os.ReadFile("kinds.md")
	require.NoError(t, err)
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("kinds.md is not of these schemas; run go test ./docs -update\n%s", diff)
	}
}

const rulesMark = "<!-- generated from the rules: go test ./docs -update -->\n\n"

func TestTheListOfRulesIsThatOfTheProgram(t *testing.T) {
	page, err := os.ReadFile("lint.md")
	require.NoError(t, err)
	head, got, found := strings.Cut(string(page), rulesMark)
	require.True(t, found)
	var b strings.Builder
	b.WriteString("| code | of | severity | what is risky |\n|---|---|---|---|\n")
	for _, r := range reconcile.Rules(schema.Embedded()) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Code, r.Kind, r.Severity, strings.ReplaceAll(r.Message, "|", `\|`))
	}
	if *update {
		require.NoError(t, os.WriteFile("lint.md", []byte(head+rulesMark+b.String()), 0o644))
		return
	}
	if diff := cmp.Diff(b.String(), got); diff != "" {
		t.Errorf("lint.md is not of these rules; run go test ./docs -update\n%s", diff)
	}
}

const casesMark = "<!-- generated from testdata/hostile: go test ./docs -update -->\n\n"

var ended = regexp.MustCompile(`(?m)^(\w+): exit (\d+)\n(?:  (?:.*error: )?(.*)\n)?`)

// The list of cases is what their run printed: each compares that with its own
// file "want", which it is read from here.
func TestTheListOfHostileCasesIsThatOfTheCorpus(t *testing.T) {
	page, err := os.ReadFile("reliability.md")
	require.NoError(t, err)
	head, got, found := strings.Cut(string(page), casesMark)
	require.True(t, found)
	files, err := filepath.Glob("../testdata/hostile/*.txtar")
	require.NoError(t, err)
	require.Greater(t, len(files), 60)
	var b strings.Builder
	for i, file := range files {
		archive, err := txtar.ParseFile(file)
		require.NoError(t, err)
		what, script, _ := strings.Cut(strings.TrimPrefix(string(archive.Comment), "# "), "\n")
		require.Contains(t, script, "cmp stdout ../want", file)
		at := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
		require.GreaterOrEqual(t, at, 0, file)
		runs := ended.FindAllStringSubmatch(string(archive.Files[at].Data), -1)
		require.NotEmpty(t, runs, file)
		names, codes, message := []string{}, []string{}, ""
		for _, run := range runs {
			names, codes = append(names, run[1]), append(codes, run[2])
			if message == "" || run[1] == "plan" {
				message = run[3]
			}
		}
		if i == 0 {
			fmt.Fprintf(&b, "| case | what is hostile | %s | plan says |\n|---|---|%s---|\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
		}
		cell := strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`).Replace
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strings.TrimSuffix(filepath.Base(file), ".txtar"), cell(what), strings.Join(codes, " | "), cell(message))
	}
	if *update {
		require.NoError(t, os.WriteFile("reliability.md", []byte(head+casesMark+b.String()), 0o644))
		return
	}
	if diff := cmp.Diff(b.String(), got); diff != "" {
		t.Errorf("reliability.md is not of these cases; run go test ./docs -update\n%s", diff)
	}
}
