package reconcile

import (
	"fmt"
	"slices"
	"strings"
)

// Limits bound what one run may do. Deletes are bounded by default; the
// numbers are a ceiling that a nil leaves at the default.
type Limits struct {
	MaxDeletes       *int // objects, cascades included; also allows what the defaults refuse
	DeleteCeiling    *int // objects, cascades included; allows nothing
	MaxDeletePercent *int // of a kind's owned objects, from limitFloor on; DefaultDeletePercent by default
	MaxUpdates       *int // objects; no limit by default
	MaxUpdatePercent *int // of a kind's declared objects; no limit by default
}

// DefaultDeletePercent is the share of a kind's owned objects that one run may
// delete unasked.
const DefaultDeletePercent = 30

// limitFloor is the number of owned objects of a kind from which on percents count.
const limitFloor = 10

// check returns what a plan exceeds. owned counts the owned live objects by kind
// before the plan; owns tells which of the deleted are among them.
func (l Limits) check(p *Plan, owned map[string]int, owns func(*Object) bool) Diagnostics {
	var diags Diagnostics
	refuse := func(code, object, summary, flag string) {
		diags = append(diags, Diagnostic{Severity: Error, Trouble: Policy, Code: code, Object: object, Summary: summary,
			Detail: "if that is meant, allow it with " + flag})
	}
	deletes, updates, total := map[string]*deleteCount{}, map[string]int{}, 0
	var cascading []string
	for _, s := range p.Steps {
		c := s.Change
		switch {
		case c.Action == Delete:
			n := deletes[c.Object().Kind.Name]
			if n == nil {
				n = &deleteCount{owned: owned[c.Object().Kind.Name]}
				deletes[c.Object().Kind.Name] = n
			}
			n.all++
			if owns(c.Live) {
				n.ours++
			}
			total += 1 + takenCount(c.Takes)
			if len(c.Takes) > 0 {
				cascading = append(cascading, c.Object().String())
			}
		case c.Action == Update && len(c.Fields) > 0:
			updates[c.Object().Kind.Name]++
		}
	}
	if l.DeleteCeiling != nil && total > *l.DeleteCeiling {
		diags = append(diags, Diagnostic{Severity: Error, Trouble: Policy, Code: "too-many-deletes",
			Summary: fmt.Sprintf("%d objects would be deleted, cascades included; the project file allows %d", total, *l.DeleteCeiling),
			Detail:  "if that is meant, raise limits.max_deletes there"})
	}
	need := fmt.Sprintf("--max-deletes %d", total)
	if l.MaxDeletes != nil {
		if total > *l.MaxDeletes {
			refuse("too-many-deletes", "", fmt.Sprintf("%d objects would be deleted, cascades included; %d are allowed", total, *l.MaxDeletes), need)
		}
	} else {
		if len(cascading) > 0 {
			refuse("cascading-delete", "", fmt.Sprintf("deleting %s takes other objects along, %d in all", strings.Join(first(cascading, 3), ", "), total), need)
		}
	}
	for _, kind := range sortedKeys(deletes) {
		l.checkKind(kind, *deletes[kind], need, refuse)
	}
	l.checkUpdates(p, updates, refuse)
	return diags
}

// deleteCount is how many objects of a kind are deleted, how many of them are the
// owner's, and how many the owner has.
type deleteCount struct{ all, ours, owned int }

// checkKind holds the deletes of one kind to the defaults, which --max-deletes
// lifts, and to a percentage that somebody asked for, which nothing lifts.
func (l Limits) checkKind(kind string, n deleteCount, need string, refuse func(code, object, summary, flag string)) {
	percent, of := DefaultDeletePercent, n.owned+n.all-n.ours
	if l.MaxDeletePercent != nil {
		percent = *l.MaxDeletePercent
	}
	switch {
	case l.MaxDeletes == nil && n.ours > 0 && n.ours >= n.owned:
		refuse("last-object", kind, fmt.Sprintf("all %d owned %s would be deleted", n.owned, kind), need)
	case (l.MaxDeletes == nil || l.MaxDeletePercent != nil) && of >= limitFloor && n.all*100 > of*percent:
		if l.MaxDeletes != nil {
			need = "a higher --max-delete-percent, where the project file does not say less"
		}
		owned := "owned "
		if n.ours < n.all {
			owned = "owned or named "
		}
		refuse("too-many-deletes", kind, fmt.Sprintf("%d of %d %s%s would be deleted, more than %d %%", n.all, of, owned, kind, percent), need)
	}
}

func (l Limits) checkUpdates(p *Plan, updates map[string]int, refuse func(code, object, summary, flag string)) {
	total := 0
	for _, n := range updates {
		total += n
	}
	if l.MaxUpdates != nil && total > *l.MaxUpdates {
		refuse("too-many-updates", "", fmt.Sprintf("%d objects would be changed; %d are allowed", total, *l.MaxUpdates),
			fmt.Sprintf("--max-updates %d, where the project file does not say less", total))
	}
	if l.MaxUpdatePercent == nil {
		return
	}
	for _, kind := range sortedKeys(updates) {
		all := updates[kind] + p.Unchanged[kind]
		if all >= limitFloor && updates[kind]*100 > all**l.MaxUpdatePercent {
			refuse("too-many-updates", kind, fmt.Sprintf("%d of %d %s would be changed, more than %d %%", updates[kind], all, kind, *l.MaxUpdatePercent),
				"a higher --max-update-percent")
		}
	}
}

func takenCount(taken []Taken) int {
	n := 0
	for _, t := range taken {
		n += max(t.Count, len(t.Objects))
	}
	return n
}

func first(names []string, n int) []string {
	if len(names) > n {
		return append(slices.Clone(names[:n]), fmt.Sprintf("and %d more", len(names)-n))
	}
	return names
}
