package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/sandbox"
)

// grant is a permission on objects of some kinds, restricted to those that
// match where; no kinds are all, and no actions.
type grant struct {
	kinds   []string
	actions []string
	where   map[string]any
}

// limited makes a token that may do no more than it is granted.
func (w *world) limited(t testing.TB, version int, write bool, grants ...grant) string {
	t.Helper()
	if w.sandbox != nil {
		return w.limitedInSandbox(t, version, write, grants)
	}
	name := newTag()
	user := w.must(t, http.MethodPost, "users/users", map[string]any{"username": w.tag + name, "password": "Cx1-" + name + "-longenough"})
	for i, g := range grants {
		types := []string{}
		for _, kind := range w.set.Kinds() {
			if g.kinds == nil || slices.Contains(g.kinds, kind.Name) {
				types = append(types, kind.Resource.ObjectType)
			}
		}
		actions := g.actions
		if actions == nil {
			actions = []string{"view", "add", "change", "delete"}
		}
		body := map[string]any{"name": fmt.Sprint(w.tag, name, i), "object_types": types, "actions": actions, "users": []any{user["id"]}}
		if g.where != nil {
			body["constraints"] = g.where
		}
		w.must(t, http.MethodPost, "users/permissions", body)
	}
	token := w.must(t, http.MethodPost, "users/tokens", map[string]any{"user": user["id"], "version": version, "write_enabled": write})
	plain, _ := token["token"].(string)
	require.NotEmpty(t, plain)
	if version == 2 {
		plain = fmt.Sprintf("nbt_%s.%s", token["key"], plain)
	}
	return plain
}

func (w *world) limitedInSandbox(t testing.TB, version int, write bool, grants []grant) string {
	t.Helper()
	spec := sandbox.TokenSpec{Token: strings.Repeat(newTag()+newTag(), 4)[:40], Write: write}
	if version == 2 {
		spec.Token = "nbt_" + newTag() + "." + spec.Token
	}
	for _, g := range grants {
		p := sandbox.Permission{Kinds: g.kinds, Actions: g.actions}
		if g.where != nil {
			p.Where = []map[string]any{g.where}
		}
		spec.Permissions = append(spec.Permissions, p)
	}
	require.NoError(t, w.sandbox.AddToken(spec))
	return spec.Token
}

var siteKinds = []string{"Site", "Tag", "Tenant"}

const oneSite = `
kind: Site
spec: {slug: {p}-site, name: "{p} site", description: first}
`

