package render

import (
	"io"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// widestColumn bounds a column of a table; the key columns are never cut.
const widestColumn = 40

// Table writes live objects of one kind as a table: the key fields, then as
// many other fields as fit and say something. The first line names the columns.
func Table(w io.Writer, kind *schema.Kind, objects []*reconcile.Object, s Style) error {
	p := newPrinter(w, s)
	columns := tableColumns(kind, objects, s.width())
	for row := -1; row < len(objects); row++ {
		var b strings.Builder
		for _, c := range columns {
			cell := c.title
			if row >= 0 {
				cell = c.cells[row]
			}
			b.WriteString(pad(cell, c.wide+2))
		}
		if row < 0 {
			p.line(p.paint(bold, strings.TrimRight(b.String(), " ")))
			continue
		}
		p.line(b.String())
	}
	return p.done()
}

type column struct {
	title string
	cells []string
	wide  int
}

func tableColumns(kind *schema.Kind, objects []*reconcile.Object, width int) []column {
	var out []column
	used := map[string]bool{}
	left := width
	for _, name := range kind.Resource.Key {
		c, _ := makeColumn(name, objects, true)
		out = append(out, c)
		used[name] = true
		left -= c.wide + 2
	}
	for _, f := range kind.Fields {
		if used[f.Name] || !inTable(f) {
			continue
		}
		c, says := makeColumn(f.Name, objects, false)
		if !says || c.wide > left {
			continue
		}
		out = append(out, c)
		left -= c.wide + 2
	}
	if len(out) == 0 && len(kind.Fields) > 0 { // a singleton where nothing fits
		c, _ := makeColumn(kind.Fields[0].Name, objects, false)
		out = append(out, c)
	}
	return out
}

// inTable leaves out what is no single short value.
func inTable(f *schema.Field) bool {
	if f.WriteOnly {
		return false
	}
	switch f.Class {
	case schema.JSON, schema.Map, schema.List:
		return false
	}
	return true
}

// makeColumn lays out one field; says is false when no object has a value there.
func makeColumn(name string, objects []*reconcile.Object, whole bool) (c column, says bool) {
	c = column{title: strings.ToUpper(name), wide: length(name)}
	for _, o := range objects {
		cell := ""
		switch v := reconcile.Shown(o.Fields[name]).(type) {
		case nil:
		case string:
			cell = Escape(v)
		case []any:
			parts := make([]string, len(v))
			for i, x := range v {
				parts[i] = value(x)
			}
			cell = strings.Join(parts, ",")
		default:
			cell = value(v)
		}
		if cell != "" {
			says = true
		}
		if r := []rune(cell); !whole && len(r) > widestColumn {
			cell = string(r[:widestColumn-1]) + "…"
		}
		c.cells = append(c.cells, cell)
		c.wide = max(c.wide, length(cell))
	}
	return c, says
}

type objectData struct {
	Kind        string         `json:"kind"`
	Key         string         `json:"key"`
	ID          int64          `json:"id"`
	LastUpdated string         `json:"last_updated,omitempty"`
	Spec        map[string]any `json:"spec"`
	Status      map[string]any `json:"status"`
}

// ObjectsJSON writes live objects in the form ObjectsFormat: under spec what a
// manifest may say, references as manifests write them, under status what only
// the server sets.
func ObjectsJSON(w io.Writer, objects []*reconcile.Object, list reconcile.Diagnostics) error {
	out := make([]objectData, 0, len(objects))
	for _, o := range objects {
		d := objectData{
			Kind: o.Kind.Name, Key: o.Display(), ID: int64(o.Row), LastUpdated: o.Version,
			Spec: map[string]any{}, Status: map[string]any{},
		}
		for _, f := range o.Kind.Fields {
			v, ok := o.Fields[f.Name]
			switch {
			case !ok || f.WriteOnly:
			case f.ReadOnly:
				d.Status[f.Name] = reconcile.Shown(v)
			default:
				d.Spec[f.Name] = written(v, 0)
			}
		}
		out = append(out, d)
	}
	return encode(w, struct {
		head
		Objects []objectData `json:"objects"`
	}{success(ObjectsFormat, list), out})
}

// maxWritten bounds the depth of references inside references.
const maxWritten = 8

// written turns a value into the form that a manifest uses: a reference as the
// target's key, or as a selector where the key has several fields.
func written(v any, depth int) any {
	switch v := v.(type) {
	case reconcile.Ref:
		return writtenRef(v, depth)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = written(x, depth)
		}
		return out
	}
	return reconcile.Shown(v)
}

func writtenRef(r reconcile.Ref, depth int) any {
	byID := map[string]any{"id": r.Row}
	if r.Target == nil || depth > maxWritten {
		return byID
	}
	key := r.Target.Kind.Resource.Key
	selector := make(map[string]any, len(key))
	for _, name := range key {
		v, ok := r.Target.Fields[name]
		if !ok {
			return byID
		}
		selector[name] = written(v, depth+1)
	}
	switch len(key) {
	case 0:
		return byID
	case 1:
		return selector[key[0]]
	}
	return selector
}
