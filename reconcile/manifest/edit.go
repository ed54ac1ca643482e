package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

// Edit is one change to a file of manifests. Positions are those that Load gave.
type Edit struct {
	// Fields is the mapping that a member is set in.
	Fields reconcile.Position
	Name   string // the member, as it is called
	// Flow is the member's new value on one line; Block is name and value in
	// lines, each with the indentation in front and a line feed behind.
	Flow  string
	Block func(indent string) string

	// Remove, instead, takes away the document or the item that begins there.
	Remove reconcile.Position
	// Insert, instead, puts documents before the one that begins at Before, or at
	// the end of the file where Before is zero.
	Insert string
	Before reconcile.Position
}

// EditError is an edit that the form of a file does not let be made.
type EditError struct {
	Edit   Edit
	Reason string
}

func (e *EditError) Error() string { return e.Reason }

// Rewrite makes changes to a file and leaves every other byte of it as it is.
// Edits that can't be made are returned; the others are made. A file without
// documents left is nil.
func Rewrite(name string, data []byte, edits []Edit) ([]byte, []*EditError) {
	f := newFile(name, data, Options{}.withDefaults())
	w := &rewriting{f: f, data: f.data, newline: "\n"}
	if bytes.Contains(data, []byte("\r\n")) {
		w.newline = "\r\n"
	}
	if len(bytes.TrimSpace(data)) > 0 && !f.parse() {
		return data, []*EditError{{Reason: "the file can't be read as YAML any more"}}
	}
	w.index()
	for _, e := range edits {
		if reason := w.edit(e); reason != "" {
			w.failed = append(w.failed, &EditError{Edit: e, Reason: reason})
		}
	}
	w.removals()
	out := w.apply()
	if len(out) > 0 && !newFile(name, out, Options{}.withDefaults()).parse() {
		return data, append(w.failed, &EditError{Reason: "the file would not be YAML any more"})
	}
	return out, w.failed
}

// rewriting is the work of one call of Rewrite.
type rewriting struct {
	f       *file
	data    []byte
	newline string
	lines   []int                               // offsets at which lines begin
	maps    map[reconcile.Position]*yaml.Node   // mappings by where they begin
	parents map[*yaml.Node]*yaml.Node           // the value's holder
	docs    []segment                           // documents in order
	removed map[int]map[reconcile.Position]bool // items to be removed, by document; nil position: the document
	splices []splice
	failed  []*EditError
}

// segment is a document: from behind its separator to the next one.
type segment struct {
	separator, begin, end int
	root                  *yaml.Node
}

// splice replaces some bytes.
type splice struct {
	from, to int
	text     string
	order    int
}

func (w *rewriting) index() {
	w.lines = []int{0}
	for i, b := range w.data {
		if b == '\n' {
			w.lines = append(w.lines, i+1)
		}
	}
	w.maps, w.parents = map[reconcile.Position]*yaml.Node{}, map[*yaml.Node]*yaml.Node{}
	w.removed = map[int]map[reconcile.Position]bool{}
	for _, doc := range w.f.docs {
		w.walk(doc)
	}
	w.segments()
}

func (w *rewriting) walk(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		w.maps[w.f.at(n)] = n
	}
	for _, child := range n.Content {
		w.parents[child] = n
		w.walk(child)
	}
}

// segments finds the documents' bytes. A line of --- always ends a document,
// also inside of a text.
func (w *rewriting) segments() {
	var all []segment
	current := segment{separator: 0, begin: 0}
	for i, start := range w.lines {
		end := len(w.data)
		if i+1 < len(w.lines) {
			end = w.lines[i+1]
		}
		line := bytes.TrimRight(w.data[start:end], "\r\n")
		if bytes.Equal(line, []byte("---")) || bytes.HasPrefix(line, []byte("--- ")) || bytes.HasPrefix(line, []byte("---\t")) {
			if start > 0 || current.begin != current.separator {
				current.end = start
				all = append(all, current)
			}
			begin := end
			if len(bytes.TrimSpace(line)) > 3 {
				begin = start + 3 // a document that begins on the line itself
			}
			current = segment{separator: start, begin: begin}
		}
	}
	current.end = len(w.data)
	all = append(all, current)
	for i, doc := range w.f.docs {
		at := w.offset(doc.Content[0].Line, doc.Content[0].Column)
		at = max(at, 0)
		j := slices.IndexFunc(all, func(s segment) bool {
			return s.separator <= at && at < s.end || s.end == len(w.data) && at >= s.separator
		})
		if j < 0 {
			continue
		}
		s := all[j]
		s.root = w.f.docs[i].Content[0]
		w.docs = append(w.docs, s)
	}
}

