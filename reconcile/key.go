package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// maxKeyDepth bounds the way from a natural key through the references in it.
// No server nests keys deeper than three; a broken schema set may.
const maxKeyDepth = 16

// liveRow is the server's number of the object, wherever it is known.
func (o *Object) liveRow() RowID {
	if o.Row == 0 && o.Peer != nil {
		return o.Peer.Row
	}
	return o.Row
}

// declared is the desired side of the object where there is one: the side whose
// key counts, also while the server still has the old name.
func (o *Object) declared() *Object {
	if o.Doc == nil && o.Peer != nil {
		return o.Peer
	}
	return o
}

// field returns the value of a field as far as either side knows it: what the
// manifests declare, else what the server has.
func (o *Object) field(name string) (any, bool) {
	if v, ok := o.Fields[name]; ok {
		return v, true
	}
	if o.Peer != nil {
		v, ok := o.Peer.Fields[name]
		return v, ok
	}
	return nil, false
}

// keyText is the canonical text of the natural key, a list of the key fields'
// normal forms in which a reference is the key of its target. ok is false when
// a reference in it was not found.
func (o *Object) keyText() (text string, ok bool) { return o.keyTextDepth(0) }

func (o *Object) keyTextDepth(depth int) (string, bool) {
	if o.Key != "" {
		return o.Key, true
	}
	if depth > maxKeyDepth {
		return "", false
	}
	b := []byte{'['}
	for i, name := range o.Kind.Resource.Key {
		if i > 0 {
			b = append(b, ',')
		}
		v := o.Fields[name]
		switch ref := v.(type) {
		case Ref:
			if ref.Target == nil {
				b = fmt.Appendf(b, "%s#%d", ref.Kind, ref.Row)
				continue
			}
			key, ok := ref.Target.declared().keyTextDepth(depth + 1)
			if !ok {
				return "", false
			}
			b = append(b, key...)
		case Selector:
			return "", false
		default:
			b = appendCanonical(b, o.Kind.Field(name), v)
		}
	}
	return string(append(b, ']')), true
}

// heldKey is the key that a live object has on the server, also while it, or an
// object in its key, is being renamed.
func (o *Object) heldKey(depth int) string {
	if depth > maxKeyDepth {
		return ""
	}
	b := []byte{'['}
	for i, name := range o.Kind.Resource.Key {
		if i > 0 {
			b = append(b, ',')
		}
		ref, ok := o.Fields[name].(Ref)
		switch {
		case !ok:
			b = appendCanonical(b, o.Kind.Field(name), o.Fields[name])
		case ref.Target == nil:
			b = fmt.Appendf(b, "%s#%d", ref.Kind, ref.Row)
		case ref.Target.Doc != nil && ref.Target.Peer != nil:
			b = append(b, ref.Target.Peer.heldKey(depth+1)...)
		default:
			b = append(b, ref.Target.heldKey(depth+1)...)
		}
	}
	return string(append(b, ']'))
}

// writtenKey is the key of a desired object as written, before references are
// found: what patches and double declarations are recognised by.
func (o *Object) writtenKey() string {
	var b []byte
	for _, name := range o.Kind.Resource.Key {
		b = append(appendCanonical(b, o.Kind.Field(name), o.Fields[name]), 0)
	}
	return string(b)
}

// identity is the key plus the declared fields of the server's unique
// constraints, which tell namesakes apart.
func (o *Object) identity() string {
	key, ok := o.keyText()
	if !ok {
		key = o.writtenKey()
	}
	b := []byte(key)
	for _, name := range extraUnique(o.Kind) {
		if v, ok := o.Fields[name]; ok {
			b = append(append(b, '|'), name...)
			b = appendCanonical(append(b, '='), o.Kind.Field(name), v)
		}
	}
	return string(b)
}

// extraUnique lists the fields of a kind's unique constraints that its key
// does not have, in the order of the schema file.
func extraUnique(k *schema.Kind) []string {
	var names []string
	for _, constraint := range k.Resource.Unique {
		for _, name := range constraint {
			if !slices.Contains(k.Resource.Key, name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Display is the natural key for people: "prod/local-lvm". It is empty for a
// singleton. Parts that are null are left out.
func (o *Object) Display() string { return o.display(0) }

func (o *Object) display(depth int) string {
	if depth > maxKeyDepth {
		return "…"
	}
	var parts []string
	for _, name := range o.Kind.Resource.Key {
		v, _ := o.field(name)
		if text := displayValue(v, depth+1); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "/")
}

// String is the kind and the key: "ProxmoxStorage prod/local-lvm", and the kind
// alone for a singleton. An empty key is called so: "ProxmoxEndpoint (no name)".
func (o *Object) String() string {
	if d := o.Display(); d != "" {
		return o.Kind.Name + " " + d
	}
	if key := o.Kind.Resource.Key; len(key) > 0 {
		return o.Kind.Name + " (no " + strings.Join(key, ", ") + ")"
	}
	return o.Kind.Name
}

// Label is String with what tells the object from its namesakes: its row on the
// server, or the fields that the manifest declares for that.
func (o *Object) Label() string {
	if row := o.liveRow(); row != 0 {
		return fmt.Sprintf("%s (id %d)", o, row)
	}
	var extra []string
	for _, name := range extraUnique(o.Kind) {
		if v, ok := o.Fields[name]; ok && v != nil {
			extra = append(extra, name+"="+displayValue(v, 0))
		}
	}
	if len(extra) == 0 {
		return o.String()
	}
	return fmt.Sprintf("%s (%s)", o, strings.Join(extra, ", "))
}

func displayValue(v any, depth int) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return shorten(strings.TrimSpace(v))
	case []any, map[string]any:
		return "(not a single value)"
	case Number:
		return string(v)
	case Ref:
		if v.Target != nil {
			return v.Target.display(depth)
		}
		return fmt.Sprintf("id %d", v.Row)
	case Selector:
		return displaySelector(v, depth)
	case Secret:
		return Redacted
	default:
		return fmt.Sprint(v)
	}
}

func displaySelector(s Selector, depth int) string {
	if s.Row != 0 {
		return fmt.Sprintf("id %d", s.Row)
	}
	if len(s.Fields) == 1 {
		for _, v := range s.Fields {
			return displayValue(v, depth)
		}
	}
	var parts []string
	for _, name := range sortedKeys(s.Fields) {
		parts = append(parts, name+"="+displayValue(s.Fields[name], depth))
	}
	return strings.Join(parts, ", ")
}

// Shown turns a value into one for output: a reference into the display text
// of its target's key, a secret into its redaction.
func Shown(v any) any {
	switch v := v.(type) {
	case Ref, Selector:
		return displayValue(v, 0)
	case RowID:
		return Number(fmt.Sprint(int64(v)))
	case Secret:
		return Redacted
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = Shown(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = Shown(v[k])
		}
		return out
	}
	return v
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
