package secrets

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keys"
	"github.com/getsops/sops/v3/pgp"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"

	"proxbox-sync/reconcile"
)

// Encryption is what the creation rule for a new file says: for whom it is
// encrypted, and which values.
type Encryption struct {
	// Recipients are the public keys, by Key.ID, and where the rule names them.
	Recipients map[string]reconcile.Position
	regex      string
}

// Name is a recipient's public name.
func (e *Encryption) Name(id string) string { return nameOf(id) }

// ForNew says how a new file is encrypted. path is relative to the folder of the
// .sops.yaml. The error says what of the rule this program doesn't do: sops
// itself has to encrypt the file then.
func (c *CreationRules) ForNew(path string) (*Encryption, error) {
	i := slices.IndexFunc(c.rules, func(r creationRule) bool { return r.path == nil || r.path.MatchString(path) })
	if i < 0 {
		return nil, errors.New("no creation rule is for this file")
	}
	r := c.rules[i]
	switch {
	case len(r.others) > 0:
		return nil, fmt.Errorf("its creation rule has %s", strings.Join(r.others, ", "))
	case r.regex == "":
		return nil, errors.New("its creation rule has no encrypted_regex: names of objects would be encrypted as well")
	case len(r.recipients) == 0:
		return nil, errors.New("its creation rule names no age or PGP key")
	}
	return &Encryption{Recipients: r.recipients, regex: r.regex}, nil
}

// Encrypt makes a sops file of a text. What stands in a comment is lost.
func (e *Encryption) Encrypt(ctx context.Context, env func(string) string, text []byte, now time.Time) (out []byte, err error) {
	defer func() {
		if recover() != nil { // the value may hold a piece of a secret
			out, err = nil, errors.New("sops failed")
		}
	}()
	store := sopsyaml.NewStore(&config.YAMLStoreConfig{Indent: 2})
	branches, err := store.LoadPlainFile(text)
	if err != nil {
		return nil, errors.New("sops can't read it")
	}
	var dataKey [32]byte
	_, _ = rand.Read(dataKey[:]) // it never fails
	group, err := e.group(ctx, env, dataKey[:])
	if err != nil {
		return nil, err
	}
	now = now.UTC().Truncate(time.Second)
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		KeyGroups: []sops.KeyGroup{group}, EncryptedRegex: e.regex, Version: fmt.Sprintf("%d.%d.0", formatMajor, formatMinor), LastModified: now}}
	cipher := aes.NewCipher()
	mac, err := tree.Encrypt(dataKey[:], cipher)
	if err != nil {
		return nil, errors.New("sops can't encrypt it")
	}
	tree.Metadata.MessageAuthenticationCode, err = cipher.Encrypt(mac, dataKey[:], now.Format(time.RFC3339))
	if err != nil {
		return nil, errors.New("sops can't encrypt it")
	}
	return store.EmitEncryptedFile(tree)
}

// group encrypts the data key for each recipient. No key service is asked, and
// no plugin run.
func (e *Encryption) group(ctx context.Context, env func(string) string, dataKey []byte) (sops.KeyGroup, error) {
	var group sops.KeyGroup
	gnupg := findGnuPG(env)
	for _, id := range slices.Sorted(maps.Keys(e.Recipients)) {
		kind, text, _ := strings.Cut(id, " ")
		var master keys.MasterKey
		switch kind {
		case "age":
			if !knownRecipient(text) {
				return nil, fmt.Errorf("%s is no age recipient that works without a plugin", nameOf(id))
			}
			k, err := sopsage.MasterKeyFromRecipient(text)
			if err != nil {
				return nil, fmt.Errorf("%s is no age recipient", nameOf(id))
			}
			master = k
		default:
			k := pgp.NewMasterKeyFromFingerprint(text)
			if gnupg.binary {
				pgp.DisableOpenPGP{}.ApplyToMasterKey(k)
				if gnupg.home != "" {
					pgp.GnuPGHome(gnupg.home).ApplyToMasterKey(k)
				}
			}
			master = k
		}
		if err := encryptFor(ctx, master, dataKey); err != nil {
			return nil, fmt.Errorf("it can't be encrypted for %s; is the public key there?", nameOf(id))
		}
		group = append(group, master)
	}
	return group, nil
}

func encryptFor(ctx context.Context, k keys.MasterKey, dataKey []byte) error {
	if with, ok := k.(interface {
		EncryptContext(context.Context, []byte) error
	}); ok {
		return with.EncryptContext(ctx, dataKey)
	}
	return k.Encrypt(dataKey)
}

// knownRecipient reports whether a recipient is one of age's own kinds, or an
// SSH key.
func knownRecipient(text string) bool {
	if strings.HasPrefix(text, "ssh-") {
		return true
	}
	if _, err := age.ParseX25519Recipient(text); err == nil {
		return true
	}
	_, err := age.ParseHybridRecipient(text)
	return err == nil
}