// offset is the place of a line and a column, which counts characters.
func (w *rewriting) offset(line, column int) int {
	if line < 1 || line > len(w.lines) {
		return len(w.data)
	}
	at := w.lines[line-1]
	for ; column > 1 && at < len(w.data); column-- {
		_, size := utf8.DecodeRune(w.data[at:])
		at += size
	}
	return at
}

func (w *rewriting) start(n *yaml.Node) int { return w.offset(n.Line, n.Column) }

func (w *rewriting) edit(e Edit) (reason string) {
	switch {
	case e.Insert != "":
		return w.insert(e)
	case e.Remove != (reconcile.Position{}):
		return w.remove(e)
	}
	m := w.maps[e.Fields]
	if m == nil {
		return "what is to be changed is not written there, but comes from an alias"
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == e.Name {
			return w.replace(m, m.Content[i], m.Content[i+1], e)
		}
	}
	return w.add(m, e)
}

func flowStyle(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// inFlow reports whether a node stands inside of brackets.
func (w *rewriting) inFlow(n *yaml.Node) bool {
	for ; n != nil; n = w.parents[n] {
		if flowStyle(n) {
			return true
		}
	}
	return false
}

// replace gives a member another value.
func (w *rewriting) replace(m, key, value *yaml.Node, e Edit) string {
	switch {
	case value.Anchor != "" || value.Style&yaml.TaggedStyle != 0:
		return "its value has an anchor or a tag"
	case w.explicit(key):
		return "its key is written with a question mark"
	}
	if !w.inFlow(m) && (blockValue(value) || strings.Count(e.Block(""), "\n") > 1) {
		from, to, ok := w.member(key, value)
		if !ok {
			return "where its value ends can't be told"
		}
		indent := strings.Repeat(" ", key.Column-1)
		text := strings.TrimSuffix(strings.TrimPrefix(w.lineEnds(e.Block(indent)), indent), w.newline)
		return w.splice(from, to, text)
	}
	from, to, ok := w.extent(key, value)
	if !ok {
		return "where its value ends can't be told"
	}
	text := e.Flow
	if from == to && from > 0 && w.data[from-1] == ':' {
		text = " " + text
	}
	return w.splice(from, to, text)
}

// explicit reports whether a key is written as "? key".
func (w *rewriting) explicit(key *yaml.Node) bool {
	before := bytes.TrimRight(w.data[:w.start(key)], " \t")
	return len(before) > 0 && before[len(before)-1] == '?'
}

func blockValue(n *yaml.Node) bool {
	switch n.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		return !flowStyle(n)
	}
	return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
}

func (w *rewriting) lineEnds(text string) string { return strings.ReplaceAll(text, "\n", w.newline) }

// add puts a member behind the last one of a mapping.
func (w *rewriting) add(m *yaml.Node, e Edit) string {
	if len(m.Content) == 0 || w.inFlow(m) {
		from := w.start(m)
		to, ok := w.bracketsEnd(from)
		if !ok {
			return "where its fields end can't be told"
		}
		if len(m.Content) == 0 {
			return w.splice(from, to, "{"+e.Name+": "+e.Flow+"}")
		}
		_, end, ok := w.extent(m.Content[len(m.Content)-2], m.Content[len(m.Content)-1])
		if !ok {
			return "where its fields end can't be told"
		}
		return w.splice(end, end, ", "+e.Name+": "+e.Flow)
	}
	key, value := m.Content[len(m.Content)-2], m.Content[len(m.Content)-1]
	if w.explicit(m.Content[0]) || w.explicit(key) {
		return "its keys are written with question marks"
	}
	_, end, ok := w.member(key, value)
	if !ok {
		return "where its fields end can't be told"
	}
	for end < len(w.data) && w.data[end] != '\n' { // behind a comment
		end++
	}
	indent := strings.Repeat(" ", key.Column-1)
	text := w.newline + strings.TrimSuffix(w.lineEnds(e.Block(indent)), w.newline)
	if end > 0 && end <= len(w.data) && w.data[end-1] == '\r' {
		end--
	}
	return w.splice(end, end, text)
}

