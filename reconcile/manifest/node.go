package manifest

import (
	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

// convert turns the documents into the hub's nodes. Empty documents are nil. It
// follows aliases: checkStructure has bounded what that can cost.
func (f *file) convert() []*reconcile.Node {
	out := make([]*reconcile.Node, len(f.docs))
	for i, doc := range f.docs {
		if root := doc.Content[0]; !empty(root) && !f.blockOnly(root) {
			out[i] = f.node(root)
		}
	}
	return out
}

func empty(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// blockOnly reports whether a document is empty but for the block that sops
// puts into each.
func (f *file) blockOnly(root *yaml.Node) bool {
	return root.Kind == yaml.MappingNode && len(root.Content) == 2 && f.sopsBlock(root, root.Content[0])
}

func (f *file) node(n *yaml.Node) *reconcile.Node {
	switch n.Kind {
	case yaml.AliasNode:
		return f.node(n.Alias)
	case yaml.MappingNode:
		return f.mapping(n)
	case yaml.SequenceNode:
		out := &reconcile.Node{Pos: f.at(n), Shape: reconcile.Sequence}
		for _, item := range n.Content {
			out.Items = append(out.Items, f.node(item))
		}
		return out
	}
	out := &reconcile.Node{Pos: f.at(n), Shape: reconcile.Scalar}
	if secret, ok := f.secrets[n]; ok {
		out.Value = secret
		return out
	}
	var wrong *problem
	out.Value, out.Plain, wrong = scalar(n)
	if wrong != nil {
		f.report(out.Pos, wrong.code, wrong.summary, wrong.detail)
	}
	return out
}

// mapping keeps the order of the file. What << merges comes after the mapping's
// own entries, which win over it; positions stay those of the text.
func (f *file) mapping(n *yaml.Node) *reconcile.Node {
	out := &reconcile.Node{Pos: f.at(n), Shape: reconcile.Mapping}
	out.Members = make([]reconcile.Member, 0, len(n.Content)/2)
	have := make(map[string]bool, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case mergeKey(key):
			merges = append(merges, value)
		case !textKey(key) || have[key.Value] || f.sopsBlock(n, key):
		default:
			have[key.Value] = true
			out.Members = append(out.Members, reconcile.Member{Name: key.Value, Pos: f.at(key), Value: f.node(value)})
		}
	}
	for _, from := range merges {
		f.merge(out, have, from)
	}
	return out
}

// sopsBlock reports whether key is that of a document's sops block.
func (f *file) sopsBlock(parent, key *yaml.Node) bool {
	return f.sops != nil && key.Value == sopsKey && f.roots[parent]
}

// merge adds the entries of a mapping, an alias to one, or a list of those that
// out does not have yet.
func (f *file) merge(out *reconcile.Node, have map[string]bool, from *yaml.Node) {
	if from.Kind == yaml.AliasNode {
		from = from.Alias
	}
	switch from.Kind {
	case yaml.MappingNode:
		for _, m := range f.mapping(from).Members {
			if !have[m.Name] {
				have[m.Name] = true
				out.Members = append(out.Members, m)
			}
		}
	case yaml.SequenceNode:
		for _, item := range from.Content {
			if item.Kind == yaml.AliasNode {
				item = item.Alias
			}
			if item.Kind != yaml.MappingNode {
				f.badMerge(item)
				continue
			}
			f.merge(out, have, item)
		}
	default:
		f.badMerge(from)
	}
}

func (f *file) badMerge(n *yaml.Node) {
	f.report(f.at(n), "bad-merge", "<< takes a mapping or a list of mappings", "")
}
