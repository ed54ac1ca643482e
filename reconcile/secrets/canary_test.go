package secrets_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/getsops/sops/v3/hcvault"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/pgp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/secrets"
)

// listener is a stranger's Vault: it notes whatever reaches it, and opens every
// data key.
type listener struct {
	*httptest.Server
	dataKey []byte

	mu          sync.Mutex
	connections int
	requests    []string // path and token
}

func listen(t *testing.T, dataKey []byte) *listener {
	l := &listener{dataKey: dataKey}
	l.Server = httptest.NewUnstartedServer(l)
	l.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.connections++
		}
	}
	l.Start()
	t.Cleanup(l.Close)
	return l
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, r.URL.Path+" "+r.Header.Get("X-Vault-Token"))
	_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"plaintext": base64.StdEncoding.EncodeToString(l.dataKey)}})
}

func (l *listener) heard() (int, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connections, l.requests
}

const vaultToken = "hvs.canary-token"

func vaultKey(address string) keys.MasterKey {
	k := hcvault.NewMasterKey(address, "sops", "first")
	k.EncryptedKey = "vault:v1:AAAA"
	return k
}

func TestNeitherTokenNorKeyGoesWhereAFilePoints(t *testing.T) {
	id, other := ageKey(t), ageKey(t)
	dataKey := []byte(strings.Repeat("k", 32))
	stranger := listen(t, dataKey)
	t.Setenv("VAULT_ADDR", stranger.URL)
	t.Setenv("VAULT_TOKEN", vaultToken)
	t.Setenv("AWS_ENDPOINT_URL", stranger.URL)
	t.Setenv("HTTP_PROXY", stranger.URL)
	t.Setenv("HTTPS_PROXY", stranger.URL)
	host, err := url.Parse(stranger.URL)
	require.NoError(t, err)

	withVault := encrypt(t, plainFile, recipe{groups: [][]keys.MasterKey{append(forAge(t, id)[0], vaultKey(stranger.URL))}, rule: rule, dataKey: dataKey})
	grouped := encrypt(t, plainFile, recipe{groups: [][]keys.MasterKey{forAge(t, id)[0], {vaultKey(stranger.URL)}}, rule: rule})
	plugin := strings.ReplaceAll(withVault, "hc_vault", "pgp")
	require.Contains(t, withVault, "hc_vault:")
	good := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule})
	add := func(entry string) string {
		return strings.ReplaceAll(good, "  lastmodified:", entry+"\n  lastmodified:")
	}

	for name, c := range map[string]struct {
		file string
		want secrets.Reason
		says string
	}{
		"a Vault beside a good age key":       {withVault, secrets.ForeignKeyService, "hc_vault at " + host.Host},
		"a Vault in a key group":              {grouped, secrets.ForeignKeyService, "hc_vault at " + host.Host},
		"a Vault under a name in capitals":    {strings.ReplaceAll(withVault, "hc_vault", "HC_Vault"), secrets.Unsafe, ""},
		"a Vault that is no list":             {add("  hc_vault: {vault_address: " + stranger.URL + ", engine_path: e, key_name: k, enc: x, created_at: \"2026-01-01T00:00:00Z\"}"), secrets.Unsafe, ""},
		"a Vault with a hidden host":          {add("  hc_vault: [{vault_address: \"https://a b/\\e[31m\", engine_path: e, key_name: k, enc: x, created_at: \"2026-01-01T00:00:00Z\"}]"), secrets.ForeignKeyService, "not allowed: hc_vault"},
		"an AWS key":                          {add("  kms: [{arn: \"arn:aws:kms:eu-west-1:1:key/x\", enc: x, created_at: \"2026-01-01T00:00:00Z\", aws_profile: \"\"}]"), secrets.ForeignKeyService, "kms"},
		"a Google key":                        {add("  gcp_kms: [{resource_id: projects/x, enc: x, created_at: \"2026-01-01T00:00:00Z\"}]"), secrets.ForeignKeyService, "gcp_kms"},
		"a Huawei key":                        {add("  hckms: [{key_id: \"r:x\", enc: x, created_at: \"2026-01-01T00:00:00Z\"}]"), secrets.ForeignKeyService, "hckms"},
		"an Azure key":                        {add("  azure_kv: [{vault_url: " + stranger.URL + ", name: n, version: v, enc: x, created_at: \"2026-01-01T00:00:00Z\"}]"), secrets.ForeignKeyService, "azure_kv at " + host.Host},
		"an age plugin":                       {strings.ReplaceAll(good, id.Recipient().String(), "age1yubikey1qg8"), secrets.PluginRecipient, "plugin"},
		"an age plugin in capitals":           {strings.ReplaceAll(good, id.Recipient().String(), "AGE1YUBIKEY1QG8"), secrets.PluginRecipient, "plugin"},
		"a Vault's fields under another type": {plugin, secrets.Unsafe, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, o := range []secrets.Options{
				{Env: env{"SOPS_AGE_KEY": id.String()}.get},
				{Env: env{"SOPS_AGE_KEY": other.String()}.get},
				{NoDecrypt: true},
				{Env: env{"SOPS_AGE_KEY": id.String()}.get, AllowedKeys: []string{"hc_vault=" + stranger.URL + "/v1/sops/keys/second", "hc_vault=" + stranger.URL}},
			} {
				failure := requireReason(t, opener(t, o), c.file, c.want, append(plainTexts, vaultToken, id.String())...)
				require.Contains(t, failure.What, c.says)
				require.NotContains(t, failure.What, "\x1b")
			}
		})
	}
	connections, requests := stranger.heard()
	require.Zero(t, connections)
	require.Empty(t, requests)
}

