package sandbox

import "fmt"

// secret is the value of a write-only field. It prints as redacted in every
// format; the plain text is kept behind a closure, since fmt prints unexported
// fields of structures otherwise.
type secret struct{ reveal func() string }

func newSecret(plain string) secret { return secret{func() string { return plain }} }

// Format prints the redaction for every verb and flag.
func (secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("(secret)")) }

// MarshalText returns the redaction.
func (secret) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// filled reports whether a stored value is more than nothing.
func filled(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case secret:
		return v.reveal() != ""
	case []any:
		return len(v) > 0
	}
	return true
}
