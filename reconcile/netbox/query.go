package netbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

const (
	pageSize = 1000
	// maxRequestLine keeps request lines below the 4,094 bytes at which gunicorn
	// refuses them, with room for what a proxy adds.
	maxRequestLine = 3500
)

// reading is what one Read asks for.
type reading struct {
	kind   *schema.Kind
	path   string
	wanted []*schema.Field // delivered, in the order of the schema
	hidden []*schema.Field // read to be checked only
	where  map[string]any
	search string
	params []string // of every request: fields, filters, search
	rows   []reconcile.RowID
	only   map[reconcile.RowID]bool   // nil: no restriction
	named  map[string]map[string]bool // values by field, all that is needed; nil: everything is
	strays func() error               // called for a row that is not named, while looking up
	seen   *atomic.Int64              // rows that came, of all parts

	// filtered is set while filters are sent that narrow the answer; a server
	// that refuses one is asked again without.
	filtered bool
}

// newReading checks a query and turns it into parameters.
func (c *Client) newReading(k *schema.Kind, path string, q reconcile.Query) (*reading, error) {
	r := &reading{kind: k, path: path, where: q.Where, search: q.Search, seen: new(atomic.Int64)}
	for _, name := range q.Fields {
		if k.Field(name) == nil {
			return nil, fmt.Errorf("%s has no field %s", k.Name, name)
		}
	}
	for _, name := range sortedKeys(q.Where) {
		if f := k.Field(name); f == nil || f.WriteOnly {
			return nil, fmt.Errorf("%s cannot be searched by %s", k.Name, name)
		}
	}
	if q.Named != nil {
		r.named = map[string]map[string]bool{}
	}
	for name, values := range q.Named {
		f := k.Field(name)
		if f == nil || f.WriteOnly || f.Class != schema.Text && f.Class != schema.Address {
			return nil, fmt.Errorf("objects of %s cannot be named by %s", k.Name, name)
		}
		r.named[name] = map[string]bool{}
		for _, v := range values {
			r.named[name][nameOf(f, v)] = true
		}
	}
	for _, f := range k.Fields {
		_, asked := q.Where[f.Name]
		_, named := q.Named[f.Name]
		asked = asked || named
		switch {
		case f.WriteOnly: // never asked for: older servers would show it
		case q.Fields == nil || slices.Contains(q.Fields, f.Name):
			r.wanted = append(r.wanted, f)
		case asked:
			r.hidden = append(r.hidden, f)
		}
	}
	if q.Rows != nil {
		r.rows = slices.Clone(q.Rows)
		slices.Sort(r.rows)
		r.rows = slices.Compact(r.rows)
		r.only = map[reconcile.RowID]bool{}
		for _, id := range r.rows {
			r.only[id] = true
		}
	}
	r.params = c.parameters(r, true)
	r.filtered = len(r.params) > len(c.parameters(r, false))
	return r, nil
}

// parameters are those that every request of the reading has.
func (c *Client) parameters(r *reading, filters bool) []string {
	names := []string{"id", "last_updated"}
	for _, f := range append(slices.Clone(r.wanted), r.hidden...) {
		names = append(names, f.Name)
	}
	params := []string{parameter("fields", strings.Join(names, ","))}
	if c.lineLength(r.path, params) > maxRequestLine-200 {
		// So many fields that naming those to leave out is the shorter way.
		var omit []string
		for _, f := range r.kind.Fields {
			if f.WriteOnly {
				omit = append(omit, f.Name)
			}
		}
		params = []string{parameter("omit", strings.Join(omit, ","))}
	}
	if r.search != "" {
		params = append(params, parameter("q", r.search))
	}
	if !filters {
		return params
	}
	for _, name := range sortedKeys(r.where) {
		p, ok := filter(r.kind.Field(name), r.where[name])
		if ok && c.lineLength(r.path, append(params, p)) <= maxRequestLine-200 {
			params = append(params, p)
		}
	}
	return params
}

// taken are parameters that mean something else to every list, whatever fields
// its objects have: an unknown format is answered with 404.
var taken = []string{"brief", "exclude", "fields", "format", "limit", "offset", "omit", "ordering", "q", "start"}

// filter is the parameter that narrows a list to one value of a field, for
// those that mean the same on every server that knows them: a filter may be
// ignored, but must never leave out a row that fits.
func filter(f *schema.Field, value any) (string, bool) {
	if slices.Contains(taken, f.Name) {
		return "", false
	}
	switch v := value.(type) {
	case string:
		switch f.Class {
		case schema.Text, schema.Choice, schema.Address:
			v = strings.TrimSpace(v)
			// "null" means empty to NetBox, and an empty value no filter at all.
			return parameter(f.Name, v), v != "" && v != "null"
		}
	case bool:
		return parameter(f.Name, strconv.FormatBool(v)), f.Class == schema.Boolean
	case reconcile.Number:
		return parameter(f.Name, string(v)), f.Class == schema.Integer
	case reconcile.RowID:
		return parameter(f.Name+"_id", strconv.FormatInt(int64(v), 10)), f.Class == schema.Reference
	}
	return "", false
}

// parameter encodes one query parameter; commas stay, since they would take
// three bytes each.
func parameter(name, value string) string {
	return url.QueryEscape(name) + "=" + strings.ReplaceAll(url.QueryEscape(value), "%2C", ",")
}

func (c *Client) lineLength(path string, params []string) int {
	return len(http.MethodGet) + len(c.url(path, strings.Join(params, "&")).RequestURI()) + len("  HTTP/1.1")
}

// room is what is left of a request line beside what every page asks for.
func (c *Client) room(r *reading) int {
	return maxRequestLine - c.lineLength(r.path, r.params) - len("&id__gte=9223372036854775807&limit=1000&ordering=id")
}

// chunks splits the ids asked for so that each request line stays short enough.
func (c *Client) chunks(r *reading) []part {
	room := c.room(r)
	var (
		out  []part
		x    part
		used int
	)
	for _, id := range r.rows {
		p := "id=" + strconv.FormatInt(int64(id), 10)
		if len(x.params) > 0 && (used+len(p)+1 > room || len(x.params) == pageSize) {
			out, x, used = append(out, x), part{}, 0
		}
		x.params = append(x.params, p)
		used += len(p) + 1
	}
	return append(out, x)
}
