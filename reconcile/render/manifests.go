package render

import (
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Manifests writes live objects as manifests, one YAML document each: what a
// manifest may set and what isn't empty. Secrets are not in them.
func Manifests(w io.Writer, objects []*reconcile.Object, s Style) error {
	p := newPrinter(w, s)
	for i, o := range objects {
		if i > 0 {
			p.line("---")
		}
		p.manifest(o.Kind, nil, spec(o))
	}
	return p.done()
}

// spec is what a manifest for the object would say, as members in the order of
// the kind's file.
func spec(o *reconcile.Object) []yamlMember {
	var out []yamlMember
	for _, f := range o.Kind.Fields {
		v, ok := o.Fields[f.Name]
		if !ok || f.ReadOnly || f.WriteOnly {
			continue
		}
		v = written(v, 0)
		if f.Class == schema.Map {
			v = withoutNulls(v)
		}
		if reconcile.Empty(v) && !slices.Contains(o.Kind.Resource.Key, f.Name) {
			continue
		}
		out = append(out, yamlMember{f.Name, v})
	}
	return out
}

func withoutNulls(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for k, x := range m {
		if x != nil {
			out[k] = x
		}
	}
	return out
}

type yamlMember struct {
	name  string
	value any
}

// ManifestText is an exported object as a document of a file of manifests.
func ManifestText(x *reconcile.Exported) string {
	var metadata []yamlMember
	for _, flag := range []struct {
		name string
		set  bool
	}{{"protect", x.Protect}, {"existing", x.Existing}, {"createOnly", x.CreateOnly}} {
		if flag.set {
			metadata = append(metadata, yamlMember{flag.name, true})
		}
	}
	members := make([]yamlMember, len(x.Fields))
	for i, f := range x.Fields {
		members[i] = yamlMember{f.Name, f.Value}
	}
	return manifestText(x.Object.Kind, metadata, members)
}

// SkeletonText is a patch document that waits for the secrets of an object: its
// key, and null for each secret field, which leaves it as if it were not there.
func SkeletonText(kind *schema.Kind, key []reconcile.ExportedField, secrets []string) string {
	var members []yamlMember
	for _, f := range key {
		members = append(members, yamlMember{f.Name, f.Value})
	}
	for _, name := range secrets {
		members = append(members, yamlMember{name, nil})
	}
	return manifestText(kind, []yamlMember{{"patch", true}}, members)
}

func manifestText(kind *schema.Kind, metadata, members []yamlMember) string {
	var b strings.Builder
	p := newPrinter(&b, Style{Width: manifestWidth})
	p.manifest(kind, metadata, members)
	_ = p.done() // a Builder takes everything
	return b.String()
}

// manifestWidth is how wide a line of an exported manifest may be before a list
// is written one entry a line.
const manifestWidth = 100

// YAMLValue is a value of a manifest on one line.
func YAMLValue(v any) string { return yamlFlow(v) }

// YAMLMember is a member of a mapping in as many lines as it takes, indented.
func YAMLMember(indent, name string, v any) string {
	var b strings.Builder
	p := newPrinter(&b, Style{Width: manifestWidth})
	p.yaml(indent, yamlString(name)+":", v)
	_ = p.done()
	return b.String()
}

// manifest writes one document.
func (p *printer) manifest(kind *schema.Kind, metadata, members []yamlMember) {
	p.line("apiVersion: proxbox-sync/v1")
	p.line("kind: ", kind.Name)
	if len(metadata) > 0 {
		p.line("metadata:")
		for _, m := range metadata {
			p.yaml("  ", m.name+":", m.value)
		}
	}
	if len(members) == 0 {
		p.line("spec: {}")
		return
	}
	p.line("spec:")
	for _, m := range members {
		p.yaml("  ", yamlString(m.name)+":", m.value)
	}
}

// yaml writes a value in block style behind lead, which is a key with its
// colon or a list's dash.
func (p *printer) yaml(indent, lead string, v any) {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			break
		}
		if flow := yamlFlow(v); simple(v) && length(indent+lead)+1+length(flow) <= p.style.width() {
			p.line(indent, lead, " ", flow)
			return
		}
		p.line(indent, lead)
		for _, x := range v {
			p.yaml(indent+"  ", "-", x)
		}
		return
	case map[string]any:
		if len(v) == 0 {
			break
		}
		if flow := yamlFlow(v); simple(v) && length(indent+lead)+1+length(flow) <= p.style.width() {
			p.line(indent, lead, " ", flow)
			return
		}
		p.line(indent, lead)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			p.yaml(indent+"  ", yamlString(name)+":", v[name])
		}
		return
	}
	if text, ok := v.(string); ok && literal(text) {
		p.line(indent, lead, " |-")
		for l := range strings.SplitSeq(text, "\n") {
			if l == "" {
				p.line()
				continue
			}
			p.line(indent, "  ", l)
		}
		return
	}
	p.line(indent, lead, " ", yamlFlow(v))
}

// literal reports whether a text of several lines can stand as it is: nothing in
// it is invisible, and no program that reads the file or a log takes a line of it
// for something else.
func literal(text string) bool {
	if !strings.Contains(text, "\n") {
		return false
	}
	for i, l := range strings.Split(text, "\n") {
		if i == 0 && (l == "" || l[0] == ' ') || strings.TrimRight(l, " ") != l || Escape(l) != l || guardLine(l) != l {
			return false
		}
	}
	return !strings.HasSuffix(text, "\n")
}

// simple reports whether a value holds scalars only.
func simple(v any) bool {
	scalar := func(x any) bool {
		switch x.(type) {
		case []any, map[string]any:
			return false
		}
		return true
	}
	switch v := v.(type) {
	case []any:
		return !slices.ContainsFunc(v, func(x any) bool { return !scalar(x) })
	case map[string]any:
		for _, x := range v {
			if !scalar(x) {
				return false
			}
		}
	}
	return true
}

// yamlFlow writes a value on one line.
func yamlFlow(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case string:
		return yamlString(v)
	case reconcile.Number:
		return Escape(string(v))
	case reconcile.RowID:
		return strconv.FormatInt(int64(v), 10)
	case []any, map[string]any:
		return flow(v, yamlFlow)
	}
	return Quote(value(v))
}

// plainYAML matches addresses that no YAML reader takes for a number or a time.
var plainYAML = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?$`)

// yamlString writes a string plain where every YAML reader takes it for text.
func yamlString(s string) string {
	if bare(s) || plainYAML.MatchString(s) {
		return s
	}
	return Quote(s)
}
