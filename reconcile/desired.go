package reconcile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// DesiredOptions are what a run allows and adds to the manifests.
type DesiredOptions struct {
	// AllowPlaintextSecrets accepts write-only values that stand in plain text.
	AllowPlaintextSecrets bool
	// IgnoreChanges are fields by kind that are set on create and not compared
	// afterwards, as the project file names them.
	IgnoreChanges map[string][]string
}

// MarkerField is the custom field that holds the tool's own record.
const MarkerField = "proxbox_sync"

// customFields is NetBox's name for the map of user-defined fields, the same on
// every kind that has them.
const customFields = "custom_fields"

// Desired merges patches into their bases, checks every object against the
// schema of its kind and returns what the manifests ask for. References are
// Selectors; Link resolves them. Nothing is read but the arguments.
func Desired(set *schema.Set, docs []Document, o DesiredOptions) (*State, Diagnostics) {
	d := &desiring{set: set, options: o, state: &State{}}
	d.checkIgnored()
	var patches []*Object
	for i := range docs {
		object := d.object(&docs[i])
		switch {
		case object == nil:
		case docs[i].Meta.Patch:
			patches = append(patches, object)
		default:
			d.state.Add(object)
		}
	}
	d.merge(patches)
	for _, kind := range sortedKeys(d.state.Objects) {
		d.checkTwins(d.state.Objects[kind])
		for _, object := range d.state.Objects[kind] {
			d.check(object)
		}
	}
	diags := d.diags.Sorted()
	if d.dropped > 0 {
		diags = append(diags, Diagnostic{Severity: Error, Code: "more-mistakes",
			Summary: fmt.Sprintf("%d more mistakes are not shown", d.dropped), Detail: "mend these first"})
	}
	return d.state, diags
}

// desiring is the work of one call of Desired.
type desiring struct {
	set     *schema.Set
	options DesiredOptions
	state   *State
	diags   Diagnostics
	// broken marks objects that are reported already in a way that would make
	// the schema's complaints repeat it.
	broken map[*Object]map[string]bool
	hints  hints
	// dropped counts the mistakes beyond maxMistakes.
	dropped int
}

// maxMistakes bounds the diagnostics of a run: nobody reads more, and a hostile
// file must not fill a log.
const maxMistakes = 2000

func (d *desiring) add(x Diagnostic) {
	if x.Severity == "" {
		x.Severity = Error
	}
	if len(d.diags) >= maxMistakes {
		d.dropped++
		return
	}
	d.diags = append(d.diags, x)
}

// object builds the desired object of a document, nil when it can't be one.
func (d *desiring) object(doc *Document) *Object {
	kind := d.set.Kind(doc.Kind)
	if kind == nil {
		d.add(Diagnostic{Code: "unknown-kind", Pos: doc.KindPos, Summary: fmt.Sprintf("unknown kind %q", shorten(doc.Kind)),
			Detail: didYouMean(doc.Kind, managedKinds(d.set), "known kinds: ")})
		return nil
	}
	if kind.Resource.Mode == schema.Lookup {
		d.add(Diagnostic{Code: "lookup-kind", Pos: doc.KindPos, Object: kind.Name,
			Summary: fmt.Sprintf("%s can be referred to, not managed", kind.Name),
			Detail:  "remove the document and create the object in NetBox"})
		return nil
	}
	o := &Object{Kind: kind, Fields: map[string]any{}, Doc: doc}
	d.checkMetadata(o)
	if doc.Spec == nil {
		doc.Spec = &Node{Shape: Mapping, Pos: doc.Pos}
	}
	for i := range doc.Spec.Members {
		d.field(o, &doc.Spec.Members[i])
	}
	d.renamedFrom(o)
	return o
}

// renamedFrom reads metadata.renamedFrom like a reference to an object of the
// same kind: the last field of the key, or a map of key fields.
func (d *desiring) renamedFrom(o *Object) {
	n := o.Doc.Meta.RenamedFrom
	if n == nil {
		return
	}
	if len(o.Kind.Resource.Key) == 0 {
		d.add(Diagnostic{Code: "metadata", Pos: n.Pos, Object: o.Kind.Name, Summary: o.Kind.Name + " has no key and can't be renamed"})
		return
	}
	s, ok := d.selector(o, "metadata.renamedFrom", o.Kind.Name, n)
	if !ok {
		return
	}
	for name := range s.Fields {
		if s.Row != 0 || !slices.Contains(o.Kind.Resource.Key, name) {
			d.add(Diagnostic{Code: "metadata", Pos: n.Pos, Object: o.Kind.Name,
				Summary: fmt.Sprintf("metadata.renamedFrom: %q is not part of the key", name),
				Detail:  fmt.Sprintf("the key is %v", o.Kind.Resource.Key)})
			return
		}
	}
	o.renamedFrom = s.Fields
}

func managedKinds(set *schema.Set) []string {
	var names []string
	for _, k := range set.Kinds() {
		if k.Resource.Mode != schema.Lookup {
			names = append(names, k.Name)
		}
	}
	return names
}

// serverFields are the ones that every NetBox object has and no manifest sets.
var serverFields = []string{"id", "url", "display", "display_url", "created", "last_updated"}

