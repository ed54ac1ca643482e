package netbox

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Rules of reading a text that may hold something encoded:
//
//   - A text is read as it stands, and as each decoder below reads it; each
//     reading is read again, maxRounds deep. No list of encoded forms has to be
//     complete: how a server writes a quote doesn't matter, only what it means.
//   - A decoder is lenient: what is no escape in its encoding stays as it stands.

const (
	maxRounds   = 3
	maxVariants = 400 // of one text
)

// variant is one way to read a text.
type variant struct {
	text    string
	guessed bool // what looks like base64 or hex was decoded, and may be neither
}

// decoders give the other readings of a text; one that finds nothing of its
// encoding gives none.
var decoders = []struct {
	read    func(string) []string
	guesses bool
}{
	{readEscapes, false}, {readPercent, false}, {readHTML, false}, {readBase64, true}, {readHex, true},
}

// variants calls yield with every reading of a text until it returns false.
// It returns false when there were too many.
func variants(text string, yield func(variant) bool) bool {
	seen := map[string]bool{text: true}
	round := []variant{{text: text}}
	for depth := 0; len(round) > 0; depth++ {
		var next []variant
		for _, r := range round {
			if !yield(r) {
				return true
			}
			if depth == maxRounds {
				continue
			}
			for _, d := range decoders {
				for _, t := range d.read(r.text) {
					if t == "" || seen[t] {
						continue
					}
					if len(seen) >= maxVariants {
						return false
					}
					seen[t] = true
					next = append(next, variant{t, r.guessed || d.guesses})
				}
			}
		}
		round = next
	}
	return true
}

// readEscapes reads the escapes of JSON and of Python's strings. \xNN is a
// character in a str and a byte in bytes: both are given.
func readEscapes(s string) []string {
	if !strings.Contains(s, `\`) {
		return nil
	}
	chars, bytes := unescape(s, false), unescape(s, true)
	if chars == bytes {
		return []string{chars}
	}
	return []string{chars, bytes}
}

var simpleEscapes = map[byte]byte{
	'"': '"', '\'': '\'', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'a': '\a', 'v': '\v',
}

func unescape(s string, asBytes bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		r, n := numbered(s[i:])
		plain, simple := simpleEscapes[s[i+1]]
		switch {
		case n == 4 && asBytes:
			b.WriteByte(byte(r))
		case n > 0:
			b.WriteRune(r)
		case simple:
			b.WriteByte(plain)
			n = 2
		default:
			b.WriteByte(s[i])
			n = 1
		}
		i += n
	}
	return b.String()
}

// numbered reads \xNN, \uNNNN (two of them for a surrogate pair) or \UNNNNNNNN
// at the beginning of s. n is its length in bytes, 0 for none.
func numbered(s string) (r rune, n int) {
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]
	if digits == 0 || len(s) < 2+digits {
		return 0, 0
	}
	v, err := strconv.ParseUint(s[2:2+digits], 16, 32)
	if err != nil || v > utf8.MaxRune {
		return 0, 0
	}
	r, n = rune(v), 2+digits
	if s[1] == 'u' && utf16.IsSurrogate(r) && len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		if low, err := strconv.ParseUint(s[8:12], 16, 32); err == nil {
			if pair := utf16.DecodeRune(r, rune(low)); pair != utf8.RuneError {
				return pair, 12
			}
		}
	}
	return r, n
}

// readPercent reads the escapes of addresses, with + as itself and as a blank.
func readPercent(s string) []string {
	var list []string
	if strings.Contains(s, "%") {
		list = append(list, unpercent(s))
	}
	if strings.Contains(s, "+") {
		list = append(list, unpercent(strings.ReplaceAll(s, "+", " ")))
	}
	return list
}

func unpercent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func readHTML(s string) []string {
	if !strings.Contains(s, "&") {
		return nil
	}
	return []string{html.UnescapeString(s)}
}

var (
	base64Runs = regexp.MustCompile(`[A-Za-z0-9+/_-]{6,}`)
	hexRuns    = regexp.MustCompile(`[0-9A-Fa-f]{8,}`)
	urlSafe    = strings.NewReplacer("-", "+", "_", "/")
)

// readBase64 decodes whatever looks like base64, at each of the four places
// where it can begin.
func readBase64(s string) []string {
	return runs(s, base64Runs, 4, func(run string) []byte {
		run = urlSafe.Replace(run)
		if len(run)%4 == 1 {
			run = run[:len(run)-1]
		}
		data, _ := base64.RawStdEncoding.DecodeString(run) // lenient about the last bits
		return data
	})
}

func readHex(s string) []string {
	return runs(s, hexRuns, 2, func(run string) []byte {
		data, _ := hex.DecodeString(run[:len(run)/2*2])
		return data
	})
}

// runs decodes all matches at each offset below shifts; those of one offset give
// one text.
func runs(s string, form *regexp.Regexp, shifts int, decode func(string) []byte) []string {
	found := form.FindAllString(s, -1)
	if found == nil {
		return nil
	}
	list := make([]string, shifts)
	for shift := range shifts {
		var b strings.Builder
		for _, run := range found {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.Write(decode(run[shift:]))
		}
		list[shift] = b.String()
	}
	return list
}
