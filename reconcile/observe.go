package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"proxbox-sync/schema"
)

// readsAtOnce bounds how many kinds are read at the same time; the client
// bounds requests on its own.
const readsAtOnce = 4

// Observe reads what the desired objects need of the server: the live objects
// of their kinds, and of the kinds that their keys and references lead to, each
// with no more fields than are compared. Diagnostics say what the server does
// not have or the token may not see; the error is for a server that can't be
// read at all.
func Observe(ctx context.Context, set *schema.Set, server Server, desired *State) (*State, Diagnostics, error) {
	return ObserveOwned(ctx, set, server, desired, Ownership{})
}

// ObserveOwned is Observe for a run with an owner: it also reads the markers,
// and, unless the run is a partial one, the objects of every kind that may have
// one. It costs one request more, for the custom field itself.
func ObserveOwned(ctx context.Context, set *schema.Set, server Server, desired *State, own Ownership) (*State, Diagnostics, error) {
	needs := newNeeds(set)
	for _, kind := range sortedKeys(desired.Objects) {
		for _, o := range desired.Objects[kind] {
			needs.object(o)
		}
	}
	demanded := needs.kinds()
	for _, k := range set.Kinds() {
		if own.marks(k) && (own.Partial == "" || demanded[k.Name]) {
			needs.field(k, customFields)
			needs.fields(k, holdingReferences(k))
		}
	}
	reading := &reading{set: set, server: server, rows: map[string][]Row{}, coverage: map[string]Coverage{}}
	if err := reading.all(ctx, needs.queries()); err != nil {
		return nil, nil, err
	}
	instance, err := server.Instance(ctx)
	if err != nil {
		return nil, nil, err
	}
	a := &abilities{server: server, instance: instance, reading: reading}
	for _, kind := range sortedKeys(desired.Objects) {
		if err := a.check(ctx, set.Kind(kind), desired.Objects[kind]); err != nil {
			return nil, nil, err
		}
	}
	a.checkTargets(demanded, desired)
	live := reading.state()
	if own.Owner != "" {
		marker, err := reading.marked(ctx, own)
		if err != nil {
			return nil, nil, err
		}
		live.Marked, live.Unread = marker, reading.unread()
		if len(marker) == 0 {
			a.diags = append(a.diags, Diagnostic{Severity: Warning, Trouble: ServerSide, Code: "no-marker-field",
				Summary: fmt.Sprintf("the server has no custom field %s for these kinds: nothing shows what is managed", MarkerField),
				Detail: "run proxbox-sync init; if that was done before, somebody deleted the field and every marker with it. " +
					"Until then nothing is pruned, no drift is told from intent, and secrets are sent on create only"})
		}
	}
	return live, a.diags.Sorted(), nil
}

// holdingReferences are the references of a kind by which a delete of the target
// deletes the object, or is refused.
func holdingReferences(k *schema.Kind) []string {
	var names []string
	for _, f := range k.Fields {
		if f.Class == schema.Reference && (f.Ref.OnDelete == "cascade" || f.Ref.OnDelete == "refuse") {
			names = append(names, f.Name)
		}
	}
	return names
}

// markerModel is NetBox's name of the model of custom fields.
const markerModel = "extras.customfield"

// marked finds out which kinds can carry the marker: from the custom field
// itself where the token may read it, else from the rows, which show every
// custom field of their kind.
func (r *reading) marked(ctx context.Context, own Ownership) (map[string]bool, error) {
	marked := map[string]bool{}
	for name, rows := range r.rows {
		for _, row := range rows[:min(1, len(rows))] {
			entries, _ := row.Fields[customFields].(map[string]any)
			if _, ok := entries[MarkerField]; ok {
				marked[name] = true
			}
		}
	}
	i := slices.IndexFunc(r.set.Kinds(), func(k *schema.Kind) bool { return k.Resource.ObjectType == markerModel })
	if i < 0 {
		return marked, nil
	}
	field := r.set.Kinds()[i]
	q := Query{Kind: field.Name, Fields: []string{"name", "object_types"}, Where: map[string]any{"name": MarkerField}}
	_, err := r.server.Read(ctx, q, func(row Row) error {
		types, _ := row.Fields["object_types"].([]any)
		for _, k := range r.set.Kinds() {
			if own.marks(k) && slices.Contains(types, any(k.Resource.ObjectType)) {
				marked[k.Name] = true
			}
		}
		return nil
	})
	if errors.Is(err, ErrNoKind) || errors.Is(err, ErrForbidden) {
		err = nil
	}
	return marked, err
}

