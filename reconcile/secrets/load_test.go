package secrets_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getsops/sops/v3/keys"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/secrets"
	"proxbox-sync/schema"
)

// These tests join the two packages as the command line does, and go on to the
// desired state.

const endpoints = `apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
items:
  # the lab
  - {name: pve-lab, domain: pve.lab.example, username: root@pam, mode: standalone}
  - {name: pve-prod, domain: pve.prod.example, username: root@pam, mode: cluster, token_name: sync}
`

// patches is the secrets file beside: keys and secret fields only.
const patches = `# ask ops for the keys
apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
metadata:
  patch: true
spec:
  # rotated in spring
  name: pve-lab
  password: lab-Secret
---
apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
metadata:
  patch: true
spec:
  name: pve-prod
  token_value: prod-Secret
`

// mixed is one file with plain and encrypted fields.
const mixed = `apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
spec:
  name: pve-lab
  domain: pve.lab.example
  username: root@pam
  mode: standalone
  password: lab-Secret
---
apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
items:
  - name: pve-prod
    domain: pve.prod.example
    username: root@pam
    mode: cluster
    token_name: sync
    token_value: prod-Secret
`

var loadedTexts = []string{"lab-Secret", "prod-Secret"}

func load(t *testing.T, p *secrets.Opener, files map[string]string) (*reconcile.State, reconcile.Diagnostics) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
	}
	t.Chdir(folder)
	ctx := context.Background()
	docs, diags := manifest.Load(ctx, []string{"."}, manifest.Options{
		Decrypt: func(file string, data []byte) (map[string]reconcile.Secret, error) {
			values, _, err := p.Open(ctx, file, data)
			return values, err
		},
	})
	state, more := reconcile.Desired(schema.Embedded(), docs, reconcile.DesiredOptions{})
	diags = append(diags, more...)
	requireHidden(t, loadedTexts, docs, diags, state)
	return state, diags.Sorted()
}

func secretsOf(state *reconcile.State) map[string]string {
	out := map[string]string{}
	for _, o := range state.Objects["ProxmoxEndpoint"] {
		for name, v := range o.Fields {
			if secret, ok := v.(reconcile.Secret); ok {
				plain, _ := secret.Reveal()
				out[fmt.Sprintf("%s/%s", o.Fields["name"], name)] = plain
			}
		}
	}
	return out
}

func TestSecretsReachTheDesiredState(t *testing.T) {
	id, other := ageKey(t), ageKey(t)
	home, fingerprint := keyring(t)
	t.Setenv("PATH", t.TempDir())
	withPGP := opener(t, secrets.Options{Env: env{"GNUPGHOME": home}.get})
	both := [][]keys.MasterKey{append(forAge(t, other, id)[0], forPGP(home, fingerprint))}
	files := func(groups [][]keys.MasterKey) map[string]map[string]string {
		return map[string]map[string]string{
			"as patches in a file beside":   {"endpoints.yaml": endpoints, "endpoints.secrets.yaml": encrypt(t, patches, recipe{groups: groups, rule: rule})},
			"as encrypted fields of a file": {"endpoints.yaml": encrypt(t, mixed, recipe{groups: groups, rule: rule})},
		}
	}
	want := map[string]string{"pve-lab/password": "lab-Secret", "pve-prod/token_value": "prod-Secret"}
	for key, p := range map[string]*secrets.Opener{"age": withKey(t, id), "PGP": withPGP} {
		for name, set := range files(both) {
			t.Run(name+", with "+key, func(t *testing.T) {
				state, diags := load(t, p, set)
				require.Empty(t, diags.Errors(), "%v", diags)
				if diff := cmp.Diff(want, secretsOf(state)); diff != "" {
					t.Fatalf("secrets (-want +got):\n%s", diff)
				}
			})
		}
	}
	for name, set := range files(both) {
		t.Run(name+", without a key", func(t *testing.T) {
			state, diags := load(t, opener(t, secrets.Options{NoDecrypt: true}), set)
			require.Empty(t, diags.Errors(), "%v", diags)
			require.Equal(t, map[string]string{"pve-lab/password": "", "pve-prod/token_value": ""}, secretsOf(state))
		})
	}
}

func TestRefusalsNameThePlaceOfTheFile(t *testing.T) {
	id, other := ageKey(t), ageKey(t)
	good := encrypt(t, patches, recipe{groups: forAge(t, id), rule: rule})
	for name, c := range map[string]struct {
		p    *secrets.Opener
		file string
		want string
	}{
		"no key":                        {opener(t, secrets.Options{Env: env{}.get}), good, "no-key"},
		"a wrong key":                   {withKey(t, other), good, "wrong-key"},
		"a change without sops":         {withKey(t, id), strings.Replace(good, "name: pve-lab", "name: pve-prod", 1), "mac-mismatch"},
		"a newer format":                {withKey(t, id), strings.ReplaceAll(good, "version: 3.13.3", "version: 9.0.0"), "newer-sops-format"},
		"a newer format, without a key": {opener(t, secrets.Options{NoDecrypt: true}), strings.ReplaceAll(good, "version: 3.13.3", "version: 9.0.0"), "newer-sops-format"},
		"everything encrypted":          {withKey(t, id), encrypt(t, strings.ReplaceAll(patches, "  patch: true", "  patch: false"), recipe{groups: forAge(t, id)}), "encrypted-type"},
		"merged by hand":                {withKey(t, id), strings.Replace(good, "spec:", "<<<<<<< HEAD\nspec:", 1), "merge-conflict"},
		"a second block that differs":   {withKey(t, id), good[:strings.LastIndex(good, "version: 3.13.3")] + "version: 3.13.2\n", "sops-blocks-differ"},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := load(t, c.p, map[string]string{"endpoints.yaml": endpoints, "endpoints.secrets.yaml": c.file})
			found := false
			for _, d := range diags.Errors() {
				if d.Code == c.want {
					found = true
					require.Equal(t, "endpoints.secrets.yaml", d.Pos.File)
					require.NotZero(t, d.Pos.Line)
				}
			}
			require.True(t, found, "%v", diags)
		})
	}
}
