package secrets_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3/keys"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/secrets"
)

const plainFile = `# who to ask: ops
apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
spec:
  # the root of all
  name: pve-lab
  password: "s3cret: ö #'\"\\ {x}"
  port: 8006
  tags: [a, b]
  token_value: ""
---
apiVersion: proxbox-sync/v1
kind: ProxmoxEndpoint
items:
  - name: one
    password: first-Secret
  - name: two
    password: |
      -----BEGIN KEY-----
      second-Secret
  - name: three
    password: null
    a/b~c: {password: third-Secret}
`

var plainValues = map[string]string{
	"0#/spec/password":            `s3cret: ö #'"\ {x}`,
	"1#/items/0/password":         "first-Secret",
	"1#/items/1/password":         "-----BEGIN KEY-----\nsecond-Secret\n",
	"1#/items/2/a~1b~0c/password": "third-Secret",
}

var plainTexts = []string{"s3cret", "first-Secret", "second-Secret", "third-Secret"}

const rule = "^(password|token_value)$"

func TestOpensTheEncryptedValuesOfAFile(t *testing.T) {
	id, other := ageKey(t), ageKey(t)
	hybrid, err := age.GenerateHybridIdentity()
	require.NoError(t, err)
	home, fingerprint := keyring(t)
	t.Setenv("PATH", t.TempDir()) // no gpg: the keyring files are read
	folder := t.TempDir()
	keyFile := filepath.Join(folder, "key.txt")
	require.NoError(t, os.WriteFile(keyFile, []byte("# created: today\n# public key: x\n"+id.String()+"\n"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "sops", "age"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "sops", "age", "keys.txt"), []byte(id.String()+"\n"), 0o600))

	for name, c := range map[string]struct {
		groups [][]keys.MasterKey
		env    env
	}{
		"with an age key in the environment":               {forAge(t, id), env{"SOPS_AGE_KEY": id.String()}},
		"with several age keys on one line":                {forAge(t, id), env{"SOPS_AGE_KEY": other.String() + " " + id.String()}},
		"with an age key in a file":                        {forAge(t, id), env{"SOPS_AGE_KEY_FILE": keyFile}},
		"with an age key in the user's configuration":      {forAge(t, id), env{"XDG_CONFIG_HOME": folder}},
		"with a good key beside things that are no key":    {forAge(t, id), env{"SOPS_AGE_KEY": "AGE-PLUGIN-X-1 nonsense", "SOPS_AGE_KEY_FILE": keyFile}},
		"with the second of two recipients":                {forAge(t, other, id), env{"SOPS_AGE_KEY": id.String()}},
		"with a PGP key from a keyring file":               {[][]keys.MasterKey{{forPGP(home, fingerprint)}}, env{"GNUPGHOME": home}},
		"with a PGP key when the age recipient is another": {[][]keys.MasterKey{append(forAge(t, other)[0], forPGP(home, fingerprint))}, env{"GNUPGHOME": home}},
		"with a PGP key beside an age key that is no help": {[][]keys.MasterKey{append(forAge(t, other)[0], forPGP(home, fingerprint))}, env{"GNUPGHOME": home, "SOPS_AGE_KEY": id.String()}},
		"with a key of each of two groups":                 {[][]keys.MasterKey{forAge(t, id)[0], {forPGP(home, fingerprint)}}, env{"SOPS_AGE_KEY": id.String(), "GNUPGHOME": home}},
		"with a post-quantum key among the identities":     {forAge(t, id), env{"SOPS_AGE_KEY": hybrid.String() + "\n" + id.String()}},
	} {
		t.Run(name, func(t *testing.T) {
			file := encrypt(t, plainFile, recipe{groups: c.groups, rule: rule})
			for _, text := range plainTexts {
				require.NotContains(t, file, text)
			}
			values, info, err := opener(t, secrets.Options{Env: c.env.get}).Open(context.Background(), "a.yaml", []byte(file))
			require.NoError(t, err)
			if diff := cmp.Diff(plainValues, revealed(t, values)); diff != "" {
				t.Fatalf("values (-want +got):\n%s", diff)
			}
			for _, secret := range values {
				require.Contains(t, file, secret.Cipher())
			}
			requireHidden(t, plainTexts, values, info)
		})
	}
}

func TestOpensAFileWhateverItsLineEnds(t *testing.T) {
	id := ageKey(t)
	file := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule})
	values, _, err := withKey(t, id).Open(context.Background(), "a.yaml", []byte("\uFEFF"+strings.ReplaceAll(file, "\n", "\r\n")))
	require.NoError(t, err)
	require.Len(t, values, len(plainValues))
}

