package reconcile_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

var springtime = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// post is a manifest of a post, which may have a secret: encrypted as cipher,
// or in plain text where cipher is "plain".
func post(t *testing.T, spec, cipher string) []reconcile.Document {
	t.Helper()
	docs := load(t, "kind: Site\nitems: [{slug: a}, {slug: b}]\n---\nkind: Post\n"+spec)
	switch cipher {
	case "":
		return docs
	case "plain":
		return seal(docs, "Post", "password", "", time.Time{})
	}
	return seal(docs, "Post", "password", cipher, springtime)
}

// recorded is what the marker of the only post says of its secret.
func recorded(t *testing.T, m *memory) (digest any, managed bool) {
	t.Helper()
	require.Len(t, m.rows["Post"], 1)
	for _, row := range m.rows["Post"] {
		marker := row.Fields["custom_fields"].(map[string]any)[reconcile.MarkerField].(map[string]any)
		digest, managed = marker["fields"].(map[string]any)["password"]
	}
	return digest, managed
}

func TestASecretThatAManifestStartsToDeclareIsSent(t *testing.T) {
	const spec = "spec: {name: p}"
	for _, c := range []struct {
		why    string
		byHand bool     // the object was made by hand
		first  string   // the secret of the first apply
		second string   // of the second
		want   []string // what the second plan does
		state  string   // what it says of the secret
		after  string   // and what the plan after that
	}{
		{"new on an object that we created", false, "", "ENC[1]", []string{"update Post p password=new"}, "new: ", "unchanged: "},
		{"new on one that was adopted", true, "", "ENC[1]", []string{"update Post p password=new"}, "new: ", "unchanged: "},
		{"new in plain text: sent once, and unknown then", false, "", "plain", []string{"update Post p password=new"}, "new: ",
			"unknown: it stands in plain text, of which no digest is kept"},
		{"not sent when its object was adopted", true, "ENC[1]", "ENC[1]", nil, "unknown: nothing is recorded of what the server has",
			"unknown: nothing is recorded of what the server has"},
		{"not even once its ciphertext changes", true, "ENC[1]", "ENC[2]", nil, "unknown: nothing is recorded of what the server has",
			"unknown: nothing is recorded of what the server has"},
		{"encrypted after it stood in plain text", false, "plain", "ENC[1]", nil, "unknown: nothing is recorded of what the server has",
			"unknown: nothing is recorded of what the server has"},
		{"put into plain text after it was encrypted", false, "ENC[1]", "plain", nil, "unknown: it stands in plain text, of which no digest is kept",
			"unknown: it stands in plain text, of which no digest is kept"},
		{"gone from the manifest", false, "ENC[1]", "", []string{"mark Post p released=password (updated)"}, "", ""},
		{"an unknown one gone from the manifest", true, "ENC[1]", "", []string{"mark Post p released=password (updated)"}, "", ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			set := kinds(t)
			m := marked(t, set)
			if c.byHand {
				m.put("Post", map[string]any{"name": "p", "custom_fields": map[string]any{}})
			}
			apply(t, set, m, post(t, spec, c.first), owned())
			second := post(t, spec, c.second)
			p := mustPlan(t, set, m, second, owned())
			require.Empty(t, cmp.Diff(c.want, summary(p)))
			require.Equal(t, c.state, states(p))
			require.NoError(t, reconcile.Apply(context.Background(), p, m, reconcile.ApplyOptions{}).Err)
			p = mustPlan(t, set, m, second, owned())
			require.Empty(t, summary(p), "a second apply writes nothing")
			require.Equal(t, c.after, states(p))
			_, managed := recorded(t, m)
			require.Equal(t, c.second != "", managed)
		})
	}
}

// states are what a plan says of its secrets.
func states(p *reconcile.Plan) string {
	out := ""
	for _, s := range p.Secrets {
		out += s.Status + ": " + s.Why
	}
	return out
}

func TestAnUnknownSecretStaysUnknownWhenItsObjectIsRenamed(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	m.put("Post", map[string]any{"name": "p", "custom_fields": map[string]any{}})
	apply(t, set, m, post(t, "spec: {name: p}", "ENC[1]"), owned())
	renamed := post(t, "metadata: {renamedFrom: p}\nspec: {name: q}", "ENC[1]")
	p := mustPlan(t, set, m, renamed, owned())
	require.Equal(t, []string{"update Post q name=intent"}, summary(p))
	require.Equal(t, "unknown: nothing is recorded of what the server has", states(p))
	apply(t, set, m, renamed, owned())
	digest, managed := recorded(t, m)
	require.True(t, managed)
	require.Equal(t, "", digest)
}

