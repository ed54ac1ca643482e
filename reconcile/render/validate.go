package render

import (
	"io"

	"proxbox-sync/reconcile"
)

// Validated writes what validate found good, on one line with counts.
func Validated(w io.Writer, state *reconcile.State, s Style) error {
	p := newPrinter(w, s)
	counts, total := objectCounts(state)
	if total == 0 {
		p.line("OK: no objects.")
		return p.done()
	}
	p.line(p.paint(green, "OK"), ": ", count(total, "object"), " of ", count(len(counts), "kind"), ".")
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

// ValidatedJSON writes the same in the form ValidateFormat.
func ValidatedJSON(w io.Writer, state *reconcile.State, list reconcile.Diagnostics) error {
	counts, _ := objectCounts(state)
	return encode(w, struct {
		head
		Objects map[string]int `json:"objects"`
	}{success(ValidateFormat, list), counts})
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
