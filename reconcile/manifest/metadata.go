package manifest

import (
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

var metadataKeys = []string{"existing", "createOnly", "ignoreChanges", "ignoreRisks", "patch", "protect", "renamedFrom", "absent", "release"}

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
		case "ignoreChanges":
			meta.IgnoreChanges = f.ignoreChanges(m.Value)
		case "ignoreRisks":
			meta.IgnoreRisks = f.ignoreRisks(m.Value)
		case "protect":
			meta.Protect = f.flag(m)
		case "absent":
			meta.Absent = f.flag(m)
		case "release":
			meta.Release = f.flag(m)
		case "renamedFrom":
			meta.RenamedFrom = f.renamedFrom(m.Value)
		default:
			f.report(m.Pos, "unknown-key", fmt.Sprintf("unknown key %s in metadata", quoted(m.Name)),
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

// renamedFrom takes the old key, written as a reference is: as one value, or as
// a mapping of key fields. What the values mean is the business of the kind.
func (f *file) renamedFrom(n *reconcile.Node) *reconcile.Node {
	secret := false
	switch {
	case n.Shape == reconcile.Mapping:
		for _, m := range n.Members {
			_, sealed := m.Value.Value.(reconcile.Secret)
			secret = secret || sealed
		}
	case n.Shape == reconcile.Scalar && n.Value != nil && n.Value != "":
		_, secret = n.Value.(reconcile.Secret)
	default:
		f.report(n.Pos, "wrong-type", "metadata.renamedFrom must be the old key", "Write the old name, or a mapping of the key fields that changed.")
		return nil
	}
	if secret {
		f.encrypted(n, "metadata.renamedFrom")
		return nil
	}
	return n
}

func (f *file) ignoreChanges(n *reconcile.Node) []reconcile.Ignore {
	if n.Shape != reconcile.Sequence {
		f.report(n.Pos, "wrong-type", "metadata.ignoreChanges must be a list of field names", "")
		return nil
	}
	var out []reconcile.Ignore
	have := make(map[string]bool, len(n.Items))
	for _, item := range n.Items {
		path, ok := f.text(item, "an entry of metadata.ignoreChanges")
		if ok && !have[path] {
			have[path] = true
			out = append(out, reconcile.Ignore{Path: path, Pos: item.Pos})
		}
	}
	return out
}

// ignoreRisks takes the rules that are turned off. Each has a reason, which
// every report shows.
func (f *file) ignoreRisks(n *reconcile.Node) []reconcile.RiskIgnore {
	if n.Shape != reconcile.Sequence {
		f.report(n.Pos, "wrong-type", "metadata.ignoreRisks must be a list", "Each entry is {code: RULE, reason: TEXT}.")
		return nil
	}
	var out []reconcile.RiskIgnore
	for _, item := range n.Items {
		entry := reconcile.RiskIgnore{Pos: item.Pos}
		if !f.fields(item, "an entry of metadata.ignoreRisks") {
			continue
		}
		for _, m := range item.Members {
			switch m.Name {
			case "code":
				entry.Code, _ = f.text(m.Value, "code")
			case "reason":
				entry.Reason, _ = f.text(m.Value, "reason")
				entry.Reason = strings.TrimSpace(entry.Reason)
			default:
				f.report(m.Pos, "unknown-key", fmt.Sprintf("unknown key %s in an entry of metadata.ignoreRisks", quoted(m.Name)), "Its keys are code and reason.")
			}
		}
		if entry.Code == "" || entry.Reason == "" {
			f.report(item.Pos, "ignore-without-reason", "an entry of metadata.ignoreRisks without code or reason",
				"Write {code: RULE, reason: TEXT}. The reason is shown in every report, so that a reviewer can judge it.")
			continue
		}
		out = append(out, entry)
	}
	return out
}

// contradictions reports settings that can't be meant together.
func (f *file) contradictions(n *reconcile.Node, meta reconcile.Metadata) {
	if meta.Existing && meta.CreateOnly {
		f.report(n.Member("createOnly").Pos, "contradiction", "existing and createOnly contradict each other",
			"An existing object is never created by proxbox-sync; a createOnly one is created and never updated.")
	}
	if meta.Absent && meta.Release {
		f.report(n.Member("release").Pos, "contradiction", "absent and release contradict each other",
			"absent deletes the object; release leaves it and forgets it.")
	}
	if meta.Absent || meta.Release {
		for _, name := range []string{"existing", "createOnly", "renamedFrom", "ignoreChanges", "ignoreRisks"} {
			if m := n.Member(name); m != nil {
				f.report(m.Pos, "contradiction", fmt.Sprintf("metadata.%s with an object that is not managed any more", name),
					"With absent or release only the key counts: remove it.")
			}
		}
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
