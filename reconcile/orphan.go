package reconcile

import (
	"fmt"
	"slices"

	"proxbox-sync/schema"
)

// orphans finds the live objects that carry this owner's marker and that no
// manifest describes, and decides which of them the plan deletes.
func (w *owning) orphans(live *State) []Orphan {
	if w.Owner == "" || w.Partial != "" {
		return nil
	}
	var out []Orphan
	for _, kind := range sortedKeys(live.Objects) {
		carriers := w.carriers(live.Objects[kind])
		for _, o := range live.Objects[kind] {
			if o.Peer != nil || !w.carries(o) {
				continue
			}
			m, claim := w.claim(o)
			if claim != ours || m.Origin == OriginExisting && len(o.Kind.Resource.Key) == 0 {
				continue
			}
			x := w.orphan(o, m, live.Unread[kind])
			x.Copied = x.Copied || carriers[m.Key] > 1
			if carriers[m.Key] > 1 && x.Deleted {
				x.Deleted, x.Why = false, "another object carries the same marker: one of them is a copy; it is never pruned"
			}
			out = append(out, x)
		}
	}
	return out
}

// carriers counts how many objects carry each recorded key of this owner.
func (w *owning) carriers(objects []*Object) map[string]int {
	counts := map[string]int{}
	for _, o := range objects {
		if m, claim := w.claim(o); claim == ours {
			counts[m.Key]++
		}
	}
	return counts
}

// orphan decides the fate of one owned object without a manifest.
func (w *owning) orphan(o *Object, m Marker, unread string) Orphan {
	x := Orphan{Object: o, Origin: m.Origin, Protect: m.Protect, Copied: m.Key != o.keyDigest()}
	switch {
	case x.Copied:
		x.Why = "its marker is another object's: it was copied or renamed outside; it is never pruned"
	case m.Protect:
		x.Why = "it is protected"
	case m.Origin == OriginExisting:
		x.Why = "it was made by someone else; it is never pruned"
	case !w.Prune:
		x.Why = "--prune deletes it"
	case m.Origin == OriginAdopted && !w.PruneAdopted:
		x.Why = "it was adopted, not created: --prune-adopted deletes it"
	case unread != "":
		x.Why = "not all objects of its kind could be read: " + unread
	default:
		x.Deleted = true
	}
	return x
}

// incomplete says why nothing is pruned although it was asked for.
func (w *owning) incomplete() Diagnostics {
	if !w.Prune && !w.PruneAdopted {
		return nil
	}
	why := ""
	switch {
	case w.Owner == "":
		why = "no owner is set"
	case w.Partial != "":
		why = w.Partial
	case len(w.attached) == 0:
		why = fmt.Sprintf("the server has no custom field %s: run proxbox-sync init", MarkerField)
	default:
		return nil
	}
	return Diagnostics{{Severity: Error, Trouble: Policy, Code: "prune-needs-the-whole",
		Summary: "nothing is pruned: " + why, Detail: "prune needs the whole set of manifests and complete reads; run without --prune, or mend that"}}
}

// ownedCounts counts, by kind, the live objects that this owner manages; without
// an owner all that were read.
func (w *owning) ownedCounts(live *State) map[string]int {
	counts := map[string]int{}
	for kind, objects := range live.Objects {
		for _, o := range objects {
			if w.owns(o) {
				counts[kind]++
			}
		}
	}
	return counts
}

// owns reports whether a live object counts as this owner's: where objects can't
// carry a marker, all do.
func (w *owning) owns(o *Object) bool {
	if !w.carries(o) {
		return true
	}
	_, claim := w.claim(o)
	return claim == ours
}

// unmanaged counts, by kind, the live objects that are nobody's business here:
// no manifest declares them, and they are not this owner's.
func (w *owning) unmanaged(live *State) map[string]int {
	counts := map[string]int{}
	for kind, objects := range live.Objects {
		if live.Partly[kind] {
			continue // nobody knows
		}
		for _, o := range objects {
			if o.Peer != nil || o.Kind.Resource.Mode == schema.Lookup || o.Kind.Resource.Prune == "named" && !slices.Contains(w.Mark, kind) {
				continue
			}
			if _, claim := w.claim(o); claim != ours || !w.carries(o) {
				counts[kind]++
			}
		}
	}
	return counts
}
