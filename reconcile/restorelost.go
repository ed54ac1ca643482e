package reconcile

import (
	"fmt"
	"maps"
	"slices"

	"proxbox-sync/schema"
)

// lose takes out of the desired state what can't come back: objects that somebody
// else makes and has not made yet, and references to what is nowhere, each with
// no more of its object than has to go. What is lost may be what others refer to,
// so this goes on until nothing more is found.
func (v *survey) lose() {
	for again := true; again; {
		again = false
		for _, kind := range sortedKeys(v.desired.Objects) {
			for _, o := range v.desired.Objects[kind] {
				if !v.gone[o] && v.loses(o) {
					again = true
				}
			}
		}
	}
	for kind, objects := range v.desired.Objects {
		v.desired.Objects[kind] = slices.DeleteFunc(objects, func(o *Object) bool { return v.gone[o] })
	}
}

// loses looks at one object and reports whether the whole of it is lost.
func (v *survey) loses(o *Object) bool {
	if why := v.untold.objects[o]; why != "" {
		return v.drop(o, Lost{Object: o, Untold: true, There: true, Why: why})
	}
	if o.Peer == nil && o.Doc.Meta.Existing {
		return v.drop(o, Lost{Object: o, Waits: true,
			Why: "metadata.existing: somebody else makes it, such as the plugin's synchronisation, and has not yet"})
	}
	if o.Peer == nil {
		for _, name := range o.Kind.Resource.Key {
			if l := v.missing(o, name, o.Fields[name]); l != nil {
				return v.drop(o, *l)
			}
		}
	}
	for _, f := range referenceFields(o.Kind) {
		value, declared := o.Fields[f.Name]
		if !declared {
			continue
		}
		rest, lost := v.present(o, f, value)
		if len(lost) == 0 {
			continue
		}
		v.keep(o, f, rest)
		switch {
		case o.Peer == nil && v.needs(o, f):
			return v.drop(o, lost[0])
		case o.Peer == nil || !o.Doc.Meta.CreateOnly: // what is not updated loses nothing
			v.lost = append(v.lost, lost...)
		}
	}
	if why := v.wantsSecret(o); why != "" {
		return v.drop(o, Lost{Object: o, Secretless: true, Why: why})
	}
	return false
}

// wantsSecret says which secret an object can't be created without and that the
// manifests do not have, "" where nothing else than a secret is missing or nothing.
func (v *survey) wantsSecret(o *Object) string {
	if o.Peer != nil || len(o.Kind.Resource.Create) == 0 {
		return ""
	}
	problems := v.set.Validate(o.Kind, forSchema(o.Fields).(map[string]any), schema.Create)
	if len(problems) == 0 {
		return ""
	}
	full := maps.Clone(o.Fields)
	for _, name := range writeOnlyFields(o.Kind) {
		if Empty(full[name]) {
			full[name] = Redacted
		}
	}
	if len(v.set.Validate(o.Kind, forSchema(full).(map[string]any), schema.Create)) > 0 {
		return "" // a mistake of the manifests, which is reported as one
	}
	return problems[0].Message + ", which no manifest has"
}

func (v *survey) drop(o *Object, why Lost) bool {
	why.Field = ""
	v.gone[o], v.waits[o] = true, why.Waits
	v.lost = append(v.lost, why)
	return true
}

// present parts a value into what can be referred to and what is lost.
func (v *survey) present(o *Object, f *schema.Field, value any) (any, []Lost) {
	list, several := value.([]any)
	if !several {
		if l := v.missing(o, f.Name, value); l != nil {
			return nil, []Lost{*l}
		}
		return value, nil
	}
	var lost []Lost
	rest := make([]any, 0, len(list))
	for _, item := range list {
		if l := v.missing(o, f.Name, item); l != nil {
			lost = append(lost, *l)
			continue
		}
		rest = append(rest, item)
	}
	return rest, lost
}

// missing says why a reference leads nowhere, nil where it leads to something or
// is none.
func (v *survey) missing(o *Object, field string, value any) *Lost {
	switch ref := value.(type) {
	case Selector:
		nowhere := "which is in no manifest and not on the server"
		if v.drill {
			nowhere = "which is in no manifest"
		}
		several := v.untold.references[referenceAt{o, ref.Pos}]
		if several != "" {
			nowhere = several
		}
		return &Lost{Object: o, Field: field, Why: fmt.Sprintf("refers to %s %s, %s", ref.Kind, displaySelector(ref, 0), nowhere), Untold: several != ""}
	case Ref:
		switch {
		case v.untold.objects[ref.Target] != "":
			return &Lost{Object: o, Field: field, Why: fmt.Sprintf("refers to %s, which can't be told from its namesakes", ref.Target), Behind: true}
		case v.gone[ref.Target]:
			return &Lost{Object: o, Field: field, Why: fmt.Sprintf("refers to %s, which does not come back", ref.Target),
				Waits: v.waits[ref.Target], Behind: true}
		}
	}
	return nil
}

// keep puts what is left of a field in place of it; a single reference goes.
func (v *survey) keep(o *Object, f *schema.Field, rest any) {
	if rest == nil {
		delete(o.Fields, f.Name)
		return
	}
	o.Fields[f.Name] = rest
}

// needs reports whether an object that is to be created can't be without a field
// that was taken from it.
func (v *survey) needs(o *Object, f *schema.Field) bool {
	if _, there := o.Fields[f.Name]; f.Required && !there {
		return true
	}
	return len(v.set.Validate(o.Kind, forSchema(o.Fields).(map[string]any), schema.Create)) > 0
}
