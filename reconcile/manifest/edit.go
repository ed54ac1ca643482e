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
	lines   []int                             // offsets at which lines begin
	maps    map[reconcile.Position]*yaml.Node // mappings by where they begin
	parents map[*yaml.Node]*yaml.Node         // the value's holder
	docs    []segment                         // documents in order
	at      map[reconcile.Position]int        // documents by where they begin
	items   map[reconcile.Position]place      // items by where they begin
	whole   map[int]bool                      // documents to be removed
	gone    map[int][]*yaml.Node              // items to be removed, by document
	// appended says that something stands behind the end of the file already.
	appended bool
	splices  []splice
	failed   []*EditError
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
	w.items, w.whole, w.gone = map[reconcile.Position]place{}, map[int]bool{}, map[int][]*yaml.Node{}
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
	if !w.inFlow(m) && (blockValue(value) || strings.Count(e.Block(""), "\n") > 1 && !w.followed(key, value)) {
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

// followed reports whether a comment stands behind a value on its line, which the
// last of several lines would take for text.
func (w *rewriting) followed(key, value *yaml.Node) bool {
	_, to, ok := w.extent(key, value)
	if !ok || to > len(w.data) {
		return false
	}
	rest, _, _ := bytes.Cut(w.data[to:], []byte("\n"))
	return len(bytes.TrimSpace(rest)) > 0
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

// apply makes the splices. Of two that overlap the first is made.
func (w *rewriting) apply() []byte {
	slices.SortFunc(w.splices, func(a, b splice) int { return cmp.Or(a.from-b.from, a.to-b.to, a.order-b.order) })
	var out bytes.Buffer
	done := 0
	for _, s := range w.splices {
		if s.from < done {
			w.failed = append(w.failed, &EditError{Reason: fmt.Sprintf("two changes overlap in line %d", w.line(s.from)+1)})
			continue
		}
		out.Write(w.data[done:s.from])
		out.WriteString(s.text)
		done = s.to
	}
	out.Write(w.data[done:])
	if removed := len(w.whole) > 0; len(bytes.TrimSpace(out.Bytes())) == 0 || removed && !saysSomething(out.Bytes()) {
		return nil
	}
	return out.Bytes()
}

// line is the line, counted from 0, that a place is in.
func (w *rewriting) line(at int) int {
	i, found := slices.BinarySearch(w.lines, at)
	if found {
		return i
	}
	return i - 1
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
