package render

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape makes text from outside safe to print inside a line of a terminal or
// a log: control characters, line and paragraph separators, bidirectional
// marks, zero-width characters and broken UTF-8 become visible escapes, and
// what CI systems read as a command loses that meaning.
func Escape(s string) string {
	s = escapeRunes(s, textRune)
	return breakCommands(s, `\x23`, `\x3a`)
}

// escapeRunes replaces each rune that is not fit to print by form(rune, width);
// width is 1 for a byte that is not UTF-8.
func escapeRunes(s string, form func(r rune, broken bool) string) string {
	if !strings.ContainsFunc(s, unfit) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(form(rune(s[i]), true))
		case unfit(r):
			b.WriteString(form(r, false))
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// unfit reports whether a rune may not be printed as it is. RuneError is
// included so that broken UTF-8 is looked at; a proper U+FFFD is shown as its
// escape too.
func unfit(r rune) bool {
	if r < 0x7f {
		return r < 0x20
	}
	switch {
	case r == utf8.RuneError, r <= 0x9f,
		unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co),
		r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0, // fillers: letters that show nothing
		r == 0x034f, r == 0x17b4, r == 0x17b5, // joiners and vowels that show nothing
		r&0xfffe == 0xfffe,           // no characters at all, which XML can't hold
		r == 0x2800,                  // a Braille pattern without dots
		r >= 0xfe00 && r <= 0xfe0f,   // variation selectors
		r >= 0xe0000 && r <= 0xe0fff: // tags and more selectors
		return true
	}
	return false
}

func textRune(r rune, broken bool) string {
	switch {
	case broken || r <= 0xff && r != '\n' && r != '\t' && r != '\r':
		return fmt.Sprintf(`\x%02x`, r)
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r == '\r':
		return `\r`
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// breakCommands takes the meaning from what log readers of CI systems obey
// anywhere in a line ("##[group]", "##vso[…]", "##teamcity[…]") and at the
// beginning of one ("::error::", "section_start:"), where s may come to stand.
func breakCommands(s, hash, colon string) string {
	for from := 0; ; {
		i := strings.Index(s[from:], "##")
		if i < 0 {
			break
		}
		i += from
		rest := strings.TrimLeftFunc(s[i+2:], func(r rune) bool { return r == '#' || r < 0x80 && unicode.IsLetter(r) })
		if strings.HasPrefix(rest, "[") {
			s = s[:i+1] + hash + s[i+2:]
		}
		from = i + 2
	}
	trimmed := strings.TrimLeft(s, " ")
	if strings.HasPrefix(trimmed, ":") || strings.HasPrefix(trimmed, "section_") {
		at := strings.Index(s, ":")
		if at >= 0 {
			s = s[:at] + colon + s[at+1:]
		}
	}
	return s
}

// guardLine is the last look at a whole line: wrapping or joining may have
// brought a command to its beginning. Colour codes are skipped as the readers do.
func guardLine(s string) string {
	i := 0
	for i < len(s) {
		if s[i] == ' ' {
			i++
			continue
		}
		if strings.HasPrefix(s[i:], "\x1b[") {
			end := strings.IndexByte(s[i:], 'm')
			if end < 0 {
				break
			}
			i += end + 1
			continue
		}
		break
	}
	return s[:i] + breakCommands(s[i:], `\x23`, `\x3a`)
}

// Quote writes a string in double quotes, in a form that JSON readers and YAML
// readers both understand except for runes above U+FFFF that need an escape,
// which YAML alone knows.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	s = strings.ReplaceAll(s, `\`, `\\`)
	s = strings.ReplaceAll(s, `"`, `\"`)
	s = escapeRunes(s, quotedRune)
	b.WriteString(breakCommands(s, `\u0023`, `\u003a`))
	b.WriteByte('"')
	return b.String()
}

func quotedRune(r rune, broken bool) string {
	switch {
	case broken:
		return `\ufffd`
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r == '\r':
		return `\r`
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// jsonRune is for JSON text, where what is unfit stands inside strings only.
func jsonRune(r rune, broken bool) string {
	switch {
	case broken:
		return `\ufffd`
	case r == '\n': // between the tokens: encoding/json escapes those in strings
		return "\n"
	case r > 0xffff:
		r -= 0x10000
		return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// escapeJSON makes encoded JSON safe to print, without changing its meaning.
func escapeJSON(text string) string {
	text = escapeRunes(text, jsonRune)
	if !strings.Contains(text, "##") {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = breakCommands(l, `\u0023`, `\u003a`)
	}
	return strings.Join(lines, "\n")
}

// LogWriter escapes the records that a log handler writes, one a call, and
// hands them on; the line end of a record stays.
func LogWriter(w io.Writer) io.Writer { return logWriter{w} }

type logWriter struct{ w io.Writer }

func (l logWriter) Write(p []byte) (int, error) {
	text := strings.TrimSuffix(string(p), "\n")
	if strings.HasPrefix(text, "{") {
		text = escapeJSON(text)
	} else {
		text = guardLine(Escape(text))
	}
	if _, err := io.WriteString(l.w, text+"\n"); err != nil {
		return 0, err
	}
	return len(p), nil
}
