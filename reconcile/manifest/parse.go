package manifest

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

// parse reads the YAML into nodes and checks their structure. It reports
// whether the nodes may be walked.
func (f *file) parse() bool {
	if !f.checkBytes() {
		return false
	}
	decoder := yaml.NewDecoder(bytes.NewReader(f.data))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.syntaxError(err)
			break
		}
		f.docs = append(f.docs, &doc)
	}
	return f.checkStructure()
}

// advice says in words of this program what the YAML library's terse messages
// mean. The first part that a message contains decides.
var advice = []struct{ part, summary, detail string }{
	{"unknown anchor", "an alias (*name) without its anchor (&name)", "A text that begins with * must be in quotes."},
	{"found a tab character", tabSummary, tabDetail},
	{"cannot start any token", "a character that can't begin a value", "A text that begins with @, %, ` or another special character must be in quotes."},
	{"mapping values are not allowed", "a ':' where none may stand", "A text that contains ': ' must be in quotes. Otherwise the indentation of this line or the one before is wrong."},
	{"could not find expected ':'", "a line without the ':' of a key", "Is a quote missing, or a line of text not indented?"},
	{"did not find expected key", "the indentation doesn't fit, or a key is missing", "Keys of one mapping begin in the same column."},
	{"did not find expected '-' indicator", "the indentation doesn't fit: a '-' is expected", "Entries of one list begin in the same column."},
	{"did not find expected ',' or ']'", "a list in [ ] that is not closed or lacks a comma", ""},
	{"did not find expected ',' or '}'", "a mapping in { } that is not closed or lacks a comma", ""},
	{"unexpected end of stream", "a quote that is never closed", ""},
	{"unexpected document indicator", "a quote that is never closed", ""},
	{"did not find expected <document start>", "text after the end of a document", "Documents are separated by a line of ---."},
	{"did not find expected node content", "a value is missing or begins with a character that needs quotes", ""},
	{"block sequence entries are not allowed", "a '-' where no list may begin", "Put the list on a line of its own, indented."},
	{"unknown escape character", `an escape that YAML doesn't have`, `In double quotes a \ must be written \\; in single quotes it stands for itself.`},
	{"undefined tag handle", "a tag that YAML doesn't know", "A text that begins with ! must be in quotes."},
}

const (
	tabSummary = "a tab where YAML wants spaces"
	tabDetail  = "YAML is indented with spaces only. Set your editor to insert spaces."
)

// syntaxError reports what the YAML library said, without any text of the file
// that its message may hold.
func (f *file) syntaxError(err error) {
	if line, message := understand(err, 0); strings.Contains(message, "exceeded max depth") {
		pos := f.deepest(f.documentStart(line))
		f.tooDeep(pos)
		return
	}
	line, message := complaint(f.data)
	if message == "" { // it is about something that one line more has changed
		line, message = understand(err, 0)
	}
	if tab, ok := f.indentingTab(line); ok {
		f.report(tab, "tab-indentation", tabSummary, tabDetail)
		return
	}
	pos, message := f.complaintPlace(line, message)
	for _, a := range advice {
		if strings.Contains(message, a.part) {
			f.report(pos, "yaml-syntax", a.summary, a.detail)
			return
		}
	}
	f.report(pos, "yaml-syntax", "this is not YAML", "Look at the indentation, the quotes and the brackets of this line and the one before.")
}

// complaintPlace is where a message of the YAML library is best looked at, and
// the message that fits there.
func (f *file) complaintPlace(line int, message string) (reconcile.Position, string) {
	if m := anchorError.FindStringSubmatch(message); m != nil {
		if i := bytes.Index(f.data, []byte("*"+m[1])); i >= 0 {
			return f.place(i), message
		}
	}
	column := 0
	switch {
	case strings.Contains(message, "node content") && f.ends(line):
		if pos, bracket := f.open(line); bracket != 0 {
			return pos, "did not find expected ',' or '" + string(bracket+2) + "'"
		}
	case strings.Contains(message, "expected key"), strings.Contains(message, "expected '-'"):
		line = f.misfit(line, message)
	case strings.Contains(message, "',' or ']'"):
		column = unclosed(f.line(line), '[')
	case strings.Contains(message, "',' or '}'"):
		column = unclosed(f.line(line), '{')
	}
	if column == 0 {
		column = f.firstColumn(line)
	}
	return reconcile.Position{File: f.name, Line: line, Column: column}, message
}

// firstColumn is where the text of a line begins.
func (f *file) firstColumn(line int) int {
	text := f.line(line)
	return 1 + len(text) - len(strings.TrimLeft(text, " \t"))
}

// indentingTab finds a tab before the text of a line or of its neighbours: the
// library names the line of a tab only roughly.
func (f *file) indentingTab(line int) (reconcile.Position, bool) {
	for _, n := range []int{line, line + 1, line - 1} {
		text := f.line(n)
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t-"))]
		if i := strings.IndexByte(indent, '\t'); i >= 0 && strings.TrimSpace(text) != "" {
			return reconcile.Position{File: f.name, Line: n, Column: i + 1}, true
		}
	}
	return reconcile.Position{}, false
}

// line returns the text of a line, "" for one that does not exist.
func (f *file) line(number int) string {
	text := f.data[f.lineStart(number):]
	return strings.TrimRight(string(text[:lineLength(text)]), "\r\n")
}

// lineStart is the offset of a line; of one that does not exist, the end.
func (f *file) lineStart(number int) int {
	if number < 1 {
		return len(f.data)
	}
	offset := 0
	for ; number > 1 && offset < len(f.data); number-- {
		offset += lineLength(f.data[offset:])
	}
	return offset
}

// documentStart is the first line of the document that holds a line.
func (f *file) documentStart(line int) int {
	before := f.data[:f.lineStart(line)]
	if i := bytes.LastIndex(before, []byte("\n---")); i >= 0 {
		return 2 + bytes.Count(before[:i], []byte("\n"))
	}
	return 1
}
