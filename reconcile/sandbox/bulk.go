package sandbox

import (
	"fmt"
	"net/http"
)

// entryError is what is wrong with one entry of a bulk request.
type entryError struct {
	by     string // "index" or "id"
	at     any
	errors *object
	status int
}

// bulk answers a POST, PUT, PATCH or DELETE of a list: all or nothing.
func (s *Server) bulk(c *call, m *model, list []any) answer {
	if match := c.req.Header.Get("If-Match"); match != "" && match != "*" && s.gen.Has.ETag {
		return fail(http.StatusPreconditionFailed, "Precondition failed.")
	}
	if c.req.Method == http.MethodPost {
		return s.bulkCreate(c, m, list)
	}
	entries, a, ok := s.entries(list)
	if !ok {
		return a
	}
	if a, repeated := s.repeated(entries); repeated {
		return a
	}
	rows, a, ok := s.rowsOf(c, m, entries)
	if !ok {
		return a
	}
	bodies := map[int64]*object{}
	for _, e := range entries {
		bodies[e.id] = e.body
	}
	// The server goes through the rows in its own order, not in the request's.
	sortRows(m, rows, m.order)
	if c.req.Method == http.MethodDelete {
		return s.bulkDelete(c, m, rows, bodies)
	}
	return s.bulkUpdate(c, m, rows, bodies)
}

func (s *Server) bulkCreate(c *call, m *model, list []any) answer {
	var errs []entryError
	var rows []*row
	for i, v := range list {
		body, ok := v.(*object)
		if !ok {
			errs = append(errs, entryError{"index", i, notDictionary(v), http.StatusBadRequest})
			continue
		}
		w, a, ok := s.writer(c, m, body)
		if !ok {
			return a
		}
		r, refused := w.create(m, body)
		if refused != nil {
			errs = append(errs, entryError{"index", i, refused.object(), refused.status})
			continue
		}
		s.keep(w, c)
		rows = append(rows, r)
	}
	if errs == nil {
		return s.several(c, m, rows, http.StatusCreated)
	}
	if s.gen.Has.IndexedErrors {
		return refusedBulk(errs, len(list), "could not be created.")
	}
	out := make([]any, len(list))
	for i := range out {
		out[i] = newObject()
	}
	for _, e := range errs {
		if e.status == http.StatusForbidden {
			return fail(e.status, msgDenied)
		}
		out[e.at.(int)] = e.errors
	}
	return reply(http.StatusBadRequest, out)
}

// object is the refusal as one entry of a bulk answer.
func (r *refusal) object() *object {
	if r.errors != nil {
		return r.errors
	}
	errs := newObject()
	errs.set("__all__", []any{r.denied})
	return errs
}

// entry is one object of a bulk request on existing rows.
type entry struct {
	id   int64
	body *object
}

// entries reads the ids of a bulk request.
func (s *Server) entries(list []any) ([]entry, answer, bool) {
	var out []entry
	var errs []entryError
	id := &field{fieldData: fieldData{As: "integer"}, name: "id"}
	for i, v := range list {
		body, ok := v.(*object)
		problem := newObject()
		if !ok {
			if problem = notDictionary(v); v == nil {
				problem.set("__all__", []any{msgNull})
			}
			errs = append(errs, entryError{by: "index", at: i, errors: problem})
			continue
		}
		value, given := body.get("id")
		if !given {
			problem.set("id", []any{msgRequired})
		} else if n, errs := (&writer{s: s}).parse(id, value); errs != nil {
			problem.set("id", errs)
		} else {
			out = append(out, entry{n.(int64), body})
			continue
		}
		errs = append(errs, entryError{by: "index", at: i, errors: problem})
	}
	if errs == nil {
		return out, answer{}, true
	}
	if s.gen.Has.IndexedErrors {
		return nil, refusedBulk(errs, len(list), "failed validation."), false
	}
	parts := make([]any, len(list))
	for i := range parts {
		parts[i] = newObject()
	}
	for _, e := range errs {
		parts[e.at.(int)] = e.errors
	}
	return nil, reply(http.StatusBadRequest, parts), false
}

