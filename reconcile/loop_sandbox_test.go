package reconcile_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// The same loop with the real kinds, the real client and the sandbox, its faults
// being those of a network.
func TestTheLoopHoldsOnTheSandbox(t *testing.T) { theSandboxLoop(t, 30) }

func TestLongTheLoopHoldsOnTheSandbox(t *testing.T) {
	long(t)
	theSandboxLoop(t, 2_000)
}

const sandboxToken = "nbt_loopproperty.Cp7qfEoUyR2mXhJtKd0sWzGv4bN8lA1iQ6uTzYcM"

func theSandboxLoop(t *testing.T, n int) {
	seen, types := map[string]int{}, map[string][]string{}
	all := cases(t, n, func(rt *rapid.T) {
		s := &scene{tb: t, rt: rt, generation: rapid.SampledFrom(sandbox.Generations()).Draw(rt, "generation"), seen: seen, types: types}
		s.site = s.server()
		s.run("prod", s.world(""), 0)
		s.run("other", s.world("o-"), 0)
		s.strangers()
		before := s.rows()
		text := s.world("")
		s.run("prod", text, rapid.IntRange(0, 10).Draw(rt, "how often not"))
		s.run("prod", text, 0)
		s.nothingLeft(text)
		s.untouched(before, s.rows())
		s.exportIsTheState()
	})
	for _, what := range []string{"faults", "deletes", "foreign", "exported"} {
		require.True(t, seen[what] > 0 || !all, "no case with %s: the test shows nothing", what)
	}
	t.Logf("among them: %v", seen)
}

// scene is one case: a server and who works on it.
type scene struct {
	tb         testing.TB
	rt         *rapid.T
	generation string
	site       *wire
	seen       map[string]int
	types      map[string][]string // what can carry a marker, by generation
}

// server is an empty one with the custom field of the markers.
func (s *scene) server() *wire {
	handler, err := sandbox.New(sandbox.Options{Generation: s.generation, Token: sandboxToken})
	require.NoError(s.rt, err)
	w := &wire{handler: handler, seen: s.seen}
	set, client := schema.Embedded(), s.client(w)
	if s.types[s.generation] == nil {
		for _, k := range reconcile.MarkedKinds(set, nil) {
			a, err := client.Describe(context.Background(), k.Name)
			if _, has := a.Fields["custom_fields"]; err == nil && has {
				s.types[s.generation] = append(s.types[s.generation], k.Resource.ObjectType)
			}
		}
	}
	field := reconcile.MarkerFieldDocument(set, s.types[s.generation], "")
	s.apply(client, []reconcile.Document{field}, reconcile.PlanOptions{})
	return w
}

func (s *scene) client(w *wire) *netbox.Client {
	c, err := netbox.New(netbox.Config{URL: "http://127.0.0.1", Token: reconcile.NewSecret(sandboxToken, ""), Kinds: schema.Embedded(),
		Transport: w, Parallelism: 1, BatchSize: 3, Sleep: func(context.Context, time.Duration) error { return nil }})
	require.NoError(s.rt, err)
	return c
}

func (s *scene) apply(c *netbox.Client, docs []reconcile.Document, o reconcile.PlanOptions) {
	plan, diags, err := reconcile.MakePlan(context.Background(), schema.Embedded(), c, docs, o)
	require.NoError(s.rt, err)
	require.Empty(s.rt, diags.Errors())
	report := reconcile.Apply(context.Background(), plan, c, reconcile.ApplyOptions{})
	require.NoError(s.rt, report.Err)
	require.Equal(s.rt, len(plan.Steps), report.Count(reconcile.Applied), "%v", steps(plan))
}

// world draws manifests whose names begin with a prefix.
func (s *scene) world(p string) string {
	n := func(label string, most int) int { return rapid.IntRange(0, most).Draw(s.rt, label) }
	pick := func(label string, texts ...string) string { return rapid.SampledFrom(texts).Draw(s.rt, label) }
	text := fmt.Sprintf("kind: ClusterType\nspec: {slug: %sct, name: %sCT}\n---\nkind: Tag\nspec: {slug: %stag, name: %sTag}", p, p, p, p)
	add := func(format string, args ...any) {
		text += "\n---\n" + strings.ReplaceAll(fmt.Sprintf(format, args...), "~", p)
	}
	tags := func() string { return pick("tags", "", ", tags: []", ", tags: [~tag]") }
	for i := range 2 {
		add("kind: Cluster\nspec: {name: ~c%d, type: ~ct%s%s}", i, pick("status", "", ", status: planned", ", status: active"), tags())
	}
	for i := range n("sites", 2) {
		add("kind: Site\nspec: {slug: ~s%d, name: ~S%d, status: %s}", i, i, pick("status", "active", "retired"))
	}
	ends := n("endpoints", 2)
	for i := range ends {
		add("kind: ProxmoxEndpoint\nspec: {name: ~e%d, mode: cluster, domain: ~e%d.example.net%s%s}", i, i,
			pick("port", "", ", port: 8006", ", port: 443"), pick("verify", "", ", verify_ssl: true"))
	}
	for i := range min(ends, 1) * n("clusters", 2) {
		add("kind: ProxmoxCluster\nspec: {endpoint: ~e%d, name: ~pc%d, mode: %s, netbox_cluster: %s}", n("of", ends-1), i,
			pick("mode", "cluster", "standalone"), pick("cluster", "null", "~c0", "~c1"))
	}
	for i := range n("storages", 4) {
		add("kind: ProxmoxStorage\nspec: {cluster: ~c%d, name: ~st%d%s%s%s}", i%2, i, tags(),
			pick("content", "", `, content: "images,rootdir"`, ", content: iso", ", content: null"),
			pick("raw", "", ", raw_config: {a: [1, x], b: null}", ", raw_config: {}"))
	}
	for i := range n("machines", 2) {
		add("kind: VirtualMachine\nspec: {cluster: ~c%d, name: ~vm%d, memory: %s, vcpus: %s}", i%2, i, pick("memory", "null", "1024"), pick("vcpus", "2", "1.5"))
	}
	return text
}