// unread says of which kinds objects may be missing, and why.
func (r *reading) unread() map[string]string {
	out := map[string]string{}
	for kind, c := range r.coverage {
		if !c.Complete {
			out[kind] = c.Why
		}
	}
	for kind, err := range r.failed {
		out[kind] = err.Error()
	}
	return out
}

// List reads the objects of one kind that a query asks for, and what their
// references need to be shown by key.
func List(ctx context.Context, set *schema.Set, server Server, q Query) (*State, Coverage, error) {
	kind := set.Kind(q.Kind)
	if q.Fields == nil {
		for _, f := range kind.Fields {
			if !f.WriteOnly {
				q.Fields = append(q.Fields, f.Name)
			}
		}
	}
	needs := newNeeds(set)
	needs.fields(kind, q.Fields)
	queries := needs.queries()
	for i := range queries {
		if queries[i].Kind == q.Kind {
			queries[i] = q
		}
	}
	reading := &reading{set: set, server: server, rows: map[string][]Row{}, coverage: map[string]Coverage{}}
	if err := reading.all(ctx, queries); err != nil {
		return nil, Coverage{}, err
	}
	if err := reading.failed[q.Kind]; err != nil {
		return nil, Coverage{}, fmt.Errorf("reading %s: %w", q.Kind, err)
	}
	live := reading.state()
	return live, reading.coverage[q.Kind], nil
}

// needs collects the fields to read by kind.
type needs struct {
	set    *schema.Set
	wanted map[string]map[string]bool
}

func newNeeds(set *schema.Set) *needs {
	return &needs{set: set, wanted: map[string]map[string]bool{}}
}

// field notes that a field of a kind is needed, and with it the keys of what it
// refers to.
func (n *needs) field(kind *schema.Kind, name string) {
	f := kind.Field(name)
	if f == nil || f.WriteOnly {
		return
	}
	n.key(kind)
	if n.wanted[kind.Name][name] {
		return
	}
	n.wanted[kind.Name][name] = true
	if f.Ref != nil {
		n.key(n.set.Kind(f.Ref.Kind))
	}
}

// key notes that objects of a kind are needed, by their natural key.
func (n *needs) key(kind *schema.Kind) {
	if n.wanted[kind.Name] != nil {
		return
	}
	n.wanted[kind.Name] = map[string]bool{}
	n.fields(kind, kind.Resource.Key)
}

func (n *needs) fields(kind *schema.Kind, names []string) {
	for _, name := range names {
		n.field(kind, name)
	}
}

func (n *needs) object(o *Object) {
	n.key(o.Kind)
	for name, v := range o.Fields {
		n.field(o.Kind, name)
		n.value(v)
		if o.Kind.Field(name).WriteOnly {
			n.choices(o.Kind)
		}
	}
}

// choices notes the fields by which the rules of a kind tell which secrets the
// server takes.
func (n *needs) choices(kind *schema.Kind) {
	for _, f := range kind.Fields {
		if f.Class == schema.Choice {
			n.field(kind, f.Name)
		}
	}
}

func (n *needs) value(v any) {
	switch v := v.(type) {
	case Selector:
		kind := n.set.Kind(v.Kind)
		n.key(kind)
		for name, inner := range v.Fields {
			n.field(kind, name)
			n.value(inner)
		}
	case []any:
		for _, item := range v {
			n.value(item)
		}
	}
}

