package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// lines is a list of diagnostics in words, one line each.
func lines(diags reconcile.Diagnostics) []string {
	var out []string
	for _, d := range diags {
		out = append(out, fmt.Sprintf("%d:%d %s %s", d.Pos.Line, d.Pos.Column, d.Code, d.Summary))
	}
	return out
}

// Positions count the apiVersion line that load puts in front of each document.
func TestDesiredReportsMistakes(t *testing.T) {
	for _, c := range []struct {
		why, text string
		want      []string
	}{
		{"a kind that is misspelt is suggested", "kind: Stor\nspec: {}", []string{
			`2:7 unknown-kind unknown kind "Stor"`}},
		{"a kind that can only be referred to", "kind: User\nspec: {name: a}", []string{
			`2:7 lookup-kind User can be referred to, not managed`}},
		{"a field that does not exist", "kind: Site\nspec: {slug: a, nam: b}", []string{
			`3:17 unknown-field Site has no field "nam"`}},
		{"a field of the server's own", "kind: Site\nspec: {slug: a, id: 4}", []string{
			`3:17 read-only-field field "id" is read-only`}},
		{"a read-only field", "kind: Door\nspec: {name: a, online: true}", []string{
			`3:17 read-only-field field "online" is read-only`}},
		{"a secret in plain text", "kind: Door\nspec: {name: a, password: hunter2}", []string{
			`3:27 plaintext-secret secret field "password" stands in plain text`}},
		{"a secret that is a number", "kind: Door\nspec: {name: a, password: 12}", []string{
			`3:27 wrong-type field "password" must be text`}},
		{"a number where text is meant", "kind: Site\nspec: {slug: 010a, name: 12}", []string{
			`3:26 wrong-type field "name" must be text, not a number`}},
		{"a required field is missing", "kind: Site\nspec: {name: x}", []string{
			`1:1 missing-field field "slug" is required`}},
		{"a database id where a key is wanted", "kind: Cluster\nspec: {name: a, site: 42}", []string{
			`3:23 database-id field "site" needs the key of a Site, not a number`}},
		{"a reference that is a list", "kind: Cluster\nspec: {name: a, site: [b]}", []string{
			`3:23 wrong-type field "site" must be one reference, not a list`}},
		{"a reference by a field that the target does not have", "kind: Cluster\nspec: {name: a, site: {slugg: b}}", []string{
			`3:24 unknown-field a Site can't be selected by "slugg"`}},
		{"an empty reference", "kind: Cluster\nspec: {name: a, site: ''}", []string{
			`3:23 bad-reference field "site" is an empty reference`}},
		{"the tool's own custom field", "kind: Site\nspec: {slug: a, custom_fields: {proxbox_sync: {}}}", []string{
			`3:47 marker-field custom field "proxbox_sync" belongs to proxbox-sync itself`}},
		{"one object declared twice", "kind: Site\nspec: {slug: a}\n---\nkind: Site\nspec: {slug: a, name: b}", []string{
			`5:1 declared-twice declared twice`}},
		{"a patch without a base", "kind: Site\nmetadata: {patch: true}\nspec: {slug: a}", []string{
			`1:1 patch-without-base a patch without a document to patch`}},
		{"an unquoted word, date or clock time where text is meant",
			"kind: Site\nspec: {slug: no, name: 2024-01-01}\n---\nkind: Site\nspec: {slug: x, name: 12:30}\n---\nkind: Cluster\nspec: {name: c, site: on}", []string{
				`3:14 unquoted-text field "slug": unquoted, this is text to some programs and something else to others`,
				`3:24 unquoted-text field "name": unquoted, this is text to some programs and something else to others`,
				`7:23 unquoted-text field "name": unquoted, this is text to some programs and something else to others`,
				`11:23 unquoted-text field "site": unquoted, this is text to some programs and something else to others`}},
		{"namesakes of which one does not say what tells it apart",
			"kind: Door\nspec: {name: a, domain: x}\n---\nkind: Door\nspec: {name: a}", []string{
				`5:1 declared-twice declared twice`}},
		{"two patches of one field", "kind: Site\nspec: {slug: a}\n---\nkind: Site\nmetadata: {patch: true}\nspec: {slug: a, name: x}\n" +
			"---\nkind: Site\nmetadata: {patch: true}\nspec: {slug: a, name: y}", []string{
			`13:17 patched-twice field "name" is set by two patches`}},
		{"a singleton that is to be created", "kind: Options\nmetadata: {createOnly: true}\nspec: {level: 1}", []string{
			`3:11 metadata Options can't be created`}},
		{"an ignored field that does not exist", "kind: Site\nmetadata: {ignoreChanges: [nmae]}\nspec: {slug: a}", []string{
			`3:28 unknown-field ignoreChanges: Site has no field "nmae"`}},
		{"a rule across fields counts a field that is refused for another reason", "kind: Gate\nspec: {name: g, password: hunter2}", []string{
			`3:27 plaintext-secret secret field "password" stands in plain text`}},
		{"a rule across fields beside another mistake", "kind: Gate\nspec: {name: g, nam: 2}", []string{
			`1:1 rule a gate needs a password`,
			`3:17 unknown-field Gate has no field "nam"`}},
		{"all mistakes in one run, in the order of the file", "kind: Site\nspec: {nam: 1, slug: []}\n---\nkind: Nope\nspec: {}", []string{
			`3:8 unknown-field Site has no field "nam"`,
			`3:22 wrong-type field "slug" must be text, not a list`,
			`6:7 unknown-kind unknown kind "Nope"`}},
	} {
		t.Run(c.why, func(t *testing.T) {
			_, diags := reconcile.Desired(kinds(t), load(t, c.text), reconcile.DesiredOptions{})
			require.Empty(t, cmp.Diff(c.want, lines(diags.Errors())))
			require.NotContains(t, fmt.Sprintf("%+v", diags), "hunter2")
		})
	}
}

