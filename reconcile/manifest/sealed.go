package manifest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

// sopsKey is the top-level key under which sops keeps what it needs to know of a
// file; every document of a sops file has it.
const sopsKey = "sops"

// cipherPrefix is how every value that sops encrypted begins.
const cipherPrefix = "ENC["

// cipherText is a whole encrypted value. sops' own pattern is open at its end.
var cipherText = regexp.MustCompile(`^ENC\[AES256_GCM,data:[A-Za-z0-9+/=]+,iv:[A-Za-z0-9+/=]+,tag:[A-Za-z0-9+/=]+,type:([a-z]+)\]$`)

// checkSecrets finds the encrypted leaves, and whatever in a sops file its
// checksum does not cover or its decryption does not survive. It runs with and
// without a key, so that both say the same of a file.
func (f *file) checkSecrets() {
	f.roots = map[*yaml.Node]bool{}
	blocks := make([]*yaml.Node, len(f.docs))
	for i, doc := range f.docs {
		root := doc.Content[0]
		f.roots[root] = root.Kind == yaml.MappingNode
		key, block := entry(root, sopsKey)
		if key == nil {
			continue
		}
		blocks[i] = block
		if f.sops == nil {
			f.sops = key
		}
	}
	if f.sops != nil {
		f.checkBlocks(blocks)
	}
	for i, doc := range f.docs {
		if f.sops != nil {
			f.comments(doc)
		}
		f.sealed(doc.Content[0], strconv.Itoa(i)+"#", true)
	}
}

// entry finds an entry of a mapping; n may be of any kind.
func entry(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// checkBlocks compares the sops blocks: sops obeys the first one only, so that
// another one, or a document without, says something of the file that isn't so.
func (f *file) checkBlocks(blocks []*yaml.Node) {
	first := f.sops
	for i, block := range blocks {
		root := f.docs[i].Content[0]
		switch {
		case block == nil && empty(root):
		case block == nil:
			f.distrust(f.at(root), "sops-block-missing", "a document of a sops file without its sops block",
				"sops puts the same block into every document. Write the file anew with sops.",
				reconcile.Related{Pos: f.at(first), Message: "a block of this file"})
		case block.Kind != yaml.MappingNode:
			f.distrust(f.at(block), "sops-block-invalid", "the sops block is not a mapping", "Take the file from its last good commit.")
		case blocks[0] != nil && !same(blocks[0], block):
			f.distrust(f.at(block), "sops-blocks-differ", "the sops blocks of this file differ",
				"sops puts the same block into every document. Take the file from its last good commit and make the change with sops.",
				reconcile.Related{Pos: f.at(first), Message: "the first block"})
		}
	}
	if _, mac := entry(blocksFirst(blocks), "mac_only_encrypted"); mac != nil && mac.Value != "false" {
		f.add(reconcile.MACOnlyEncrypted.Finding(f.at(mac)))
	}
}

func blocksFirst(blocks []*yaml.Node) *yaml.Node {
	for _, b := range blocks {
		if b != nil {
			return b
		}
	}
	return &yaml.Node{}
}

// same compares two values as YAML, without positions, styles and comments.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.ShortTag() != b.ShortTag() || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// comments refuses encrypted comments: nothing protects them, and decrypted
// they may become a value of a list.
func (f *file) comments(n *yaml.Node) {
	for _, text := range []string{n.HeadComment, n.LineComment, n.FootComment} {
		if strings.Contains(text, cipherPrefix) {
			f.distrust(f.at(n), "encrypted-comment", "an encrypted comment here",
				"Comments can't be trusted in a sops file. Remove it, and let encrypted_regex in .sops.yaml name only the secret fields.")
			break
		}
	}
	for _, child := range n.Content {
		f.comments(child)
	}
}

// sealed finds the encrypted leaves below n; path leads to n.
func (f *file) sealed(n *yaml.Node, path string, top bool) {
	switch n.Kind {
	case yaml.AliasNode:
		if f.sops != nil {
			f.distrust(f.at(n), "alias-in-sops-file", "an alias in a sops file", "Write the value out: sops does not keep aliases.")
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			f.sealed(item, path+"/"+strconv.Itoa(i), false)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if top && f.sops != nil && key.Value == sopsKey {
				f.noAlias(n.Content[i+1])
				continue
			}
			f.sealedKey(key)
			f.sealed(n.Content[i+1], path+"/"+escape.Replace(key.Value), false)
		}
	case yaml.ScalarNode:
		if strings.HasPrefix(n.Value, cipherPrefix) {
			f.leaf(n, path)
		}
	}
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

func (f *file) noAlias(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		f.distrust(f.at(n), "alias-in-sops-file", "an alias in a sops file", "Write the value out: sops does not keep aliases.")
	}
	for _, child := range n.Content {
		f.noAlias(child)
	}
}

func (f *file) sealedKey(key *yaml.Node) {
	switch {
	case strings.HasPrefix(key.Value, cipherPrefix):
		f.distrust(f.at(key), "encrypted-key", "an encrypted text as a key", "sops encrypts values only. Take the file from its last good commit.")
	case f.sops != nil && strings.Contains(key.Value, ":"):
		f.distrust(f.at(key), "colon-in-key", "a key with ':' in a sops file",
			"sops ties a value to the keys above it, joined by ':', so that such a key can pass for several.")
	case f.sops != nil && mergeKey(key):
		f.distrust(f.at(key), "merge-in-sops-file", "a merge key (<<) in a sops file", "Write the values out.")
	}
}

// leaf takes one encrypted value into the books: sealed, until it is decrypted.
func (f *file) leaf(n *yaml.Node, path string) {
	f.secrets[n] = reconcile.SealedSecret(n.Value)
	match := cipherText.FindStringSubmatch(n.Value)
	switch {
	case f.sops == nil:
		f.distrust(f.at(n), "no-sops-block", "an encrypted value in a file without a sops block",
			"It was copied from another file, or the block at the end of this one was removed. Nothing can decrypt it.")
	case match == nil:
		f.distrust(f.at(n), "malformed-ciphertext", "an encrypted value that sops did not write", "Take it from the last good commit.")
	case match[1] != "str":
		f.distrust(f.at(n), "encrypted-type", fmt.Sprintf("an encrypted value of type %s", kindOf(match[1])),
			"Only texts can be secrets here. Usually the whole file was encrypted: let encrypted_regex in .sops.yaml name only the secret fields; "+
				"a secret that looks like a number needs quotes before it is encrypted.")
	default:
		f.leaves[path] = n
	}
}

// kindOf is sops' name of a value's type, as far as it has one.
func kindOf(name string) string {
	switch name {
	case "int", "float", "bool", "bytes", "time", "comment":
		return name
	}
	return "unknown to sops"
}