// A run over some of the files sends what is new in them, and forgets nothing
// of what stands in others.
func TestAPartialRunKeepsWhatIsKnownOfSecrets(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, post(t, "spec: {name: p}", "ENC[1]"), owned())
	before, _ := recorded(t, m)
	o := owned()
	o.Ownership.Partial = "only some paths were given"
	require.Empty(t, plan(t, set, m, post(t, "spec: {name: p}", ""), o))
	apply(t, set, m, post(t, "spec: {name: p, custom_fields: {note: 1}}", ""), o)
	after, managed := recorded(t, m)
	require.True(t, managed)
	require.Equal(t, before, after)

	m = marked(t, set)
	apply(t, set, m, post(t, "spec: {name: p}", ""), owned())
	require.Equal(t, []string{"update Post p password=new"}, plan(t, set, m, post(t, "spec: {name: p}", "ENC[1]"), o))
}

// Whoever may change manifests and has no key can take a secret out and put the
// old ciphertext back: that must not pass for secrets that are sent anew.
func TestASecretPutBackIsNoLeaveToPointCredentialsElsewhere(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, post(t, "spec: {name: p, at: a}", "ENC[1]"), owned())
	apply(t, set, m, post(t, "spec: {name: p, at: a}", ""), owned())
	back := post(t, "spec: {name: p, at: b}", "ENC[1]")
	require.Contains(t, plan(t, set, m, back, owned()), "refused: retargeted-credentials")
	o := owned()
	o.SendSecrets = []reconcile.SecretSelection{{}}
	require.Equal(t, []string{"update Post p at=intent password=asked"}, plan(t, set, m, back, o))
}

func TestTwoOwnersOfTheSettingsKnowTheirOwnSecrets(t *testing.T) {
	set := kinds(t)
	m := newMemory(set)
	m.put("Extra", map[string]any{"name": reconcile.MarkerField, "type": "json", "object_types": []any{"x.safe"}})
	m.put("Safe", map[string]any{"custom_fields": map[string]any{}})
	safe := func(spec, cipher string) []reconcile.Document {
		docs := load(t, "kind: Safe\nspec: "+spec)
		if cipher != "" {
			docs = seal(docs, "Safe", "password", cipher, springtime)
		}
		return docs
	}
	other := owned()
	other.Ownership.Owner = "lab"
	apply(t, set, m, safe("{level: 1}", ""), other)
	p := mustPlan(t, set, m, safe("{size: 1}", "ENC[1]"), owned())
	require.Equal(t, "unknown: the object is not ours yet", states(p))
	apply(t, set, m, safe("{size: 1}", ""), owned())
	p = mustPlan(t, set, m, safe("{size: 1}", "ENC[1]"), owned())
	require.Equal(t, "new: ", states(p))
	apply(t, set, m, safe("{size: 1}", "ENC[1]"), owned())
	require.Equal(t, "unchanged: ", states(mustPlan(t, set, m, safe("{size: 1}", "ENC[1]"), owned())))
	require.Empty(t, plan(t, set, m, safe("{level: 1}", ""), other))
}

func TestASecretThatIsLeftToOthersIsSentWhenAskedOnly(t *testing.T) {
	set := kinds(t)
	m := marked(t, set)
	apply(t, set, m, post(t, "spec: {name: p}", "ENC[1]"), owned())
	left := post(t, "metadata: {ignoreChanges: [password]}\nspec: {name: p}", "ENC[2]")
	require.Equal(t, []string{"mark Post p released=password (updated)"}, plan(t, set, m, left, owned()))
	apply(t, set, m, left, owned())
	require.Empty(t, plan(t, set, m, left, owned()))
	o := owned()
	o.SendSecrets = []reconcile.SecretSelection{{Kind: "Post", Field: "password"}}
	require.Equal(t, []string{"update Post p password=asked"}, plan(t, set, m, left, o))
	for _, w := range m.writes {
		require.NotContains(t, w, "plain of")
	}
}
