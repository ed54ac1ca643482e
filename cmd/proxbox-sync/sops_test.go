package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"
	"github.com/rogpeppe/go-internal/testscript"
)

// sealing is what one script's sops needs to know: the key that opens its files,
// their data keys, and a clock that moves on by a minute with every change.
type sealing struct {
	id       *age.X25519Identity
	dataKeys map[string][]byte
	now      time.Time
}

var sealings sync.Map // by script

func sealingOf(ts *testscript.TestScript) *sealing {
	if s, ok := sealings.Load(ts); ok {
		return s.(*sealing)
	}
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	s := &sealing{id, map[string][]byte{}, time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)}
	sealings.Store(ts, s)
	ts.Setenv("SOPS_AGE_KEY", id.String())
	return s
}

// scriptSops does what sops' own commands do, through its packages:
//
//	sops encrypt FILE          the secret fields of a plain file
//	sops set FILE KEY[=OLD] VALUE  like sops edit: what is not touched keeps its ciphertext
//	sops comment FILE TEXT     an edit that touches no value
//	sops rotate FILE           a new data key: every value is encrypted anew
//	sops updatekeys FILE       another recipient, the values stay
//	sops rules FILE REGEX [N]  writes a .sops.yaml whose one rule names the script's key, and N others
func scriptSops(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sops VERB FILE …")
	}
	s, file := sealingOf(ts), ts.MkAbs(args[1])
	s.now = s.now.Add(time.Minute)
	if args[0] == "rules" {
		s.rules(ts, file, args[2:])
		return
	}
	store := sopsyaml.NewStore(&config.YAMLStoreConfig{Indent: 2})
	if args[0] == "encrypt" {
		branches, err := store.LoadPlainFile([]byte(ts.ReadFile(args[1])))
		ts.Check(err)
		tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
			EncryptedRegex: "^(password|token_value|token_secret|encryption_key)$", Version: "3.13.3"}}
		s.dataKeys[file] = newDataKey()
		s.seal(ts, store, tree, aes.NewCipher(), file)
		return
	}
	tree, err := store.LoadEncryptedFile([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	if s.dataKeys[file] == nil { // somebody else encrypted it, for the script's key
		s.dataKeys[file] = s.dataKey(ts, tree)
	}
	if args[0] == "updatekeys" {
		s.recipients(ts, &tree, s.dataKeys[file], s.id, newIdentity(ts))
		text, err := store.EmitEncryptedFile(tree)
		ts.Check(err)
		ts.Check(os.WriteFile(file, text, 0o600))
		return
	}
	cipher := aes.NewCipher()
	_, err = tree.Decrypt(s.dataKeys[file], cipher)
	ts.Check(err)
	switch args[0] {
	case "set":
		n := 0
		for i := range tree.Branches {
			n += setIn(tree.Branches[i], args[2], args[3])
		}
		if n == 0 {
			ts.Fatalf("%s has no %q", args[1], args[2])
		}
	case "comment":
		tree.Branches[0] = append(sops.TreeBranch{{Key: sops.Comment{Value: " " + args[2]}}}, tree.Branches[0]...)
	case "rotate":
		s.dataKeys[file], cipher = newDataKey(), aes.NewCipher()
	default:
		ts.Fatalf("unknown verb %q", args[0])
	}
	s.seal(ts, store, tree, cipher, file)
}

// dataKey opens the key of a file with the script's own.
func (s *sealing) dataKey(ts *testscript.TestScript, tree sops.Tree) []byte {
	for _, k := range tree.Metadata.KeyGroups[0] {
		if master, ok := k.(*sopsage.MasterKey); ok {
			sopsage.ParsedIdentities{s.id}.ApplyToMasterKey(master)
			key, err := master.Decrypt()
			ts.Check(err)
			return key
		}
	}
	ts.Fatalf("no age key")
	return nil
}

func newDataKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}

func newIdentity(ts *testscript.TestScript) *age.X25519Identity {
	id, err := age.GenerateX25519Identity()
	ts.Check(err)
	return id
}

// setIn sets every entry of this name, or of this name and value, at any depth,
// and returns how many there are.
func setIn(branch sops.TreeBranch, key, value string) int {
	n := 0
	name, old, only := strings.Cut(key, "=")
	for i, item := range branch {
		if item.Key == name && (!only || item.Value == old) {
			branch[i].Value, n = value, n+1
			continue
		}
		n += setBelow(item.Value, key, value)
	}
	return n
}

func setBelow(v any, key, value string) int {
	n := 0
	switch v := v.(type) {
	case sops.TreeBranch:
		return setIn(v, key, value)
	case []any:
		for _, item := range v {
			n += setBelow(item, key, value)
		}
	}
	return n
}

// seal encrypts a plain tree. The cipher keeps the ciphertext of what it
// decrypted and finds unchanged.
func (s *sealing) seal(ts *testscript.TestScript, store *sopsyaml.Store, tree sops.Tree, cipher sops.Cipher, file string) {
	key := s.dataKeys[file]
	tree.Metadata.LastModified = s.now
	s.recipients(ts, &tree, key, s.id)
	mac, err := tree.Encrypt(key, cipher)
	ts.Check(err)
	tree.Metadata.MessageAuthenticationCode, err = aes.NewCipher().Encrypt(mac, key, s.now.Format(time.RFC3339))
	ts.Check(err)
	text, err := store.EmitEncryptedFile(tree)
	ts.Check(err)
	ts.Check(os.WriteFile(file, text, 0o600))
}

func (s *sealing) recipients(ts *testscript.TestScript, tree *sops.Tree, key []byte, ids ...*age.X25519Identity) {
	var group sops.KeyGroup
	for _, id := range ids {
		k, err := sopsage.MasterKeyFromRecipient(id.Recipient().String())
		ts.Check(err)
		ts.Check(k.Encrypt(key))
		group = append(group, k)
	}
	tree.Metadata.KeyGroups = []sops.KeyGroup{group}
}

// rules writes a .sops.yaml.
func (s *sealing) rules(ts *testscript.TestScript, file string, args []string) {
	keys := []string{s.id.Recipient().String()}
	if len(args) > 1 {
		others, err := strconv.Atoi(args[1])
		ts.Check(err)
		for range others {
			keys = append(keys, newIdentity(ts).Recipient().String())
		}
	}
	text := fmt.Sprintf("creation_rules:\n  - path_regex: %q\n    age: %s\n", args[0], strings.Join(keys, ","))
	ts.Check(os.WriteFile(file, []byte(text), 0o600))
}
