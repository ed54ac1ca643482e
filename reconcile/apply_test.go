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

// results is a report in words, by object.
func results(r *reconcile.Report) map[string]reconcile.Result {
	out := map[string]reconcile.Result{}
	for _, s := range r.Steps {
		out[s.Step.Change.Desired.String()] = s.Result
	}
	return out
}

func TestAFailureBlocksOnlyWhatNeedsIt(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	m.before = func(kind string, _ reconcile.Operation, w reconcile.Write) *reconcile.Outcome {
		if kind == "Site" && w.Fields["slug"] == "a" || kind == "Options" {
			return &reconcile.Outcome{Verdict: reconcile.Refused, Messages: []reconcile.FieldMessage{{Field: "slug", Text: "no"}}}
		}
		return nil
	}
	report := reconcile.Apply(context.Background(), mustPlan(t, set, m, load(t, town), planOptions()), m, reconcile.ApplyOptions{})
	require.Empty(t, cmp.Diff(map[string]reconcile.Result{
		"Site a": reconcile.Failed, "Site b": reconcile.Applied, "Cluster c1": reconcile.Blocked,
		"Store c1/s1": reconcile.Blocked, "Options": reconcile.Failed, "Door front": reconcile.Blocked,
	}, results(report)))
}

func TestLostAnswersAreLookedUp(t *testing.T) {
	lost := &reconcile.Outcome{Verdict: reconcile.Uncertain, Err: errors.New("the answer was lost")}
	for _, c := range []struct {
		why     string
		arrives bool
		touch   bool // somebody changes the object right behind the write
		want    reconcile.Result
		rows    int
	}{
		{"a create that arrived is not made twice", true, false, reconcile.AlreadyDone, 1},
		{"a create that did not arrive is sent again", false, false, reconcile.Applied, 1},
		{"a create that arrived and was changed is a conflict", true, true, reconcile.Conflicted, 1},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := newMemory(set)
			first := true
			hook := func(kind string, _ reconcile.Operation, _ reconcile.Write) *reconcile.Outcome {
				if !first {
					return nil
				}
				first = false
				if c.touch {
					for _, r := range m.rows[kind] {
						r.Fields["name"] = "touched"
					}
				}
				return lost
			}
			if c.arrives {
				m.after = hook
			} else {
				m.before = hook
			}
			plan := mustPlan(t, set, m, load(t, "kind: Site\nspec: {slug: a, name: n}"), planOptions())
			report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
			require.Equal(t, c.want, report.Steps[0].Result)
			require.Len(t, m.rows["Site"], c.rows)
		})
	}
}

func TestConflictsAreJudgedByMeaning(t *testing.T) {
	for _, c := range []struct {
		why       string
		meanwhile map[string]any
		want      reconcile.Result
		name      string
	}{
		{"a touch that changes nothing of ours is no conflict", map[string]any{"slug": "a", "name": "old", "count": reconcile.Number("5")},
			reconcile.Applied, "new"},
		{"what is done already is done", map[string]any{"slug": "a", "name": "new"}, reconcile.AlreadyDone, "new"},
		{"another value is not overwritten", map[string]any{"slug": "a", "name": "theirs"}, reconcile.Conflicted, "theirs"},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := newMemory(set)
			row := m.put("Site", map[string]any{"slug": "a", "name": "old"})
			plan := mustPlan(t, set, m, load(t, "kind: Site\nspec: {slug: a, name: new}"), planOptions())
			m.rows["Site"][row] = reconcile.Row{ID: row, Version: "touched", Fields: c.meanwhile}
			report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
			require.Equal(t, c.want, report.Steps[0].Result)
			require.Equal(t, c.name, m.rows["Site"][row].Fields["name"])
		})
	}
}

func TestAnInterruptStopsBeforeTheNextWrite(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	ctx, cancel := context.WithCancel(context.Background())
	plan := mustPlan(t, set, m, load(t, town), planOptions())
	report := reconcile.Apply(ctx, plan, m, reconcile.ApplyOptions{Progress: func(done, _ int, _ reconcile.StepReport) {
		if done == 2 {
			cancel()
		}
	}})
	require.True(t, report.Interrupted)
	require.Equal(t, 2, report.Count(reconcile.Applied))
	require.Equal(t, 4, report.Count(reconcile.NotAttempted))
	require.Len(t, m.writes, 2)
}

func TestASealedSecretIsNamedBeforeAnythingIsSent(t *testing.T) {
	set := kinds(t)
	docs := load(t, "kind: Door\nspec: {name: a}")
	docs[0].Spec.Members = append(docs[0].Spec.Members, reconcile.Member{Name: "password",
		Value: &reconcile.Node{Value: reconcile.SealedSecret("ENC[AES256_GCM,data:x]")}})
	plan := mustPlan(t, set, newMemory(set), docs, reconcile.PlanOptions{})
	require.Equal(t, []string{"Door a password"}, plan.Sealed())
}

func TestWhatSomebodyMadeMeanwhileIsNotMadeTwice(t *testing.T) {
	for _, n := range []int{1, 6} { // looked up alone, and together
		for _, c := range []struct {
			why, text string
			theirs    map[string]any
			want      reconcile.Result
		}{
			{"the same object is done already", "kind: Site\nitems: [%s]", map[string]any{"slug": "x0", "name": "n"}, reconcile.AlreadyDone},
			{"another one of that key is a conflict", "kind: Site\nitems: [%s]", map[string]any{"slug": "x0", "name": "other"}, reconcile.Conflicted},
		} {
			t.Run(fmt.Sprintf("%s, of %d", c.why, n), func(t *testing.T) {
				set := kinds(t)
				m := newMemory(set)
				var items []string
				for i := range n {
					items = append(items, fmt.Sprintf("{slug: x%d, name: n}", i))
				}
				plan := mustPlan(t, set, m, load(t, fmt.Sprintf(c.text, strings.Join(items, ", "))), planOptions())
				m.put("Site", c.theirs)
				report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
				require.Equal(t, c.want, report.Steps[0].Result)
				require.Len(t, m.rows["Site"], n)
				require.Equal(t, n-1, report.Count(reconcile.Applied))
			})
		}
	}
}

