package secrets_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/pgp"
	"github.com/getsops/sops/v3/shamir"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/secrets"
)

// The files of these tests are encrypted as sops' own command does it, with
// keys that are made in the test.

// recipe says how a file is encrypted.
type recipe struct {
	groups   [][]keys.MasterKey
	rule     string // encrypted_regex, "" to encrypt everything
	macOnly  bool
	version  string
	dataKey  []byte
	modified time.Time
}

// encrypt returns plain as a sops file.
func encrypt(t testing.TB, plain string, r recipe) string {
	t.Helper()
	store := sopsyaml.NewStore(&config.YAMLStoreConfig{Indent: 2})
	branches, err := store.LoadPlainFile([]byte(plain))
	require.NoError(t, err)
	if r.dataKey == nil {
		r.dataKey = make([]byte, 32)
		_, _ = rand.Read(r.dataKey)
	}
	if r.modified.IsZero() {
		r.modified = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	}
	if r.version == "" {
		r.version = "3.13.3"
	}
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		EncryptedRegex: r.rule, MACOnlyEncrypted: r.macOnly, Version: r.version, LastModified: r.modified,
	}}
	shares := [][]byte{r.dataKey}
	if n := len(r.groups); n > 1 {
		shares, err = shamir.Split(r.dataKey, n, n)
		require.NoError(t, err)
		tree.Metadata.ShamirThreshold = n
	}
	for i, group := range r.groups {
		for _, k := range group {
			if k.TypeToIdentifier() != "hc_vault" {
				require.NoError(t, k.Encrypt(shares[i]))
			}
		}
		tree.Metadata.KeyGroups = append(tree.Metadata.KeyGroups, group)
	}
	cipher := aes.NewCipher()
	mac, err := tree.Encrypt(r.dataKey, cipher)
	require.NoError(t, err)
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, r.dataKey, r.modified.Format(time.RFC3339))
	require.NoError(t, err)
	out, err := store.EmitEncryptedFile(tree)
	require.NoError(t, err)
	return string(out)
}

func ageKey(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return id
}

func forAge(t testing.TB, ids ...*age.X25519Identity) [][]keys.MasterKey {
	t.Helper()
	var group []keys.MasterKey
	for _, id := range ids {
		k, err := sopsage.MasterKeyFromRecipient(id.Recipient().String())
		require.NoError(t, err)
		group = append(group, k)
	}
	return [][]keys.MasterKey{group}
}

// keyring makes a PGP key in the keyring files of a GnuPG home, and returns the
// home and the fingerprint.
func keyring(t testing.TB) (home, fingerprint string) {
	t.Helper()
	home = t.TempDir()
	require.NoError(t, os.Chmod(home, 0o700))
	entity, err := openpgp.NewEntity("Test", "", "test@example.org", nil)
	require.NoError(t, err)
	var public, private bytes.Buffer
	require.NoError(t, entity.SerializePrivate(&private, nil))
	require.NoError(t, entity.Serialize(&public))
	require.NoError(t, os.WriteFile(filepath.Join(home, "secring.gpg"), private.Bytes(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(home, "pubring.gpg"), public.Bytes(), 0o600))
	return home, strings.ToUpper(hex.EncodeToString(entity.PrimaryKey.Fingerprint))
}

func forPGP(home, fingerprint string) keys.MasterKey {
	k := pgp.NewMasterKeyFromFingerprint(fingerprint)
	pgp.PubRing(filepath.Join(home, "pubring.gpg")).ApplyToMasterKey(k)
	return k
}

// env is the environment of an Opener: nothing but what is in it.
type env map[string]string

func (e env) get(name string) string { return e[name] }

func opener(t testing.TB, o secrets.Options) *secrets.Opener {
	t.Helper()
	p, err := secrets.New(o)
	require.NoError(t, err)
	return p
}

// withKey opens with these age keys alone.
func withKey(t testing.TB, ids ...*age.X25519Identity) *secrets.Opener {
	t.Helper()
	var texts []string
	for _, id := range ids {
		texts = append(texts, id.String())
	}
	return opener(t, secrets.Options{Env: env{"SOPS_AGE_KEY": strings.Join(texts, "\n")}.get})
}

// revealed are the plain values of an answer.
func revealed(t testing.TB, values map[string]reconcile.Secret) map[string]string {
	t.Helper()
	out := map[string]string{}
	for path, secret := range values {
		plain, ok := secret.Reveal()
		require.True(t, ok, "the secret at %s is sealed", path)
		require.True(t, secret.Encrypted(), "the secret at %s has no ciphertext", path)
		out[path] = plain
	}
	return out
}

// requireHidden proves that no text shows in any form in which values get
// printed.
func requireHidden(t testing.TB, texts []string, values ...any) {
	t.Helper()
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, v := range values {
		fmt.Fprintf(&out, "%v %+v %#v %s %q", v, v, v, v, v)
		encoded, _ := json.Marshal(v) // what can't be encoded can't leak either
		out.Write(encoded)
		logger.Debug("value", "v", v)
		if d, ok := v.(interface{ Diagnostic() reconcile.Diagnostic }); ok {
			fmt.Fprintf(&out, "%+v", d.Diagnostic())
		}
	}
	for _, text := range texts {
		if strings.Contains(out.String(), text) {
			t.Fatalf("a text that must not show does (%d bytes)", len(text))
		}
	}
}

// requireReason proves that a file is refused for a reason, and that nothing
// that must stay hidden shows in the refusal.
func requireReason(t testing.TB, p *secrets.Opener, file string, want secrets.Reason, hidden ...string) *secrets.Error {
	t.Helper()
	values, info, err := p.Open(context.Background(), "a.secrets.yaml", []byte(file))
	require.Error(t, err)
	require.Empty(t, values)
	var failure *secrets.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, want, failure.Reason, "%s", failure.What)
	require.Equal(t, "a.secrets.yaml", failure.File)
	require.NotEmpty(t, failure.What)
	requireHidden(t, hidden, err, failure, *failure, info)
	return failure
}
