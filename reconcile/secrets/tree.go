package secrets

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getsops/sops/v3"
	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

const (
	blockKey     = "sops"
	cipherPrefix = "ENC["
	// maxDepth bounds the recursion here and in sops. The caller's limit is
	// much lower.
	maxDepth = 1000
)

// cipherText is a whole encrypted value. sops' own pattern is open at its end.
var cipherText = regexp.MustCompile(`^ENC\[AES256_GCM,data:[A-Za-z0-9+/=]+,iv:[A-Za-z0-9+/=]+,tag:[A-Za-z0-9+/=]+,type:([a-z]+)\]$`)

// cipherType returns the type that an encrypted value says it has, "" for what
// sops did not write.
func cipherType(text string) string {
	if m := cipherText.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// raw is a file as it stands: its documents, the block of the first one, and
// the encrypted leaves.
type raw struct {
	docs   []*yaml.Node // the roots
	block  *yaml.Node
	leaves map[string]string // document and pointer -> ciphertext

	values, keysAbove, comments int // what sops' rule will be tried on
}

// readRaw parses a file and refuses what sops does not survive, also when a
// caller's own checks were not made.
func readRaw(data []byte) (*raw, *Error) {
	r := &raw{leaves: map[string]string{}}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unsafe("it is not YAML")
		}
		r.docs = append(r.docs, doc.Content[0])
	}
	for i, root := range r.docs {
		if err := r.walk(root, strconv.Itoa(i)+"#", 0); err != nil {
			return nil, err
		}
	}
	if len(r.docs) > 0 {
		_, r.block = find(r.docs[0], blockKey)
	}
	if r.block == nil {
		return nil, &Error{Reason: NotSops, What: "this file has no sops block", Remedy: "Encrypt it with sops."}
	}
	return r, nil
}

