package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// Proof is a fresh read of everything, compared with the documents field by field.
type Proof struct {
	Kinds []ProvenKind
	// Missing are not there, Differing not as declared. Lost is what can't be there.
	Missing   []*Object
	Differing []Unequal
	Lost      []Lost
	// Kept are there with other values, which metadata.createOnly leaves to others.
	Kept []Unequal
	// Unseen are the fields that can't be read back.
	Unseen []Unseen
	// Waiting are endpoints whose credentials the server holds back until somebody
	// approves their connection.
	Waiting []*Object
	// Unasked are those of which that could not be found out.
	Unasked []ApprovalReport
}

// ProvenKind counts what was compared of one kind.
type ProvenKind struct {
	Kind    string
	Objects int // compared
	Equal   int // in every field
	Fields  int // compared, of all of them
}

// Unequal is an object with the fields that are not as declared.
type Unequal struct {
	Object *Object
	Fields []FieldChange
}

// Unseen is an object with the declared fields that the server never shows.
type Unseen struct {
	Object *Object
	Fields []string
}

// Prove reads what the documents declare and compares it. Kinds that only tell
// what happened, of which there may be very many objects, are read one after the
// other, so that no more than one of them is in memory at a time.
func Prove(ctx context.Context, set *schema.Set, server Server, docs []Document, o RestoreOptions) (*Proof, Diagnostics, error) {
	p := &Proof{}
	for _, part := range inParts(set, docs, o.SkipRecords) {
		v, diags, err := surveying(ctx, set, server, part, o)
		if err != nil || diags.HasErrors() {
			return nil, diags, err
		}
		p.compare(v, o.Desired.IgnoreChanges)
		if err := p.approvals(ctx, v, server); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(p.Kinds, func(a, b ProvenKind) int { return strings.Compare(a.Kind, b.Kind) })
	return p, nil, nil
}

// inParts puts the documents of each kind of records by themselves.
func inParts(set *schema.Set, docs []Document, skipRecords bool) [][]Document {
	records := map[string][]Document{}
	var first []Document
	for _, d := range docs {
		switch k := set.Kind(d.Kind); {
		case k == nil || !k.Resource.Record:
			first = append(first, d)
		case !skipRecords:
			records[d.Kind] = append(records[d.Kind], d)
		}
	}
	parts := [][]Document{first}
	for _, kind := range sortedKeys(records) {
		parts = append(parts, records[kind])
	}
	return parts
}

// compare adds what one part of the documents comes to.
func (p *Proof) compare(v *survey, ignoreChanges map[string][]string) {
	p.Lost = append(p.Lost, v.lost...)
	d := &differing{set: v.set, live: v.live, own: &owning{}}
	for _, kind := range sortedKeys(v.desired.Objects) {
		count := ProvenKind{Kind: kind}
		for _, o := range v.desired.Objects[kind] {
			if o.Peer == nil && o.Kind.Resource.Mode != schema.Singleton {
				p.Missing = append(p.Missing, o)
				continue
			}
			change := &Change{Desired: o, Live: o.Peer}
			ignored := ignoredPaths(o, ignoreChanges)
			d.fields(change, Marker{}, ignored)
			findInner(change)
			count.Objects++
			count.Fields += p.note(o, ignored)
			switch {
			case len(change.Fields) == 0:
				count.Equal++
			case o.Doc.Meta.CreateOnly:
				p.Kept = append(p.Kept, Unequal{o, change.Fields})
			default:
				p.Differing = append(p.Differing, Unequal{o, change.Fields})
			}
		}
		if count.Objects > 0 {
			p.Kinds = append(p.Kinds, count)
		}
	}
}

// note counts the declared fields that were compared, and lists those that can't be.
func (p *Proof) note(o *Object, ignored []string) (compared int) {
	var unseen []string
	for _, f := range o.Kind.Fields {
		v, declared := o.Fields[f.Name]
		switch _, secret := v.(Secret); {
		case !declared, slices.Contains(ignored, f.Name) && !f.WriteOnly:
		case f.WriteOnly && secret:
			unseen = append(unseen, f.Name)
		case !f.WriteOnly:
			compared++
		}
	}
	if len(unseen) > 0 {
		p.Unseen = append(p.Unseen, Unseen{o, unseen})
	}
	return compared
}

// approvals asks, of each endpoint that is managed, whether it is approved.
func (p *Proof) approvals(ctx context.Context, v *survey, server Server) error {
	approver, ok := server.(Approver)
	if !ok {
		return nil
	}
	for _, o := range approvable(v.desired) {
		needs, err := approver.NeedsApproval(ctx, o.Kind.Name)
		if err != nil {
			return fmt.Errorf("asking whether %s needs approval: %w", o, err)
		}
		if !needs || o.liveRow() == 0 {
			continue
		}
		r := ApprovalReport{Object: o, Row: o.liveRow()}
		r.ApprovalResult, r.Err = approver.Approved(ctx, o.Kind.Name, r.Row)
		switch {
		case r.Err != nil || r.Verdict == ApprovalForbidden:
			p.Unasked = append(p.Unasked, r)
		case !r.Effective():
			p.Waiting = append(p.Waiting, o)
		}
	}
	return nil
}

// approvable are the declared objects whose connection may need approval, and
// that are not somebody else's.
func approvable(s *State) []*Object {
	var out []*Object
	for _, kind := range sortedKeys(s.Objects) {
		for _, o := range s.Objects[kind] {
			if len(approvalFields(o.Kind)) > 0 && !o.Doc.Meta.CreateOnly && !o.Doc.Meta.Existing {
				out = append(out, o)
			}
		}
	}
	return out
}
