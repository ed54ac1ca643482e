package manifest

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

var (
	yamlError   = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	anchorError = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`) // the only one without a line
)

// grammar are the messages of the YAML library's parser, which counts lines from
// 0; those of its scanner count from 1.
var grammar = []string{
	"did not find expected key", "did not find expected '-' indicator", "did not find expected ','",
	"did not find expected <", "did not find expected node content", "undefined tag handle", "found duplicate %", "found incompatible YAML",
}

// complaint returns the YAML library's message about a text, and the line it
// means: that of the construct that could not be read to its end, or else of
// the problem.
//
// The library names the construct's line unless that is the first one of the
// text, so that a line is put before it.
func complaint(text []byte) (line int, message string) {
	decoder := yaml.NewDecoder(io.MultiReader(strings.NewReader("#\n"), bytes.NewReader(text)))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return 0, ""
		}
		if err != nil {
			return understand(err, 1)
		}
	}
}

// understand takes an error of the YAML library apart. before is how many lines
// the library saw before the text.
func understand(err error, before int) (line int, message string) {
	m := yamlError.FindStringSubmatch(err.Error())
	if m == nil {
		return 1, ""
	}
	line, convErr := strconv.Atoi(m[1])
	if convErr != nil {
		return 1, m[2]
	}
	for _, g := range grammar {
		if strings.Contains(m[2], g) {
			line++
			break
		}
	}
	return max(1, line-before), m[2]
}

// misfit finds the line that doesn't fit into the block that begins at line:
// read from there on, the block is the library's first line, and it names the
// problem's.
func (f *file) misfit(line int, message string) int {
	text := f.data[f.lineStart(line):]
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return line
		}
		if err != nil {
			if n, same := understand(err, 0); same == message {
				return line + n - 1
			}
			return line
		}
	}
}

// unclosed is the column of the last bracket of a kind that a line opens and
// doesn't close, or 0.
func unclosed(text string, bracket rune) int {
	var open []int
	column := 0
	for _, r := range text {
		column++
		switch r {
		case bracket:
			open = append(open, column)
		case bracket + 2: // ] and }
			open = open[:max(0, len(open)-1)]
		}
	}
	if len(open) == 0 {
		return 0
	}
	return open[len(open)-1]
}

// ends reports whether a document ends before or with a line.
func (f *file) ends(line int) bool {
	text := f.line(line)
	return text == "" && f.lineStart(line+1) == len(f.data) || strings.HasPrefix(text, "---") || strings.HasPrefix(text, "...")
}

// open is the last bracket that a document opens and doesn't close before line.
func (f *file) open(line int) (pos reconcile.Position, bracket rune) {
	type place struct {
		line, column int
		bracket      rune
	}
	var open []place
	from := f.documentStart(line - 1)
	data := f.data[f.lineStart(from):f.lineStart(line)]
	for number := from; len(data) > 0; number++ {
		n := lineLength(data)
		column := 0
		for _, r := range string(data[:n]) {
			column++
			switch r {
			case '[', '{':
				open = append(open, place{number, column, r})
			case ']', '}':
				open = open[:max(0, len(open)-1)]
			}
		}
		data = data[n:]
	}
	if len(open) == 0 {
		return pos, 0
	}
	last := open[len(open)-1]
	return reconcile.Position{File: f.name, Line: last.line, Column: last.column}, last.bracket
}

// deepest is the place where brackets and dashes nest deeper than the limit, as
// far as that can be told of a text that is no YAML yet: 0 where it can't.
func (f *file) deepest(from int) reconcile.Position {
	pos := reconcile.Position{File: f.name}
	flow, number := 0, from-1
	for line := range bytes.Lines(f.data[f.lineStart(from):]) {
		number++
		dashes, column, begins := 0, 0, true
		for i, r := range string(line) {
			column++
			switch {
			case r == '[' || r == '{':
				flow++
			case r == ']' || r == '}':
				flow = max(0, flow-1)
			case begins && strings.ContainsRune("-?", r) && i+1 < len(line) && line[i+1] == ' ':
				dashes++
			}
			begins = begins && (r == '-' || r == '?' || r == ' ')
			if flow+dashes > f.o.MaxDepth {
				pos.Line, pos.Column = number, column
				return pos
			}
		}
	}
	return pos
}
