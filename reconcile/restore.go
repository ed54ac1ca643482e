package reconcile

import (
	"context"

	"proxbox-sync/schema"
)

// RestoreOptions are what a restore asks for beside its documents.
type RestoreOptions struct {
	Desired   DesiredOptions
	Ownership Ownership
	Lint      LintOptions
	// SkipRecords leaves out the kinds that only tell what happened.
	SkipRecords bool
	// Drill says that the server is a rehearsal's: empty, and nobody else's.
	Drill bool
}

// Restoration is what a restore is going to do, and what it can't.
type Restoration struct {
	Plan    *Plan
	Skipped []Skipped
	Records map[string]int // objects left out by SkipRecords, by kind
	Lost    []Lost
}

// Skipped is a document that a restore does not carry out, since it would take
// something away.
type Skipped struct {
	Object *Object
	Why    string
}

// Lost is an object, or something of one, that can't come back from these
// documents on this server as it is.
type Lost struct {
	Object *Object
	Field  string // "" for the whole object
	Why    string
	// Waits says that nothing is wrong with the documents: what is missing is
	// made by somebody else.
	Waits bool
	// Behind says that it refers to something that is lost itself.
	Behind bool
	// Untold says that it, or what it refers to, can't be told from its namesakes
	// on the server; There that it is the object itself.
	Untold, There bool
	// Secretless says that it can't be made without a secret that no manifest has.
	Secretless bool
}

// noDeletes is why a restore prunes and releases nothing.
const noDeletes = "a restore deletes and releases nothing"

// MakeRestore plans a restore: everything that the documents declare, with every
// secret. What can't come back, since it refers to what neither a document nor
// the server has, is left out and said, and the rest is planned. Diagnostics with
// severity Error come without a plan, but for those of policy.
func MakeRestore(ctx context.Context, set *schema.Set, server Server, docs []Document, o RestoreOptions) (*Restoration, Diagnostics, error) {
	v, diags, err := surveying(ctx, set, server, docs, o)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	r := &Restoration{Skipped: v.skipped, Records: v.records, Lost: v.lost}
	r.Plan, diags, err = planLinked(ctx, set, server, v.desired, v.live, diags,
		PlanOptions{Desired: o.Desired, Ownership: v.own, Lint: o.Lint, SendSecrets: []SecretSelection{{}}})
	if err != nil || r.Plan == nil {
		return nil, diags, err
	}
	return r, diags, nil
}

// survey is both sides of a restore, linked, without what can't come back.
type survey struct {
	set           *schema.Set
	drill         bool
	own           Ownership
	desired, live *State
	skipped       []Skipped
	records       map[string]int
	lost          []Lost
	gone          map[*Object]bool // lost as a whole
	waits         map[*Object]bool // and that for what somebody else makes
	untold        *untold
}

func surveying(ctx context.Context, set *schema.Set, server Server, docs []Document, o RestoreOptions) (*survey, Diagnostics, error) {
	v := &survey{set: set, drill: o.Drill, own: o.Ownership, records: map[string]int{}, gone: map[*Object]bool{}, waits: map[*Object]bool{}}
	v.own.Partial, v.own.Prune = noDeletes, false
	var diags Diagnostics
	v.desired, diags = Desired(set, docs, o.Desired)
	if diags.HasErrors() {
		return nil, append(diags, manifestErrors(Link(set, v.desired, nil))...).Sorted(), nil
	}
	v.setAside(o.SkipRecords)
	var more Diagnostics
	var err error
	v.live, more, err = Observe(ctx, set, server, v.desired, v.own)
	if diags = append(diags, more...); err != nil || more.HasErrors() {
		return nil, diags.Sorted(), err
	}
	v.untold, more = linkRestored(set, v.desired, v.live, v.own)
	diags = append(diags, manifestErrors(more)...).Sorted()
	if !diags.HasErrors() {
		v.lose()
	}
	return v, diags, nil
}

// manifestErrors leaves out what a restore reports as lost.
func manifestErrors(diags Diagnostics) Diagnostics {
	var out Diagnostics
	for _, d := range diags {
		if !d.nowhere() {
			out = append(out, d)
		}
	}
	return out
}

// setAside takes out what a restore does not carry out: documents that take
// something away, and records where they were not asked for.
func (v *survey) setAside(skipRecords bool) {
	for _, kind := range sortedKeys(v.desired.Objects) {
		objects := v.desired.Objects[kind]
		if skipRecords && v.set.Kind(kind).Resource.Record {
			v.records[kind] = len(objects)
			delete(v.desired.Objects, kind)
			continue
		}
		kept := objects[:0]
		for _, o := range objects {
			switch {
			case o.Doc.Meta.Absent:
				v.skipped = append(v.skipped, Skipped{o, "metadata.absent: a restore never deletes"})
			case o.Doc.Meta.Release:
				v.skipped = append(v.skipped, Skipped{o, "metadata.release: there is nothing to bring back"})
			default:
				kept = append(kept, o)
			}
		}
		v.desired.Objects[kind] = kept
	}
}
