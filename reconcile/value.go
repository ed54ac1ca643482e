package reconcile

import (
	"fmt"
	"log/slog"
	"time"
)

// A plain value is nil, a bool, a string, a Number, a Secret, a []any or a
// map[string]any of plain values; beyond that a Selector in desired state
// before Link, a Ref after it, and a RowID on the wire.

// Number is an exact number as canonical text: an integer of any size without
// leading zeros ("-12"), an integral float as integer ("10"), any other as the
// shortest text that gives the same float64 ("2.5"). Equal numbers are equal
// strings. ParseNumber makes one.
type Number string

// RowID is the server's number for an object: a reference on the wire.
type RowID int64

// Secret is a value that is never shown. It prints as "(secret)" in every
// format, verb, log and encoding; only Reveal opens it, and only the wire
// encoder calls that. The plain text is kept behind a closure, since fmt,
// encoding/json and go-cmp otherwise print unexported fields.
type Secret struct {
	reveal   func() string
	cipher   string
	modified time.Time
}

// Redacted is what is shown in place of a secret.
const Redacted = "(secret)"

// NewSecret makes a secret of a plain text. cipher is the sops string
// ("ENC[…]") it was decrypted from, "" when it was written in plain text.
func NewSecret(plain, cipher string) Secret {
	return Secret{reveal: func() string { return plain }, cipher: cipher}
}

// SealedSecret is a secret whose plain text is not known, since nothing
// decrypted it: it can be planned with but not sent.
func SealedSecret(cipher string) Secret { return Secret{cipher: cipher} }

// Reveal returns the plain text; ok is false for a sealed secret.
func (s Secret) Reveal() (plain string, ok bool) {
	if s.reveal == nil {
		return "", false
	}
	return s.reveal(), true
}

// Sealed reports whether the plain text is not known.
func (s Secret) Sealed() bool { return s.reveal == nil }

// Encrypted reports whether the value stands encrypted in its file.
func (s Secret) Encrypted() bool { return s.cipher != "" }

// Cipher returns the sops string that the value stands as in its file, "" for
// one in plain text. It is public: it tells nothing without a key.
func (s Secret) Cipher() string { return s.cipher }

// At returns the secret with the time at which its sops file says it was last
// encrypted; the MAC of the file covers that time.
func (s Secret) At(modified time.Time) Secret {
	s.modified = modified
	return s
}

// Modified is when the secret's sops file was last encrypted, the zero time
// where that is not known.
func (s Secret) Modified() time.Time { return s.modified }

// Format prints the redaction for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// String returns the redaction.
func (Secret) String() string { return Redacted }

// GoString returns the redaction.
func (Secret) GoString() string { return Redacted }

// MarshalText returns the redaction, which covers JSON, XML and YAML too.
func (Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue returns the redaction.
func (Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// Selector is a reference as written: the fields by which exactly one object
// of Kind, desired or live, must be found.
type Selector struct {
	Kind string
	// Fields are plain values of the target's fields; a field that is itself a
	// reference holds another Selector. A scalar reference has one: the last
	// field of the target's natural key.
	Fields map[string]any
	// Row is the database id of {id: 42}, 0 for the portable forms.
	Row RowID
	Pos Position
}

// Ref is a reference that was found.
type Ref struct {
	// Target is the object referred to: the desired one where there is one,
	// else the live one. It is nil when the server names an object that was not
	// read or that the token may not see; then Kind and Row say which.
	Target *Object
	Kind   string
	Row    RowID
}