func (w *rewriting) splice(from, to int, text string) string {
	w.splices = append(w.splices, splice{from, to, text, len(w.splices)})
	return ""
}

// document is the index of the document that begins at a position.
func (w *rewriting) document(p reconcile.Position) int {
	return slices.IndexFunc(w.docs, func(s segment) bool { return w.f.at(s.root) == p })
}

func (w *rewriting) insert(e Edit) string {
	text := w.lineEnds(e.Insert)
	if i := w.document(e.Before); i >= 0 {
		return w.splice(w.docs[i].begin, w.docs[i].begin, text+"---"+w.newline)
	}
	if len(w.docs) == 0 && len(bytes.TrimSpace(w.data)) == 0 {
		return w.splice(0, len(w.data), text)
	}
	lead := "---" + w.newline
	if n := len(w.data); n > 0 && w.data[n-1] != '\n' {
		lead = w.newline + lead
	}
	for _, s := range w.splices { // one separator each, also for several
		if s.from == len(w.data) && strings.HasPrefix(s.text, w.newline+"---") {
			lead = "---" + w.newline
		}
	}
	return w.splice(len(w.data), len(w.data), lead+text)
}

func (w *rewriting) remove(e Edit) string {
	for i, s := range w.docs {
		switch {
		case w.f.at(s.root) == e.Remove:
			w.removed[i] = map[reconcile.Position]bool{{}: true}
			return ""
		case w.itemAt(s.root, e.Remove) != nil:
			if w.removed[i] == nil {
				w.removed[i] = map[reconcile.Position]bool{}
			}
			w.removed[i][e.Remove] = true
			return ""
		}
	}
	return "it is not written there, but comes from an alias"
}

func (w *rewriting) items(root *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value == "items" {
			return root.Content[i+1]
		}
	}
	return nil
}

func (w *rewriting) itemAt(root *yaml.Node, p reconcile.Position) *yaml.Node {
	items := w.items(root)
	if items == nil || items.Kind != yaml.SequenceNode {
		return nil
	}
	for _, item := range items.Content {
		if w.f.at(item) == p {
			return item
		}
	}
	return nil
}

// removals turns what is to be removed into splices: whole documents, or items
// of those that keep some.
func (w *rewriting) removals() {
	for i, gone := range w.removed {
		s := w.docs[i]
		items := w.items(s.root)
		if w.whole(i) {
			from := s.separator
			if i == 0 && s.separator == 0 && s.begin == 0 && len(w.docs) > 1 && !w.whole(1) {
				// The next separator goes with the first document.
				w.splice(from, w.docs[1].begin, "")
				continue
			}
			w.splice(from, s.end, "")
			continue
		}
		for p := range gone {
			item := w.itemAt(s.root, p)
			from, to, ok := w.itemLines(items, item)
			if !ok {
				w.failed = append(w.failed, &EditError{Edit: Edit{Remove: p}, Reason: "it stands in a list in brackets, or with an anchor"})
				continue
			}
			w.splice(from, to, "")
		}
	}
}

// whole reports whether nothing of a document stays.
func (w *rewriting) whole(i int) bool {
	gone := w.removed[i]
	items := w.items(w.docs[i].root)
	return gone[reconcile.Position{}] || len(gone) > 0 && items != nil && len(gone) == len(items.Content)
}

// apply makes the splices, from the end to the beginning.
func (w *rewriting) apply() []byte {
	slices.SortFunc(w.splices, func(a, b splice) int { return cmp.Or(b.from-a.from, b.to-a.to, b.order-a.order) })
	out, limit := w.data, len(w.data)+1
	for _, s := range w.splices {
		if s.to > limit || s.from == limit && s.to != s.from {
			w.failed = append(w.failed, &EditError{Reason: fmt.Sprintf("two changes overlap in line %d", 1+bytes.Count(w.data[:s.from], []byte("\n")))})
			continue
		}
		out = slices.Concat(out[:s.from], []byte(s.text), out[s.to:])
		limit = s.from
	}
	if text := bytes.TrimSpace(out); len(text) == 0 || len(w.removed) > 0 && !saysSomething(out) {
		return nil
	}
	return out
}

// saysSomething reports whether a file holds more than comments and separators.
func saysSomething(data []byte) bool {
	for line := range bytes.Lines(data) {
		if !blank(line) && !bytes.HasPrefix(line, []byte("---")) {
			return true
		}
	}
	return false
}