func TestSaysWhatAFileTellsWithoutAKey(t *testing.T) {
	id, other := ageKey(t), ageKey(t)
	home, fingerprint := keyring(t)
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	file := encrypt(t, plainFile, recipe{
		groups: [][]keys.MasterKey{append(forAge(t, id, other)[0], forPGP(home, fingerprint))},
		rule:   rule, macOnly: true, version: "3.9.0", modified: modified,
	})
	keyless := opener(t, secrets.Options{NoDecrypt: true, Env: func(name string) string {
		t.Errorf("the environment was asked for %s", name)
		return ""
	}})
	values, info, err := keyless.Open(context.Background(), "a.yaml", []byte(file))
	require.NoError(t, err)
	lines := strings.Split(file, "\n")
	for i, k := range info.Keys {
		require.Equal(t, info.Recipients[i], k.Name)
		require.NotEmpty(t, k.ID)
		require.Equal(t, "- ", lines[k.Line-1][k.Column-3:k.Column-1], "each stands where it is said to")
	}
	require.Len(t, info.Keys, 3)
	info.Keys = nil
	want := secrets.Info{
		Recipients: []string{id.Recipient().String(), other.Recipient().String(), "pgp " + fingerprint},
		KeyGroups:  1, LastModified: modified, Version: "3.9.0", MACOnlyEncrypted: true, Rule: "encrypted_regex",
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Fatalf("info (-want +got):\n%s", diff)
	}
	require.Len(t, values, len(plainValues))
	for path, secret := range values {
		require.Contains(t, plainValues, path)
		require.True(t, secret.Sealed())
		require.Contains(t, file, secret.Cipher())
		require.Equal(t, modified, secret.Modified())
	}
}

func TestEverySecretKnowsWhenItsFileWasEncrypted(t *testing.T) {
	id := ageKey(t)
	t.Setenv("PATH", t.TempDir())
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	file := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule, modified: modified})
	for name, p := range map[string]*secrets.Opener{
		"opened":                        withKey(t, id),
		"left sealed":                   opener(t, secrets.Options{NoDecrypt: true}),
		"left sealed for want of a key": opener(t, secrets.Options{Env: env{}.get, SealWithoutKey: true}),
	} {
		values, _, err := p.Open(context.Background(), "a.yaml", []byte(file))
		require.NoError(t, err)
		require.Len(t, values, len(plainValues), name)
		for path, secret := range values {
			require.Equal(t, modified, secret.Modified(), "%s: %s", name, path)
		}
	}
	// A later time written into the file does not pass for one.
	later := strings.Replace(file, "2026-01-02T03:04:05Z", "2026-01-03T03:04:05Z", 1)
	require.NotEqual(t, file, later)
	requireReason(t, withKey(t, id), later, secrets.MACMismatch)
}

func TestNamesWhatIsMissingWhenNoKeyOpensTheFile(t *testing.T) {
	id, other := ageKey(t), ageKey(t)
	home, fingerprint := keyring(t)
	empty, strangers := keyring(t)
	t.Setenv("PATH", t.TempDir())
	folder := t.TempDir()
	locked := filepath.Join(folder, "locked.txt")
	require.NoError(t, os.WriteFile(locked, []byte("age-encryption.org/v1\n-> scrypt x 18\n"), 0o600))
	forID := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule})
	forFingerprint := encrypt(t, plainFile, recipe{groups: [][]keys.MasterKey{{forPGP(home, fingerprint)}}, rule: rule})
	twoGroups := encrypt(t, plainFile, recipe{groups: [][]keys.MasterKey{forAge(t, id)[0], {forPGP(home, fingerprint)}}, rule: rule})

	for name, c := range map[string]struct {
		file string
		env  env
		want secrets.Reason
		says []string
	}{
		"there is no key at all":            {forID, env{}, secrets.NoKey, []string{id.Recipient().String(), "SOPS_AGE_KEY is not set"}},
		"the key is another one":            {forID, env{"SOPS_AGE_KEY": other.String()}, secrets.WrongKey, []string{id.Recipient().String()}},
		"the key is damaged":                {forID, env{"SOPS_AGE_KEY": id.String()[:60]}, secrets.UnusableKey, []string{"SOPS_AGE_KEY holds a damaged age secret key"}},
		"the variable holds something else": {forID, env{"SOPS_AGE_KEY": "hunter2-canary"}, secrets.UnusableKey, []string{"something that is not an age secret key"}},
		"the key file does not exist":       {forID, env{"SOPS_AGE_KEY_FILE": filepath.Join(folder, "no")}, secrets.UnusableKey, []string{"SOPS_AGE_KEY_FILE: there is no such file"}},
		"the key file has a passphrase":     {forID, env{"SOPS_AGE_KEY_FILE": locked}, secrets.UnusableKey, []string{"passphrase"}},
		"the key comes from a command":      {forID, env{"SOPS_AGE_KEY_CMD": "echo " + id.String()}, secrets.NoKey, []string{"SOPS_AGE_KEY_CMD is not used"}},
		"there is no PGP keyring":           {forFingerprint, env{"GNUPGHOME": folder}, secrets.NoKey, []string{"pgp " + fingerprint, "PGP keys: GnuPG (gpg) is not installed, and there is no keyring in GNUPGHOME"}},
		"there is no PGP key, and no home":  {forFingerprint, env{}, secrets.NoKey, []string{"there is no keyring in GnuPG's default folder, since GNUPGHOME is not set"}},
		"a key that PGP has no use for":     {forFingerprint, env{"GNUPGHOME": folder, "SOPS_AGE_KEY": "hunter2-canary"}, secrets.NoKey, []string{"GNUPGHOME"}},
		"the PGP keyring holds another key": {forFingerprint, env{"GNUPGHOME": empty}, secrets.WrongKey, []string{"pgp " + fingerprint}},
		"only one of two groups has a key":  {twoGroups, env{"SOPS_AGE_KEY": id.String()}, secrets.WrongKey, []string{"2 groups"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := opener(t, secrets.Options{Env: c.env.get})
			failure := requireReason(t, p, c.file, c.want, append(plainTexts, "hunter2-canary", id.String()[:60], other.String())...)
			for _, text := range c.says {
				require.Contains(t, failure.Remedy, text)
			}
			require.NotContains(t, failure.Remedy, strangers)
			require.Equal(t, strings.Contains(c.file, "recipient: age1"), strings.Contains(failure.Remedy, "Age keys:"), "age is named where it helps")
		})
	}
}