// field converts one member of a spec.
func (d *desiring) field(o *Object, m *Member) {
	report := func(code, summary, detail string) {
		d.add(Diagnostic{Code: code, Pos: m.Pos, Object: o.Kind.Name, Field: m.Name, Summary: summary, Detail: detail})
		d.markBroken(o, m.Name)
	}
	f := o.Kind.Field(m.Name)
	switch {
	case f == nil && slices.Contains(serverFields, m.Name), f != nil && f.ReadOnly:
		report("read-only-field", fmt.Sprintf("field %q is read-only", m.Name), "the server sets it: remove it")
		return
	case f == nil:
		report("unknown-field", fmt.Sprintf("%s has no field %q", o.Kind.Name, shorten(m.Name)),
			didYouMean(m.Name, writableFields(o.Kind), ""))
		return
	}
	if f.WriteOnly {
		if v, ok := d.secret(o, f, m); ok {
			o.Fields[f.Name] = v
		} else {
			d.markBroken(o, f.Name)
		}
		return
	}
	if !d.noSecretInside(o, m.Name, m.Value) {
		d.markBroken(o, f.Name)
		return
	}
	if v, ok := d.value(o, f, m.Value); ok {
		o.Fields[f.Name] = v
	} else {
		d.markBroken(o, f.Name)
	}
}

func (d *desiring) markBroken(o *Object, field string) {
	if d.broken == nil {
		d.broken = map[*Object]map[string]bool{}
	}
	if d.broken[o] == nil {
		d.broken[o] = map[string]bool{}
	}
	d.broken[o][field] = true
}

func writableFields(k *schema.Kind) []string {
	var names []string
	for _, f := range k.Fields {
		if !f.ReadOnly {
			names = append(names, f.Name)
		}
	}
	return names
}

// value converts a node to the plain value of a field.
func (d *desiring) value(o *Object, f *schema.Field, n *Node) (any, bool) {
	switch {
	case (f.Class == schema.Text || f.Class == schema.Choice) && !d.quoted(o, f.Name, n):
		return nil, false
	case f.Class == schema.Reference:
		if n.Shape == Scalar && n.Value == nil {
			return nil, true
		}
		return d.selector(o, f.Name, f.Ref.Kind, n)
	case f.Class == schema.ReferenceSet && n.Shape == Sequence:
		list, good := make([]any, 0, len(n.Items)), true
		for _, item := range n.Items {
			s, ok := d.selector(o, f.Name, f.Ref.Kind, item)
			good = good && ok
			list = append(list, s)
		}
		return list, good
	case f.Class == schema.Map && n.Member(MarkerField) != nil:
		d.add(Diagnostic{Code: "marker-field", Pos: n.Member(MarkerField).Pos, Object: o.Kind.Name, Field: f.Name,
			Summary: fmt.Sprintf("custom field %q belongs to proxbox-sync itself", MarkerField), Detail: "remove it"})
		return nil, false
	}
	return plain(n), true
}

// quoted refuses an unquoted word, date or clock time where text is meant:
// other programs read true, a time or a number there, so that nobody can tell
// what was meant.
func (d *desiring) quoted(o *Object, field string, n *Node) bool {
	text, ok := n.Value.(string)
	if !ok || len(n.Plain) < 2 { // y and n are text to the parsers in use
		return true
	}
	d.add(Diagnostic{Code: "unquoted-text", Pos: n.Pos, Object: o.Kind.Name, Field: field,
		Summary: fmt.Sprintf("field %q: unquoted, this is text to some programs and something else to others", field),
		Detail:  fmt.Sprintf("put it in quotes: %q", shorten(text))})
	return false
}

// maxShown bounds how much of a value or name a message repeats.
const maxShown = 80

func shorten(text string) string {
	if r := []rune(text); len(r) > maxShown {
		return string(r[:maxShown]) + "…"
	}
	return text
}

// Bare is the value of a node without its places.
func (n *Node) Bare() any { return plain(n) }

// plain converts a node to a plain value.
func plain(n *Node) any {
	switch n.Shape {
	case Mapping:
		m := make(map[string]any, len(n.Members))
		for i := range n.Members {
			m[n.Members[i].Name] = plain(n.Members[i].Value)
		}
		return m
	case Sequence:
		list := make([]any, len(n.Items))
		for i := range n.Items {
			list[i] = plain(n.Items[i])
		}
		return list
	}
	return n.Value
}

// didYouMean suggests the nearest name; without one it lists all after prefix,
// or says nothing where prefix is empty.
func didYouMean(name string, names []string, prefix string) string {
	if near := schema.Nearest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if prefix == "" {
		return ""
	}
	return prefix + strings.Join(names, ", ")
}

// forSchema converts the fields of an object to the JSON values that schemas
// are checked against: references as written, secrets as a placeholder.
func forSchema(v any) any {
	switch v := v.(type) {
	case Number:
		return json.Number(v)
	case Secret:
		return Redacted
	case Selector:
		return selectorForSchema(v)
	case Ref:
		return displayValue(v, 0)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = forSchema(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = forSchema(v[k])
		}
		return out
	}
	return v
}

func selectorForSchema(s Selector) any {
	if s.Row != 0 {
		return map[string]any{"id": json.Number(fmt.Sprint(int64(s.Row)))}
	}
	if len(s.Fields) == 1 {
		for _, v := range s.Fields {
			if _, nested := v.(Selector); !nested {
				return forSchema(v)
			}
		}
	}
	return forSchema(s.Fields)
}
