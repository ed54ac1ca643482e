package secrets

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/logging"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"

	"proxbox-sync/reconcile"
)

func init() {
	// sops warns of comments and keys by showing them.
	for name, logger := range logging.Loggers {
		if name != "AUDIT" {
			logger.SetOutput(io.Discard)
		}
	}
}

// Options say which keys may be used.
type Options struct {
	// Env looks a variable up; nil stands for os.Getenv. Age keys come from
	// SOPS_AGE_KEY, SOPS_AGE_KEY_FILE and sops/age/keys.txt in the user's
	// configuration, PGP keys from GnuPG (SOPS_GPG_EXEC, GNUPGHOME).
	Env func(string) string
	// NoDecrypt leaves every value sealed: the file's block is checked, and
	// neither a key nor sops is touched.
	NoDecrypt bool
	// SealWithoutKey leaves a file sealed that no key is at hand for, instead of
	// an error: for runs that send nothing. A key that is there and doesn't open
	// the file is an error all the same, and so is one that SOPS_AGE_KEY or
	// SOPS_AGE_KEY_FILE names and that can't be used.
	SealWithoutKey bool
	// AllowedKeys are keys beside age and PGP that may be asked for a data key,
	// each as "TYPE=ADDRESS": the type as it stands in the sops block, the exact
	// address in the notation of sops' command line
	// ("hc_vault=https://vault.example.org:8200/v1/sops/keys/first",
	// "kms=arn:aws:kms:…"). They must come from the environment or a flag, never
	// from a file of the repository.
	AllowedKeys []string
}

// Opener opens sops files. It is safe for concurrent use; keys are looked for
// once, when the first file needs one.
type Opener struct {
	env     func(string) string
	options Options
	allowed map[string]bool

	keysOnce sync.Once
	keyring  *keyring
	gnupg    gnupg
	opened   opened
}

// New returns an Opener. The error says which of AllowedKeys is malformed.
func New(o Options) (*Opener, error) {
	p := &Opener{env: o.Env, options: o, allowed: map[string]bool{}}
	if p.env == nil {
		p.env = os.Getenv
	}
	for _, text := range o.AllowedKeys {
		kind, address, _ := strings.Cut(text, "=")
		if keyTypes[kind] == nil || kind == "age" || kind == "pgp" || address == "" {
			return nil, fmt.Errorf("allowed key %q: want TYPE=ADDRESS, the type one of kms, gcp_kms, hckms, azure_kv, hc_vault", text)
		}
		p.allowed[text] = true
	}
	return p, nil
}

func (p *Opener) keys() {
	p.keysOnce.Do(func() {
		p.keyring = loadKeyring(p.env)
		p.gnupg = findGnuPG(p.env)
	})
}

// Open decrypts the encrypted leaves of one sops file, after its MAC was
// compared. data is the whole file; size and alias cycles must have been looked
// at before. The result is keyed by "<document index>#<JSON pointer>", documents
// counted from 0, over the file as it stands without its sops blocks. Each
// secret, also one that stays sealed, carries the file's lastmodified: the MAC
// covers it, so that only a decrypted file proves it.
//
// The error is an *Error. Info is as complete as the file allowed.
func (p *Opener) Open(ctx context.Context, file string, data []byte) (values map[string]reconcile.Secret, info Info, err error) {
	defer func() {
		if recover() != nil { // the value may hold a piece of a secret
			values, err = nil, &Error{File: file, Reason: Unsafe, What: "this sops file made sops fail",
				Remedy: "Take the file from its last good commit and make the change with `sops edit`."}
		}
	}()
	values, info, failure := p.open(ctx, file, data)
	if failure != nil {
		failure.File = file
		return nil, info, failure
	}
	for path, secret := range values {
		values[path] = secret.At(info.LastModified)
	}
	return values, info, nil
}

