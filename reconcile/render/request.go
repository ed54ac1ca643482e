package render

import (
	"io"
	"strings"
)

// Request is a call of the server's API that somebody else can make.
type Request struct {
	Method string
	Path   string // on the server, with /api/
	Body   map[string]any
}

// RequestText writes a request as method, path and JSON body.
func RequestText(w io.Writer, r Request, s Style) error {
	p := newPrinter(w, s)
	p.line()
	p.line("  ", Escape(r.Method), " ", Escape(r.Path))
	var b strings.Builder
	if err := encode(&b, r.Body); err != nil {
		return err
	}
	for l := range strings.Lines(b.String()) {
		p.line("  ", strings.TrimRight(l, "\n"))
	}
	p.line()
	return p.done()
}
