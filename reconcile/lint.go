package reconcile

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// LintOptions say what of the findings is reported.
type LintOptions struct {
	Ignore []RiskIgnore // those of the project file
	// Partial says that not all manifests were read: an ignore that fits nothing
	// is no mistake then.
	Partial bool
	// WarningsOnly leaves out what is for information.
	WarningsOnly bool
}

// Lint applies the risk rules to desired objects and returns what it found
// together with what was found before. Objects are judged merged, by what they
// declare and nothing else; a secret counts as there. A finding that somebody
// turned off is left out, and that it was, and why, is reported instead.
func Lint(set *schema.Set, desired *State, found Diagnostics, o LintOptions) Diagnostics {
	l := &linter{set: set, options: o, ignores: map[Position]*ignoring{}}
	codes := RuleCodes(set)
	for _, d := range found {
		if _, rule := slices.BinarySearch(codes, d.Code); rule && d.Severity != Error {
			d.Trouble = Risk
			l.add(d, nil)
		} else {
			l.diags = append(l.diags, d)
		}
	}
	for _, kind := range sortedKeys(desired.Objects) {
		l.kind(desired.Objects[kind])
	}
	l.report()
	return l.diags.Sorted()
}

// linter is the work of one call of Lint.
type linter struct {
	set      *schema.Set
	options  LintOptions
	findings []finding
	ignores  map[Position]*ignoring // of metadata, by place: the items of a document share them
	diags    Diagnostics
}

// finding is a diagnostic of a rule, and the object that it is about.
type finding struct {
	Diagnostic
	object *Object
}

func (l *linter) add(d Diagnostic, o *Object) {
	if l.options.WarningsOnly && d.Severity != Warning {
		return
	}
	if o != nil {
		d.Object = o.String()
	}
	l.findings = append(l.findings, finding{d, o})
}

// kind judges the objects of one kind, but for those that are to go.
func (l *linter) kind(objects []*Object) {
	objects = slices.DeleteFunc(slices.Clone(objects), func(o *Object) bool { return o.Doc.Meta.Absent || o.Doc.Meta.Release })
	if len(objects) == 0 {
		return
	}
	kind := objects[0].Kind
	for _, o := range objects {
		l.declared(o)
		l.databaseIDs(o)
		l.unfilled(o)
		if len(kind.Lint) == 0 {
			continue
		}
		for _, rule := range l.set.Lints(kind, forSchema(o.Fields).(map[string]any)) {
			d := kindRule(kind, rule).Finding(o.fieldPos(rule.Field))
			d.Field = rule.Field
			l.add(d, o)
		}
	}
	for _, rule := range kind.Lint {
		l.same(kindRule(kind, rule), objects, rule.Same)
	}
}

// unfilled finds secret fields that a patch document leaves null.
func (l *linter) unfilled(o *Object) {
	for _, m := range o.Doc.Unfilled {
		d := SecretUnfilled.Finding(m.Pos)
		d.Field, d.Summary = m.Name, fmt.Sprintf("secret field %q is yet to be filled in", m.Name)
		l.add(d, o)
	}
}

// databaseIDs finds references written as {id: 42}, wherever they stand in a
// reference.
func (l *linter) databaseIDs(o *Object) {
	for i := range o.Doc.Spec.Members {
		m := &o.Doc.Spec.Members[i]
		if f := o.Kind.Field(m.Name); f == nil || f.Ref == nil {
			continue
		}
		walk(m.Value, func(n *Node) {
			if id := n.Member("id"); id != nil {
				d := DatabaseID.Finding(id.Pos)
				d.Field, d.Summary = m.Name, fmt.Sprintf("field %q has a reference by database id", m.Name)
				l.add(d, o)
			}
		})
	}
}

// same finds objects that share the values of all fields of a set with one that
// was declared before them. One such set is enough.
func (l *linter) same(rule Rule, objects []*Object, sets [][]string) {
	reported := map[*Object]bool{}
	for _, fields := range sets {
		first := map[string]*Object{}
		for _, o := range objects {
			key, ok := sharedKey(o, fields)
			if !ok {
				continue
			}
			before := first[key]
			if before == nil {
				first[key] = o
				continue
			}
			if reported[o] {
				continue
			}
			reported[o] = true
			d := rule.Finding(o.fieldPos(fields[0]))
			d.Field = fields[0]
			d.Related = []Related{{Pos: before.fieldPos(fields[0]), Message: "as here: " + before.String()}}
			l.add(d, o)
		}
	}
}

// sharedKey joins the values of some fields in one spelling; ok is false where
// one has none. A field that is not declared has the value that the server is
// documented to give a new object.
func sharedKey(o *Object, fields []string) (key string, ok bool) {
	var b []byte
	for _, name := range fields {
		f := o.Kind.Field(name)
		v, declared := o.Fields[name]
		if !declared {
			v = documentedDefault(f)
		}
		if text, isText := v.(string); isText {
			v = strings.ToLower(strings.TrimSpace(text)) // hosts are alike in any case
		}
		if v == nil || v == "" {
			return "", false
		}
		if ref, ok := v.(Selector); ok {
			v = withoutMasks(ref)
		}
		b = append(appendCanonical(b, f, v), 0)
	}
	return string(b), true
}

// withoutMasks is a reference whose addresses are those of hosts: one host may have
// an address object for each of several masks.
func withoutMasks(s Selector) Selector {
	s.Fields = maps.Clone(s.Fields)
	for name, v := range s.Fields {
		text, _ := v.(string)
		if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
			s.Fields[name] = p.Addr().String()
		}
	}
	return s
}

// documentedDefault is a field's default as a plain value.
func documentedDefault(f *schema.Field) any {
	number, ok := f.Default.(float64)
	if !ok {
		return f.Default
	}
	n, err := ParseNumber(fmt.Sprint(number))
	if err != nil {
		return nil
	}
	return n
}
