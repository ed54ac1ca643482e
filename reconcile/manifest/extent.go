package manifest

import (
	"bytes"
	"strings"

	"gopkg.in/yaml.v3"
)

// The YAML library says where a node begins and not where it ends. These
// functions find that out, for the forms that a value can have.

// extent is the bytes of a member's value: from its first to behind its last.
// For a value that is left out it is the place behind the colon.
func (w *rewriting) extent(key, value *yaml.Node) (from, to int, ok bool) {
	from = w.start(value)
	switch {
	case value.Kind == yaml.AliasNode:
		return from, w.wordEnd(from), true
	case value.Kind != yaml.ScalarNode:
		if !flowStyle(value) {
			return 0, 0, false
		}
		to, ok = w.bracketsEnd(from)
		return from, to, ok
	case value.Style&yaml.DoubleQuotedStyle != 0:
		to, ok = w.quoteEnd(from, '"')
		return from, to, ok
	case value.Style&yaml.SingleQuotedStyle != 0:
		to, ok = w.quoteEnd(from, '\'')
		return from, to, ok
	case value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return from, w.linesEnd(from, key.Column), true
	case value.Value == "":
		at := w.start(key)
		if end, quoted := w.keyEnd(key); quoted {
			at = end
		} else {
			at += len(key.Value)
		}
		colon := bytes.IndexByte(w.data[at:], ':')
		if colon < 0 || len(bytes.TrimSpace(w.data[at:at+colon])) > 0 {
			return 0, 0, false
		}
		return at + colon + 1, at + colon + 1, true
	}
	return w.plainExtent(value, from)
}

func (w *rewriting) keyEnd(key *yaml.Node) (int, bool) {
	switch {
	case key.Style&yaml.DoubleQuotedStyle != 0:
		return w.quoteEnd(w.start(key), '"')
	case key.Style&yaml.SingleQuotedStyle != 0:
		return w.quoteEnd(w.start(key), '\'')
	}
	return 0, false
}

// plainExtent is that of text without quotes, also over several lines.
func (w *rewriting) plainExtent(value *yaml.Node, from int) (int, int, bool) {
	flow := w.inFlow(w.parents[value])
	words := strings.Fields(value.Value)
	at := from
	for i, word := range words {
		if i > 0 {
			next := at
			for next < len(w.data) && strings.IndexByte(" \t\r\n", w.data[next]) >= 0 {
				next++
			}
			at = next
		}
		if !bytes.HasPrefix(w.data[at:], []byte(word)) {
			return 0, 0, false
		}
		at += len(word)
	}
	if at < len(w.data) {
		switch c := w.data[at]; {
		case strings.IndexByte(" \t\r\n", c) >= 0:
		case flow && strings.IndexByte(",]}", c) >= 0:
		default:
			return 0, 0, false
		}
	}
	return from, at, len(words) > 0
}

func (w *rewriting) wordEnd(at int) int {
	for at < len(w.data) && strings.IndexByte(" \t\r\n,]}", w.data[at]) < 0 {
		at++
	}
	return at
}

// quoteEnd is the place behind the closing quote.
func (w *rewriting) quoteEnd(at int, quote byte) (int, bool) {
	if at >= len(w.data) || w.data[at] != quote {
		return 0, false
	}
	for at++; at < len(w.data); at++ {
		switch c := w.data[at]; {
		case c == '\\' && quote == '"':
			at++
		case c == quote && quote == '\'' && at+1 < len(w.data) && w.data[at+1] == '\'':
			at++
		case c == quote:
			return at + 1, true
		}
	}
	return 0, false
}

// bracketsEnd is the place behind the bracket that closes the one at a place.
func (w *rewriting) bracketsEnd(at int) (int, bool) {
	if at >= len(w.data) || w.data[at] != '{' && w.data[at] != '[' {
		return 0, false
	}
	depth := 0
	for at < len(w.data) {
		before := byte(' ')
		if at > 0 {
			before = w.data[at-1]
		}
		opens := strings.IndexByte(" \t\r\n,[{:", before) >= 0
		switch c := w.data[at]; {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return at + 1, true
			}
		case (c == '"' || c == '\'') && opens:
			end, ok := w.quoteEnd(at, c)
			if !ok {
				return 0, false
			}
			at = end
			continue
		case c == '#' && strings.IndexByte(" \t\r\n", before) >= 0:
			for at < len(w.data) && w.data[at] != '\n' {
				at++
			}
			continue
		}
		at++
	}
	return 0, false
}