func (p *Opener) open(ctx context.Context, file string, data []byte) (map[string]reconcile.Secret, Info, *Error) {
	r, failure := readRaw(data)
	if failure != nil {
		return nil, Info{}, failure
	}
	b, failure := readBlock(r.block)
	if failure != nil {
		return nil, Info{}, failure
	}
	if failure := b.foreign(p.allowed); failure != nil {
		return nil, b.info, failure
	}
	if failure := b.checkRule(r.values, r.keysAbove, r.comments); failure != nil {
		return nil, b.info, failure
	}
	if p.options.NoDecrypt {
		return r.sealed(), b.info, nil
	}
	tree, failure := p.decrypt(ctx, file, data, b)
	switch {
	case failure != nil && failure.Reason == NoKey && p.options.SealWithoutKey:
		return r.sealed(), b.info, nil
	case failure != nil:
		return nil, b.info, failure
	}
	values, failure := r.open(tree)
	return values, b.info, failure
}

// decrypt is what sops' own command does, with our key service alone, and with
// the comparison of the MAC that can't be turned off.
func (p *Opener) decrypt(ctx context.Context, file string, data []byte, b *block) (sops.Tree, *Error) {
	tree, err := sopsyaml.NewStore(&config.YAMLStoreConfig{}).LoadEncryptedFile(data)
	if err != nil {
		return sops.Tree{}, unsafe("sops can't read it")
	}
	tree.FilePath = file
	p.keys()
	keys := &service{ctx: ctx, keyring: p.keyring, gnupg: p.gnupg, allowed: p.allowed, opened: &p.opened}
	dataKey, err := tree.Metadata.GetDataKeyWithKeyServices(
		[]keyservice.KeyServiceClient{keyservice.NewCustomLocalClient(keys)}, sops.DefaultDecryptionOrder)
	if ctx.Err() != nil {
		return sops.Tree{}, &Error{Reason: Interrupted, What: "decrypting was interrupted"}
	}
	if err != nil {
		return sops.Tree{}, p.noKey(keys.tried, b)
	}
	cipher := aes.NewCipher()
	computed, err := tree.Decrypt(dataKey, cipher)
	if err != nil {
		return sops.Tree{}, changed()
	}
	stored, err := cipher.Decrypt(tree.Metadata.MessageAuthenticationCode, dataKey, tree.Metadata.LastModified.Format(time.RFC3339))
	text, ok := stored.(string)
	if err != nil || !ok || subtle.ConstantTimeCompare([]byte(text), []byte(computed)) != 1 {
		return sops.Tree{}, macMismatch()
	}
	return tree, nil
}

// noKey is the error of a file that no key opens: what it needs, and where keys
// were looked for.
func (p *Opener) noKey(tried bool, b *block) *Error {
	e := &Error{Reason: NoKey, What: "there is no key to decrypt this file"}
	if tried {
		e.Reason, e.What = WrongKey, "none of the keys at hand decrypts this file"
	} else if p.keyring.unusable && b.has("age") {
		e.Reason, e.What = UnusableKey, "there is no key to decrypt this file: the one that "+envAgeKey+" or "+envAgeKeyFile+" names can't be used"
	}
	e.Remedy = "It is encrypted for "
	if b.info.KeyGroups > 1 {
		e.Remedy += fmt.Sprintf("%d groups of keys, several of which must be at hand: ", b.info.KeyGroups)
	}
	e.Remedy += shortList(b.info.Recipients) + ". "
	if len(p.keyring.trail) > 0 && b.has("age") {
		e.Remedy += "Age keys: " + strings.Join(p.keyring.trail, "; ") + ". "
	}
	if b.has("pgp") {
		e.Remedy += "PGP keys: " + p.gnupg.trail() + ". "
	}
	e.Remedy += "To work without the secrets, use --no-decrypt."
	return e
}

// shortList names the first few recipients; post-quantum ones have 1,959
// characters, of which the beginning tells them apart.
func shortList(recipients []string) string {
	const most, length = 5, 80
	var names []string
	for _, name := range recipients[:min(most, len(recipients))] {
		if len(name) > length {
			name = name[:length-20] + "…"
		}
		names = append(names, name)
	}
	list := strings.Join(names, ", ")
	if len(recipients) > most {
		list += fmt.Sprintf(" and %d more", len(recipients)-most)
	}
	return list
}
