package sandbox

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// model is one kind as this server has it: schema and generation put together,
// with its rows.
type model struct {
	kindData
	kind        string
	path        string // list path below the API root
	singleton   bool
	materialize string
	fields      []*field // in the order they are shown
	byName      map[string]*field
	refs        []*field // fields that refer to rows of models
	referrers   []*field // fields of any model that refer to this one
	filters     map[string]filterSpec
	uniques     []*unique
	text        []template
	display     []template
	order       []orderKey
	table
}

// field is one field of a model.
type field struct {
	fieldData
	name     string
	owner    *model
	target   *model // of a reference, nil when that kind is not served
	onDelete string
	choices  []choice
	pattern  *regexp.Regexp
	display  []template               // of the object referred to, nil for its own
	holders  map[int64]map[int64]bool // target row: rows of the owner that refer to it
}

type choice struct {
	value any // string or int64
	label string
}

// isRef reports whether the value is the id of another row, or several.
func (f *field) isRef() bool { return f.As == "reference" || f.As == "pk" || f.As == "references" }

// buildModels makes a model of each kind of the set, and of those that only the
// generation describes.
func buildModels(set *schema.Set, g *generation) ([]*model, error) {
	var models []*model
	byKind := map[string]*model{}
	for _, k := range set.Kinds() {
		d, known := g.Kinds[k.Name]
		if !known {
			d = derived(k)
		}
		m := &model{kindData: d, kind: k.Name, path: k.Resource.Paths[0],
			singleton: k.Resource.Mode == schema.Singleton, materialize: k.Resource.Materialize}
		m.ObjectType, m.Rules = k.Resource.ObjectType, rulesWithout(d.Rules, d.Without)
		for _, f := range k.Fields {
			fd, ok := d.Fields[f.Name]
			if ok && !slices.Contains(d.Without, f.Name) {
				m.fields = append(m.fields, &field{fieldData: fd, name: f.Name, owner: m, onDelete: refOnDelete(f)})
			}
		}
		for _, name := range sortedNames(d.Fields) {
			if d.Fields[name].Extra {
				m.fields = append(m.fields, &field{fieldData: d.Fields[name], name: name, owner: m})
			}
		}
		byKind[k.Name] = m
		models = append(models, m)
	}
	for name, d := range g.Kinds {
		if byKind[name] == nil && len(d.Paths) > 0 && !pathTaken(models, d.Paths[0]) {
			m := &model{kindData: d, kind: name, path: d.Paths[0]}
			for _, f := range sortedNames(d.Fields) {
				if !slices.Contains(d.Without, f) {
					m.fields = append(m.fields, &field{fieldData: d.Fields[f], name: f, owner: m})
				}
			}
			byKind[name] = m
			models = append(models, m)
		}
	}
	for _, m := range models {
		if err := m.finish(set.Kind(m.kind), byKind); err != nil {
			return nil, fmt.Errorf("kind %s: %w", m.kind, err)
		}
	}
	return models, nil
}

// rulesWithout drops the rules about fields that a generation lacks.
func rulesWithout(rules []rule, without []string) []rule {
	return slices.DeleteFunc(slices.Clone(rules), func(x rule) bool {
		return len(x.Any) > 0 && !slices.ContainsFunc(x.Any, func(name string) bool { return !slices.Contains(without, name) })
	})
}

// stamped reports whether the model's objects have that time stamp.
func (m *model) stamped(name string) bool { return slices.Contains(m.Stamps, name) }

func refOnDelete(f *schema.Field) string {
	if f.Ref == nil {
		return ""
	}
	return f.Ref.OnDelete
}

func pathTaken(models []*model, path string) bool {
	return slices.ContainsFunc(models, func(m *model) bool { return m.path == path })
}

