package reconcile_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// restore restores documents and proves it, as the command does.
func restore(t testing.TB, server reconcile.Server, m *memory, docs []reconcile.Document, o reconcile.RestoreOptions) *reconcile.Restored {
	t.Helper()
	o.Desired.AllowPlaintextSecrets = true
	plan, diags, err := reconcile.MakeRestore(context.Background(), m.set, server, docs, o)
	require.NoError(t, err)
	require.Empty(t, diags.Errors())
	require.Empty(t, plan.Plan.Diagnostics.Errors())
	out := reconcile.NewRestored(plan, reconcile.Apply(context.Background(), plan.Plan, server, reconcile.ApplyOptions{WithoutRefused: true}))
	proof, diags, err := reconcile.Prove(context.Background(), m.set, server, docs, o)
	require.NoError(t, err)
	require.Empty(t, diags.Errors())
	out.Drill = o.Drill
	out.Add(proof)
	return out
}

// notBack is in words what did not come back.
func notBack(x *reconcile.Restored) []string {
	var out []string
	for _, n := range x.NotBack {
		text := n.Object.String()
		for state, is := range map[string]bool{" there": n.There, " waits": n.Waits} {
			if is {
				text += state
			}
		}
		for _, r := range n.Reasons {
			text += " | " + strings.TrimPrefix(r.Field+": ", ": ") + r.Text
		}
		for _, by := range n.BlockedBy {
			text += " | needs " + by
		}
		for _, f := range n.Fields {
			text += fmt.Sprintf(" | %s is %v", f.Name, f.Before)
		}
		out = append(out, text)
	}
	return out
}

func TestARestoreLeavesOutNoMoreThanItHasTo(t *testing.T) {
	for _, c := range []struct {
		why, docs string
		want      []string
		writes    int
	}{
		{"what refers to nothing that is missing comes back", "kind: Site\nitems: [{slug: a}, {slug: b}]\n---\nkind: Cluster\nspec: {name: c, site: a}", nil, 3},
		{"a reference that an object can be without is left out", "kind: Cluster\nspec: {name: c, site: nowhere}",
			[]string{"Cluster c there | site: refers to Site nowhere, which is in no manifest and not on the server"}, 1},
		{"of a set, the members that are there come back", "kind: Site\nspec: {slug: a}\n---\nkind: Cluster\nspec: {name: c}\n---\nkind: Store\nspec: {cluster: c, name: s, sites: [a, nowhere]}",
			[]string{"Store c/s there | sites: refers to Site nowhere, which is in no manifest and not on the server"}, 3},
		{"what can't be without a reference is lost, and what refers to it loses no more than that",
			"kind: Chain\nspec: {name: one, next: nowhere}\n---\nkind: Chain\nspec: {name: two, next: one}\n---\nkind: Site\nspec: {slug: a}",
			[]string{"Chain one | refers to Chain nowhere, which is in no manifest and not on the server", "Chain two | refers to Chain one, which does not come back"}, 1},
		{"a key that leads nowhere loses the object", "kind: Store\nspec: {cluster: nowhere, name: s}",
			[]string{"Store nowhere/s | refers to Cluster nowhere, which is in no manifest and not on the server"}, 0},
		{"what somebody else makes is waited for, and what needs it as well",
			"kind: Cluster\nmetadata: {existing: true}\nspec: {name: c}\n---\nkind: Store\nspec: {cluster: c, name: s}",
			[]string{"Cluster c waits | metadata.existing: somebody else makes it, such as the plugin's synchronisation, and has not yet",
				"Store c/s waits | refers to Cluster c, which does not come back"}, 0},
	} {
		t.Run(c.why, func(t *testing.T) {
			m := newMemory(kinds(t))
			x := restore(t, m, m, load(t, c.docs), reconcile.RestoreOptions{})
			require.Empty(t, cmp.Diff(c.want, notBack(x)))
			require.Len(t, m.writes, c.writes)
			require.Equal(t, len(c.want) == 0, x.Whole())
			before := len(m.writes)
			again := restore(t, m, m, load(t, c.docs), reconcile.RestoreOptions{})
			require.Empty(t, cmp.Diff(c.want, notBack(again)), "the same")
			require.Len(t, m.writes, before, "nothing is written twice")
		})
	}
}

func TestInADrillNobodyMakesWhatSomebodyElseMakes(t *testing.T) {
	m := newMemory(kinds(t))
	x := restore(t, m, m, load(t, "kind: Cluster\nmetadata: {existing: true}\nspec: {name: c}"), reconcile.RestoreOptions{Drill: true})
	require.Len(t, x.NotBack, 1)
	require.True(t, x.Whole())
}

