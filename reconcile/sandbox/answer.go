package sandbox

import (
	"fmt"
	"net/http"
	"strings"
)

// answer is a response before it is sent.
type answer struct {
	status int
	header map[string]string
	body   []byte
	html   bool
}

func reply(status int, v any) answer { return answer{status: status, body: appendJSON(nil, v)} }

func detail(text string) *object {
	o := newObject()
	o.set("detail", text)
	return o
}

func fail(status int, text string) answer { return reply(status, detail(text)) }

func (a answer) with(name, value string) answer {
	h := cloneMap(a.header)
	h[name] = value
	a.header = h
	return a
}

// crash is what NetBox answers where its code did not expect the input.
func (s *Server) crash(exception, text string) answer {
	return reply(http.StatusInternalServerError, s.crashBody(exception, text))
}

func (s *Server) crashBody(exception, text string) *object {
	o := newObject()
	o.set("error", text)
	o.set("exception", exception)
	o.set("netbox_version", s.gen.NetBox)
	o.set("python_version", "3.12.1")
	return o
}

func notAllowed(method, allow string) answer {
	return fail(http.StatusMethodNotAllowed, fmt.Sprintf("Method \"%s\" not allowed.", method)).with("Allow", allow)
}

// notFoundPage is NetBox's page for a path that it doesn't know.
func (s *Server) notFoundPage() answer {
	page := fmt.Sprintf(`

<!DOCTYPE html>
<html lang="en" data-netbox-url-name="" data-netbox-version="%s">
  <head>
    <meta charset="UTF-8" />
    <title>Page Not Found | NetBox</title>
  </head>
  <body>
    <h1>Page Not Found</h1>
    <p>The requested page does not exist.</p>
  </body>
</html>
`, s.gen.NetBox)
	return answer{status: http.StatusNotFound, html: true, body: []byte(page)}
}

// maxRequestLine is gunicorn's limit, in bytes.
const maxRequestLine = 4094

func requestLineTooLarge(r *http.Request) (answer, bool) {
	n := len(r.Method) + 1 + len(r.URL.RequestURI()) + 1 + len("HTTP/1.1")
	if n <= maxRequestLine {
		return answer{}, false
	}
	page := fmt.Sprintf("<html>\n  <head>\n    <title>Bad Request</title>\n  </head>\n  <body>\n    <h1><p>Bad Request</p></h1>\n    Request Line is too large (%d &gt; %d)\n  </body>\n</html>\n", n, maxRequestLine)
	return answer{status: http.StatusBadRequest, html: true, body: []byte(page)}, true
}

func (a answer) send(w http.ResponseWriter, s *Server, id string) {
	h := w.Header()
	for name, v := range a.header {
		h.Set(name, v)
	}
	h.Set("X-Request-ID", id)
	h.Set("API-Version", s.gen.API)
	h.Set("Vary", "HX-Request, Accept-Language, Cookie, origin")
	switch {
	case a.html:
		h.Set("Content-Type", "text/html; charset=utf-8")
	case a.status != http.StatusNoContent && h.Get("Content-Type") == "":
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", fmt.Sprint(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// mediaType is the request's Content-Type without parameters.
func mediaType(r *http.Request) string {
	t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}
