package sandbox

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"proxbox-sync/schema"
)

// route finds what a path stands for.
func (s *Server) route(c *call) answer {
	if c.path == s.prefix+"/" {
		return answer{status: http.StatusFound, html: true, header: map[string]string{"Location": s.prefix + "/login/?next=" + c.path}}
	}
	path, ok := strings.CutPrefix(c.path, s.prefix+"/api")
	if !ok || path != "" && path[0] != '/' {
		return s.notFoundPage()
	}
	c.rel = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if strings.HasPrefix(c.rel, "/") || strings.HasSuffix(c.rel, "/") || path == "//" {
		return s.notFoundPage()
	}
	m, id, action := s.resolve(c.rel)
	_, root := s.roots[c.rel]
	if _, known := s.gen.Documents[c.rel]; m == nil && !root && !known && !s.stubs[c.rel] && c.rel != whoPath {
		return s.notFoundPage()
	}
	if !strings.HasSuffix(path, "/") {
		if c.req.Method != http.MethodGet && c.req.Method != http.MethodHead {
			return s.notFoundPage()
		}
		return answer{status: http.StatusMovedPermanently, html: true, header: map[string]string{"Location": c.path + "/"}}
	}
	a, refusal := s.authenticate(c.req)
	allow := s.allow(m, id, action)
	if refusal != "" {
		return fail(http.StatusForbidden, refusal).with("Allow", allow)
	}
	c.actor = a
	var out answer
	switch {
	case m == nil:
		out = s.fixed(c)
	case action != "":
		out = s.action(c, m, id, action)
	case id != "":
		out = s.single(c, m, id)
	default:
		out = s.collection(c, m)
	}
	if out.header["Allow"] == "" {
		out = out.with("Allow", allow)
	}
	return out
}

// resolve splits a path into a model, the id and a sub-path. The model is nil
// for a path that is none's.
func (s *Server) resolve(rel string) (m *model, id, action string) {
	if m = s.byPath[rel]; m != nil {
		return m, "", ""
	}
	parent, name := splitLast(rel)
	if m = s.byPath[parent]; m != nil {
		if m.singleton && name == m.materialize {
			return m, "", name
		}
		return m, name, ""
	}
	grand, id := splitLast(parent)
	if m = s.byPath[grand]; m != nil && name == approvalPath && m.Approval != nil && s.gen.Has.Approval {
		return m, id, name
	}
	return nil, "", ""
}

func splitLast(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func (s *Server) allow(m *model, id, action string) string {
	switch {
	case m == nil, m.singleton && action != "", m.Role == "change log":
		return "GET, HEAD, OPTIONS"
	case action != "":
		return "GET, PUT, HEAD, OPTIONS"
	case m.singleton:
		return "GET, PATCH, HEAD, OPTIONS"
	case id != "":
		return "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"
	}
	return "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
}

// fixed answers what is no model: root documents, the status, and lists of
// objects that this server never has.
func (s *Server) fixed(c *call) answer {
	switch c.req.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		return reply(http.StatusOK, map[string]any{"name": "Api Root", "description": "", "renders": []any{"application/json", "text/html"}, "parses": []any{"application/json", "multipart/form-data"}})
	default:
		return notAllowed(c.req.Method, "GET, HEAD, OPTIONS")
	}
	if doc, ok := s.gen.Documents[c.rel]; ok {
		return answer{status: http.StatusOK, body: bytes.Clone(doc)}
	}
	if c.rel == whoPath {
		return s.who(c)
	}
	if doc, ok := s.roots[c.rel]; ok {
		return answer{status: http.StatusOK, body: bytes.ReplaceAll(doc, []byte(basePlace), []byte(c.show.base))}
	}
	return reply(http.StatusOK, map[string]any{"count": 0, "next": nil, "previous": nil, "results": []any{}})
}

// whoPath tells a client whose token it has.
const whoPath = "authentication-check"

// who shows the seeded user: all tokens are its.
func (s *Server) who(c *call) answer {
	m := s.modelOfType("users.user")
	if m == nil || m.rows[1] == nil {
		return s.notFoundPage()
	}
	return answer{status: http.StatusOK, body: c.show.row(nil, m, m.rows[1], selection{})}
}

// basePlace stands in root documents for scheme, host and sub-path.
const basePlace = "{base}"

// buildRoots prepares the API root documents: the recorded ones, and for every
// other path one that lists what lies below it.
func (s *Server) buildRoots(set *schema.Set) {
	s.roots, s.stubs = map[string]raw{}, map[string]bool{}
	below := map[string]map[string]any{"": {}}
	add := func(path string) {
		for path != "" {
			parent, name := splitLast(path)
			if below[parent] == nil {
				below[parent] = map[string]any{}
			}
			below[parent][name] = path
			path = parent
		}
	}
	for _, m := range s.models {
		add(m.path)
	}
	for path := range s.gen.Documents {
		add(path)
	}
	for _, k := range set.Kinds() {
		for _, c := range k.Resource.Cascades {
			if !strings.HasPrefix(c.Path, "plugins/") && s.byPath[c.Path] == nil {
				add(c.Path)
				s.stubs[c.Path] = true
			}
		}
	}
	for path, d := range s.gen.Roots {
		doc := map[string]any{}
		for _, n := range d.Names {
			doc[n] = path + "/" + n
			s.stubs[path+"/"+n] = true
		}
		for n, v := range d.Others {
			doc[n] = v
			s.stubList(v)
		}
		for n, v := range below[path] {
			doc[n] = v
		}
		below[path] = doc
	}
	for path, doc := range below {
		if s.byPath[path] == nil && s.gen.Documents[path] == nil {
			s.roots[path] = appendJSON(nil, addresses(doc))
			delete(s.stubs, path)
		}
	}
	for path := range s.byPath {
		delete(s.stubs, path)
	}
}

func (s *Server) stubList(v any) {
	switch v := v.(type) {
	case string:
		s.stubs[v] = true
	case map[string]any:
		for _, x := range v {
			s.stubList(x)
		}
	}
}

// addresses turns the paths of a root document into addresses.
func addresses(v any) any {
	switch v := v.(type) {
	case string:
		return basePlace + "/api/" + v + "/"
	case map[string]any:
		out := map[string]any{}
		for n, x := range v {
			out[n] = addresses(x)
		}
		return out
	}
	return v
}

// methods are those that a list or an object of the model takes.
func methods(allow string) []string { return strings.Split(allow, ", ") }

// admitted makes the checks that come before any object is looked at: the
// token's rights for the method, then whether there is such a method.
func (s *Server) admitted(c *call, m *model, allow string) (answer, bool) {
	if !c.actor.permits(c.req.Method, m) {
		return fail(http.StatusForbidden, msgDenied), false
	}
	if !slices.Contains(methods(allow), c.req.Method) {
		return notAllowed(c.req.Method, allow), false
	}
	return answer{}, true
}

// find returns the row with that id if the token may do the action with it.
func (s *Server) find(c *call, m *model, id, action string) (*row, answer) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return nil, fail(http.StatusNotFound, "Not found.")
	}
	r := m.rows[n]
	if r == nil || !c.actor.may(action, m, r) {
		return nil, fail(http.StatusNotFound, "No "+m.Object+" matches the given query.")
	}
	return r, answer{}
}