func TestARestoreTakesNothingAway(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	own := reconcile.RestoreOptions{Ownership: owned().Ownership}
	restore(t, m, m, load(t, "kind: Site\nitems: [{slug: a, name: x}, {slug: b}, {slug: c}]"), own)
	m.writes = nil
	own.Ownership.Prune = true
	x := restore(t, m, m, load(t, "kind: Site\nspec: {slug: a}\n---\nkind: Site\nmetadata: {absent: true}\nspec: {slug: b}\n---\nkind: Site\nmetadata: {release: true}\nspec: {slug: c}"), own)
	require.True(t, x.Whole())
	require.Empty(t, m.writes)
	require.Len(t, x.Skipped, 2)
	require.Len(t, m.rows["Site"], 3)
}

// refusing makes a memory refuse a secret of a kind.
func refusing(m *memory, kind string, more ...reconcile.FieldMessage) {
	m.before = func(k string, _ reconcile.Operation, w reconcile.Write) *reconcile.Outcome {
		if _, sent := w.Fields["password"]; k != kind || !sent {
			return nil
		}
		return &reconcile.Outcome{Verdict: reconcile.Refused, Status: 400, Messages: append([]reconcile.FieldMessage{{Field: "password", Text: "no answer"}}, more...)}
	}
}

const posts = "kind: Post\nspec: {name: p}\n---\nkind: Site\nspec: {slug: a}"

func TestAnObjectWhoseSecretIsRefusedComesBackWithoutIt(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	docs := func() []reconcile.Document { return seal(load(t, posts), "Post", "password", "ENC[one]", time.Time{}) }
	o := reconcile.RestoreOptions{Ownership: owned().Ownership}
	refusing(m, "Post")
	want := []string{"Post p there | password: no answer"}
	require.Empty(t, cmp.Diff(want, notBack(restore(t, m, m, docs(), o))))
	require.Len(t, m.rows["Post"], 1)
	require.Empty(t, cmp.Diff(want, notBack(restore(t, m, m, docs(), o))), "the same again")
	require.Len(t, m.rows["Post"], 1)

	m.before = nil
	require.Contains(t, plan(t, set, m, docs(), owned())[0], "password", "the next apply sends it by itself")
	require.True(t, restore(t, m, m, docs(), o).Whole())
	refusing(m, "Post")
	x := restore(t, m, m, docs(), o)
	require.True(t, x.Whole(), "the marker says that it was sent before")
	require.Len(t, x.Refused, 1)
	m.before = nil
	require.Empty(t, mustPlan(t, set, m, docs(), owned()).Steps, "and still does")
}

func TestARefusalOfMoreThanSecretsIsOne(t *testing.T) {
	m := marked(t, kinds(t))
	refusing(m, "Post", reconcile.FieldMessage{Field: "name", Text: "too short"})
	x := restore(t, m, m, seal(load(t, posts), "Post", "password", "ENC[one]", time.Time{}), reconcile.RestoreOptions{})
	require.Empty(t, cmp.Diff([]string{"Post p | password: no answer | name: too short"}, notBack(x)))
	require.Len(t, m.rows["Site"], 1, "nothing else waits for it")
}

func TestWhatFailedAndIsThereAllTheSameIsBack(t *testing.T) {
	m := newMemory(kinds(t))
	m.after = func(string, reconcile.Operation, reconcile.Write) *reconcile.Outcome {
		return &reconcile.Outcome{Verdict: reconcile.Refused, Status: 500, Messages: []reconcile.FieldMessage{{Text: "oops"}}}
	}
	x := restore(t, m, m, load(t, "kind: Site\nspec: {slug: a}"), reconcile.RestoreOptions{})
	require.Equal(t, 1, x.Results[reconcile.Failed])
	require.Empty(t, notBack(x))
}

func TestTheProofSaysWhatIsNotAsDeclared(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	docs := load(t, "kind: Site\nitems: [{slug: a, name: x, count: 1}, {slug: b}, {slug: c}]\n---\nkind: Site\nmetadata: {createOnly: true}\nspec: {slug: d, name: x}\n---\nkind: Door\nspec: {name: one, password: p}")
	restore(t, m, m, docs, reconcile.RestoreOptions{})
	for row, r := range m.rows["Site"] {
		switch r.Fields["slug"] {
		case "a", "d":
			r.Fields["name"] = "y"
		case "b":
			delete(m.rows["Site"], row)
		}
	}
	proof, _, err := reconcile.Prove(context.Background(), set, &locksmith{memory: m, needs: true}, docs, reconcile.RestoreOptions{
		Desired: reconcile.DesiredOptions{AllowPlaintextSecrets: true}})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]reconcile.ProvenKind{{Kind: "Door", Objects: 1, Equal: 1, Fields: 1}, {Kind: "Site", Objects: 3, Equal: 1, Fields: 6}}, proof.Kinds))
	require.Equal(t, "Site b", proof.Missing[0].String())
	require.Len(t, proof.Differing, 1)
	require.Equal(t, "Site a", proof.Differing[0].Object.String())
	require.Equal(t, "name", proof.Differing[0].Fields[0].Name)
	require.Len(t, proof.Kept, 1)
	require.Equal(t, "Site d", proof.Kept[0].Object.String())
	require.Equal(t, []string{"password"}, proof.Unseen[0].Fields)
	require.Equal(t, "Door one", proof.Waiting[0].String())
	require.NotContains(t, fmt.Sprintf("%+v", proof), "ENC[")
}