// finish compiles what the data says: references, templates, filters.
func (m *model) finish(k *schema.Kind, byKind map[string]*model) error {
	if m.Path != "" {
		m.path = m.Path
	}
	if m.Stamps == nil {
		m.Stamps = []string{"created", "last_updated"}
	}
	m.byName = map[string]*field{}
	m.table = newTable()
	for _, f := range m.fields {
		m.byName[f.name] = f
		if err := f.finish(k, byKind); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	m.text = parseTemplates(m.Text)
	if m.display = parseTemplates(m.Display); m.display == nil {
		m.display = m.text
	}
	for _, name := range m.Order {
		m.order = append(m.order, parseOrder(name))
	}
	for _, x := range m.Rules {
		if x.Rewrite == nil {
			continue
		}
		if _, err := regexp.Compile(x.Rewrite.Pattern); err != nil {
			return fmt.Errorf("rule on %s: %w", x.Rewrite.Field, err)
		}
	}
	for i := range m.Unique {
		m.uniques = append(m.uniques, newUnique(m.Unique[i]))
	}
	if m.Upsert != nil && m.upsertKey() == nil {
		return fmt.Errorf("upsert by %v, which no unique constraint has", m.Upsert)
	}
	return m.compileFilters()
}

func (f *field) finish(k *schema.Kind, byKind map[string]*model) error {
	for _, c := range f.Choices {
		pair, labelled := c.([]any)
		if !labelled {
			pair = []any{c, humanize(fmt.Sprint(c))}
		}
		if n, ok := pair[0].(json.Number); ok {
			pair[0], _ = n.Int64()
		}
		f.choices = append(f.choices, choice{pair[0], fmt.Sprint(pair[1])})
	}
	f.display = parseTemplates(f.Display)
	if f.Pattern != "" {
		re, err := regexp.Compile(f.Pattern)
		if err != nil {
			return err
		}
		f.pattern = re
	}
	if !f.isRef() {
		return nil
	}
	if f.To != "" {
		f.target, f.onDelete = byKind[f.To], "cascade"
	} else if s := schemaField(k, f.name); s != nil && s.Ref != nil {
		f.target = byKind[s.Ref.Kind]
	}
	if f.target == nil {
		return nil
	}
	f.holders = map[int64]map[int64]bool{}
	f.owner.refs = append(f.owner.refs, f)
	f.target.referrers = append(f.target.referrers, f)
	return nil
}

func schemaField(k *schema.Kind, name string) *schema.Field {
	if k == nil {
		return nil
	}
	for _, f := range k.Fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// humanize is what Django makes of a name: "max_protected_backups" becomes "Max
// protected backups".
func humanize(name string) string {
	s := strings.TrimSpace(strings.ReplaceAll(name, "_", " "))
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// derived is the data of a kind that the generation doesn't know: what the
// schema says, and NetBox's habits for the rest.
func derived(k *schema.Kind) kindData {
	d := kindData{Object: k.Name, Name: k.Title, About: k.Description, View: k.Title,
		Brief: []string{"id", "url", "display"}, Fields: map[string]fieldData{}, Filters: map[string]string{}}
	for _, f := range k.Fields {
		fd := derivedField(f)
		d.Fields[f.Name] = fd
		if class := filterClassOf(fd); class != "" && !f.WriteOnly {
			d.Filters[f.Name] = class
			if fd.As == "reference" {
				d.Filters[f.Name+"_id"] = "ref:" + f.Name
			}
		}
		if fd.As == "text" && !f.WriteOnly {
			d.Search = append(d.Search, f.Name)
		}
	}
	for _, fields := range k.Resource.Unique {
		d.Unique = append(d.Unique, uniqueData{Fields: fields,
			Message: k.Title + " with this " + sentence(fields) + " already exists."})
	}
	d.Order = append(slices.Clone(k.Resource.Key), "id")
	d.Text = []string{k.Title}
	if n := len(k.Resource.Key); n > 0 {
		last := k.Resource.Key[n-1]
		d.Text = []string{"{" + last + "}", "{id}"}
		d.Brief = append(d.Brief, last)
	}
	return d
}

func sentence(fields []string) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = humanize(f)
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return names[0]
}

// derivedAs maps the classes of the schema to ways of reading and showing.
var derivedAs = map[schema.Class]string{
	schema.Text: "text", schema.Choice: "choice", schema.Boolean: "boolean", schema.Integer: "integer",
	schema.Decimal: "float", schema.Time: "time", schema.Reference: "reference",
	schema.ReferenceSet: "references", schema.List: "json", schema.Map: "custom fields", schema.JSON: "json",
}

func derivedField(f *schema.Field) fieldData {
	fd := fieldData{As: derivedAs[f.Class], Label: f.Title, Help: f.Description, Required: f.Required,
		Null: f.Nullable, ReadOnly: f.ReadOnly, WriteOnly: f.WriteOnly, Default: f.Default}
	if f.Class == schema.Address {
		fd.As = map[string]string{"ip-interface": "interface", "ip-prefix": "prefix"}[f.Format]
		if fd.As == "" {
			fd.As = "ip"
		}
	}
	fd.Blank = fd.As == "text" && (f.MinLength == nil || *f.MinLength == 0) && !f.Required
	if f.MaxLength != nil {
		fd.MaxLength = *f.MaxLength
	}
	if fd.As == "integer" {
		fd.Min, fd.Max = limitText(f.Minimum), limitText(f.Maximum)
	}
	for _, v := range f.Enum {
		if v == "" {
			fd.Blank = true
			continue
		}
		fd.Choices = append(fd.Choices, v)
	}
	return fd
}

func limitText(v *float64) json.Number {
	if v == nil {
		return ""
	}
	return json.Number(fmt.Sprintf("%.0f", *v))
}
