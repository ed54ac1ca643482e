package reconcile

import "fmt"

// bereft refuses deletes of objects that documents of this run refer to: the
// server would delete what refers to them as well, or empty the reference, and the
// next run could not find what the manifests speak of.
func bereft(desired *State, changes []*Change) Diagnostics {
	deleted := map[*Object]bool{}
	for _, c := range changes {
		if c.Action == Delete {
			deleted[c.Live] = true
		}
	}
	if len(deleted) == 0 {
		return nil
	}
	var diags Diagnostics
	for _, kind := range sortedKeys(desired.Objects) {
		for _, o := range desired.Objects[kind] {
			if o.Doc.Meta.Absent || o.Doc.Meta.Release {
				continue
			}
			for _, name := range sortedKeys(o.Fields) {
				if target := o.deletedTarget(o.Fields[name], deleted); target != nil {
					diags = append(diags, Diagnostic{Severity: Error, Trouble: Policy, Code: "reference-to-deleted", Pos: o.fieldPos(name),
						Object: o.String(), Field: name, Summary: fmt.Sprintf("field %q refers to %s, which this plan deletes", name, target),
						Detail: "declare that object again, or let this one refer to another, or remove it as well"})
				}
			}
		}
	}
	return diags
}

// deletedTarget is the live object that a reference leads to and that is deleted.
func (o *Object) deletedTarget(v any, deleted map[*Object]bool) *Object {
	switch v := v.(type) {
	case Ref:
		switch {
		case v.Target == nil:
		case deleted[v.Target]:
			return v.Target
		case deleted[v.Target.Peer]:
			return v.Target.Peer
		}
	case []any:
		for _, item := range v {
			if target := o.deletedTarget(item, deleted); target != nil {
				return target
			}
		}
	}
	return nil
}