func TestARestoreTellsNamesakesApartByWhatElseIsDeclared(t *testing.T) {
	const (
		site  = "kind: Site\nspec: {slug: s}"
		twins = site + "\n---\nkind: Door\nspec: {name: a, domain: one, port: 1, password: p}\n---\nkind: Door\nspec: {name: a, domain: two, port: 2, password: p}"
	)
	type rows = []map[string]any
	for _, c := range []struct {
		why, docs string
		live      rows
		want      []string
		doors     int
	}{
		{"one that came back without its domain is told by the domain of the other", twins,
			rows{{"name": "a", "port": reconcile.Number("1")}, {"name": "a", "domain": "two"}}, nil, 2},
		{"both without a domain are told by another field", twins,
			rows{{"name": "a", "port": reconcile.Number("2")}, {"name": "a", "port": reconcile.Number("1")}}, nil, 2},
		{"one that is neither stays, and neither is guessed or made", twins, rows{{"name": "a", "domain": "three"}},
			[]string{"Door a there", "Door a there"}, 1},
		{"what is told makes nothing of what is not", twins,
			rows{{"name": "a", "domain": "one"}, {"name": "a", "domain": "three"}}, []string{"Door a there"}, 2},
		{"nothing tells two that are alike apart", site + "\n---\nkind: Door\nspec: {name: a, port: 1, password: p}",
			rows{{"name": "a", "port": reconcile.Number("1")}, {"name": "a", "port": reconcile.Number("1")}}, []string{"Door a there"}, 2},
		{"a field in which all differ from it decides nothing", site + "\n---\nkind: Post\nspec: {name: a, at: s}\n---\nkind: Door\nspec: {name: a, domain: one, port: 1, password: p}",
			rows{{"name": "a", "domain": "one"}, {"name": "a", "domain": "one", "port": reconcile.Number("2")}}, []string{"Door a there"}, 2},
		{"a reference to live namesakes alone is left out", site + "\n---\nkind: Store\nspec: {cluster: x, name: s}", nil, []string{"Store x/s"}, 0},
	} {
		t.Run(c.why, func(t *testing.T) {
			m := newMemory(kinds(t))
			for _, row := range c.live {
				m.put("Door", row)
			}
			for range 2 {
				m.put("Cluster", map[string]any{"name": "x"})
			}
			for range 2 {
				x := restore(t, m, m, load(t, c.docs), reconcile.RestoreOptions{})
				var objects []string
				for _, n := range x.NotBack {
					require.True(t, n.Untold)
					objects = append(objects, n.Object.String()+map[bool]string{true: " there"}[n.There])
				}
				require.Empty(t, cmp.Diff(c.want, objects))
				require.Len(t, m.rows["Site"], 1, "the rest is back")
				require.Len(t, m.rows["Door"], c.doors)
				require.NotNil(t, x.Proof)
			}
		})
	}
}

func TestARestoreKnowsItsOwnAmongNamesakesByTheMarker(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	o := reconcile.RestoreOptions{Ownership: owned().Ownership}
	docs := "kind: Post\nspec: {name: p}"
	require.True(t, restore(t, m, m, load(t, docs), o).Whole())
	m.put("Post", map[string]any{"name": "p"})
	m.writes = nil
	require.True(t, restore(t, m, m, load(t, docs), o).Whole())
	require.Empty(t, m.writes)
}

func TestFieldsThatSpeakForDifferentNamesakesDecideNothing(t *testing.T) {
	m := newMemory(kinds(t))
	m.put("Site", map[string]any{"slug": "s", "name": "n", "count": reconcile.Number("2")})
	m.put("Site", map[string]any{"slug": "s", "name": "x", "count": reconcile.Number("1")})
	x := restore(t, m, m, load(t, "kind: Site\nspec: {slug: s, name: n, count: 1}\n---\nkind: Cluster\nspec: {name: c, site: s}"), reconcile.RestoreOptions{})
	require.Len(t, x.NotBack, 2)
	require.True(t, x.NotBack[0].Untold)
	require.Equal(t, []string{"Cluster c there | site: refers to Site s, which can't be told from its namesakes"}, notBack(x)[1:])
	require.Len(t, m.rows["Site"], 2)
	require.Len(t, m.writes, 1, "the rest is back, without the reference")
}
