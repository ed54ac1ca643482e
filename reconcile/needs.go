package reconcile

import (
	"proxbox-sync/schema"
)

// needs collects the fields to read by kind, and the names of the objects.
type needs struct {
	set    *schema.Set
	wanted map[string]map[string]bool
	naming *naming
}

func newNeeds(set *schema.Set) *needs {
	return &needs{set: set, wanted: map[string]map[string]bool{}, naming: newNaming()}
}

// field notes that a field of a kind is needed, and with it the keys of what it
// refers to.
func (n *needs) field(kind *schema.Kind, name string) {
	f := kind.Field(name)
	if f == nil || f.WriteOnly {
		return
	}
	n.key(kind)
	if n.wanted[kind.Name][name] {
		return
	}
	n.wanted[kind.Name][name] = true
	if f.Ref != nil {
		n.key(n.set.Kind(f.Ref.Kind))
	}
}

// key notes that objects of a kind are needed, by their natural key.
func (n *needs) key(kind *schema.Kind) {
	if n.wanted[kind.Name] != nil {
		return
	}
	n.wanted[kind.Name] = map[string]bool{}
	n.fields(kind, kind.Resource.Key)
}

func (n *needs) fields(kind *schema.Kind, names []string) {
	for _, name := range names {
		n.field(kind, name)
	}
}

func (n *needs) object(o *Object) {
	n.key(o.Kind)
	n.naming.object(o)
	for name, v := range o.Fields {
		n.field(o.Kind, name)
		n.value(v)
		if o.Kind.Field(name).WriteOnly {
			n.choices(o.Kind)
		}
	}
}

// choices notes the fields by which the rules of a kind tell which secrets the
// server takes.
func (n *needs) choices(kind *schema.Kind) {
	for _, f := range kind.Fields {
		if f.Class == schema.Choice {
			n.field(kind, f.Name)
		}
	}
}

func (n *needs) value(v any) {
	switch v := v.(type) {
	case Selector:
		kind := n.set.Kind(v.Kind)
		n.key(kind)
		n.naming.selector(kind, v)
		for name, inner := range v.Fields {
			n.field(kind, name)
			n.value(inner)
		}
	case []any:
		for _, item := range v {
			n.value(item)
		}
	}
}

func (n *needs) kinds() map[string]bool {
	out := make(map[string]bool, len(n.wanted))
	for kind := range n.wanted {
		out[kind] = true
	}
	return out
}

func (n *needs) queries() []Query {
	var queries []Query
	for _, kind := range sortedKeys(n.wanted) {
		queries = append(queries, Query{Kind: kind, Fields: sortedKeys(n.wanted[kind])})
	}
	return queries
}
