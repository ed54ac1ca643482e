package manifest

import (
	"fmt"
	"slices"

	"proxbox-sync/reconcile"
)

var metadataKeys = []string{"existing", "createOnly", "ignoreChanges", "patch", "protect"}

// metadata reads how the tool is to treat an object.
func (f *file) metadata(n *reconcile.Node) reconcile.Metadata {
	meta := reconcile.Metadata{Pos: n.Pos}
	if n.Shape == reconcile.Scalar && n.Value == nil {
		return meta
	}
	if !f.fields(n, "metadata") {
		return meta
	}
	for _, m := range n.Members {
		switch m.Name {
		case "existing":
			meta.Existing = f.flag(m)
		case "createOnly":
			meta.CreateOnly = f.flag(m)
		case "patch":
			meta.Patch = f.flag(m)
		case "protect":
			meta.Protect = f.flag(m)
		case "ignoreChanges":
			meta.IgnoreChanges = f.ignoreChanges(m.Value)
		case "renamedFrom", "absent", "release":
			f.report(m.Pos, "not-in-this-version", fmt.Sprintf("metadata.%s is not in this version of proxbox-sync", m.Name), "")
		default:
			f.report(m.Pos, "unknown-key", fmt.Sprintf("unknown key %q in metadata", m.Name),
				suggest(m.Name, metadataKeys, "metadata says how proxbox-sync treats the object; its name and labels are fields and stand under spec."))
		}
	}
	f.contradictions(n, meta)
	return meta
}

// flag reads true or false. The words that YAML 1.1 took for them get a hint,
// since they are text now.
func (f *file) flag(m reconcile.Member) bool {
	value, ok := m.Value.Value.(bool)
	if ok && m.Value.Shape == reconcile.Scalar {
		return value
	}
	if _, secret := m.Value.Value.(reconcile.Secret); secret {
		f.encrypted(m.Value, "metadata."+m.Name)
		return false
	}
	detail := ""
	if switches[m.Value.Plain] {
		detail = "yes, no, on and off are texts; write true or false."
	}
	f.report(m.Value.Pos, "wrong-type", fmt.Sprintf("metadata.%s must be true or false", m.Name), detail)
	return false
}

func (f *file) ignoreChanges(n *reconcile.Node) []reconcile.Ignore {
	if n.Shape != reconcile.Sequence {
		f.report(n.Pos, "wrong-type", "metadata.ignoreChanges must be a list of field names", "")
		return nil
	}
	var out []reconcile.Ignore
	for _, item := range n.Items {
		path, ok := f.text(item, "an entry of metadata.ignoreChanges")
		if ok && !slices.ContainsFunc(out, func(x reconcile.Ignore) bool { return x.Path == path }) {
			out = append(out, reconcile.Ignore{Path: path, Pos: item.Pos})
		}
	}
	return out
}

// contradictions reports settings that can't be meant together.
func (f *file) contradictions(n *reconcile.Node, meta reconcile.Metadata) {
	if meta.Existing && meta.CreateOnly {
		f.report(n.Member("createOnly").Pos, "contradiction", "existing and createOnly contradict each other",
			"An existing object is never created by proxbox-sync; a createOnly one is created and never updated.")
	}
	if !meta.Patch {
		return
	}
	for _, m := range n.Members {
		if m.Name != "patch" && slices.Contains(metadataKeys, m.Name) {
			f.report(m.Pos, "contradiction", fmt.Sprintf("metadata.%s in a patch", m.Name),
				"A patch only adds fields. How the object is treated is said where it is declared.")
		}
	}
}
