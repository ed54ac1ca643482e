package netbox

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
)

const (
	// A piece of a secret this long, in bytes, counts as the secret: servers cut
	// texts and break them into lines.
	pieceLength = 8
	// Secrets shorter than this, in bytes, turn up by chance in what decoded
	// base64 makes of ordinary words: there they are not looked for.
	minDecoded = 4
	// Bytes of a secret that are looked for. Servers take no longer ones.
	maxSecret = 64 << 10
)

// needles are what texts are searched for, in lower case.
type needles struct {
	whole  []string        // short secrets, and forms that no decoding gives back
	pieces map[string]bool // every piece of pieceLength bytes of the longer ones
}

func newNeedles() *needles { return &needles{pieces: map[string]bool{}} }

// add adds a secret, as it was sent and as the server stores it: trimmed.
func (n *needles) add(secret string) {
	if len(secret) > maxSecret {
		secret = secret[:maxSecret]
	}
	trimmed := strings.TrimSpace(secret)
	if trimmed == "" {
		return
	}
	n.piecesOf(trimmed)
	if len(secret) > maxSecret/16 {
		return // its pieces are enough
	}
	// These lose their meaning when a server changes their case.
	n.piecesOf(hex.EncodeToString([]byte(trimmed)))
	for _, text := range []string{secret, trimmed} {
		for _, form := range base64Forms(text) {
			n.piecesOf(form)
		}
	}
}

func (n *needles) piecesOf(text string) {
	text = strings.ToLower(text)
	if len(text) <= pieceLength {
		n.whole = append(n.whole, text)
		return
	}
	for i := 0; i+pieceLength <= len(text); i++ {
		n.pieces[text[i:i+pieceLength]] = true
	}
}

// and returns the needles of both.
func (n *needles) and(o *needles) *needles {
	both := newNeedles()
	for _, from := range []*needles{n, o} {
		both.whole = append(both.whole, from.whole...)
		for piece := range from.pieces {
			both.pieces[piece] = true
		}
	}
	return both
}

// in reports whether a text has one of the needles in it, whatever encodings
// it stands in, up to maxRounds of them around each other. A text with more
// readings than can be looked at counts as one that has.
func (n *needles) in(text string) bool {
	if len(n.whole) == 0 && len(n.pieces) == 0 {
		return false
	}
	found := false
	complete := variants(text, func(r variant) bool {
		found = n.standsIn(r)
		return !found
	})
	return found || !complete
}

func (n *needles) standsIn(r variant) bool {
	text := strings.ToLower(r.text)
	for _, w := range n.whole {
		if (!r.guessed || len(w) >= minDecoded) && strings.Contains(text, w) {
			return true
		}
	}
	if len(n.pieces) == 0 {
		return false
	}
	for i := 0; i+pieceLength <= len(text); i++ {
		if n.pieces[text[i:i+pieceLength]] {
			return true
		}
	}
	return false
}

// base64Forms are the secret in base64, also inside a longer text: at each of
// the three alignments without the characters that its neighbours decide.
func base64Forms(text string) []string {
	var list []string
	for shift := range 3 {
		b := append(make([]byte, shift), text...)
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			s := enc.EncodeToString(b)
			from := []int{0, 2, 3}[shift]
			to := len(s)
			if len(b)%3 != 0 {
				to-- // its last character also holds bits of what follows
			}
			if to-from >= minDecoded {
				list = append(list, s[from:to])
			}
		}
	}
	return list
}
