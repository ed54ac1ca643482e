package netbox

import (
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

// maxMessageScan bounds how much of one message is looked at, in bytes. It is
// more than is shown, so that a secret that was cut there is found whole.
const maxMessageScan = 8 * maxMessageLength

// Texts that stand in place of what a server said.
const (
	withheld       = "the server's message is not shown, since it could repeat a secret"
	withheldSecret = "the server refused this value; its message is not shown, since it could repeat the secret"
)

// scrubber recognizes texts that repeat secrets. It prints as its type.
type scrubber struct {
	known   func() *needles
	carries bool // the request carried a secret of an object
}

func newScrubber(secrets []string) *scrubber {
	n := newNeedles()
	for _, s := range secrets {
		n.add(s)
	}
	return &scrubber{known: hide(n)}
}

// with returns a scrubber that knows the secrets of one request as well.
func (s *scrubber) with(secrets []string) *scrubber {
	more := newScrubber(secrets)
	return &scrubber{known: hide(s.known().and(more.known())), carries: len(secrets) > 0}
}

// repeats reports whether a text has a secret in it, as it stands or encoded.
func (s *scrubber) repeats(text string) bool { return s.known().in(text) }

// clean returns the text, or the other one when the text repeats a secret.
func (s *scrubber) clean(text, instead string) string {
	if s.repeats(text) {
		return instead
	}
	return text
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
			text := cut(m.Text, maxMessageLength)
			if s.repeats(cut(m.Text, maxMessageScan)) {
				text = withheld
			}
			add(reconcile.FieldMessage{Field: m.Field, Text: text})
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
