package secrets

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"filippo.io/age"
)

// The variables that age keys are read from: those of sops, as far as they need
// no other program to be run.
const (
	envAgeKey     = "SOPS_AGE_KEY"
	envAgeKeyFile = "SOPS_AGE_KEY_FILE"
)

// unused are variables of sops that are left alone, since each runs a program
// or reads a key that was made for something else.
var unused = []string{"SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"}

const maxKeyFile = 1 << 20

// keyring is the age keys at hand, and a trail of where they were looked for.
type keyring struct {
	identities []age.Identity
	trail      []string
	// A variable names a key, and none of what it names can be used: somebody
	// meant to decrypt.
	unusable bool
}

// loadKeyring reads all places; a key in any of them will do.
func loadKeyring(env func(string) string) *keyring {
	k := &keyring{}
	if text := env(envAgeKey); text != "" {
		k.unusable = !k.add(envAgeKey, text)
	} else {
		k.trail = append(k.trail, envAgeKey+" is not set")
	}
	if name := env(envAgeKeyFile); name != "" {
		k.unusable = !k.addFile(envAgeKeyFile, name) || k.unusable
	} else {
		k.trail = append(k.trail, envAgeKeyFile+" is not set")
	}
	if name := defaultKeyFile(env); name != "" {
		k.addFile(name, name)
	}
	for _, name := range unused {
		if env(name) != "" {
			k.trail = append(k.trail, name+" is not used by proxbox-sync")
		}
	}
	return k
}

// addFile reads a key file, which may be a pipe, as shells make them, and
// reports whether it gave a key.
func (k *keyring) addFile(place, name string) bool {
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		k.trail = append(k.trail, place+": there is no such file")
		return false
	}
	if err != nil {
		k.trail = append(k.trail, place+" can't be opened")
		return false
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil || len(data) > maxKeyFile {
		k.trail = append(k.trail, place+" can't be read")
		return false
	}
	return k.add(place, string(data))
}

// add takes the keys out of a text, one or several a line, and reports whether
// there was one. What can't be used is said without showing it.
func (k *keyring) add(place, text string) bool {
	if strings.HasPrefix(text, "age-encryption") || strings.HasPrefix(text, "-----BEGIN AGE") {
		k.trail = append(k.trail, place+" holds a key file with a passphrase, which is not supported")
		return false
	}
	before := len(k.identities)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for word := range strings.FieldsSeq(line) {
			id, problem := identity(word)
			if problem != "" {
				k.trail = append(k.trail, place+" holds "+problem)
				continue
			}
			k.identities = append(k.identities, id)
		}
	}
	if len(k.identities) == before {
		k.trail = append(k.trail, place+" holds no age key")
		return false
	}
	return true
}

func identity(word string) (id age.Identity, problem string) {
	var err error
	switch {
	case strings.HasPrefix(word, "AGE-SECRET-KEY-PQ-1"):
		id, err = age.ParseHybridIdentity(word)
	case strings.HasPrefix(word, "AGE-SECRET-KEY-1"):
		id, err = age.ParseX25519Identity(word)
	case strings.HasPrefix(word, "AGE-PLUGIN-"):
		return nil, "a key of an age plugin, which is not run"
	default:
		return nil, "something that is not an age secret key"
	}
	if err != nil {
		return nil, "a damaged age secret key"
	}
	return id, ""
}

// defaultKeyFile is where sops keeps age keys in the user's configuration, ""
// when the environment doesn't say where that is.
func defaultKeyFile(env func(string) string) string {
	folder := env("XDG_CONFIG_HOME")
	switch {
	case runtime.GOOS == "windows":
		folder = env("AppData")
	case folder != "":
	case env("HOME") == "":
	case runtime.GOOS == "darwin":
		folder = filepath.Join(env("HOME"), "Library", "Application Support")
	default:
		folder = filepath.Join(env("HOME"), ".config")
	}
	if folder == "" {
		return ""
	}
	return filepath.Join(folder, "sops", "age", "keys.txt")
}

// gnupg is where PGP keys are: with GnuPG where that is installed, else in the
// keyrings of its old form, which need no other program.
type gnupg struct {
	home   string // "" for GnuPG's own default
	binary bool
	ring   string // an existing keyring, "" when there is none
}

func findGnuPG(env func(string) string) gnupg {
	g := gnupg{home: env("GNUPGHOME")}
	program := env("SOPS_GPG_EXEC")
	if program == "" {
		program = "gpg"
	}
	if _, err := exec.LookPath(program); err == nil {
		g.binary = true
		return g
	}
	folder := g.home
	if folder == "" && env("HOME") != "" {
		folder = filepath.Join(env("HOME"), ".gnupg")
	}
	for _, name := range []string{"secring.gpg", "pubring.gpg"} {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); folder != "" && err == nil && info.Mode().IsRegular() {
			g.ring = path
			break
		}
	}
	return g
}

// trail says where PGP keys were looked for.
func (g gnupg) trail() string {
	folder := "GNUPGHOME"
	if g.home == "" {
		folder = "GnuPG's default folder, since GNUPGHOME is not set"
	}
	switch {
	case g.binary:
		return "GnuPG was asked, with the keys in " + folder
	case g.ring != "":
		return "GnuPG (gpg) is not installed; " + filepath.Base(g.ring) + " was read from " + folder
	}
	return "GnuPG (gpg) is not installed, and there is no keyring in " + folder
}