func (n *needs) kinds() map[string]bool {
	out := make(map[string]bool, len(n.wanted))
	for kind := range n.wanted {
		out[kind] = true
	}
	return out
}

func (n *needs) queries() []Query {
	var queries []Query
	for _, kind := range sortedKeys(n.wanted) {
		queries = append(queries, Query{Kind: kind, Fields: sortedKeys(n.wanted[kind])})
	}
	return queries
}

// reading is the rows of several kinds.
type reading struct {
	set    *schema.Set
	server Server

	mu       sync.Mutex
	rows     map[string][]Row
	coverage map[string]Coverage
	failed   map[string]error // ErrNoKind or ErrForbidden, by kind
}

func (r *reading) all(ctx context.Context, queries []Query) error {
	r.failed = map[string]error{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for _, q := range queries {
		group.Go(func() error {
			var rows []Row
			coverage, err := r.server.Read(ctx, q, func(row Row) error {
				rows = append(rows, row)
				return nil
			})
			r.mu.Lock()
			defer r.mu.Unlock()
			switch {
			case errors.Is(err, ErrNoKind), errors.Is(err, ErrForbidden):
				r.failed[q.Kind] = err
			case err != nil:
				return fmt.Errorf("reading %s: %w", q.Kind, err)
			default:
				r.rows[q.Kind], r.coverage[q.Kind] = rows, coverage
			}
			return nil
		})
	}
	return group.Wait()
}

// state turns the rows into objects and their numbers into references.
func (r *reading) state() *State {
	live := &State{Objects: make(map[string][]*Object, len(r.rows))}
	byRow := make(map[string]map[RowID]*Object, len(r.rows))
	for name, rows := range r.rows {
		objects := make([]*Object, len(rows))
		index := make(map[RowID]*Object, len(rows))
		for i, row := range rows {
			objects[i] = &Object{Kind: r.set.Kind(name), Fields: row.Fields, Row: row.ID, Version: row.Version}
			index[row.ID] = objects[i]
		}
		live.Objects[name], byRow[name] = objects, index
	}
	for name, objects := range live.Objects {
		refs := referenceFields(r.set.Kind(name))
		for _, o := range objects {
			for _, f := range refs {
				if v, ok := o.Fields[f.Name]; ok {
					o.Fields[f.Name] = toRefs(f.Ref.Kind, v, byRow)
				}
			}
		}
	}
	return live
}

func referenceFields(k *schema.Kind) []*schema.Field {
	var refs []*schema.Field
	for _, f := range k.Fields {
		if f.Ref != nil {
			refs = append(refs, f)
		}
	}
	return refs
}

func toRefs(kind string, v any, byRow map[string]map[RowID]*Object) any {
	switch v := v.(type) {
	case RowID:
		return Ref{Target: byRow[kind][v], Kind: kind, Row: v}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = toRefs(kind, v[i], byRow)
		}
		return list
	}
	return v
}

// abilities finds out what the server can't do of what is desired.
type abilities struct {
	server   Server
	instance Instance
	reading  *reading
	diags    Diagnostics
}

func (a *abilities) version() string {
	if a.instance.PluginVersion == "" {
		return "NetBox " + orUnknown(a.instance.NetBoxVersion)
	}
	return fmt.Sprintf("NetBox %s with netbox-proxbox %s", orUnknown(a.instance.NetBoxVersion), a.instance.PluginVersion)
}

func orUnknown(version string) string {
	if version == "" {
		return "of unknown version"
	}
	return version
}

