package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"proxbox-sync/reconcile"
)

// progressEvery is the time between two lines of progress where no terminal
// can take one back.
const progressEvery = 10 * time.Second

// Progress tells how far long work is: one line that is rewritten on a
// terminal, a line every few seconds elsewhere. Its methods are called from one
// goroutine at a time.
type Progress struct {
	w        io.Writer
	style    Style
	terminal bool
	now      func() time.Time
	last     time.Time
	failed   int
	open     bool // the terminal's line holds progress
}

// NewProgress makes one that has just begun by the clock now.
func NewProgress(w io.Writer, s Style, terminal bool, now func() time.Time) *Progress {
	return &Progress{w: w, style: s, terminal: terminal, now: now, last: now()}
}

// Step takes note of one step that ended.
func (p *Progress) Step(done, total int, r reconcile.StepReport) {
	switch r.Result {
	case reconcile.Failed, reconcile.Conflicted, reconcile.Blocked:
		p.failed++
	}
	text := fmt.Sprintf("%s of %s", thousands(done), count(total, "step"))
	if p.failed > 0 {
		text += fmt.Sprintf(", %s with trouble", thousands(p.failed))
	}
	if p.terminal {
		text += "  " + Escape(r.Step.Change.Object().String())
		r := []rune(strings.TrimRight(text, " "))
		if limit := p.style.width() - 1; len(r) > limit {
			r = append(r[:limit-1], '…')
		}
		_, _ = fmt.Fprintf(p.w, "\r%s\x1b[K", guardLine(string(r)))
		p.open = true
		return
	}
	if now := p.now(); now.Sub(p.last) >= progressEvery {
		p.last = now
		_, _ = fmt.Fprintln(p.w, text)
	}
}

// End clears the terminal's line.
func (p *Progress) End() {
	if p.open {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
		p.open = false
	}
}