func TestLeavesAFileSealedThatNoKeyIsAtHandForWhenAsked(t *testing.T) {
	id, other := ageKey(t), ageKey(t)
	t.Setenv("PATH", t.TempDir())
	file := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule})
	values, _, err := opener(t, secrets.Options{Env: env{}.get, SealWithoutKey: true}).Open(context.Background(), "a.yaml", []byte(file))
	require.NoError(t, err)
	require.Len(t, values, len(plainValues))
	for _, secret := range values {
		require.True(t, secret.Sealed())
	}
	wrong := opener(t, secrets.Options{Env: env{"SOPS_AGE_KEY": other.String()}.get, SealWithoutKey: true})
	requireReason(t, wrong, file, secrets.WrongKey)
}

// A key that was named was meant to be used: without it nothing was checked.
func TestAKeyThatWasNamedAndCannotBeUsedIsNoMissingKey(t *testing.T) {
	id := ageKey(t)
	t.Setenv("PATH", t.TempDir())
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty")
	require.NoError(t, os.WriteFile(empty, []byte("# no key yet\n"), 0o600))
	file := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule})
	for name, e := range map[string]env{
		"a file that isn't there":          {"SOPS_AGE_KEY_FILE": filepath.Join(folder, "nosuch")},
		"a folder":                         {"SOPS_AGE_KEY_FILE": folder},
		"a file without a key":             {"SOPS_AGE_KEY_FILE": empty},
		"something else than a key":        {"SOPS_AGE_KEY": "hunter2-canary"},
		"blanks":                           {"SOPS_AGE_KEY": "  "},
		"a key of a plugin":                {"SOPS_AGE_KEY": "AGE-PLUGIN-YUBIKEY-1QQQ"},
		"no key, and a file that is there": {"SOPS_AGE_KEY": "hunter2-canary", "SOPS_AGE_KEY_FILE": empty},
	} {
		t.Run(name, func(t *testing.T) {
			for _, seal := range []bool{false, true} {
				p := opener(t, secrets.Options{Env: e.get, SealWithoutKey: seal})
				requireReason(t, p, file, secrets.UnusableKey, append(plainTexts, "hunter2-canary", "YUBIKEY-1QQQ")...)
			}
		})
	}
}

func TestOpensFilesConcurrently(t *testing.T) {
	id := ageKey(t)
	file := []byte(encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule}))
	p := withKey(t, id)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			values, _, err := p.Open(context.Background(), "a.yaml", file)
			if err != nil || len(values) != len(plainValues) {
				t.Errorf("%d values, %v", len(values), err)
			}
		})
	}
	group.Wait()
}

func TestReadsAKeyThatCanBeReadOnlyOnce(t *testing.T) {
	id := ageKey(t)
	file := []byte(encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule}))
	read, write, err := os.Pipe()
	require.NoError(t, err)
	_, err = write.WriteString(id.String() + "\n")
	require.NoError(t, err)
	require.NoError(t, write.Close())
	name := filepath.Join("/dev/fd", itoa(read.Fd()))
	if _, err := os.Stat(name); err != nil {
		t.Skip("this system has no /dev/fd")
	}
	p := opener(t, secrets.Options{Env: env{"SOPS_AGE_KEY_FILE": name}.get})
	for range 2 {
		_, _, err = p.Open(context.Background(), "a.yaml", file)
		require.NoError(t, err)
	}
}

func TestRefusesMalformedAllowances(t *testing.T) {
	for _, text := range []string{"", "hc_vault", "hc_vault=", "age=age1x", "pgp=0123", "vault=https://v.example.org"} {
		_, err := secrets.New(secrets.Options{AllowedKeys: []string{text}})
		require.ErrorContains(t, err, "TYPE=ADDRESS", "%q", text)
	}
}

func TestStopsWhenInterrupted(t *testing.T) {
	id := ageKey(t)
	file := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := withKey(t, id).Open(ctx, "a.yaml", []byte(file))
	var failure *secrets.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, secrets.Interrupted, failure.Reason)
}
