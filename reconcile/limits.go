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

// check returns what a plan exceeds. owned counts the owned live objects by
// kind before the plan.
func (l Limits) check(p *Plan, owned map[string]int) Diagnostics {
	var diags Diagnostics
	refuse := func(code, object, summary, flag string) {
		diags = append(diags, Diagnostic{Severity: Error, Trouble: Policy, Code: code, Object: object, Summary: summary,
			Detail: "if that is meant, allow it with " + flag})
	}
	deletes, updates, total := map[string]int{}, map[string]int{}, 0
	var cascading []string
	for _, s := range p.Steps {
		c := s.Change
		switch {
		case c.Action == Delete:
			deletes[c.Object().Kind.Name]++
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
		for _, kind := range sortedKeys(deletes) {
			l.checkKind(kind, deletes[kind], owned[kind], need, refuse)
		}
	}
	l.checkUpdates(p, updates, refuse)
	return diags
}

func (l Limits) checkKind(kind string, deletes, owned int, need string, refuse func(code, object, summary, flag string)) {
	percent := DefaultDeletePercent
	if l.MaxDeletePercent != nil {
		percent = *l.MaxDeletePercent
	}
	switch {
	case owned > 0 && deletes >= owned:
		refuse("last-object", kind, fmt.Sprintf("all %d owned %s would be deleted", owned, kind), need)
	case owned >= limitFloor && deletes*100 > owned*percent:
		refuse("too-many-deletes", kind, fmt.Sprintf("%d of %d owned %s would be deleted, more than %d %%", deletes, owned, kind, percent), need)
	}
}

func (l Limits) checkUpdates(p *Plan, updates map[string]int, refuse func(code, object, summary, flag string)) {
	total := 0
	for _, n := range updates {
		total += n
	}
	if l.MaxUpdates != nil && total > *l.MaxUpdates {
		refuse("too-many-updates", "", fmt.Sprintf("%d objects would be changed; %d are allowed", total, *l.MaxUpdates),
			fmt.Sprintf("--max-updates %d", total))
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