func TestAsksAKeyServiceThatWasAllowedByItsAddress(t *testing.T) {
	id := ageKey(t)
	dataKey := []byte(strings.Repeat("k", 32))
	vault, stranger := listen(t, dataKey), listen(t, dataKey)
	t.Setenv("VAULT_ADDR", stranger.URL)
	t.Setenv("VAULT_TOKEN", vaultToken)
	t.Setenv("HOME", t.TempDir())
	file := encrypt(t, plainFile, recipe{groups: [][]keys.MasterKey{append(forAge(t, id)[0], vaultKey(vault.URL))}, rule: rule, dataKey: dataKey})
	allowed := []string{"hc_vault=" + vault.URL + "/v1/sops/keys/first"}

	// An age key comes first, and leaves nothing to ask for.
	_, _, err := opener(t, secrets.Options{Env: env{"SOPS_AGE_KEY": id.String()}.get, AllowedKeys: allowed}).
		Open(context.Background(), "a.yaml", []byte(file))
	require.NoError(t, err)
	connections, _ := vault.heard()
	require.Zero(t, connections)

	values, _, err := opener(t, secrets.Options{Env: env{}.get, AllowedKeys: allowed}).Open(context.Background(), "a.yaml", []byte(file))
	require.NoError(t, err)
	require.Len(t, values, len(plainValues))
	_, requests := vault.heard()
	require.Equal(t, []string{"/v1/sops/decrypt/first " + vaultToken}, requests)
	connections, _ = stranger.heard()
	require.Zero(t, connections)
}

// Files that share a data key ask for it once, also at the same time; another one
// is asked for on its own.
func TestAsksOnceForADataKeyThatFilesShare(t *testing.T) {
	dataKey := []byte(strings.Repeat("k", 32))
	vault := listen(t, dataKey)
	t.Setenv("VAULT_TOKEN", vaultToken)
	t.Setenv("HOME", t.TempDir())
	file := func(encryptedKey, text string) []byte {
		k := vaultKey(vault.URL).(*hcvault.MasterKey)
		k.EncryptedKey = encryptedKey
		return []byte(encrypt(t, text, recipe{groups: [][]keys.MasterKey{{k}}, rule: rule, dataKey: dataKey}))
	}
	p := opener(t, secrets.Options{Env: env{}.get, AllowedKeys: []string{"hc_vault=" + vault.URL + "/v1/sops/keys/first"}})
	vault.dataKey = []byte(strings.Repeat("x", 32)) // which does not open them
	requireReason(t, p, string(file("vault:v1:CCCC", plainFile)), secrets.Changed)
	vault.dataKey = dataKey

	var group sync.WaitGroup
	for i := range 50 {
		data := file("vault:v1:AAAA", strings.Replace(plainFile, "lab", fmt.Sprint("lab", i), 1))
		group.Go(func() {
			values, _, err := p.Open(context.Background(), fmt.Sprintf("%d.yaml", i), data)
			if err != nil || len(values) != len(plainValues) {
				t.Errorf("%d values, %v", len(values), err)
			}
		})
	}
	group.Wait()
	_, requests := vault.heard()
	require.Len(t, requests, 2)
	_, _, err := p.Open(context.Background(), "other.yaml", file("vault:v1:BBBB", plainFile))
	require.NoError(t, err)
	_, requests = vault.heard()
	require.Len(t, requests, 3)
	requireHidden(t, []string{string(dataKey)}, p)
}