// indentation is how far the text of a line is indented; blank lines and
// comments have none.
func indentation(line []byte) (columns int, text bool) {
	trimmed := bytes.TrimLeft(line, " ")
	rest := bytes.TrimRight(trimmed, "\r\n")
	if len(rest) == 0 || rest[0] == '#' {
		return 0, false
	}
	return len(line) - len(trimmed), true
}

// linesEnd is the end of the last line of a block that begins at a place and is
// indented by column characters or more: what is less belongs to something else.
func (w *rewriting) linesEnd(from, column int) int { return w.blockEnd(from, column, false) }

// blockEnd also takes entries of a list that stand in the column of their key.
func (w *rewriting) blockEnd(from, column int, dashes bool) int {
	line := w.line(from)
	end := w.lineEnd(line)
	for i := line + 1; i < len(w.lines); i++ {
		text := w.data[w.lines[i]:w.lineEnd(i)]
		columns, says := indentation(text)
		if !says {
			// Inside of a literal text what looks like a comment is text.
			if trimmed := bytes.TrimLeft(text, " "); len(trimmed) > 0 && trimmed[0] == '#' && len(text)-len(trimmed) >= column && !dashes {
				end = w.lineEnd(i)
			}
			continue
		}
		if separates(text) || columns < column && !(dashes && columns == column-1 && isEntry(text[columns:])) {
			break
		}
		end = w.lineEnd(i)
	}
	return end
}

func separates(line []byte) bool {
	return bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("..."))
}

func isEntry(text []byte) bool {
	return len(text) > 0 && text[0] == '-' && (len(text) == 1 || text[1] == ' ' || text[1] == '\t')
}

// lineEnd is the end of a line, counted from 0, without its line break.
func (w *rewriting) lineEnd(line int) int {
	end := len(w.data)
	if line+1 < len(w.lines) {
		end = w.lines[line+1] - 1
	}
	if end > 0 && end <= len(w.data) && end > w.lines[line] && w.data[end-1] == '\r' {
		end--
	}
	return end
}

// member is a member of a mapping in block style: from its key to the end of
// its value, comments behind that left out.
func (w *rewriting) member(key, value *yaml.Node) (from, to int, ok bool) {
	from = w.start(key)
	switch {
	case value.Kind == yaml.AliasNode || !blockValue(value):
		_, to, ok = w.extent(key, value)
		return from, to, ok
	case value.Kind == yaml.ScalarNode:
		return from, w.linesEnd(w.start(value), key.Column), true
	case value.Kind == yaml.SequenceNode:
		return from, w.blockEnd(w.start(value), key.Column, true), true
	}
	return from, w.blockEnd(w.start(value), key.Column, false), true
}

// itemLines are the lines of one entry of a list in block style.
func (w *rewriting) itemLines(items, item *yaml.Node) (from, to int, ok bool) {
	if flowStyle(items) || item.Kind == yaml.AliasNode || item.Anchor != "" {
		return 0, 0, false
	}
	line := item.Line - 1
	text := w.data[w.lines[line]:w.lineEnd(line)]
	columns, _ := indentation(text)
	if !isEntry(text[min(columns, len(text)):]) {
		return 0, 0, false
	}
	end := w.blockEnd(w.lines[line], columns+1, false)
	if flowStyle(item) {
		if end, ok = w.bracketsEnd(w.start(item)); !ok {
			return 0, 0, false
		}
		for end < len(w.data) && w.data[end] != '\n' {
			end++
		}
	}
	if end < len(w.data) && w.data[end] == '\r' {
		end++
	}
	if end < len(w.data) && w.data[end] == '\n' {
		end++
	}
	return w.lines[line], end, true
}
