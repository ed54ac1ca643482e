package reconcile

import (
	"strings"

	"proxbox-sync/schema"
)

// row is the server's number of an object, also of one made in this run.
func (a *applying) row(o *Object) RowID {
	if row := a.rows[o]; row != 0 {
		return row
	}
	return o.liveRow()
}

// write turns a step into what goes over the wire: keys become numbers here and
// nowhere else.
func (a *applying) write(s *Step) Write {
	c := s.Change
	w := Write{Row: a.row(c.Object()), Fields: map[string]any{}, Message: a.options.Message}
	if c.Live != nil {
		w.IfVersion = c.Live.Version
	}
	if v := a.versions[c.Object()]; v != "" {
		w.IfVersion = v
	}
	if c.Action == Create {
		w.Row, w.IfVersion = 0, ""
	}
	for _, fc := range c.Fields {
		value := a.wireValue(fc.Field, fc.wire)
		if entry, ok := strings.CutPrefix(fc.Name, fc.Field.Name+"."); ok {
			entries, _ := w.Fields[fc.Field.Name].(map[string]any)
			if entries == nil {
				entries = map[string]any{}
				w.Fields[fc.Field.Name] = entries
			}
			entries[entry] = value
			continue
		}
		w.Fields[fc.Name] = value
	}
	if c.Marker != nil {
		entries, _ := w.Fields[customFields].(map[string]any)
		if entries == nil {
			entries = map[string]any{}
			w.Fields[customFields] = entries
		}
		entries[MarkerField] = c.Marker.value
	}
	for _, secret := range c.Secrets {
		w.Fields[secret.Name] = c.Desired.Fields[secret.Name]
	}
	return w
}

// wireValue resolves references and writes "nothing" as the field's server
// takes it: NetBox has no null for text and lists that are not nullable.
func (a *applying) wireValue(f *schema.Field, v any) any {
	switch v := v.(type) {
	case nil:
		switch {
		case f.Nullable || f.Class == schema.Map:
			return nil
		case f.Class == schema.ReferenceSet || f.Class == schema.List:
			return []any{}
		case f.Class == schema.Text || f.Class == schema.Choice || f.Class == schema.Address:
			return ""
		}
		return nil
	case Ref:
		if v.Target != nil {
			return a.row(v.Target)
		}
		return v.Row
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = a.wireValue(f, v[i])
		}
		return list
	}
	return v
}
