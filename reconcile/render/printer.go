package render

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// Style says how text looks where it goes.
type Style struct {
	Color bool
	Width int // columns; 0 means 80
	// Base is the folder, seen from the root of the repository, that the files of
	// positions are relative to, with / between names; "" for the root itself.
	Base string
	// Whole is for text that stands alone: that of an apply begins with the plan,
	// which on a terminal stands above it.
	Whole bool
}

func (s Style) width() int {
	if s.Width <= 0 {
		return 80
	}
	return max(s.Width, 40)
}

// hue is an ANSI colour.
type hue string

const (
	plain  hue = ""
	bold   hue = "1"
	dim    hue = "2"
	red    hue = "31"
	green  hue = "32"
	yellow hue = "33"
	cyan   hue = "36"
)

// printer writes lines and remembers the first error.
type printer struct {
	w     *bufio.Writer
	style Style
}

func newPrinter(w io.Writer, s Style) *printer {
	return &printer{w: bufio.NewWriter(w), style: s}
}

// done writes what is buffered; its error is the first one of all writes.
func (p *printer) done() error { return p.w.Flush() }

// line writes one line. The parts are escaped already, or ours.
func (p *printer) line(parts ...string) {
	_, _ = p.w.WriteString(guardLine(strings.TrimRight(strings.Join(parts, ""), " ")))
	_ = p.w.WriteByte('\n')
}

// paint adds colour to text that is escaped already.
func (p *printer) paint(h hue, text string) string {
	if !p.style.Color || h == plain || text == "" {
		return text
	}
	return "\x1b[" + string(h) + "m" + text + "\x1b[0m"
}

// paragraph writes words of ours or of escaped data, wrapped at the width.
// Line breaks in the text begin a new line. The first line begins with lead,
// further ones with as many blanks.
func (p *printer) paragraph(lead, text string) {
	room := p.style.width() - length(lead)
	for _, part := range strings.Split(text, "\n") {
		for _, l := range wrap(Escape(part), room) {
			p.line(lead, l)
			lead = strings.Repeat(" ", length(lead))
		}
	}
}

// wrap breaks text at blanks into lines of at most room columns; a longer word
// stands alone. The result has at least one line. Leading blanks stay, so that
// a text can have indented lines.
func wrap(text string, room int) []string {
	room = max(room, 20)
	body := strings.TrimLeft(text, " ")
	indent := strings.Repeat(" ", min(len(text)-len(body), 8))
	var lines []string
	cur := indent
	empty := true
	for _, word := range strings.Fields(body) {
		if !empty && length(cur)+1+length(word) > room {
			lines = append(lines, cur)
			cur, empty = indent, true
		}
		if !empty {
			cur += " "
		}
		cur += word
		empty = false
	}
	return append(lines, cur)
}

// chop breaks a value into pieces of at most room columns, behind a blank where
// there is one near the end.
func chop(text string, room int) []string {
	room = max(room, 20)
	var out []string
	for r := []rune(text); ; {
		if len(r) <= room {
			return append(out, string(r))
		}
		at := room
		for i := room; i > room-20; i-- {
			if r[i-1] == ' ' {
				at = i
				break
			}
		}
		out = append(out, string(r[:at]))
		r = r[at:]
	}
}

// length is how many columns a text takes; colour codes take none.
func length(s string) int {
	n := utf8.RuneCountInString(s)
	for {
		at := strings.Index(s, "\x1b[")
		if at < 0 {
			return n
		}
		end := strings.IndexByte(s[at:], 'm')
		if end < 0 {
			return n
		}
		n -= end + 1
		s = s[at+end+1:]
	}
}

// pad fills text with blanks up to n columns.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(0, n-length(text)))
}

// count writes a number with its noun: "1 error", "3 errors".
func count(n int, noun string) string {
	if n == 1 {
		return thousands(n) + " " + noun
	}
	return thousands(n) + " " + noun + "s"
}

// Heading writes a line that begins a part of a longer text.
func Heading(w io.Writer, text string, s Style) error {
	p := newPrinter(w, s)
	text = Escape(text)
	p.line(p.paint(bold, text))
	p.line(p.paint(bold, strings.Repeat("-", length(text))))
	return p.done()
}

// Paragraph writes text wrapped at the width.
func Paragraph(w io.Writer, text string, s Style) error {
	p := newPrinter(w, s)
	p.paragraph("", text)
	return p.done()
}