func TestDesiredAccepts(t *testing.T) {
	for _, c := range []struct{ why, text string }{
		{"null for nothing", "kind: Cluster\nspec: {name: a, site: null}"},
		{"an existing object without its required fields", "kind: Chain\nmetadata: {existing: true}\nspec: {name: a}"},
		{"quoted words, dates and clock times", "kind: Site\nspec: {slug: 'no', name: \"2024-01-01\"}"},
		{"an unquoted date where a time is meant", "kind: Store\nspec: {cluster: c, name: s, when: 2024-01-01}"},
		{"an empty secret, which sops leaves in plain text", "kind: Door\nspec: {name: a, password: ''}"},
		{"namesakes that declare what tells them apart",
			"kind: Door\nspec: {name: a, domain: x}\n---\nkind: Door\nspec: {name: a, domain: y}"},
	} {
		t.Run(c.why, func(t *testing.T) {
			_, diags := reconcile.Desired(kinds(t), load(t, c.text), reconcile.DesiredOptions{})
			require.Empty(t, lines(diags))
		})
	}
}

func TestPatchesMerge(t *testing.T) {
	state, diags := reconcile.Desired(kinds(t), load(t, `
kind: Site
spec: {slug: a, name: base, count: 3, raw: {keep: 1, change: {x: 1, y: 2}, drop: true}}
---
kind: Site
metadata: {patch: true}
spec: {slug: a, name: patched, raw: {change: {y: 3}, drop: null, added: [1]}}
---
kind: Site
metadata: {patch: true}
spec: {slug: a, count: null}
`), reconcile.DesiredOptions{})
	require.Empty(t, lines(diags))
	o := state.Objects["Site"][0]
	want := map[string]any{"slug": "a", "name": "patched", "raw": map[string]any{
		"keep": reconcile.Number("1"), "added": []any{reconcile.Number("1")},
		"change": map[string]any{"x": reconcile.Number("1"), "y": reconcile.Number("3")}}}
	require.Empty(t, cmp.Diff(want, o.Fields))
}

func TestSecretsNeverPrint(t *testing.T) {
	const plain = "s3cr3t-\"quoted\""
	secret := reconcile.NewSecret(plain, "ENC[x]")
	holder := struct{ inner any }{map[string]any{"password": secret}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		require.NotContains(t, fmt.Sprintf(verb, secret), "s3cr3t")
		require.NotContains(t, fmt.Sprintf(verb, holder), "s3cr3t")
		require.NotContains(t, fmt.Sprintf(verb, &secret), "s3cr3t")
	}
	got, ok := secret.Reveal()
	require.True(t, ok)
	require.True(t, got == plain)
	require.Equal(t, reconcile.Redacted, reconcile.Shown(secret))
}

// A file of patches that all miss their base compared each with every object.
func TestThousandsOfMistakesAreReportedWithoutThousandsOfSearches(t *testing.T) {
	var text strings.Builder
	text.WriteString("kind: Site\nitems:\n")
	for i := range 5000 {
		fmt.Fprintf(&text, "- {slug: a%d}\n", i)
	}
	text.WriteString("---\nkind: Site\nmetadata: {patch: true}\nitems:\n")
	for i := range 5000 {
		fmt.Fprintf(&text, "- {slug: ab%d}\n", i)
	}
	_, diags := reconcile.Desired(kinds(t), load(t, text.String()), reconcile.DesiredOptions{})
	require.Len(t, diags, 2001, "and one that says how many more there are")
	require.Equal(t, "3000 more mistakes are not shown", diags[2000].Summary)
	hinted := 0
	for _, d := range diags[:2000] {
		require.Equal(t, "patch-without-base", d.Code)
		if strings.Contains(d.Detail, "did you mean") {
			hinted++
		}
	}
	require.Positive(t, hinted)
	require.LessOrEqual(t, hinted, 20)
}