func TestAnObjectThatIsGoneIsAConflict(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	row := m.put("Site", map[string]any{"slug": "a", "name": "old"})
	plan := mustPlan(t, set, m, load(t, "kind: Site\nspec: {slug: a, name: new}"), planOptions())
	delete(m.rows["Site"], row)
	report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
	require.Equal(t, reconcile.Conflicted, report.Steps[0].Result)
	require.ErrorContains(t, report.Steps[0].Err, "gone since the plan")
}

func TestAFieldThatTheServerDropsSilentlyIsAFailure(t *testing.T) {
	for _, c := range []struct {
		why    string
		answer map[string]any
		want   reconcile.Result
	}{
		{"the server has what was sent", map[string]any{"slug": "a", "name": " new "}, reconcile.Applied},
		{"the server does not know the field", map[string]any{"slug": "a"}, reconcile.Failed},
		{"the server keeps another value", map[string]any{"slug": "a", "name": "old"}, reconcile.Failed},
		{"the server does not say", nil, reconcile.Applied},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := newMemory(set)
			m.put("Site", map[string]any{"slug": "a", "name": "old"})
			m.after = func(string, reconcile.Operation, reconcile.Write) *reconcile.Outcome {
				return &reconcile.Outcome{Verdict: reconcile.Done, Row: 1, Fields: c.answer}
			}
			plan := mustPlan(t, set, m, load(t, "kind: Site\nspec: {slug: a, name: new}"), planOptions())
			report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
			require.Equal(t, c.want, report.Steps[0].Result)
		})
	}
}

func TestASecretThatAChangeMakesNecessaryIsSent(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	m.put("Vault", map[string]any{"name": "v", "version": "v1"})
	docs := func(version string) []reconcile.Document {
		return load(t, "kind: Vault\nspec: {name: v, version: "+version+map[string]string{"v1": "}", "v2": ", password: p}"}[version])
	}
	require.Empty(t, steps(mustPlan(t, set, m, docs("v1"), planOptions())))
	plan := mustPlan(t, set, m, docs("v2"), planOptions())
	require.Equal(t, []string{"0 update Vault v version password=needed"}, steps(plan))
	reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
	require.Empty(t, steps(mustPlan(t, set, m, docs("v2"), planOptions())))

	m.put("Vault", map[string]any{"name": "w", "version": "v1"})
	_, diags, err := reconcile.MakePlan(context.Background(), set, m, load(t, "kind: Vault\nspec: {name: w, version: v2}"), planOptions())
	require.NoError(t, err)
	require.Equal(t, "needed-secret", diags.Errors()[0].Code)
}

func TestASecretDoesNotFollowAnEndpointThatWasMovedMeanwhile(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	row := m.put("Door", map[string]any{"name": "d", "domain": "here", "port": reconcile.Number("1")})
	o := planOptions()
	o.SendSecrets = []reconcile.SecretSelection{{}}
	plan := mustPlan(t, set, m, load(t, "kind: Door\nspec: {name: d, domain: here, port: 2, password: hunter2}"), o)
	r := m.rows["Door"][row]
	r.Version, r.Fields = "touched", map[string]any{"name": "d", "domain": "evil", "port": reconcile.Number("1")}
	m.rows["Door"][row] = r
	report := reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{})
	require.Equal(t, reconcile.Conflicted, report.Steps[0].Result)
	require.NotContains(t, m.rows["Door"][row].Fields, "password")
}

func TestANamesakeThatAppearedMeanwhileIsAConflict(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	m.put("Door", map[string]any{"name": "d", "domain": "old"})
	docs := load(t, "kind: Door\nspec: {name: d, domain: old}\n---\nkind: Door\nspec: {name: d, domain: new, password: hunter2}")
	plan := mustPlan(t, set, m, docs, planOptions())
	require.Len(t, plan.Steps, 1)
	other := mustPlan(t, set, m, docs, planOptions())
	m.put("Door", map[string]any{"name": "d", "domain": "third"})
	require.Equal(t, reconcile.Conflicted, reconcile.Apply(context.Background(), plan, m, reconcile.ApplyOptions{}).Steps[0].Result)

	delete(m.rows["Door"], m.next) // without it the namesake that was known is none of its business
	require.Equal(t, reconcile.Applied, reconcile.Apply(context.Background(), other, m, reconcile.ApplyOptions{}).Steps[0].Result)
}

func TestASecretThatTheServerWouldDropIsRefused(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	m.put("Vault", map[string]any{"name": "v", "version": "v1"})
	o := planOptions()
	o.SendSecrets = []reconcile.SecretSelection{{}}
	_, diags, err := reconcile.MakePlan(context.Background(), set, m, load(t, "kind: Vault\nmetadata: {existing: true}\nspec: {name: v, password: hunter2}"), o)
	require.NoError(t, err)
	require.Equal(t, []string{`4:27 wasted-secret the server would drop secret field "password": v1 has no password`}, lines(diags.Errors()))
}