// TestConformancePermissions plans and applies with tokens that may not do
// everything.
func TestConformancePermissions(t *testing.T) {
	eachServer(t, func(t *testing.T, w *world) {
		file, changed := w.write(t, oneSite), w.write(t, strings.Replace(oneSite, "first", "second", 1))
		for version := range 2 {
			t.Run(fmt.Sprintf("a v%d token that may only read plans and can't apply", version+1), func(t *testing.T) {
				token := w.limited(t, version+1, false, grant{kinds: siteKinds})
				out := w.cliAs(t, token, "plan", "--detailed-exitcode", file)
				require.Equal(t, 2, out.code, "%s%s", out.stdout, out.stderr)
				out = w.cliAs(t, token, "apply", "--auto-approve", file)
				require.Equal(t, 7, out.code, "%s%s", out.stdout, out.stderr)
				require.Contains(t, out.stdout, "dcim.add_site", "the permission is named")
			})
		}
		t.Run("both versions of a superuser's token do everything", func(t *testing.T) {
			for _, token := range []string{w.token, w.tokenV1} {
				out := w.cliAs(t, token, "apply", "--auto-approve", file)
				require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
				out = w.cliAs(t, token, "apply", "--auto-approve", changed)
				require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
			}
		})
		w.applied(t, oneSite)
		t.Run("without add permission a plan says what was not checked", func(t *testing.T) {
			token := w.limited(t, 2, true, grant{kinds: []string{"ProxmoxEndpoint"}, actions: []string{"view"}})
			out := w.cliAs(t, token, "plan", "--allow-plaintext-secrets", w.write(t, `
kind: ProxmoxEndpoint
spec: {name: {p}-pve, mode: cluster, domain: {p}.example, password: x}
`))
			require.Equal(t, 0, out.code, "%s%s", out.stdout, out.stderr)
			require.Contains(t, out.stdout+out.stderr, "not checked with this token")
		})
		t.Run("without change permission nothing changes", func(t *testing.T) {
			token := w.limited(t, 2, true, grant{kinds: siteKinds, actions: []string{"view", "add"}})
			out := w.cliAs(t, token, "apply", "--auto-approve", changed)
			require.Equal(t, 7, out.code, "%s%s", out.stdout, out.stderr)
			require.Contains(t, out.stdout, "dcim.change_site")
			w.unchanged(t, file)
		})
		t.Run("without view permission a plan says which one is missing", func(t *testing.T) {
			token := w.limited(t, 2, true, grant{kinds: []string{"Tag"}})
			before := w.count()
			out := w.cliAs(t, token, "apply", "--auto-approve", file)
			require.Equal(t, int(exitError), out.code, "%s%s", out.stdout, out.stderr)
			require.Contains(t, out.stderr, "dcim.view_site")
			require.Empty(t, w.writes(before))
		})
		t.Run("a wrong token is no plan at all", func(t *testing.T) {
			for _, token := range []string{strings.Repeat("f", 40), "nbt_wrong." + strings.Repeat("f", 40)} {
				before := w.count()
				out := w.cliAs(t, token, "apply", "--auto-approve", file)
				require.Equal(t, 1, out.code, "%s%s", out.stdout, out.stderr)
				require.Contains(t, out.stderr, "token")
				require.Empty(t, w.writes(before))
			}
		})
		t.Run("a change of what the token may see but not change is refused", func(t *testing.T) {
			token := w.limited(t, 2, true, grant{kinds: siteKinds, actions: []string{"view"}},
				grant{kinds: siteKinds, actions: []string{"change"}, where: map[string]any{"slug": w.tag + "-other"}})
			out := w.cliAs(t, token, "apply", "--auto-approve", changed)
			require.Equal(t, 7, out.code, "%s%s", out.stdout, out.stderr)
			w.unchanged(t, file)
		})
		t.Run("what the token can't see is a create, which the server refuses, and the rest is applied", w.unseen)
	})
}

// unseen declares an object that is there and that the token may not view.
func (w *world) unseen(t *testing.T) {
	token := w.limited(t, 2, true, grant{kinds: siteKinds, where: map[string]any{"slug": w.tag + "-other"}},
		grant{kinds: []string{"Tag"}})
	file := w.write(t, oneSite+`
---
kind: Site
spec: {slug: {p}-other, name: "{p} other", tags: [{p}-tag]}
---
kind: Tag
spec: {slug: {p}-tag, name: "{p} tag"}
`)
	results := w.partly(t, token, file)
	require.Equal(t, map[string]string{"Site -site": "failed: name: slug", "Site -other": "applied", "Tag -tag": "applied"}, results)
}

// partly applies what the server refuses in part, and returns what became of
// each object: its result, and the fields that the server spoke of.
func (w *world) partly(t *testing.T, token string, args ...string) map[string]string {
	t.Helper()
	out := w.cliAs(t, token, append([]string{"apply", "--auto-approve", "--format", "json"}, args...)...)
	require.Equal(t, 7, out.code, "%s%s", out.stdout, out.stderr)
	var report struct {
		ExitCode int `json:"exit_code"`
		Results  []struct {
			Kind, Key, Result string
			Messages          []struct{ Field, Text string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out.stdout), &report), "%s", out.stdout)
	require.Equal(t, 7, report.ExitCode)
	results := map[string]string{}
	for _, r := range report.Results {
		text := r.Result
		for _, m := range r.Messages {
			require.NotEmpty(t, m.Text)
			if text += ": " + m.Field; m.Field == "" {
				text += m.Text
			}
		}
		results[r.Kind+" "+strings.TrimPrefix(r.Key, w.tag)] = text
	}
	return results
}
