package render

import (
	"io"

	"proxbox-sync/reconcile"
)

// Validated writes what validate found good, on one line with counts, and how
// many secrets stayed sealed and why: nothing proves that they can be decrypted.
func Validated(w io.Writer, state *reconcile.State, why string, s Style) error {
	p := newPrinter(w, s)
	counts, total := objectCounts(state)
	if total == 0 {
		p.line("OK: no objects.")
		return p.done()
	}
	p.line(p.paint(green, "OK"), ": ", count(total, "object"), " of ", count(len(counts), "kind"), ".")
	if n := sealedSecrets(state); n > 0 {
		p.line(count(n, "secret"), " not checked: ", why, ".")
	}
	return p.done()
}

func objectCounts(state *reconcile.State) (map[string]int, int) {
	counts, total := map[string]int{}, 0
	if state == nil {
		return counts, 0
	}
	for kind, list := range state.Objects {
		if len(list) > 0 {
			counts[kind] = len(list)
			total += len(list)
		}
	}
	return counts, total
}

// sealedSecrets counts the secrets that were not decrypted.
func sealedSecrets(state *reconcile.State) int {
	n := 0
	if state == nil {
		return 0
	}
	for _, list := range state.Objects {
		for _, o := range list {
			for _, v := range o.Fields {
				if s, ok := v.(reconcile.Secret); ok && s.Sealed() {
					n++
				}
			}
		}
	}
	return n
}

// ValidatedJSON writes the same in the form ValidateFormat. exitCode is not 0
// where warnings end the command.
func ValidatedJSON(w io.Writer, state *reconcile.State, why string, list reconcile.Diagnostics, exitCode int) error {
	counts, _ := objectCounts(state)
	return encode(w, struct {
		head
		Objects    map[string]int `json:"objects"`
		NotChecked *notChecked    `json:"secrets_not_checked,omitempty"`
	}{ended(ValidateFormat, list, exitCode), counts, notCheckedOf(state, why)})
}

// notChecked is how many secrets stayed sealed, and why.
type notChecked struct {
	Count int    `json:"count"`
	Why   string `json:"why"`
}

func notCheckedOf(state *reconcile.State, why string) *notChecked {
	if n := sealedSecrets(state); n > 0 {
		return &notChecked{n, why}
	}
	return nil
}

// About is what version says.
type About struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Sops     string `json:"sops,omitempty"`
}

// Version writes what the program is.
func Version(w io.Writer, a About, s Style) error {
	p := newPrinter(w, s)
	p.line("proxbox-sync ", Escape(a.Version))
	if a.Commit != "" {
		text := Escape(a.Commit)
		if a.Modified {
			text += " (with changes)"
		}
		p.line("commit  ", text)
	}
	p.line("go      ", Escape(a.Go), " ", Escape(a.Platform))
	if a.Sops != "" {
		p.line("sops    ", Escape(a.Sops))
	}
	return p.done()
}

// VersionJSON writes the same in the form VersionFormat.
func VersionJSON(w io.Writer, a About) error {
	return encode(w, struct {
		head
		About
	}{success(VersionFormat, nil), a})
}
