package manifest

import (
	"bytes"

	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

// segment is a document: from behind its separator to the next one.
type segment struct {
	separator, begin, end int
	root                  *yaml.Node
}

// place is an item of a document.
type place struct {
	document int
	node     *yaml.Node
}

// segments finds the documents' bytes. A line of --- always ends a document, also
// inside of a text.
func (w *rewriting) segments() {
	w.at = make(map[reconcile.Position]int, len(w.f.docs))
	all := w.separated()
	for _, doc := range w.f.docs {
		root := doc.Content[0]
		begins := w.offset(root.Line, root.Column)
		for len(all) > 1 && all[0].end <= begins {
			all = all[1:]
		}
		s := all[0]
		s.root = root
		w.at[w.f.at(root)] = len(w.docs)
		w.docs = append(w.docs, s)
		if items := itemsOf(root); items != nil && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				if _, taken := w.items[w.f.at(item)]; !taken {
					w.items[w.f.at(item)] = place{len(w.docs) - 1, item}
				}
			}
		}
	}
}

// separated cuts the file at its separators.
func (w *rewriting) separated() []segment {
	var all []segment
	var current segment
	for i, start := range w.lines {
		end := len(w.data)
		if i+1 < len(w.lines) {
			end = w.lines[i+1]
		}
		line := bytes.TrimRight(w.data[start:end], "\r\n")
		if !bytes.Equal(line, []byte("---")) && !bytes.HasPrefix(line, []byte("--- ")) && !bytes.HasPrefix(line, []byte("---\t")) {
			continue
		}
		if start > 0 || current.begin != current.separator {
			current.end = start
			all = append(all, current)
		}
		current = segment{separator: start, begin: end}
		if len(bytes.TrimSpace(line)) > len("---") { // a document that begins on the line itself
			current.begin = start + len("---")
		}
	}
	current.end = len(w.data)
	return append(all, current)
}

func (w *rewriting) insert(e Edit) string {
	text := w.lineEnds(e.Insert)
	if i, ok := w.at[e.Before]; ok {
		return w.splice(w.docs[i].begin, w.docs[i].begin, text+"---"+w.newline)
	}
	if len(w.docs) == 0 && len(bytes.TrimSpace(w.data)) == 0 {
		return w.splice(0, len(w.data), text)
	}
	lead := "---" + w.newline
	if n := len(w.data); n > 0 && w.data[n-1] != '\n' && !w.appended {
		lead = w.newline + lead
	}
	w.appended = true
	return w.splice(len(w.data), len(w.data), lead+text)
}

func (w *rewriting) remove(e Edit) string {
	if i, ok := w.at[e.Remove]; ok {
		w.whole[i] = true
		return ""
	}
	at, ok := w.items[e.Remove]
	if !ok {
		return "it is not written there, but comes from an alias"
	}
	w.gone[at.document] = append(w.gone[at.document], at.node)
	return ""
}

func itemsOf(root *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "items" {
			return root.Content[i+1]
		}
	}
	return nil
}

// removals turns what is to be removed into splices: whole documents, those of
// which no item stays among them, or items.
func (w *rewriting) removals() {
	for i, gone := range w.gone {
		items := itemsOf(w.docs[i].root)
		if len(gone) == len(items.Content) {
			w.whole[i] = true
			continue
		}
		for _, item := range gone {
			from, to, ok := w.itemLines(items, item)
			if !ok {
				w.failed = append(w.failed, &EditError{Edit: Edit{Remove: w.f.at(item)}, Reason: "it stands in a list in brackets, or with an anchor"})
				continue
			}
			w.splice(from, to, "")
		}
	}
	for i := range w.whole {
		s := w.docs[i]
		if i == 0 && s.separator == 0 && s.begin == 0 && len(w.docs) > 1 && !w.whole[1] {
			// The next separator goes with the first document.
			w.splice(0, w.docs[1].begin, "")
			continue
		}
		w.splice(s.separator, s.end, "")
	}
}