func (r *raw) walk(n *yaml.Node, path string, depth int) *Error {
	r.comments += comments(n)
	switch {
	case depth > maxDepth:
		return unsafe("it is nested too deeply")
	case n.Kind == yaml.AliasNode:
		return unsafe("it has an alias")
	case n.Kind == yaml.SequenceNode:
		for i, item := range n.Content {
			if err := r.walk(item, path+"/"+strconv.Itoa(i), depth+1); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode:
		return r.walkMapping(n, path, depth)
	case n.Kind == yaml.ScalarNode:
		r.values++
		r.keysAbove += depth
		if !strings.HasPrefix(n.Value, cipherPrefix) {
			return nil
		}
		if cipherType(n.Value) != "str" {
			return unsafe("it has an encrypted value that is no text")
		}
		r.leaves[path] = n.Value
	}
	return nil
}

func (r *raw) walkMapping(n *yaml.Node, path string, depth int) *Error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		r.comments += comments(key)
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			return unsafe("it has a key that is no text")
		case strings.Contains(key.Value, ":"):
			return unsafe("it has a key with ':'")
		case depth == 0 && key.Value == blockKey:
			if err := safe(value, depth); err != nil {
				return err
			}
			continue
		}
		if err := r.walk(value, path+"/"+escape.Replace(key.Value), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// comments counts the comment lines of a node.
func comments(n *yaml.Node) int {
	lines := 0
	for _, text := range []string{n.HeadComment, n.LineComment, n.FootComment} {
		if text != "" {
			lines += 1 + strings.Count(text, "\n")
		}
	}
	return lines
}

// safe reports what sops does not survive in a block: it walks the blocks of
// all documents before it drops them.
func safe(n *yaml.Node, depth int) *Error {
	switch {
	case depth > maxDepth:
		return unsafe("it is nested too deeply")
	case n.Kind == yaml.AliasNode:
		return unsafe("it has an alias")
	}
	for _, child := range n.Content {
		if err := safe(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// sealed returns the encrypted leaves as they stand.
func (r *raw) sealed() map[string]reconcile.Secret {
	values := make(map[string]reconcile.Secret, len(r.leaves))
	for path, cipher := range r.leaves {
		values[path] = reconcile.SealedSecret(cipher)
	}
	return values
}

// open takes the values of the encrypted leaves out of a decrypted tree. Its
// form must be that of the file: sops reads it with a parser of its own.
func (r *raw) open(tree sops.Tree) (map[string]reconcile.Secret, *Error) {
	if len(tree.Branches) != len(r.docs) {
		return nil, otherForm()
	}
	values := make(map[string]reconcile.Secret, len(r.leaves))
	for i, root := range r.docs {
		var value any = tree.Branches[i]
		if null(root) && len(items(tree.Branches[i])) == 0 {
			value = nil
		}
		if err := r.collect(values, root, value, strconv.Itoa(i)+"#", true); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func otherForm() *Error { return unsafe("sops reads another form from it than stands there") }

func (r *raw) collect(values map[string]reconcile.Secret, n *yaml.Node, value any, path string, top bool) *Error {
	switch n.Kind {
	case yaml.MappingNode:
		branch, ok := value.(sops.TreeBranch)
		if !ok {
			return otherForm()
		}
		rest := items(branch)
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i].Value
			if top && name == blockKey {
				continue
			}
			if len(rest) == 0 || rest[0].Key != any(name) {
				return otherForm()
			}
			if err := r.collect(values, n.Content[i+1], rest[0].Value, path+"/"+escape.Replace(name), false); err != nil {
				return err
			}
			rest = rest[1:]
		}
		if len(rest) != 0 {
			return otherForm()
		}
	case yaml.SequenceNode:
		list, ok := value.([]any)
		list = slices.DeleteFunc(slices.Clone(list), comment)
		if !ok || len(list) != len(n.Content) {
			return otherForm()
		}
		for i, item := range n.Content {
			if err := r.collect(values, item, list[i], path+"/"+strconv.Itoa(i), false); err != nil {
				return err
			}
		}
	case yaml.ScalarNode:
		if cipher, ok := r.leaves[path]; ok {
			return r.value(values, path, cipher, value)
		}
	}
	return nil
}

func (r *raw) value(values map[string]reconcile.Secret, path, cipher string, value any) *Error {
	text, ok := value.(string)
	switch {
	case !ok:
		return otherForm()
	case strings.HasPrefix(text, cipherPrefix):
		return &Error{
			Reason: StillEncrypted, What: "a value of this file is still encrypted after decryption",
			Remedy: "It was encrypted twice, or the rule in the sops block (encrypted_regex) was changed so that it leaves the value out. " +
				"Take the file from its last good commit and make the change with `sops edit`.",
		}
	case !utf8.ValidString(text):
		return &Error{Reason: NotText, What: "a decrypted value of this file is not UTF-8 text", Remedy: "Set it anew with `sops edit`."}
	}
	values[path] = reconcile.NewSecret(text, cipher)
	return nil
}

// items are the entries of a branch without its comments.
func items(branch sops.TreeBranch) []sops.TreeItem {
	return slices.DeleteFunc(slices.Clone([]sops.TreeItem(branch)), func(x sops.TreeItem) bool { return comment(x.Key) })
}

func comment(v any) bool {
	_, ok := v.(sops.Comment)
	return ok
}

// find returns an entry of a mapping; n may be of any kind.
func find(n *yaml.Node, name string) (key, value *yaml.Node) {
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

// mapping returns the entries of a mapping whose keys are unique texts.
func mapping(n *yaml.Node, what string) (map[string]*yaml.Node, *Error) {
	if n.Kind != yaml.MappingNode {
		return nil, unsafe("%s is not a mapping", what)
	}
	members := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || members[key.Value] != nil {
			return nil, unsafe("%s has a key twice, or one that is no text", what)
		}
		members[key.Value] = n.Content[i+1]
	}
	return members, nil
}

func sortedNames(members map[string]*yaml.Node) []string { return slices.Sorted(maps.Keys(members)) }

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func scalar(n *yaml.Node, name string) *Error {
	if n.Kind != yaml.ScalarNode {
		return unsafe("%s is not a single value", name)
	}
	return nil
}