// check compares what a kind's desired objects declare with what the server
// has. Rows show readable fields for nothing; OPTIONS is asked where they can't
// tell: there are none, a field is missing, or it is write-only.
func (a *abilities) check(ctx context.Context, kind *schema.Kind, objects []*Object) error {
	if err := a.reading.failed[kind.Name]; err != nil {
		for _, o := range objects {
			a.refused(o, o.Doc.KindPos, kind.Name, err)
		}
		return nil
	}
	seen := a.reading.coverage[kind.Name].Fields
	declared := map[string]bool{}
	for _, o := range objects {
		for name := range o.Fields {
			declared[name] = true
		}
	}
	var unsure []string
	for _, name := range sortedKeys(declared) {
		if kind.Field(name).WriteOnly || !seen[name] {
			unsure = append(unsure, name)
		}
	}
	if len(unsure) == 0 {
		return nil
	}
	ability, err := a.server.Describe(ctx, kind.Name)
	if errors.Is(err, ErrForbidden) {
		ability, err = Ability{}, nil // what can't be asked is not checked, and said so
	}
	if err != nil {
		return fmt.Errorf("asking what the server knows of %s: %w", kind.Name, err)
	}
	if ability.Fields == nil {
		a.unchecked(kind, unsure, seen, objects)
		return nil
	}
	for _, o := range objects {
		for _, name := range unsure {
			if _, ok := o.Fields[name]; ok {
				a.field(o, name, ability)
			}
		}
	}
	return nil
}

func (a *abilities) field(o *Object, name string, ability Ability) {
	known, ok := ability.Fields[name]
	x := Diagnostic{Severity: Error, Trouble: Manifest, Code: "unsupported-field", Pos: o.fieldPos(name), Object: o.String(), Field: name}
	switch {
	case !ok:
		x.Summary = fmt.Sprintf("this server does not know field %q", name)
		x.Detail = fmt.Sprintf("%s would ignore it silently; remove it, or update the plugin", a.version())
	case known.ReadOnly:
		x.Summary = fmt.Sprintf("field %q is read-only on this server", name)
		x.Detail = fmt.Sprintf("%s sets it itself; remove it", a.version())
	default:
		return
	}
	a.diags = append(a.diags, x)
}

// unchecked says which fields nobody could check: a field that rows should
// have shown is certainly unknown, all others are only not proven.
func (a *abilities) unchecked(kind *schema.Kind, unsure []string, seen map[string]bool, objects []*Object) {
	var open []string
	for _, name := range unsure {
		if seen == nil || kind.Field(name).WriteOnly {
			open = append(open, name)
			continue
		}
		for _, o := range objects {
			if _, ok := o.Fields[name]; ok {
				a.field(o, name, Ability{})
			}
		}
	}
	if len(open) > 0 {
		a.diags = append(a.diags, Diagnostic{Severity: Warning, Trouble: ServerSide, Code: "unchecked-fields", Object: kind.Name,
			Summary: fmt.Sprintf("not checked with this token whether the server knows: %v", open),
			Detail:  "it says so only to tokens that may add objects of this kind"})
	}
}

// checkTargets reports kinds that only references lead to and that can't be read.
func (a *abilities) checkTargets(demanded map[string]bool, desired *State) {
	for _, kind := range sortedKeys(demanded) {
		if err := a.reading.failed[kind]; err != nil && len(desired.Objects[kind]) == 0 {
			a.refused(nil, Position{}, kind, err)
		}
	}
}

func (a *abilities) refused(o *Object, pos Position, kind string, err error) {
	x := Diagnostic{Severity: Error, Trouble: ServerSide, Pos: pos, Object: kind}
	if o != nil {
		x.Object = o.String()
	}
	if errors.Is(err, ErrNoKind) {
		x.Code, x.Summary = "unsupported-kind", fmt.Sprintf("this server has no %s", kind)
		x.Detail = a.version() + " does not list it in its API"
	} else {
		x.Code, x.Summary = "forbidden-kind", fmt.Sprintf("the token may not view %s", kind)
		x.Detail = fmt.Sprintf("it needs the permission %s", viewPermission(a.reading.set.Kind(kind)))
	}
	a.diags = append(a.diags, x)
}

// viewPermission is NetBox's name of the permission to read a kind:
// "netbox_proxbox.view_proxmoxstorage".
func viewPermission(k *schema.Kind) string {
	app, model, _ := strings.Cut(k.Resource.ObjectType, ".")
	return app + ".view_" + model
}
