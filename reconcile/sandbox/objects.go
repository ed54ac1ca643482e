package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// collection answers a request to a list path.
func (s *Server) collection(c *call, m *model) answer {
	if a, ok := s.admitted(c, m, s.allow(m, "", "")); !ok {
		return a
	}
	switch c.req.Method {
	case http.MethodGet, http.MethodHead:
		return s.list(c, m)
	case http.MethodOptions:
		return s.options(c, m, "List")
	}
	body, a, ok := s.input(c)
	if !ok {
		return a
	}
	if list, several := body.([]any); several {
		return s.bulk(c, m, list)
	}
	if c.req.Method != http.MethodPost {
		return fail(http.StatusBadRequest, "Expected a list of objects, but "+noList(body))
	}
	return s.post(c, m, body)
}

// noList says what came instead of a list.
func noList(v any) string {
	if o, ok := v.(*object); v == nil || ok && len(o.names) == 0 {
		return "no data was submitted."
	}
	return "got " + pyType(v) + "."
}

// post creates one object.
func (s *Server) post(c *call, m *model, v any) answer {
	body, a, ok := dictionary(v)
	if !ok {
		return a
	}
	w, a, ok := s.writer(c, m, body)
	if !ok {
		return a
	}
	r, refused := w.create(m, body)
	if refused != nil {
		return s.refused(refused)
	}
	s.keep(w, c)
	return s.shown(c, m, r, http.StatusCreated).with("Location", c.show.url("/api/", m, r))
}

// single answers a request to one object's path.
func (s *Server) single(c *call, m *model, id string) answer {
	if a, ok := s.admitted(c, m, s.allow(m, id, "")); !ok {
		return a
	}
	if c.req.Method == http.MethodOptions {
		return s.options(c, m, "Instance")
	}
	r, a := s.find(c, m, id, actionOf(c.req.Method))
	if r == nil {
		return a
	}
	if c.req.Method == http.MethodGet || c.req.Method == http.MethodHead {
		return s.shown(c, m, r, http.StatusOK)
	}
	if a, ok := s.guard(c, m, r); !ok {
		return a
	}
	v, a, ok := s.input(c)
	if !ok {
		return a
	}
	if c.req.Method == http.MethodDelete {
		return s.deleteOne(c, m, r, v)
	}
	if _, list := v.([]any); list {
		return s.crash("NotImplementedError", "Serializers with many=True do not support multiple update by default, only multiple create.")
	}
	body, a, ok := dictionary(v)
	if !ok {
		return a
	}
	w, a, ok := s.writer(c, m, body)
	if !ok {
		return a
	}
	before := cloneMap(r.values)
	if refused := w.update(m, r, body, c.req.Method == http.MethodPatch); refused != nil {
		return s.refused(refused)
	}
	s.keep(w, c)
	s.detach(m, r, before)
	return s.shown(c, m, r, http.StatusOK)
}

func (s *Server) deleteOne(c *call, m *model, r *row, v any) answer {
	body, _ := v.(*object)
	if body == nil {
		body = newObject()
	}
	w, a, ok := s.writer(c, m, body)
	if !ok {
		return a
	}
	protected, forbidden := w.delete(m, r)
	if protected != nil {
		forbidden = protectedText(protected)
	}
	if forbidden != "" {
		return fail(http.StatusConflict, forbidden)
	}
	s.keep(w, c)
	s.detach(m, nil, r.values)
	return answer{status: http.StatusNoContent}
}

// detach takes the values of a custom field off the objects that lost it, after
// its row was changed (or, with r nil, deleted).
func (s *Server) detach(m *model, r *row, before map[string]any) {
	if m != s.customModel {
		return
	}
	name, _ := before["name"].(string)
	var types []any
	if r != nil {
		types, _ = r.values["object_types"].([]any)
	}
	s.dropCustom(name, types)
}

// guard compares If-Match with the row's ETag.
func (s *Server) guard(c *call, m *model, r *row) (answer, bool) {
	match := c.req.Header.Get("If-Match")
	if match == "" || match == "*" || !s.gen.Has.ETag || !m.stamped("last_updated") {
		return answer{}, true
	}
	for _, tag := range strings.Split(match, ",") {
		if strings.TrimSpace(tag) == etag(r) {
			return answer{}, true
		}
	}
	return fail(http.StatusPreconditionFailed, "Precondition failed.").with("ETag", etag(r)), false
}

func etag(r *row) string { return `W/"` + isoTime(r.updated) + `"` }

// input reads the body as JSON; an empty one is an empty object.
func (s *Server) input(c *call) (any, answer, bool) {
	if len(c.body) == 0 {
		return newObject(), answer{}, true
	}
	if t := mediaType(c.req); t != "application/json" {
		return nil, fail(http.StatusUnsupportedMediaType, fmt.Sprintf("Unsupported media type \"%s\" in request.", c.req.Header.Get("Content-Type"))), false
	}
	if len(c.body) > maxUpload {
		return nil, s.crash("RequestDataTooBig", "Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE."), false
	}
	v, err := parseJSON(c.body)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "JSON parse error - "+err.Error()), false
	}
	return v, answer{}, true
}

// dictionary makes sure that a body is an object.
func dictionary(v any) (*object, answer, bool) {
	if body, ok := v.(*object); ok {
		return body, answer{}, true
	}
	return nil, reply(http.StatusBadRequest, notDictionary(v)), false
}

func notDictionary(v any) *object {
	errs := newObject()
	text := fmt.Sprintf("Invalid data. Expected a dictionary, but got %s.", pyType(v))
	if v == nil {
		text = "No data provided"
	}
	errs.set("__all__", []any{text})
	return errs
}

// maxMessage is the length of the change log's column.
const maxMessage = 200

// writer prepares the writes of a request. The change log takes a message of up
// to 200 characters and fails on a longer one.
func (s *Server) writer(c *call, m *model, body *object) (*writer, answer, bool) {
	w := &writer{s: s, actor: c.actor, want: selectionOf(m, c.query, false)}
	if v, _ := body.get("changelog_message"); v != nil {
		w.message = pyStr(v)
	}
	if utf8.RuneCountInString(w.message) > maxMessage {
		return nil, s.crash("DataError", "value too long for type character varying(200)"), false
	}
	return w, answer{}, true
}

// keep enters writes into the change log, once the request is through.
func (s *Server) keep(w *writer, c *call) {
	s.makeKeys()
	for _, x := range w.changes {
		x.Request, x.Time = c.id, s.last
		s.pending = append(s.pending, x)
	}
}

func (s *Server) refused(r *refusal) answer {
	if r.errors == nil && r.denied == msgDeniedObject {
		return fail(r.status, msgDenied)
	}
	return reply(r.status, r.body())
}

// shown answers with one object, and its ETag where there are some.
func (s *Server) shown(c *call, m *model, r *row, status int) answer {
	read := c.req.Method == http.MethodGet || c.req.Method == http.MethodHead
	a := answer{status: status, body: c.show.row(nil, m, r, selectionOf(m, c.query, read))}
	if s.gen.Has.ETag && slices.Contains(m.Stamps, "last_updated") {
		return a.with("ETag", etag(r))
	}
	return a
}
