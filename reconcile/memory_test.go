package reconcile_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/schema"
)

// kinds is a set of invented kinds that has every feature the hub cares for.
func kinds(t testing.TB) *schema.Set {
	t.Helper()
	file := func(key, unique, required, properties, more string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(fmt.Sprintf(`{"$schema": "https://json-schema.org/draft/2020-12/schema",
			"title": "t", "description": "d", "type": "object",
			"x-resource": {"paths": ["x/%s"], "objectType": "x.y", "key": %s, "unique": %s, "mode": "managed"},
			"required": %s, "properties": {%s}, "unevaluatedProperties": false %s}`, "p", key, unique, required, properties, more))}
	}
	const ref = `{"type": ["string", "integer", "object", "null"], "x-ref": {"kind": %q, "onDelete": "null"}}`
	files := fstest.MapFS{
		"Site.json": file(`["slug"]`, `[["slug"]]`, `["slug"]`, `"slug": {"type": "string"}, "name": {"type": "string"},
			"raw": {}, "count": {"type": ["integer", "null"]}, "custom_fields": {"type": "object", "additionalProperties": true}`, ""),
		"Cluster.json": file(`["name"]`, `[]`, `["name"]`, `"name": {"type": "string"}, "site": `+fmt.Sprintf(ref, "Site"), ""),
		"Store.json": file(`["cluster", "name"]`, `[["cluster", "name"]]`, `["cluster", "name"]`,
			`"cluster": `+strings.Replace(fmt.Sprintf(ref, "Cluster"), `, "null"]`, `]`, 1)+`, "name": {"type": "string"},
			"size": {"type": ["integer", "null"]}, "when": {"type": ["string", "null"], "format": "date-time"},
			"custom_fields": {"type": "object", "additionalProperties": true},
			"site": `+strings.Replace(fmt.Sprintf(ref, "Site"), `"onDelete": "null"`, `"onDelete": "cascade"`, 1)+`,
			"sites": {"type": "array", "uniqueItems": true, "items": {"x-ref": {"kind": "Site", "onDelete": "null"}}}`, ""),
		"Door.json": {Data: []byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema",
			"title": "t", "description": "d", "type": "object",
			"x-resource": {"paths": ["x/doors"], "objectType": "x.door", "key": ["name"], "unique": [["name", "domain"]], "mode": "managed",
				"cascades": [{"path": "x/keys", "filter": "door_id"}], "after": ["Options"],
				"approval": {"path": "lock", "target": {"host": {"fields": ["domain"], "unset": ""}, "port": {"fields": ["port"], "unset": 1}, "kind": {"unset": "door"}}},
				"create": {"description": "a new door needs a password", "required": ["password"]}},
			"required": ["name"], "properties": {"name": {"type": "string"},
				"domain": {"type": ["string", "null"], "x-destination": true},
				"custom_fields": {"type": "object", "additionalProperties": true},
				"port": {"type": "integer"}, "password": {"type": "string", "writeOnly": true}, "online": {"type": "boolean", "readOnly": true}},
			"unevaluatedProperties": false}`)},
		"Vault.json": {Data: []byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "description": "d", "type": "object",
			"x-resource": {"paths": ["x/vaults"], "objectType": "x.vault", "key": ["name"], "unique": [], "mode": "managed",
				"create": {"allOf": [{"description": "v2 needs a password", "if": {"required": ["version"], "properties": {"version": {"const": "v2"}}},
					"then": {"required": ["password"]}}]}},
			"required": ["name"], "properties": {"name": {"type": "string"}, "version": {"type": "string", "enum": ["v1", "v2"]},
				"password": {"type": "string", "writeOnly": true}},
			"allOf": [{"description": "v1 has no password", "if": {"required": ["version"], "properties": {"version": {"const": "v1"}}},
				"then": {"properties": {"password": {"enum": [""]}}}}], "unevaluatedProperties": false}`)},
		"Gate.json": file(`["name"]`, `[]`, `["name"]`, `"name": {"type": "string"}, "password": {"type": "string", "writeOnly": true}`,
			`, "allOf": [{"description": "a gate needs a password", "required": ["password"]}]`),
		"Extra.json": {Data: []byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "description": "d", "type": "object",
			"x-resource": {"paths": ["x/extras"], "objectType": "extras.customfield", "key": ["name"], "unique": [], "mode": "managed"},
			"required": ["name"], "properties": {"name": {"type": "string"}, "type": {"type": "string"},
				"comments": {"type": "string"}, "object_types": {"type": "array", "items": {}}}, "unevaluatedProperties": false}`)},
		"Post.json": {Data: []byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "description": "d", "type": "object",
			"x-resource": {"paths": ["x/posts"], "objectType": "x.y", "key": ["name"], "unique": [], "mode": "managed"},
			"required": ["name"], "properties": {"name": {"type": "string"}, "password": {"type": "string", "writeOnly": true},
				"custom_fields": {"type": "object", "additionalProperties": true},
				"at": {"title": "t", "description": "d", "type": ["string", "integer", "object", "null"], "x-destination": true,
					"x-ref": {"kind": "Site", "onDelete": "refuse"}}}, "unevaluatedProperties": false}`)},
		"Ring.json":  file(`["name"]`, `[]`, `["name"]`, `"name": {"type": "string"}, "next": `+fmt.Sprintf(ref, "Ring"), ""),
		"Chain.json": file(`["name"]`, `[]`, `["name", "next"]`, `"name": {"type": "string"}, "next": `+fmt.Sprintf(ref, "Chain"), ""),
		"User.json": {Data: []byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "description": "d", "type": "object",
			"x-resource": {"paths": ["x/users"], "objectType": "x.user", "key": ["name"], "unique": [], "mode": "lookup"},
			"properties": {"name": {"type": "string"}}, "unevaluatedProperties": false}`)},
		"Safe.json": {Data: []byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "description": "d", "type": "object",
			"x-resource": {"paths": ["x/safe"], "objectType": "x.safe", "key": [], "unique": [], "mode": "singleton"},
			"properties": {"level": {"type": "integer"}, "size": {"type": "integer"}, "password": {"type": "string", "writeOnly": true},
				"custom_fields": {"type": "object", "additionalProperties": true}}, "unevaluatedProperties": false}`)},
		"Options.json": {Data: []byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "description": "d", "type": "object",
			"x-resource": {"paths": ["x/options"], "objectType": "x.options", "key": [], "unique": [], "mode": "singleton", "materialize": "runtime"},
			"properties": {"level": {"type": "integer"}, "owner": ` + fmt.Sprintf(ref, "User") + `}, "unevaluatedProperties": false}`)},
	}
	for name, file := range files {
		text := strings.NewReplacer(`{"type": `, `{"title": "t", "description": "d", "type": `,
			`"raw": {}`, `"raw": {"title": "t", "description": "d"}`).Replace(string(file.Data))
		id := fmt.Sprintf(`"$id": "urn:proxbox-sync:v1:%s", "title"`, strings.TrimSuffix(name, ".json"))
		file.Data = []byte(strings.Replace(text, `"title"`, id, 1))
	}
	set, err := schema.Load(files)
	require.NoError(t, err)
	return set
}

// load reads manifests from text; every document gets the apiVersion line.
func load(t testing.TB, text string) []reconcile.Document {
	t.Helper()
	docs, diags := manifest.Load(context.Background(), []string{"-"}, manifest.Options{Stdin: strings.NewReader(withVersion(text))})
	require.Empty(t, diags.Errors())
	return docs
}

func withVersion(text string) string {
	var out []string
	for _, doc := range strings.Split(text, "\n---\n") {
		out = append(out, "apiVersion: proxbox-sync/v1\n"+strings.TrimPrefix(doc, "\n"))
	}
	return strings.Join(out, "\n---\n")
}

// memory is a Server over maps. It is no fake of NetBox (the sandbox is that):
// it only keeps the contract of the interface.
type memory struct {
	sparing bool // it leaves out what a query does not name
	set     *schema.Set
	rows    map[string]map[reconcile.RowID]reconcile.Row
	next    reconcile.RowID
	writes  []string
	mu      sync.Mutex // guards reads: several kinds are read at once
	reads   []reconcile.Query
	// before and after run around each write; an outcome they return takes the
	// place of the server's own answer.
	before, after func(kind string, op reconcile.Operation, w reconcile.Write) *reconcile.Outcome
	// batch makes it cut lists as their writes ask for: an outcome that it returns
	// is that of each, and nothing of the batch is written.
	batch   func(list []reconcile.Write) *reconcile.Outcome
	batches int
	// without names the fields that this server does not have.
	without map[string]bool
	mute    bool // Describe is forbidden
	// elsewhere counts the rows at paths that no kind describes.
	elsewhere map[string]int
}

func newMemory(set *schema.Set) *memory {
	return &memory{set: set, rows: map[string]map[reconcile.RowID]reconcile.Row{}}
}

func (m *memory) put(kind string, fields map[string]any) reconcile.RowID {
	m.next++
	if m.rows[kind] == nil {
		m.rows[kind] = map[reconcile.RowID]reconcile.Row{}
	}
	m.rows[kind][m.next] = reconcile.Row{ID: m.next, Version: fmt.Sprintf("v%d", m.next), Fields: maps.Clone(fields)}
	return m.next
}

func (m *memory) Instance(context.Context) (reconcile.Instance, error) {
	return reconcile.Instance{URL: "http://memory", NetBoxVersion: "0.0", PluginVersion: "0.1"}, nil
}

func (m *memory) Describe(_ context.Context, kind string) (reconcile.Ability, error) {
	if m.mute {
		return reconcile.Ability{}, reconcile.ErrForbidden
	}
	a := reconcile.Ability{Fields: map[string]reconcile.FieldAbility{}}
	for _, f := range m.set.Kind(kind).Fields {
		if !m.without[f.Name] {
			a.Fields[f.Name] = reconcile.FieldAbility{ReadOnly: f.ReadOnly}
		}
	}
	return a, nil
}

func (m *memory) Read(_ context.Context, q reconcile.Query, row func(reconcile.Row) error) (reconcile.Coverage, error) {
	m.mu.Lock()
	m.reads = append(m.reads, q)
	m.mu.Unlock()
	c := reconcile.Coverage{Complete: true}
	for _, id := range slices.Sorted(maps.Keys(m.rows[q.Kind])) {
		r := m.rows[q.Kind][id]
		if q.Rows != nil && !slices.Contains(q.Rows, id) || !matches(r, q.Where) {
			continue
		}
		if m.sparing && q.Named != nil && !named(r, q.Named) {
			c.Partly = true
			continue
		}
		out := reconcile.Row{ID: r.ID, Version: r.Version, Fields: map[string]any{}}
		if c.Fields == nil {
			c.Fields = map[string]bool{}
		}
		for _, name := range q.Fields {
			if m.set.Kind(q.Kind).Field(name).WriteOnly || m.without[name] {
				continue
			}
			out.Fields[name] = r.Fields[name]
			c.Fields[name] = true
		}
		c.Rows++
		if err := row(out); err != nil {
			return c, err
		}
	}
	return c, nil
}

func named(r reconcile.Row, by map[string][]string) bool {
	for name, values := range by {
		if text, ok := r.Fields[name].(string); ok && slices.Contains(values, text) {
			return true
		}
	}
	return false
}

func matches(r reconcile.Row, where map[string]any) bool {
	for name, v := range where {
		if r.Fields[name] != v {
			return false
		}
	}
	return true
}

func (m *memory) Write(ctx context.Context, kind string, op reconcile.Operation, list []reconcile.Write, done func(int, reconcile.Outcome)) error {
	lost := map[int]*reconcile.Outcome{}
	for start := 0; m.batch != nil && start < len(list); {
		end := start + 1
		for end < len(list) && (list[start].Batch == 0 || end-start < list[start].Batch) {
			end++
		}
		out := m.batch(list[start:end])
		m.batches++
		for ; start < end; start++ {
			lost[start] = out
		}
	}
	for i, w := range list {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if lost[i] != nil {
			done(i, *lost[i])
			continue
		}
		if m.before != nil {
			if out := m.before(kind, op, w); out != nil {
				done(i, *out)
				continue
			}
		}
		out := m.write(kind, op, w)
		if m.after != nil {
			if instead := m.after(kind, op, w); instead != nil {
				out = *instead
			}
		}
		done(i, out)
	}
	return nil
}

func (m *memory) Count(_ context.Context, path, _ string, _ reconcile.RowID) (int, error) {
	if n, ok := m.elsewhere[path]; ok {
		return n, nil
	}
	return 0, reconcile.ErrNoKind
}

func (m *memory) write(kind string, op reconcile.Operation, w reconcile.Write) reconcile.Outcome {
	fields := maps.Clone(w.Fields)
	m.writes = append(m.writes, fmt.Sprintf("%s %s %v", op, kind, slices.Sorted(maps.Keys(fields))))
	if op == reconcile.OpCreate || w.Row == 0 {
		row := m.put(kind, fields)
		return reconcile.Outcome{Verdict: reconcile.Done, Row: row, Version: m.rows[kind][row].Version}
	}
	r, ok := m.rows[kind][w.Row]
	if !ok {
		return reconcile.Outcome{Verdict: reconcile.Refused, Status: 404, Messages: []reconcile.FieldMessage{{Text: "no such object"}}}
	}
	if op == reconcile.OpDelete && (w.IfVersion == "" || w.IfVersion == r.Version) {
		delete(m.rows[kind], w.Row)
		return reconcile.Outcome{Verdict: reconcile.Done, Row: w.Row}
	}
	if w.IfVersion != "" && w.IfVersion != r.Version {
		return reconcile.Outcome{Verdict: reconcile.Conflict}
	}
	m.next++
	r.Version = fmt.Sprintf("v%d", m.next)
	merged := maps.Clone(r.Fields)
	for name, v := range fields {
		if entries, ok := v.(map[string]any); ok && name == "custom_fields" {
			old, _ := merged[name].(map[string]any)
			both := maps.Clone(old)
			if both == nil {
				both = map[string]any{}
			}
			maps.Copy(both, entries)
			v = both
		}
		merged[name] = v
	}
	r.Fields = merged
	m.rows[kind][w.Row] = r
	return reconcile.Outcome{Verdict: reconcile.Done, Row: w.Row, Version: r.Version}
}

// mustPlan plans and expects no errors.
func mustPlan(t testing.TB, set *schema.Set, m *memory, docs []reconcile.Document, o reconcile.PlanOptions) *reconcile.Plan {
	t.Helper()
	plan, diags, err := reconcile.MakePlan(context.Background(), set, m, docs, o)
	require.NoError(t, err)
	require.Empty(t, diags.Errors())
	require.NotNil(t, plan)
	return plan
}

// steps is a plan in words, one line a step.
func steps(p *reconcile.Plan) []string {
	var out []string
	for _, s := range p.Steps {
		line := fmt.Sprintf("%d %s %s", s.Wave, s.Change.Action, s.Change.Desired)
		for _, fc := range s.Change.Fields {
			line += " " + fc.Name
		}
		for _, sc := range s.Change.Secrets {
			line += " " + sc.Name + "=" + sc.Why
		}
		out = append(out, line)
	}
	return out
}
