package sandbox

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// template is a display text with places: "{name} ({endpoint})",
// "{cluster.name}/{name}", "{ip_address:host}".
type template []part

type part struct {
	literal string
	path    []string // empty for a literal
	form    string   // after the colon
}

func parseTemplates(texts []string) []template {
	var out []template
	for _, t := range texts {
		out = append(out, parseTemplate(t))
	}
	return out
}

// parseTemplate splits a text into literals and places. Braces always pair: the
// texts are ours.
func parseTemplate(text string) template {
	var out template
	for text != "" {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			return append(out, part{literal: text})
		}
		if i > 0 {
			out = append(out, part{literal: text[:i]})
		}
		place, rest, _ := strings.Cut(text[i+1:], "}")
		path, form, _ := strings.Cut(place, ":")
		out = append(out, part{path: strings.Split(path, "."), form: form})
		text = rest
	}
	return out
}

// fill returns the first text all of whose places have a value, else the last.
func fill(list []template, m *model, r *row) string {
	text := ""
	for _, t := range list {
		var complete bool
		if text, complete = t.fill(m, r); complete {
			return text
		}
	}
	return text
}

func (t template) fill(m *model, r *row) (text string, complete bool) {
	var b strings.Builder
	complete = true
	for _, p := range t {
		if p.path == nil {
			b.WriteString(p.literal)
			continue
		}
		s := p.value(m, r)
		if s == "" {
			complete = false
			s = "None"
		}
		b.WriteString(s)
	}
	return b.String(), complete
}

func (p part) value(m *model, r *row) string {
	v, target := lookup(m, r, p.path)
	if target != nil {
		s := fill(target.m.text, target.m, target.r)
		if p.form == "host" {
			s, _, _ = strings.Cut(s, "/")
		}
		return s
	}
	s := plainText(v)
	switch p.form {
	case "host":
		s, _, _ = strings.Cut(s, "/")
	case "title":
		s = humanize(s)
	}
	return s
}

// plainText is Python's str of a stored value, "" for None.
func plainText(v any) string {
	switch v := v.(type) {
	case nil, secret:
		return ""
	case string:
		return v
	case bool:
		return pyBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return pyFloat(v)
	case json.Number:
		return v.String()
	case time.Time:
		return strings.Replace(isoTime(v), "T", " ", 1)
	}
	return ""
}

// found is a row that a path led to.
type found struct {
	m *model
	r *row
}

// lookup follows a path of fields from a row: its value, or the row that its
// last step refers to.
func lookup(m *model, r *row, path []string) (any, *found) {
	name := path[0]
	if name == "id" {
		return r.id, nil
	}
	f := m.byName[name]
	if f == nil {
		return nil, nil
	}
	v := r.values[name]
	if !f.isRef() || f.target == nil {
		return v, nil
	}
	id, _ := v.(int64)
	to := f.target.rows[id]
	if to == nil {
		return nil, nil
	}
	if len(path) == 1 {
		return id, &found{f.target, to}
	}
	return lookup(f.target, to, path[1:])
}

// hostOf is the address without its mask.
func hostOf(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Addr().String()
	}
	return s
}
