package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// list answers a GET of a list path.
func (s *Server) list(c *call, m *model) answer {
	if f := last(c.query, "format"); f != "" && f != "json" {
		return fail(http.StatusNotFound, "Not found.")
	}
	match, errs := s.matchers(m, c.query)
	if len(errs.names) > 0 {
		return reply(http.StatusBadRequest, errs)
	}
	page, problem := s.page(m, c.query)
	if problem != "" {
		return reply(http.StatusBadRequest, []any{problem})
	}
	order := orderKey{path: []string{"id"}}
	var rows []*row
	if page.cursor {
		rows = s.inOrder(m, "id", []orderKey{order})
	} else if text := last(c.query, "ordering"); text != "" {
		rows = s.inOrder(m, "?"+text, m.orderParam(text))
	} else {
		rows = s.inOrder(m, "", m.order)
	}
	rows = wanted(c.actor, m, rows, match)
	if page.cursor {
		return s.cursorPage(c, m, rows, page)
	}
	return s.offsetPage(c, m, rows, page)
}

// wanted keeps the rows that match and that the token may view.
func wanted(a *actor, m *model, rows []*row, match []matcher) []*row {
	open := a.unrestricted("view", m)
	if open && len(match) == 0 {
		return rows
	}
	var out []*row
next:
	for _, r := range rows {
		for _, ok := range match {
			if !ok(r) {
				continue next
			}
		}
		if open || a.may("view", m, r) {
			out = append(out, r)
		}
	}
	return out
}

// paging is what a list's parameters say about pages.
type paging struct {
	limit, offset int
	cursor        bool
	start         int64
}

func (s *Server) page(m *model, q url.Values) (paging, string) {
	p := paging{limit: min(defaultPage, s.maxPage)}
	if n, err := strconv.Atoi(last(q, "limit")); err == nil && n >= 0 {
		if p.limit = min(n, s.maxPage); n == 0 {
			p.limit = s.maxPage
		}
	}
	if n, err := strconv.Atoi(last(q, "offset")); err == nil && n > 0 {
		p.offset = n
	}
	if !q.Has("start") || !s.gen.Has.Cursor {
		return p, ""
	}
	n, err := strconv.ParseInt(last(q, "start"), 10, 64)
	switch {
	case err != nil || n < 0:
		return p, "Invalid 'start' parameter: must be a non-negative integer."
	case q.Has("offset"):
		return p, "'start' and 'offset' are mutually exclusive."
	case q.Has("ordering"):
		return p, "Ordering cannot be specified in conjunction with cursor-based pagination."
	}
	p.cursor, p.start = true, n
	return p, ""
}

const defaultPage = 50

func (s *Server) cursorPage(c *call, m *model, rows []*row, p paging) answer {
	from := 0
	for from < len(rows) && rows[from].id < p.start {
		from++
	}
	rows = rows[from:min(from+p.limit, len(rows))]
	var next any
	if len(rows) == p.limit {
		next = c.link(map[string]string{"start": fmt.Sprint(rows[len(rows)-1].id + 1), "limit": fmt.Sprint(p.limit), "offset": ""})
	}
	return s.pageOf(c, m, rows, nil, next, nil)
}

func (s *Server) offsetPage(c *call, m *model, rows []*row, p paging) answer {
	count := len(rows)
	var next, previous any
	limit := fmt.Sprint(p.limit)
	if p.offset+p.limit < count {
		next = c.link(map[string]string{"limit": limit, "offset": fmt.Sprint(p.offset + p.limit)})
	}
	if p.offset > 0 {
		before := ""
		if p.offset > p.limit {
			before = fmt.Sprint(p.offset - p.limit)
		}
		previous = c.link(map[string]string{"limit": limit, "offset": before})
	}
	from := min(p.offset, count)
	return s.pageOf(c, m, rows[from:min(from+p.limit, count)], count, next, previous)
}

func (s *Server) pageOf(c *call, m *model, rows []*row, count, next, previous any) answer {
	want := selectionOf(m, c.query, true)
	b := append([]byte(`{"count":`), appendJSON(nil, count)...)
	b = append(append(b, `,"next":`...), appendJSON(nil, next)...)
	b = append(append(b, `,"previous":`...), appendJSON(nil, previous)...)
	b = append(b, `,"results":[`...)
	for i, r := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.show.row(b, m, r, want)
	}
	return answer{status: http.StatusOK, body: append(b, ']', '}')}
}

// link is the request's own address with other parameters, sorted; an empty
// value removes one.
func (c *call) link(change map[string]string) string {
	q := url.Values{}
	for name, list := range c.query {
		q[name] = list
	}
	for name, v := range change {
		if q.Del(name); v != "" {
			q.Set(name, v)
		}
	}
	return c.show.base + c.path + "?" + q.Encode()
}
