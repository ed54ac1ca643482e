package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"proxbox-sync/schema"
)

// checkMetadata reports metadata that contradicts the kind. What contradicts
// itself is found where files are read.
func (d *desiring) checkMetadata(o *Object) {
	meta, kind := o.Doc.Meta, o.Kind
	if kind.Resource.Mode == schema.Singleton && meta.CreateOnly {
		d.add(Diagnostic{Code: "metadata", Pos: meta.Pos, Object: kind.Name, Summary: kind.Name + " can't be created",
			Detail: "there is always exactly one, made by the server: remove createOnly"})
	}
	if kind.Resource.Mode == schema.Singleton && meta.Absent {
		d.add(Diagnostic{Code: "metadata", Pos: meta.Pos, Object: kind.Name, Summary: kind.Name + " can't be deleted",
			Detail: "there is always exactly one, made by the server: remove absent"})
	}
	for _, ignore := range meta.IgnoreChanges {
		d.checkIgnore(kind, ignore.Path, ignore.Pos)
	}
	for _, ignore := range meta.IgnoreRisks {
		if codes := RuleCodes(d.set); !slices.Contains(codes, ignore.Code) {
			d.add(Diagnostic{Code: "unknown-rule", Pos: ignore.Pos, Object: kind.Name,
				Summary: fmt.Sprintf("ignoreRisks: there is no rule %q", shorten(ignore.Code)), Detail: didYouMean(ignore.Code, codes, "the rules: ")})
		}
	}
}

// checkIgnored reports mistakes in the project file's ignore_changes.
func (d *desiring) checkIgnored() {
	for _, name := range sortedKeys(d.options.IgnoreChanges) {
		kind := d.set.Kind(name)
		if kind == nil {
			d.add(Diagnostic{Code: "unknown-kind", Summary: fmt.Sprintf("ignore_changes in the project file: unknown kind %q", name),
				Detail: didYouMean(name, managedKinds(d.set), "known kinds: ")})
			continue
		}
		for _, path := range d.options.IgnoreChanges[name] {
			d.checkIgnore(kind, path, Position{})
		}
	}
}

func (d *desiring) checkIgnore(kind *schema.Kind, path string, pos Position) {
	name, inner, dotted := strings.Cut(path, ".")
	f := kind.Field(name)
	switch {
	case f == nil || f.ReadOnly:
		d.add(Diagnostic{Code: "unknown-field", Pos: pos, Object: kind.Name, Field: path,
			Summary: fmt.Sprintf("ignoreChanges: %s has no field %q", kind.Name, name),
			Detail:  didYouMean(name, writableFields(kind), "")})
	case dotted && (f.Class != schema.JSON && f.Class != schema.Map || inner == ""):
		d.add(Diagnostic{Code: "unknown-field", Pos: pos, Object: kind.Name, Field: path,
			Summary: fmt.Sprintf("ignoreChanges: field %q has nothing inside that could be ignored", name)})
	case slices.Contains(kind.Resource.Key, name):
		d.add(Diagnostic{Code: "metadata", Pos: pos, Object: kind.Name, Field: path,
			Summary: fmt.Sprintf("ignoreChanges: field %q is part of the key", name)})
	}
}

// check reports what the schema has against a complete object.
func (d *desiring) check(o *Object) {
	form := schema.Whole
	if o.Doc.Meta.Existing || o.Doc.Meta.Absent || o.Doc.Meta.Release || o.Kind.Resource.Mode == schema.Singleton {
		form = schema.Partial
	}
	d.problems(o, d.set.Validate(o.Kind, d.written(o), form))
	for _, name := range o.Kind.Resource.Key {
		if _, ok := o.Fields[name]; ok || d.broken[o][name] {
			continue
		}
		if form == schema.Whole && slices.Contains(o.Kind.Required, name) {
			continue // reported as required
		}
		detail := "it identifies the object"
		if o.Kind.Field(name).Nullable {
			detail += "; write null for none"
		}
		d.add(Diagnostic{Code: "missing-key", Pos: o.Doc.Pos, Object: o.String(), Field: name,
			Summary: fmt.Sprintf("key field %q is missing", name), Detail: detail})
	}
}

