package secrets

import (
	"fmt"

	"proxbox-sync/reconcile"
)

// Reason says why a file could not be opened. It is the diagnostic's code.
type Reason string

// The reasons.
const (
	NoKey             Reason = "no-key"              // no key of the kinds that the file needs is at hand
	UnusableKey       Reason = "unusable-key"        // a key was named in the environment, and can't be used
	WrongKey          Reason = "wrong-key"           // there are keys, and none of them opens the file
	MACMismatch       Reason = "mac-mismatch"        // the file was changed after it was encrypted
	Changed           Reason = "changed-value"       // an encrypted value was changed or moved
	NewerFormat       Reason = "newer-sops-format"   // written by a newer sops than this program knows
	ForeignKeyService Reason = "foreign-key-service" // the file asks for a key service that nobody allowed
	PluginRecipient   Reason = "plugin-recipient"    // the file asks for an age plugin
	Unsafe            Reason = "unsafe-sops-file"    // the file is not as sops writes it
	StillEncrypted    Reason = "still-encrypted"     // a value is encrypted twice, or the file's rule leaves it out
	NotText           Reason = "secret-not-text"     // a decrypted value is not UTF-8 text
	NotSops           Reason = "no-sops-block"       // the file has no sops block
	Interrupted       Reason = "interrupted"
)

// Error is why a file could not be opened. Its texts hold nothing of the file
// but public names of keys, and nothing that sops said.
type Error struct {
	File   string
	Reason Reason
	What   string // the mistake, lower case
	Remedy string // what it means and what to do
}

// Error returns the file and what is wrong with it.
func (e *Error) Error() string { return e.File + ": " + e.What }

// Diagnostic returns the error as one of the file as a whole.
func (e *Error) Diagnostic() reconcile.Diagnostic {
	return reconcile.Diagnostic{
		Severity: reconcile.Error, Trouble: reconcile.SecretKey, Code: string(e.Reason),
		Pos: reconcile.Position{File: e.File}, Summary: e.What, Detail: e.Remedy,
	}
}

// unsafe is the error of a file that sops did not write as it stands.
func unsafe(format string, args ...any) *Error {
	return &Error{
		Reason: Unsafe, What: "this sops file is not as sops writes it: " + fmt.Sprintf(format, args...),
		Remedy: "Take the file from its last good commit and make the change with `sops edit`.",
	}
}

func macMismatch() *Error {
	return &Error{
		Reason: MACMismatch, What: "this file was changed after it was encrypted: its checksum (MAC) doesn't match",
		Remedy: "Somebody edited, reordered, added or removed values without sops, or a merge mixed two versions. " +
			"Take the file from its last good commit and make the change with `sops edit`. After a merge that is right as it stands, " +
			"look at every value in `sops edit --ignore-mac` and save.",
	}
}

func changed() *Error {
	return &Error{
		Reason: Changed, What: "an encrypted value of this file was changed, moved or renamed without sops",
		Remedy: "sops ties each value to the keys above it. Take the file from its last good commit and make the change with `sops edit`.",
	}
}
