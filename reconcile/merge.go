package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// merge applies patch documents to their bases: a JSON merge patch (RFC 7396)
// of the spec, by field. References and secrets are replaced whole.
func (d *desiring) merge(patches []*Object) {
	bases := map[string][]*Object{}
	for _, objects := range d.state.Objects {
		for _, o := range objects {
			key := o.Kind.Name + "\x00" + o.writtenKey()
			bases[key] = append(bases[key], o)
		}
	}
	patchedBy := map[*Object]map[string]Position{}
	for _, patch := range patches {
		if d.keyIncomplete(patch) {
			d.patchKeyMissing(patch)
			continue
		}
		base := d.base(patch, bases[patch.Kind.Name+"\x00"+patch.writtenKey()])
		if base == nil {
			continue
		}
		if patchedBy[base] == nil {
			patchedBy[base] = map[string]Position{}
		}
		d.apply(base, patch, patchedBy[base])
	}
}

func (d *desiring) patchKeyMissing(patch *Object) {
	for _, name := range patch.Kind.Resource.Key {
		if _, ok := patch.Fields[name]; !ok && !d.broken[patch][name] {
			d.add(Diagnostic{Code: "missing-key", Pos: patch.Doc.Pos, Object: patch.Kind.Name, Field: name,
				Summary: fmt.Sprintf("key field %q is missing", name), Detail: "it says which document is patched"})
		}
	}
}

// base finds the one document that a patch is for; namesakes are told apart by
// the other unique fields that the patch names.
func (d *desiring) base(patch *Object, candidates []*Object) *Object {
	if len(candidates) > 1 && len(candidates) <= maxNamesakes {
		candidates = slices.DeleteFunc(slices.Clone(candidates), func(o *Object) bool { return !sameUnique(patch, o) })
	}
	switch len(candidates) {
	case 1:
		return candidates[0]
	case 0:
		d.add(Diagnostic{Code: "patch-without-base", Pos: patch.Doc.Pos, Object: patch.String(),
			Summary: "a patch without a document to patch",
			Detail:  d.hints.near(patch.Display(), d.state.Objects[patch.Kind.Name]) + patchAdvice(patch)})
	default:
		x := Diagnostic{Code: "ambiguous-patch", Pos: patch.Doc.Pos, Object: patch.String(),
			Summary: "a patch that fits several documents", Detail: "name further fields that tell them apart"}
		for _, o := range candidates[:min(len(candidates), maxListed)] {
			x.Related = append(x.Related, Related{Pos: o.Doc.Pos, Message: "it may be this one"})
		}
		d.add(x)
	}
	return nil
}

// maxNamesakes bounds how many documents with one key a patch is compared with.
const maxNamesakes = 100

func patchAdvice(patch *Object) string {
	if len(patch.Kind.Resource.Key) == 0 {
		return ""
	}
	return fmt.Sprintf("(a patch names the same %s as its base; both must be among the files of this run)",
		strings.Join(patch.Kind.Resource.Key, " and "))
}

// sameUnique reports whether the unique fields that both objects declare agree.
func sameUnique(a, b *Object) bool {
	for _, name := range extraUnique(a.Kind) {
		va, ok := a.Fields[name]
		vb, has := b.Fields[name]
		if ok && has && canonical(a.Kind.Field(name), va) != canonical(a.Kind.Field(name), vb) {
			return false
		}
	}
	return true
}

// apply merges one patch into its base. Two patches that set one field are a
// mistake: which one won would depend on the names of files.
func (d *desiring) apply(base, patch *Object, by map[string]Position) {
	merged := *base.Doc
	spec := *base.Doc.Spec
	spec.Members = slices.Clone(spec.Members)
	for i := range patch.Doc.Spec.Members {
		m := patch.Doc.Spec.Members[i]
		if slices.Contains(base.Kind.Resource.Key, m.Name) {
			continue
		}
		if pos, ok := by[m.Name]; ok && !sameNode(base.Doc.Spec.Member(m.Name), m.Value) {
			d.add(Diagnostic{Code: "patched-twice", Pos: m.Pos, Object: base.String(), Field: m.Name,
				Summary: fmt.Sprintf("field %q is set by two patches", m.Name),
				Related: []Related{{Pos: pos, Message: "first set here"}}})
			continue
		}
		by[m.Name] = m.Pos
		if d.broken[patch][m.Name] {
			d.markBroken(base, m.Name)
			continue
		}
		f := base.Kind.Field(m.Name)
		old := base.Doc.Spec.Member(m.Name)
		value, node := patch.Fields[m.Name], m.Value
		if old != nil && (f.Class == schema.JSON || f.Class == schema.Map) {
			node = mergeNode(old, m.Value)
			value = plain(node)
		}
		setMember(&spec, Member{Name: m.Name, Pos: m.Pos, Value: node, Patched: true})
		if isNull(m.Value) {
			removeMember(&spec, m.Name)
			delete(base.Fields, m.Name)
			if f.WriteOnly {
				merged.Unfilled = append(slices.Clone(merged.Unfilled), m)
			}
			continue
		}
		base.Fields[m.Name] = value
	}
	merged.Spec = &spec
	base.Doc = &merged
}

func isNull(n *Node) bool { return n.Shape == Scalar && n.Value == nil }

func sameNode(a, b *Node) bool {
	if a == nil || b == nil {
		return false
	}
	return string(appendExact(nil, plain(a))) == string(appendExact(nil, plain(b)))
}

// mergeNode is RFC 7396 on nodes: null removes, mappings merge, all else replaces.
func mergeNode(old, patch *Node) *Node {
	if old.Shape != Mapping || patch.Shape != Mapping {
		return patch
	}
	merged := *old
	merged.Members = slices.Clone(old.Members)
	for _, m := range patch.Members {
		switch before := old.Member(m.Name); {
		case isNull(m.Value):
			removeMember(&merged, m.Name)
		case before != nil:
			m.Value = mergeNode(before, m.Value)
			setMember(&merged, m)
		default:
			setMember(&merged, m)
		}
	}
	return &merged
}

func setMember(n *Node, m Member) {
	for i := range n.Members {
		if n.Members[i].Name == m.Name {
			n.Members[i] = m
			return
		}
	}
	n.Members = append(n.Members, m)
}

func removeMember(n *Node, name string) {
	n.Members = slices.DeleteFunc(n.Members, func(m Member) bool { return m.Name == name })
}