// written is what the schema checks: the fields of an object, and those that
// were refused as they stand in the file, so that a rule across fields does not
// miss them.
func (d *desiring) written(o *Object) map[string]any {
	value := forSchema(o.Fields).(map[string]any)
	for name := range d.broken[o] {
		if o.Kind.Field(name) == nil {
			continue // thousands of unknown names are no reason to search for each
		}
		if n := o.Doc.Spec.Member(name); n != nil {
			value[name] = forSchema(plain(n))
		}
	}
	return value
}

// problems turns what the schema says into diagnostics at the right places.
func (d *desiring) problems(o *Object, problems []schema.Problem) {
	for _, p := range problems {
		if p.Field != "" && d.broken[o][p.Field] {
			continue
		}
		pos, node := o.Doc.at(p.Pointer)
		x := Diagnostic{Code: problemCode(p.Keyword), Pos: pos, Object: o.String(), Field: p.Field,
			Summary: p.Message, Detail: p.Hint}
		if p.Field != "" {
			x.Summary = fmt.Sprintf("field %q %s", pointerText(p), p.Message)
		}
		if x.Detail == "" && p.Keyword == "type" {
			x.Detail = plainHint(node)
		}
		d.add(x)
	}
}

func pointerText(p schema.Problem) string {
	if p.Keyword == "required" || p.Pointer == "" || p.Pointer == "/"+p.Field {
		return p.Field
	}
	return strings.ReplaceAll(strings.TrimPrefix(p.Pointer, "/"), "/", ".")
}

func problemCode(keyword string) string {
	switch keyword {
	case "type":
		return "wrong-type"
	case "enum", "const":
		return "bad-choice"
	case "required":
		return "missing-field"
	case "rule":
		return "rule"
	}
	return "bad-value"
}

// plainHint says how to write a scalar whose unquoted form was read as
// something else than was meant.
func plainHint(n *Node) string {
	if n == nil {
		return ""
	}
	switch n.Value.(type) {
	case Number:
		return fmt.Sprintf("if text is meant, put it in quotes: %q", n.Plain)
	case bool:
		return "if text is meant, put it in quotes"
	}
	switch strings.ToLower(n.Plain) {
	case "yes", "on", "y":
		return "write true"
	case "no", "off", "n":
		return "write false"
	}
	return ""
}

// at finds the node that a JSON pointer names in the spec. Where the pointer
// leads to something that isn't written, it is the nearest place above it.
func (doc *Document) at(pointer string) (Position, *Node) {
	pos, n := doc.Pos, doc.Spec
	if pointer == "" || n == nil {
		return pos, nil
	}
	for _, token := range strings.Split(pointer[1:], "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		var next *Node
		if n.Shape == Sequence {
			if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(n.Items) {
				next = n.Items[i]
			}
		} else {
			next = n.Member(token)
		}
		if next == nil {
			return pos, nil
		}
		pos, n = next.Pos, next
	}
	return pos, n
}

// fieldPos is where a field of a desired object was written.
func (o *Object) fieldPos(name string) Position {
	if o.Doc == nil {
		return Position{}
	}
	pos, _ := o.Doc.at("/" + name)
	return pos
}

// checkTwins reports documents that declare the same object, as far as they
// write their keys alike; Link finds the rest.
func (d *desiring) checkTwins(objects []*Object) {
	groups := make(map[string][]*Object, len(objects))
	for _, o := range objects {
		if d.keyIncomplete(o) {
			continue
		}
		key := o.writtenKey()
		if first := twinAmong(groups[key], o); first != nil {
			d.add(twins(first, o))
			continue
		}
		groups[key] = append(groups[key], o)
	}
}

// twinAmong returns the one of several objects with one key that another can't
// be told from: no unique field that both declare differs. Only the first
// hundred namesakes are compared.
func twinAmong(namesakes []*Object, o *Object) *Object {
	for _, first := range namesakes[:min(len(namesakes), maxNamesakes)] {
		if sameUnique(first, o) {
			return first
		}
	}
	return nil
}

func (d *desiring) keyIncomplete(o *Object) bool {
	return slices.ContainsFunc(o.Kind.Resource.Key, func(name string) bool {
		_, ok := o.Fields[name]
		return !ok || d.broken[o][name]
	})
}

func twins(first, second *Object) Diagnostic {
	return Diagnostic{Severity: Error, Code: "declared-twice", Pos: second.Doc.Pos, Object: second.String(),
		Summary: "declared twice",
		Detail:  "keep one of them; to add fields from another file, use metadata.patch",
		Related: []Related{{Pos: first.Doc.Pos, Message: "first declared here"}}}
}