// docs reads manifests and gives the endpoints their secret.
func (s *scene) docs(text string) []reconcile.Document {
	return seal(load(s.tb, text), "ProxmoxEndpoint", "password", "ENC[one]", time.Unix(0, 0))
}

func (s *scene) options(owner string) reconcile.PlanOptions {
	most := 100
	return reconcile.PlanOptions{Ownership: reconcile.Ownership{Owner: owner, Prune: true, Limits: reconcile.Limits{MaxDeletes: &most},
		AllowRetarget: []reconcile.Selection{{Kind: "ProxmoxEndpoint"}}}}
}

// run lets an owner apply manifests. often is how many requests out of one more
// get through, 0 for all of them.
func (s *scene) run(owner, text string, often int) {
	c := s.client(s.site)
	if often == 0 {
		s.apply(c, s.docs(text), s.options(owner))
		return
	}
	plan, diags, err := reconcile.MakePlan(context.Background(), schema.Embedded(), c, s.docs(text), s.options(owner))
	require.NoError(s.rt, err)
	require.Empty(s.rt, diags.Errors())
	assertOrder(s.rt, plan)
	for _, x := range plan.Steps {
		if x.Change.Action == reconcile.Delete {
			s.seen["deletes"]++
		}
	}
	s.site.breakDown(rapid.Uint64().Draw(s.rt, "network"), often)
	reconcile.Apply(context.Background(), plan, c, reconcile.ApplyOptions{})
	s.site.breakDown(0, 0)
}

func (s *scene) nothingLeft(text string) {
	c := s.client(s.site)
	plan, diags, err := reconcile.MakePlan(context.Background(), schema.Embedded(), c, s.docs(text), s.options("prod"))
	require.NoError(s.rt, err)
	require.Empty(s.rt, diags.Errors())
	require.Empty(s.rt, summaryOfSteps(plan), "a plan after a run without faults")
	before := s.site.writes
	require.NoError(s.rt, reconcile.Apply(context.Background(), plan, c, reconcile.ApplyOptions{}).Err)
	require.Equal(s.rt, before, s.site.writes, "an empty plan writes nothing")
}

// strangers make objects of their own, also below prod's, and change prod's.
func (s *scene) strangers() {
	s.apply(s.client(s.site), load(s.tb, "kind: ProxmoxStorage\nspec: {cluster: c0, name: x-st}\n---\nkind: Site\nspec: {slug: x-s, name: X}"), reconcile.PlanOptions{})
	if rapid.Bool().Draw(s.rt, "drift") {
		s.apply(s.client(s.site), load(s.tb, "kind: ProxmoxStorage\nspec: {cluster: c0, name: st0, content: backup}"), reconcile.PlanOptions{})
	}
}

var played = []string{"Tag", "Site", "ClusterType", "Cluster", "ProxmoxEndpoint", "ProxmoxCluster", "ProxmoxStorage", "VirtualMachine"}

// rows are all objects by kind and name; a name twice is a twin.
func (s *scene) rows() map[string]reconcile.Row {
	all := map[string]reconcile.Row{}
	for _, kind := range played {
		_, err := s.client(s.site).Read(context.Background(), reconcile.Query{Kind: kind}, func(r reconcile.Row) error {
			name := fmt.Sprintf("%s/%v%v", kind, r.Fields["slug"], r.Fields["name"])
			require.NotContains(s.rt, all, name, "it exists twice")
			all[name] = r
			return nil
		})
		require.NoError(s.rt, err)
	}
	return all
}

// untouched: what another owner or a stranger made is as it was.
func (s *scene) untouched(before, now map[string]reconcile.Row) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		own, _ := before[name].Fields["name"].(string)
		if !strings.HasPrefix(own, "o-") && !strings.HasPrefix(strings.ToLower(own), "x") {
			continue
		}
		s.seen["foreign"]++
		require.True(s.rt, reflect.DeepEqual(before[name], now[name]), "%s is not ours and was changed: %v, now %v", name, before[name], now[name])
	}
}

func (s *scene) exported(w *wire) string {
	var texts []string
	_, diags, err := reconcile.Export(context.Background(), schema.Embedded(), s.client(w), &reconcile.State{},
		reconcile.ExportOptions{All: true, References: true}, func(x *reconcile.Exported) error {
			if x.Object.Kind.Resource.Mode != schema.Singleton {
				texts = append(texts, strings.TrimPrefix(render.ManifestText(x), "apiVersion: proxbox-sync/v1\n"))
			}
			return nil
		})
	require.NoError(s.rt, err)
	require.Empty(s.rt, diags.Errors())
	return oneText(texts)
}

// exportIsTheState: an export is no change to its server, and restored into an
// empty one it exports to the same text.
func (s *scene) exportIsTheState() {
	text := s.exported(s.site)
	plan, diags, err := reconcile.MakePlan(context.Background(), schema.Embedded(), s.client(s.site), s.docs(text), reconcile.PlanOptions{})
	require.NoError(s.rt, err)
	require.Empty(s.rt, diags.Errors())
	require.Empty(s.rt, summaryOfSteps(plan), "an export is no change")
	empty := s.server()
	s.apply(s.client(empty), s.docs(text), reconcile.PlanOptions{})
	require.Empty(s.rt, cmp.Diff(text, s.exported(empty)))
	s.seen["exported"]++
}