// repeated refuses a request that names a row twice, on servers that notice.
func (s *Server) repeated(entries []entry) (answer, bool) {
	times := map[int64]int{}
	for _, e := range entries {
		times[e.id]++
	}
	var errs []entryError
	for _, e := range entries {
		if n := times[e.id]; n > 1 {
			problem := newObject()
			problem.set("id", []any{fmt.Sprintf("Each object may be specified only once; ID %d is listed %d times", e.id, n)})
			errs = append(errs, entryError{by: "id", at: e.id, errors: problem})
			delete(times, e.id)
		}
	}
	if errs == nil || !s.gen.Has.IndexedErrors {
		return answer{}, false
	}
	return refusedBulk(errs, len(entries), "are listed more than once."), true
}

// rowsOf finds the rows of a bulk request. An id that is not there, or that the
// token may not touch, is an error on newer servers and passed over on older ones.
func (s *Server) rowsOf(c *call, m *model, entries []entry) ([]*row, answer, bool) {
	var rows []*row
	var errs []entryError
	seen := map[int64]bool{} // an older server takes the last entry of a row
	for _, e := range entries {
		r := m.rows[e.id]
		if r != nil && c.actor.may(actionOf(c.req.Method), m, r) {
			if !seen[e.id] {
				rows = append(rows, r)
			}
			seen[e.id] = true
			continue
		}
		problem := newObject()
		problem.set("id", []any{fmt.Sprintf("Object with ID %d does not exist", e.id)})
		errs = append(errs, entryError{by: "id", at: e.id, errors: problem})
	}
	if errs != nil && s.gen.Has.MissingRows == "refuse" {
		return nil, refusedBulk(errs, len(entries), "could not be found."), false
	}
	return rows, answer{}, true
}

func (s *Server) bulkUpdate(c *call, m *model, rows []*row, bodies map[int64]*object) answer {
	var errs []entryError
	for _, r := range rows {
		body := bodies[r.id]
		w, a, ok := s.writer(c, m, body)
		if !ok {
			return a
		}
		before := cloneMap(r.values)
		refused := w.update(m, r, body.without("id"), c.req.Method == http.MethodPatch)
		if refused == nil {
			s.keep(w, c)
			s.detach(m, r, before)
			continue
		}
		if !s.gen.Has.IndexedErrors {
			return s.refused(refused)
		}
		errs = append(errs, entryError{"id", r.id, refused.object(), refused.status})
	}
	if errs != nil {
		return refusedBulk(errs, len(rows), "could not be updated.")
	}
	sortRows(m, rows, m.order) // what is written may have moved them
	return s.several(c, m, rows, http.StatusOK)
}

func (s *Server) bulkDelete(c *call, m *model, rows []*row, bodies map[int64]*object) answer {
	var errs []entryError
	for _, r := range rows {
		if m.rows[r.id] == nil {
			continue // it went along with another
		}
		w, a, ok := s.writer(c, m, bodies[r.id])
		if !ok {
			return a
		}
		protected, forbidden := w.delete(m, r)
		if protected == nil && forbidden == "" {
			s.keep(w, c)
			s.detach(m, nil, r.values)
			continue
		}
		if protected != nil {
			forbidden = protectedText(protected)
		}
		if !s.gen.Has.IndexedErrors {
			return fail(http.StatusConflict, forbidden)
		}
		if protected != nil {
			forbidden = fmt.Sprintf("Unable to delete: %d dependent object(s) prevent deletion.", len(protected))
		}
		problem := newObject()
		problem.set("__all__", []any{forbidden})
		errs = append(errs, entryError{"id", r.id, problem, http.StatusConflict})
	}
	if errs != nil {
		return refusedBulk(errs, len(rows), "could not be deleted.")
	}
	return answer{status: http.StatusNoContent}
}

// refusedBulk is the newer servers' answer: how many of how many, and which.
func refusedBulk(errs []entryError, of int, what string) answer {
	status := http.StatusBadRequest
	list := make([]any, len(errs))
	for i, e := range errs {
		o := newObject()
		o.set(e.by, e.at)
		o.set("errors", e.errors)
		list[i] = o
		if e.status > status {
			status = e.status
		}
	}
	out := detail(fmt.Sprintf("%d of %d objects %s", len(errs), of, what))
	out.set("errors", list)
	return reply(status, out)
}

// several answers with a list of objects.
func (s *Server) several(c *call, m *model, rows []*row, status int) answer {
	want := selectionOf(m, c.query, false)
	b := []byte{'['}
	for i, r := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.show.row(b, m, r, want)
	}
	return answer{status: status, body: append(b, ']')}
}