func TestRunsNoProgramForAgeKeys(t *testing.T) {
	id, other := ageKey(t), ageKey(t)
	folder := t.TempDir()
	mark := filepath.Join(folder, "ran")
	script := filepath.Join(folder, "run")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o700))
	for _, name := range []string{"age-plugin-x", "age-plugin-yubikey", "gpg"} {
		require.NoError(t, os.Symlink(script, filepath.Join(folder, name)))
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("SOPS_AGE_KEY_CMD", script)
	t.Setenv("SOPS_AGE_SSH_PRIVATE_KEY_CMD", script)
	t.Setenv("SOPS_GPG_EXEC", script)
	file := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule})
	for text, want := range map[string]secrets.Reason{"": secrets.NoKey, other.String(): secrets.WrongKey, "AGE-PLUGIN-X-1QQQ": secrets.UnusableKey} {
		environment := func(name string) string {
			if name == "SOPS_AGE_KEY" {
				return text
			}
			return os.Getenv(name)
		}
		t.Setenv("HOME", folder)
		requireReason(t, opener(t, secrets.Options{Env: environment}), file, want)
	}
	require.NoFileExists(t, mark)
}

// TestOpensWithGnuPG uses the program where it is installed; the keyring files
// of the other tests need none.
func TestOpensWithGnuPG(t *testing.T) {
	program, err := exec.LookPath("gpg")
	if err != nil {
		t.Skip("gpg is not installed")
	}
	t.Setenv("LC_ALL", "C")
	t.Setenv("HOME", t.TempDir())
	// The agent's socket wants a short path.
	home, err := os.MkdirTemp("", "gpg")
	require.NoError(t, err)
	gpg := func(args ...string) string {
		out, err := exec.Command(program, append([]string{"--homedir", home, "--batch", "--passphrase", "", "--pinentry-mode", "loopback"}, args...)...).Output()
		require.NoError(t, err, "gpg %v", args)
		return string(out)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	gpg("--quick-generate-key", "test@example.org", "default", "default", "never")
	var fingerprint string
	for line := range strings.Lines(gpg("--with-colons", "--list-keys")) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" && fingerprint == "" {
			fingerprint = fields[9]
		}
	}
	key := pgp.NewMasterKeyFromFingerprint(fingerprint)
	pgp.DisableOpenPGP{}.ApplyToMasterKey(key)
	pgp.GnuPGHome(home).ApplyToMasterKey(key)
	file := encrypt(t, plainFile, recipe{groups: [][]keys.MasterKey{{key}}, rule: rule})
	values, _, err := opener(t, secrets.Options{Env: env{"GNUPGHOME": home}.get}).Open(context.Background(), "a.yaml", []byte(file))
	require.NoError(t, err)
	require.Equal(t, plainValues, revealed(t, values))

	empty, err := os.MkdirTemp("", "gpg")
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", empty, "--kill", "all").Run()
		_ = os.RemoveAll(empty)
	})
	failure := requireReason(t, opener(t, secrets.Options{Env: env{"GNUPGHOME": empty}.get}), file, secrets.NoKey, plainTexts...)
	require.Contains(t, failure.Remedy, fingerprint)
	require.Contains(t, failure.Remedy, "PGP keys: GnuPG was asked, with the keys in GNUPGHOME")
	require.NotContains(t, failure.Remedy, "Age keys")
}
