package netbox

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"proxbox-sync/reconcile"
)

// Rules of what is kept of a server's messages:
//
//   - Any message that repeats a secret that was sent, the token or a header's
//     value, in whatever encoding, is replaced as a whole.
//   - When the request carried a secret, only messages about fields that the
//     schema knows are kept, and NetBox's own standard sentences about the whole
//     object. About a secret field the text is ours. A request without one can
//     have nothing repeated: there the server may say that a secret is missing.

const (
	// A piece of a secret this long counts as the secret: servers cut texts.
	pieceLength = 12
	// Bytes of a secret whose encodings are looked for. Longer ones are keys and
	// the like, found by their beginning, their pieces and their lines.
	maxSecret = 4096
)

// Texts that stand in place of what a server said.
const (
	withheld       = "the server's message is not shown, since it could repeat a secret"
	withheldSecret = "the server refused this value; its message is not shown, since it could repeat the secret"
)

// scrubber recognizes texts that repeat secrets. It prints as its type.
type scrubber struct {
	forms   func() []string // in lower case
	carries bool            // the request carried a secret of an object
}

func newScrubber(secrets []string) *scrubber {
	seen := map[string]bool{}
	var forms []string
	for _, s := range secrets {
		for _, f := range encodings(s) {
			if f = strings.ToLower(f); f != "" && !seen[f] {
				seen[f] = true
				forms = append(forms, f)
			}
		}
	}
	return &scrubber{forms: hide(forms)}
}

// with returns a scrubber that knows the secrets of one request as well.
func (s *scrubber) with(secrets []string) *scrubber {
	more := newScrubber(secrets)
	forms := append(append([]string(nil), s.forms()...), more.forms()...)
	return &scrubber{forms: hide(forms), carries: len(secrets) > 0}
}

// repeats reports whether a text has a secret in it.
func (s *scrubber) repeats(text string) bool {
	lower := strings.ToLower(text)
	for _, f := range s.forms() {
		if strings.Contains(lower, f) {
			return true
		}
	}
	return false
}

// clean returns the text, or the other one when the text repeats a secret.
func (s *scrubber) clean(text, instead string) string {
	if s.repeats(text) {
		return instead
	}
	return text
}

// encodings returns the forms in which a secret may come back.
func encodings(secret string) []string {
	if len(secret) > maxSecret {
		secret = secret[:maxSecret]
	}
	trimmed := strings.TrimSpace(secret) // as the server stores it
	if trimmed == "" {
		return nil
	}
	list := []string{trimmed, hex.EncodeToString([]byte(trimmed)), url.QueryEscape(trimmed), url.PathEscape(trimmed)}
	list = append(list, escapedForms(trimmed)...)
	list = append(list, base64Forms(secret)...)
	list = append(list, base64Forms(trimmed)...)
	for line := range strings.Lines(trimmed) {
		if line = strings.TrimSpace(line); len(line) >= pieceLength {
			list = append(list, line)
		}
	}
	for i := 0; i+pieceLength <= len(trimmed); i++ {
		list = append(list, trimmed[i:i+pieceLength])
	}
	return list
}

// escapedForms are those of JSON, of Python's repr and of HTML.
func escapedForms(text string) []string {
	quoted, _ := json.Marshal(text) // a string always marshals
	plainJSON := strings.Trim(string(quoted), `"`)
	var ascii, python strings.Builder
	for _, r := range text {
		switch {
		case r >= utf8.RuneSelf:
			b, _ := json.Marshal(string(r))
			ascii.WriteString(asciiEscape(r))
			python.WriteString(strings.Trim(string(b), `"`))
		default:
			b, _ := json.Marshal(string(r))
			ascii.WriteString(strings.Trim(string(b), `"`))
			python.WriteString(map[rune]string{'\\': `\\`, '\'': `\'`, '\n': `\n`, '\r': `\r`, '\t': `\t`}[r])
			if r != '\\' && r != '\'' && r != '\n' && r != '\r' && r != '\t' {
				python.WriteRune(r)
			}
		}
	}
	escaped := html.EscapeString(text)
	return []string{
		plainJSON,
		ascii.String(),
		python.String(),
		strings.ReplaceAll(text, `\`, `\\`),
		strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text),
		strings.NewReplacer(`\`, `\\`, `"`, `\"`, "/", `\/`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text),
		escaped,
		strings.NewReplacer("&#34;", "&quot;", "&#39;", "&#x27;").Replace(escaped),
	}
}

// asciiEscape writes a rune as JSON's \u escapes, as Python's json does.
func asciiEscape(r rune) string {
	const digits = "0123456789abcdef"
	unit := func(u rune) string {
		return `\u` + string([]byte{digits[u>>12&15], digits[u>>8&15], digits[u>>4&15], digits[u&15]})
	}
	if r < 0x10000 {
		return unit(r)
	}
	r -= 0x10000
	return unit(0xd800+r>>10) + unit(0xdc00+r&0x3ff)
}

// base64Forms are the secret in base64, also inside a longer text: at each of
// the three alignments without the characters that its neighbours decide.
func base64Forms(text string) []string {
	list := []string{base64.StdEncoding.EncodeToString([]byte(text)), base64.URLEncoding.EncodeToString([]byte(text))}
	for shift := range 3 {
		b := append(make([]byte, shift), text...)
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			s := enc.EncodeToString(b)
			from := []int{0, 2, 3}[shift]
			to := len(s)
			if len(b)%3 != 0 {
				to-- // its last character also holds bits of what follows
			}
			if to-from >= 4 {
				list = append(list, s[from:to])
			}
		}
	}
	return list
}

// standardSentences are NetBox's, which hold nothing of the values sent.
var standardSentences = regexp.MustCompile(`^(` + strings.Join([]string{
	`[\w ()-]{1,80} with this [\w ,()-]{1,200} already exists\.`,
	`You do not have permission to perform this action( on this object)?\.`,
	`Sensitive data access is not authorized[\w .,-]{0,120}`,
	`Precondition failed\.`,
	`Method "[A-Z]{3,7}" not allowed\.`,
	`No \w{1,60} matches the given query\.`,
	`Not found\.`,
	`Request was throttled\.[\w .]{0,60}`,
	`Unsupported media type "application/json" in request\.`,
}, "|") + `)$`)

// knownField says what the schema knows of a field named in a message.
type knownField struct {
	exists bool
	secret bool
}

const (
	maxMessages      = 50
	maxMessageLength = 1000
)

// messages clears the server's messages by the rules above.
func (s *scrubber) messages(list []reconcile.FieldMessage, known func(string) knownField) []reconcile.FieldMessage {
	var out []reconcile.FieldMessage
	add := func(m reconcile.FieldMessage) {
		for _, have := range out {
			if have == m {
				return
			}
		}
		if len(out) < maxMessages {
			out = append(out, m)
		}
	}
	for _, m := range list {
		top, _, _ := strings.Cut(m.Field, ".")
		is := known(top)
		switch {
		case m.Field != "" && is.secret && s.carries:
			add(reconcile.FieldMessage{Field: top, Text: withheldSecret})
		case m.Field != "" && (s.repeats(m.Field) || s.carries && !is.exists),
			m.Field == "" && s.carries && !standardSentences.MatchString(m.Text):
			add(reconcile.FieldMessage{Text: withheld})
		default:
			add(reconcile.FieldMessage{Field: m.Field, Text: s.clean(cut(m.Text, maxMessageLength), withheld)})
		}
	}
	return out
}

// cut shortens a text to at most n bytes, at a rune's border.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}
