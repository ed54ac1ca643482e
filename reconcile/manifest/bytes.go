package manifest

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"

	"proxbox-sync/reconcile"
)

var bom = []byte("\uFEFF")

// dropMarks takes away the byte order marks at the start of the file and at the
// start of its other documents, where they stand once files are joined. No line
// changes by it, and no column that an editor shows.
func dropMarks(data []byte) []byte {
	if !bytes.Contains(data, bom) {
		return data
	}
	out := make([]byte, 0, len(data))
	begins := true // whether a document may begin here
	next, separates := -1, false
	for start := 0; start < len(data); {
		end := start + lineLength(data[start:])
		line := data[start:end]
		if rest, marked := bytes.CutPrefix(line, bom); marked {
			if next < start { // else it is still ahead
				next, separates = separator(data, start)
			}
			if begins || separates {
				line = rest
			}
		}
		switch {
		case bytes.HasPrefix(line, []byte("---")), bytes.HasPrefix(line, []byte("...")):
			begins = true
		case !blank(line):
			begins = false
		}
		out = append(out, line...)
		start = end
	}
	return out
}

// separator looks for the next line that says something, and reports where it
// begins and whether it separates documents.
func separator(data []byte, from int) (offset int, separates bool) {
	for from < len(data) {
		end := from + lineLength(data[from:])
		if line := bytes.TrimPrefix(data[from:end], bom); !blank(line) {
			return from, bytes.HasPrefix(line, []byte("---"))
		}
		from = end
	}
	return len(data), true
}

func lineLength(data []byte) int {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1
	}
	return len(data)
}

// blank reports whether a line is empty or a comment.
func blank(line []byte) bool {
	text := bytes.TrimLeft(line, " \t\r\n")
	return len(text) == 0 || text[0] == '#'
}

// place is the position of a byte offset. Columns count characters.
func (f *file) place(offset int) reconcile.Position {
	text := f.data[:offset]
	start := bytes.LastIndexByte(text, '\n') + 1
	return reconcile.Position{
		File: f.name, Line: 1 + bytes.Count(text, []byte("\n")), Column: 1 + utf8.RuneCount(text[start:]),
	}
}

// checkBytes reports the first thing that no manifest holds, and whether the
// file may be parsed. What YAML takes for a line break and editors don't is
// refused: positions would be wrong, and a reviewer would see a comment where
// YAML sees a key.
func (f *file) checkBytes() bool {
	ok := true
	refuse := func(offset int, code, summary, detail string) {
		f.report(f.place(offset), code, summary, detail)
		ok = false
	}
	if offset := invalidUTF8(f.data); offset >= 0 {
		refuse(offset, "not-utf8", "this file is not UTF-8 text", "Save it as UTF-8.")
		return ok
	}
	for i, r := range string(f.data) {
		switch {
		case r == 0:
			refuse(i, "nul-byte", "a NUL byte in the file", "Manifests are text. Is this file complete, and is it YAML?")
			return ok
		case r == '\r' && (i+1 == len(f.data) || f.data[i+1] != '\n'):
			refuse(i, "line-break", "a carriage return without a line feed", "Save the file with the line ends of Unix or Windows.")
			return ok
		case r == '\uFEFF':
			refuse(i, "byte-order-mark", "a byte order mark (the invisible U+FEFF) in the middle of the file",
				"It begins a file that was joined to another one: put a line of --- between them, or remove the mark. In a text write it as \\uFEFF in double quotes.")
			return ok
		case r == '\u0085' || r == '\u2028' || r == '\u2029':
			refuse(i, "line-break", fmt.Sprintf("the invisible line break U+%04X", r), `Remove it, or write it as \u`+fmt.Sprintf("%04X", r)+` in double quotes.`)
			return ok
		case unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r':
			refuse(i, "control-character", fmt.Sprintf("the control character U+%04X", r), `Remove it, or write it as \x.. in double quotes.`)
			return ok
		}
	}
	if offset := conflictMarker(f.data); offset >= 0 {
		refuse(offset, "merge-conflict", "a merge conflict that nobody resolved",
			"Git left its markers (<<<<<<<, =======, >>>>>>>) here. Resolve the conflict; in a sops file take one side whole, "+
				"then make the other side's change with `sops edit`.")
		return ok
	}
	if offset := structure(f.data, 2*f.o.MaxNodes); offset >= 0 {
		f.tooMany(f.place(offset))
		return false
	}
	return ok
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// conflictMarker returns the offset of the first line that only Git writes, or
// -1. A line of equals signs alone is none: it may stand in a text.
func conflictMarker(data []byte) int {
	offset := 0
	for line := range bytes.Lines(data) {
		text := bytes.TrimRight(line, "\r\n")
		for _, marker := range []string{"<<<<<<<", ">>>>>>>", "|||||||"} {
			if rest, ok := bytes.CutPrefix(text, []byte(marker)); ok && (len(rest) == 0 || rest[0] == ' ') {
				return offset
			}
		}
		offset += len(line)
	}
	return -1
}

// structure counts the characters that can begin a value, so that a file which
// would become gigabytes of nodes is refused before it does. A value takes at
// least one of them. It returns where there are more than limit, or -1.
func structure(data []byte, limit int) int {
	n := 0
	for i, b := range data {
		switch b {
		case '\n', ',', '[', '{', ':':
			n++
		case '-', '?':
			if i+1 == len(data) || data[i+1] == ' ' || data[i+1] == '\n' || data[i+1] == '\r' || data[i+1] == '\t' {
				n++
			}
		}
		if n > limit {
			return i
		}
	}
	return -1
}
