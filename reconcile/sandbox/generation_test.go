package sandbox

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGenerationsSpeakOfFieldsThatAreThere excludes slips in the data files, and
// schema files that lost a field which a generation needs.
func TestGenerationsSpeakOfFieldsThatAreThere(t *testing.T) {
	for _, name := range Generations() {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, Options{Generation: name})
			for _, m := range s.models {
				require.True(t, m.Object != "" && m.Name != "" && len(m.text) > 0 && len(m.order) > 0, m.kind)
				for what, names := range named(m) {
					for _, n := range names {
						require.Truef(t, m.reaches(strings.Split(n, ".")), "%s: %s names %q", m.kind, what, n)
					}
				}
				for _, f := range m.fields {
					require.Truef(t, f.As == "computed" || f.As == "custom fields" || parsers[f.As] != nil, "%s.%s is read as %q", m.kind, f.name, f.As)
					require.Truef(t, !f.isRef() || f.target != nil, "%s.%s refers to nothing", m.kind, f.name)
					for _, n := range f.Nested {
						n, _, _ = strings.Cut(n, ":")
						require.Truef(t, f.target.shows(n), "%s.%s shows %q of %s", m.kind, f.name, n, f.target.kind)
					}
				}
			}
		})
	}
}

// named are the names that the data of a kind uses, by where.
func named(m *model) map[string][]string {
	out := map[string][]string{"search": m.Search, "upsert": m.Upsert}
	for _, b := range m.Brief {
		if !slices.Contains([]string{"url", "display", "display_url"}, b) {
			out["brief"] = append(out["brief"], b)
		}
	}
	for _, o := range m.Order {
		out["order"] = append(out["order"], strings.TrimPrefix(o, "-"))
	}
	for _, u := range m.Unique {
		out["unique"] = append(out["unique"], u.Fields...)
		out["unique"] = append(out["unique"], sortedNames(u.Where)...)
	}
	for _, r := range m.Rules {
		out["rules"] = append(append(append(append(out["rules"], r.Any...), r.Need...), sortedNames(r.Set)...), sortedNames(r.If)...)
	}
	for _, list := range [][]template{m.text, m.display} {
		for _, t := range list {
			for _, p := range t {
				if p.path != nil {
					out["text"] = append(out["text"], strings.Join(p.path, "."))
				}
			}
		}
	}
	return out
}

// reaches reports whether a path of fields leads to a value.
func (m *model) reaches(path []string) bool {
	if slices.Contains([]string{"id", "created", "last_updated"}, path[0]) {
		return len(path) == 1
	}
	f := m.byName[path[0]]
	if f == nil || len(path) == 1 {
		return f != nil
	}
	return f.target != nil && f.target.reaches(path[1:])
}
