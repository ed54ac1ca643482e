package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// ApprovalReport is what became of the connection of one object.
type ApprovalReport struct {
	Object *Object
	Row    RowID
	ApprovalResult
	Err error // why it is not known
}

// Effective reports whether the server uses the connection now.
func (r *ApprovalReport) Effective() bool {
	return r.Err == nil && (r.Verdict == Approved || r.Verdict == WasApproved || r.Verdict == NoApproval)
}

// ApproveConnections approves the connections of the objects whose target this
// apply wrote, and of no others: one that somebody else pointed elsewhere is not
// ours to approve. It asks one by one, in the plan's order, and stops when ctx
// ends. A server that has no approval gives an empty list.
func ApproveConnections(ctx context.Context, report *Report, server Server) []ApprovalReport {
	approver, ok := server.(Approver)
	if !ok {
		return nil
	}
	var out []ApprovalReport
	seen := map[*Object]bool{}
	for i := range report.Steps {
		r := &report.Steps[i]
		o := r.Step.Change.Desired
		if o == nil || seen[o] || r.Result != Applied && r.Result != AlreadyDone || len(r.Step.Change.targetFields()) == 0 {
			continue
		}
		seen[o] = true
		if x, asked := approve(ctx, approver, o, r.Row); asked {
			out = append(out, x)
		}
	}
	return out
}

// ApproveRestored approves the connections of everything that a restore declares,
// also where a run before this one wrote it and was interrupted: it approves
// nothing but what the documents say.
func ApproveRestored(ctx context.Context, report *Report, server Server) []ApprovalReport {
	approver, ok := server.(Approver)
	if !ok || report.Plan.desired == nil {
		return nil
	}
	made := map[*Object]RowID{}
	for i := range report.Steps {
		if r := &report.Steps[i]; r.Row != 0 {
			made[r.Step.Change.Desired] = r.Row
		}
	}
	var out []ApprovalReport
	for _, o := range approvable(report.Plan.desired) {
		if made[o] == 0 && o.liveRow() == 0 {
			continue
		}
		if x, asked := approve(ctx, approver, o, made[o]); asked {
			out = append(out, x)
		}
	}
	return out
}

// approve approves one connection; asked is false where the server has no approval.
func approve(ctx context.Context, approver Approver, o *Object, row RowID) (x ApprovalReport, asked bool) {
	needs, err := approver.NeedsApproval(ctx, o.Kind.Name)
	if err == nil && !needs {
		return x, false
	}
	x = ApprovalReport{Object: o, Row: row, Err: err}
	if x.Row == 0 {
		x.Row = o.liveRow()
	}
	if err == nil {
		x.ApprovalResult, x.Err = approver.Approve(ctx, o.Kind.Name, x.Row, declaredTarget(o))
	}
	if x.Err != nil {
		x.Err = fmt.Errorf("approving the connection of %s: %w", o, x.Err)
	}
	return x, true
}

// targetFields are the fields of a change that say where the object's
// credentials are used: writing one revokes the approval of the connection.
func (c *Change) targetFields() []string {
	if c.Action != Create && c.Action != Update {
		return nil
	}
	names := approvalFields(c.Object().Kind)
	if c.Action == Create && len(names) > 0 {
		return names
	}
	var written []string
	for _, fc := range c.Fields {
		if slices.Contains(names, fc.Name) {
			written = append(written, fc.Name)
		}
	}
	return written
}

func approvalFields(k *schema.Kind) []string {
	if k.Resource.Approval == nil {
		return nil
	}
	var names []string
	for _, member := range sortedKeys(k.Resource.Approval.Target) {
		names = append(names, k.Resource.Approval.Target[member].Fields...)
	}
	return names
}

// declaredTarget is what the manifests say of the fields that a connection's
// target is made of.
func declaredTarget(o *Object) map[string]any {
	want := map[string]any{}
	for _, name := range approvalFields(o.Kind) {
		v, declared := o.Fields[name]
		if !declared {
			continue
		}
		if ref, ok := v.(Ref); ok {
			v = ref.forms()
		}
		want[name] = v
	}
	return want
}

// forms are the ways in which a server may show an object that is referred to
// where it connects: its number, and the addresses of its key.
func (r Ref) forms() []any {
	if r.Target == nil {
		return []any{r.Row}
	}
	var forms []any
	if row := r.Target.liveRow(); row != 0 {
		forms = append(forms, row)
	}
	for _, name := range r.Target.Kind.Resource.Key {
		if f := r.Target.Kind.Field(name); f.Class == schema.Address && r.Target.Fields[name] != nil {
			forms = append(forms, r.Target.Fields[name])
		}
	}
	return forms
}

// noteApprovals adds to the risks of steps that the server will hold back the
// credentials of their object until its connection is approved.
func noteApprovals(ctx context.Context, plan *Plan, server Server) error {
	approver, ok := server.(Approver)
	if !ok {
		return nil
	}
	for _, s := range plan.Steps {
		written := s.Change.targetFields()
		if len(written) == 0 {
			continue
		}
		needs, err := approver.NeedsApproval(ctx, s.Change.Object().Kind.Name)
		switch {
		case err != nil:
			return fmt.Errorf("asking whether %s needs approval: %w", s.Change.Object(), err)
		case !needs:
		case s.Change.Action == Update:
			s.Risks = append(s.Risks, fmt.Sprintf("a new %s revokes the approval of its connection: the server does not use its credentials until it is approved again",
				strings.Join(written, ", ")))
		}
	}
	return nil
}
