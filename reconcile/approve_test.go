package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// locksmith is a memory whose doors want approval.
type locksmith struct {
	*memory
	needs bool
	asked []string
	err   error
}

func (l *locksmith) NeedsApproval(_ context.Context, kind string) (bool, error) {
	return l.needs && l.set.Kind(kind).Resource.Approval != nil, nil
}

func (l *locksmith) Approve(_ context.Context, kind string, row reconcile.RowID, want map[string]any) (reconcile.ApprovalResult, error) {
	l.asked = append(l.asked, fmt.Sprintf("%s %s %v", kind, l.rows[kind][row].Fields["name"], want))
	return reconcile.ApprovalResult{Verdict: reconcile.Approved, Status: 200}, l.err
}

func (l *locksmith) Approved(_ context.Context, kind string, row reconcile.RowID) (reconcile.ApprovalResult, error) {
	verdict := reconcile.NotApproved
	for _, asked := range l.asked {
		if strings.HasPrefix(asked, fmt.Sprintf("%s %s ", kind, l.rows[kind][row].Fields["name"])) {
			verdict = reconcile.WasApproved
		}
	}
	return reconcile.ApprovalResult{Verdict: verdict}, l.err
}

// approve plans and applies a text and asks for approvals.
func approve(t *testing.T, l *locksmith, text string) (risks []string, approvals []reconcile.ApprovalReport) {
	t.Helper()
	plan, diags, err := reconcile.MakePlan(context.Background(), l.set, l, load(t, text), planOptions())
	require.NoError(t, err)
	require.Empty(t, diags.Errors())
	for _, s := range plan.Steps {
		risks = append(risks, s.Risks...)
	}
	l.asked = nil
	report := reconcile.Apply(context.Background(), plan, l, reconcile.ApplyOptions{})
	require.NoError(t, report.Err)
	return risks, reconcile.ApproveConnections(context.Background(), report, l)
}

func TestExactlyWhatAnApplyPointedSomewhereIsApproved(t *testing.T) {
	l := &locksmith{memory: newMemory(kinds(t)), needs: true}
	const doors = "kind: Site\nspec: {slug: a}\n---\nkind: Door\nitems: [{name: one, domain: d1, port: 5, password: p}, {name: two, domain: null, password: p}, {name: three, password: p}]"

	risks, approvals := approve(t, l, doors)
	require.Empty(t, risks, "nothing is revoked by a create")
	require.Empty(t, cmp.Diff([]string{"Door one map[domain:d1 port:5]", "Door three map[]", "Door two map[domain:<nil>]"}, l.asked))
	require.Len(t, approvals, 3)
	require.True(t, approvals[0].Effective())
	require.Equal(t, "Door one", approvals[0].Object.String())

	_, approvals = approve(t, l, doors)
	require.Empty(t, approvals, "nothing was written")
	require.Empty(t, l.asked)

	risks, _ = approve(t, l, "kind: Door\nitems: [{name: one, domain: d1, port: 6}, {name: two, domain: null}]")
	require.Empty(t, cmp.Diff([]string{"Door one map[domain:d1 port:6]"}, l.asked))
	require.Len(t, risks, 1)
	require.Contains(t, risks[0], "a new port revokes the approval")
}

func TestOnlyWhatWasAppliedIsApproved(t *testing.T) {
	l := &locksmith{memory: newMemory(kinds(t)), needs: true}
	l.before = func(_ string, _ reconcile.Operation, w reconcile.Write) *reconcile.Outcome {
		if w.Fields["name"] == "bad" {
			return &reconcile.Outcome{Verdict: reconcile.Refused, Err: errors.New("no")}
		}
		return nil
	}
	_, approvals := approve(t, l, "kind: Door\nitems: [{name: bad, password: p}, {name: good, password: p}]")
	require.Len(t, approvals, 1)
	require.Empty(t, cmp.Diff([]string{"Door good map[]"}, l.asked))
}

func TestServersWithoutApprovalAreNotAsked(t *testing.T) {
	l := &locksmith{memory: newMemory(kinds(t))}
	_, approvals := approve(t, l, "kind: Door\nspec: {name: a, password: p}")
	require.Empty(t, approvals)
	require.Empty(t, l.asked)

	m := newMemory(kinds(t)) // it can't approve at all
	report := reconcile.Apply(context.Background(), mustPlan(t, m.set, m, load(t, "kind: Door\nspec: {name: a, password: p}"), planOptions()), m, reconcile.ApplyOptions{})
	require.Empty(t, reconcile.ApproveConnections(context.Background(), report, m))
}

func TestAnApprovalThatGotNoAnswerNamesTheObject(t *testing.T) {
	l := &locksmith{memory: newMemory(kinds(t)), needs: true, err: errors.New("lost")}
	_, approvals := approve(t, l, "kind: Door\nspec: {name: a, password: p}")
	require.Len(t, approvals, 1)
	require.EqualError(t, approvals[0].Err, "approving the connection of Door a: lost")
	require.False(t, approvals[0].Effective())
}
