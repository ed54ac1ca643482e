package reconcile

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// ExportOptions say what of a server is exported.
type ExportOptions struct {
	Ownership Ownership
	// All takes what this owner does not manage as well.
	All    bool
	Select []Selection // nil: everything
	// References also exports the core objects that the others refer to.
	References bool
	// Complete adds what is set on the server to documents that leave fields out
	// on purpose.
	Complete      bool
	IgnoreChanges map[string][]string
}

// Exported is one live object as a manifest would declare it.
type Exported struct {
	Object *Object // live; Peer is the document that is there already
	// CreateOnly, Existing and Protect are the metadata of a new document.
	CreateOnly, Existing, Protect bool
	Fields                        []ExportedField // in the order of the kind's file
	// Home is what the object hangs on, by its key (a cluster, an endpoint), for
	// kinds that are split by it; "" for the others.
	Home string
	// Namesake says that its key alone does not identify the object.
	Namesake bool
	// Edits are what has to change in the document that is there, nil for nothing.
	Edits []FieldEdit
	// Unset are fields that are set on the server and that the document leaves
	// out on purpose.
	Unset []string
}

// ExportedField is a field as written in a manifest: references by key.
type ExportedField struct {
	Name  string
	Value any
}

// FieldEdit is one value that a document has to have instead of what it says.
type FieldEdit struct {
	Path  []string // the field, and below it an entry of a map
	Value any      // as written in a manifest
	// Fields is the mapping that declares the object's fields; At is the value that
	// is replaced, zero where the mapping does not have it itself.
	Fields, At Position
	// Patched says that the value comes from a patch document.
	Patched bool
}

// Exports is what became of an export beside the objects themselves.
type Exports struct {
	Instance Instance
	Counts   map[string]int // exported objects by kind
	// Gone are documents whose object the server does not show any more.
	Gone []*Object
	// Dropped are objects, by kind and row, that were handed out and must not be
	// written after all: they were deleted meanwhile, or can't be told apart.
	Dropped map[string]map[RowID]bool
	Secrets []SecretCoverage
	Unread  map[string]string // why objects of a kind may be missing
	Notes   []ExportNote
	// Others is how many live objects were left out, since this owner does not
	// manage them.
	Others int
}

// ExportNote says what of an object no manifest can hold.
type ExportNote struct {
	Object string
	Field  string
	Why    string
	// Missing says that the export lacks something that the server has.
	Missing bool
}

// SecretCoverage says where a secret field of an exported object is kept.
type SecretCoverage struct {
	Object *Object
	Field  string
	// State is "applied" (it is in Git, and what was applied), "other" (in Git, and
	// not what was applied or not known to be), "todo" (a patch document waits for
	// it) or "missing" (not in Git).
	State string
	Why   string
}

// The states of SecretCoverage.
const (
	SecretApplied = "applied"
	SecretOther   = "other"
	SecretTodo    = "todo"
	SecretMissing = "missing"
)

// Export reads what is live and hands out each object as a manifest would
// declare it, kind by kind. An object that changed meanwhile is handed out
// again; the last one counts. documents are those that are there already,
// linked by this call. Kinds that nothing refers to and no document is of are
// never held as a whole.
func Export(ctx context.Context, set *schema.Set, server Server, documents *State, o ExportOptions, emit func(*Exported) error) (*Exports, Diagnostics, error) {
	e := &exporting{ctx: ctx, set: set, server: server, documents: documents, o: o, emit: emit,
		out:        &Exports{Counts: map[string]int{}, Dropped: map[string]map[RowID]bool{}, Unread: map[string]string{}},
		selected:   make([]bool, len(o.Select)),
		identities: map[[sha256.Size]byte]identified{}, readOnly: map[string]map[string]bool{},
		referenced: map[string]map[RowID]bool{}, customs: map[string]bool{}, blind: map[string]bool{}, unclear: map[string]map[string]bool{}, left: map[string]map[RowID]bool{}, noted: map[ExportNote]bool{}}
	if err := e.read(); err != nil || e.diags.HasErrors() {
		return nil, e.diags.Sorted(), err
	}
	e.diags = append(e.diags, e.unsatisfied(LinkOwned(set, documents, e.live, o.Ownership))...)
	if e.diags.HasErrors() {
		return nil, e.diags.Sorted(), nil
	}
	e.namesakes()
	for _, k := range set.Kinds() {
		if err := e.kind(k); err != nil {
			return nil, nil, err
		}
	}
	if o.References {
		if err := e.references(); err != nil {
			return nil, nil, err
		}
	}
	e.gone()
	e.unused()
	e.out.Secrets = slices.DeleteFunc(e.out.Secrets, func(c SecretCoverage) bool { return e.out.Dropped[c.Object.Kind.Name][c.Object.liveRow()] })
	slices.SortFunc(e.out.Notes, compareNotes)
	return e.out, e.diags.Sorted(), nil
}

// unsatisfied takes what is no mistake of the documents out of the mistakes: what
// is gone, hidden, or there more than once must not end an export.
func (e *exporting) unsatisfied(list Diagnostics) Diagnostics {
	at := map[Position]*Object{}
	for kind, objects := range e.documents.Objects {
		for _, d := range objects {
			at[d.Doc.Pos] = d
			if d.Key == "" && len(d.Kind.Resource.Key) > 0 {
				e.blind[kind] = true
				e.out.Unread[kind] = "a document refers to something that the server does not show"
			}
		}
	}
	return slices.DeleteFunc(list, func(d Diagnostic) bool {
		why := d.Summary
		switch {
		case d.nowhere(), d.Code == "ambiguous-reference" && len(d.Related) <= 1: // two documents would be a mistake
		case d.Code == "ambiguous-object" && at[d.Pos] != nil && at[d.Pos].renamedFrom == nil:
			o := at[d.Pos]
			if e.unclear[o.Kind.Name] == nil {
				e.unclear[o.Kind.Name] = map[string]bool{}
			}
			e.unclear[o.Kind.Name][o.place()] = true
			why += ": " + d.Detail
		default:
			return false
		}
		if d.Field != "" {
			_, why, _ = strings.Cut(d.Summary, ": ")
		}
		e.out.Notes = append(e.out.Notes, ExportNote{Object: d.Object, Field: d.Field, Why: why, Missing: true})
		return true
	})
}

// exporting is the work of one call of Export.
type exporting struct {
	ctx       context.Context
	set       *schema.Set
	server    Server
	documents *State
	o         ExportOptions
	emit      func(*Exported) error

	reading    *reading
	live       *State
	byRow      map[string]map[RowID]*Object
	scope      map[string]bool // kinds that are exported
	streamed   map[string]bool // of them, those that are not held as a whole
	readOnly   map[string]map[string]bool
	defaults   map[string]any    // of custom fields that have one, by name
	types      map[string]string // of custom fields, by name
	customRows []Row
	// shared are the live keys that several objects of a kind have.
	shared map[string]map[string]bool
	// twins are the live objects that nothing tells apart: each with all of them.
	twins map[string]map[RowID][]*Object
	// identities are the objects of streamed kinds, by what tells them apart.
	identities map[[sha256.Size]byte]identified
	referenced map[string]map[RowID]bool // core objects that are referred to
	customs    map[string]bool           // custom fields in use
	selected   []bool                    // selections that something fitted
	noted      map[ExportNote]bool
	blind      map[string]bool // kinds with documents whose object can't be told
	// unclear are the keys by kind of which the server has several objects, and a
	// document can't tell which is its.
	unclear map[string]map[string]bool
	left    map[string]map[RowID]bool // objects that were seen and can't be declared

	out   *Exports
	diags Diagnostics
}

// plugin reports whether a kind is the plugin's own: core kinds are exported
// where the project file names them, or for what refers to them.
func plugin(k *schema.Kind) bool {
	return k.Resource.Mode != schema.Lookup && k.Resource.Prune != "named"
}

// inScope reports whether objects of a kind are exported for their own sake.
func (e *exporting) inScope(k *schema.Kind) bool {
	if len(e.o.Select) > 0 {
		return k.Resource.Mode != schema.Lookup && slices.ContainsFunc(e.o.Select, func(s Selection) bool { return s.Kind == k.Name })
	}
	return plugin(k) || k.Resource.Mode != schema.Lookup && slices.Contains(e.o.Ownership.Mark, k.Name)
}

// chosenLive reports whether an object is exported, as far as its name decides.
func (e *exporting) chosenLive(o *Object) bool {
	if o.Kind == MarkerKind(e.set) && o.Fields["name"] == MarkerField {
		return false
	}
	chosen := len(e.o.Select) == 0
	for i, s := range e.o.Select {
		if s.Kind == o.Kind.Name && (s.Key == "" || s.Key == o.Display()) {
			chosen, e.selected[i] = true, true
		}
	}
	return chosen
}

// ours reports whether an object is exported, as far as its owner decides.
func (e *exporting) ours(o *Object) bool {
	if e.o.All || e.o.Ownership.Owner == "" || o.Peer != nil || !e.o.Ownership.marks(o.Kind) {
		return true
	}
	m, form := markerOf(o)
	_, shares := m.Others[e.o.Ownership.Owner]
	return form == goodMarker && (m.Owner == e.o.Ownership.Owner || shares)
}

// wanted reports whether an object is exported for its own sake, and counts
// those that are not, since they are not ours.
func (e *exporting) wanted(o *Object) bool {
	if !e.chosenLive(o) {
		return false
	}
	if !e.ours(o) {
		e.out.Others++
		return false
	}
	return true
}

// kind hands out the objects of one kind.
func (e *exporting) kind(k *schema.Kind) error {
	switch {
	case !e.scope[k.Name]:
		return nil
	case e.streamed[k.Name]:
		return e.stream(k)
	}
	for _, o := range e.live.Objects[k.Name] {
		if e.wanted(o) {
			if err := e.object(o, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// object hands out one object, unless it can't be declared.
func (e *exporting) object(o *Object, referred bool) error {
	if e.blind[o.Kind.Name] && o.Peer == nil {
		return nil // one of the documents may be its
	}
	id, alone := e.alone(o)
	if !alone || o.Peer == nil && e.unclear[o.Kind.Name][o.place()] {
		e.leave(o)
		return nil
	}
	x := &Exported{Object: o, CreateOnly: referred, Home: e.home(o), Namesake: e.shared[o.Kind.Name][o.place()]}
	if m, form := markerOf(o); form == goodMarker && m.Owner == e.o.Ownership.Owner {
		x.Existing = m.Origin == OriginExisting && o.Kind.Resource.Mode != schema.Singleton
		x.Protect = m.Protect
	}
	ok := false
	if x.Fields, ok = e.spec(o); !ok {
		e.leave(o)
		return nil
	}
	if e.streamed[o.Kind.Name] {
		e.identities[id] = identified{row: o.Row, out: true}
	}
	if o.Peer != nil {
		e.edits(x)
	}
	e.coverage(x)
	e.follow(x)
	e.out.Counts[o.Kind.Name]++
	return e.emit(x)
}

// leave notes an object that was seen and is not exported.
func (e *exporting) leave(o *Object) {
	if e.left[o.Kind.Name] == nil {
		e.left[o.Kind.Name] = map[RowID]bool{}
	}
	e.left[o.Kind.Name][o.Row] = true
}

func (e *exporting) drop(kind string, row RowID) {
	if e.out.Dropped[kind] == nil {
		e.out.Dropped[kind] = map[RowID]bool{}
	}
	if !e.out.Dropped[kind][row] {
		e.out.Dropped[kind][row] = true
		e.out.Counts[kind]--
	}
}

// note says once what is special about an object.
func (e *exporting) note(o *Object, field, why string, missing bool) {
	n := ExportNote{Object: o.Label(), Field: field, Why: why, Missing: missing}
	if !e.noted[n] {
		e.noted[n] = true
		e.out.Notes = append(e.out.Notes, n)
	}
}

// unused reports selections that nothing fitted.
func (e *exporting) unused() {
	for i, s := range e.o.Select {
		if !e.selected[i] {
			name := s.Kind
			if s.Key != "" {
				name += "/" + s.Key
			}
			e.diags = append(e.diags, Diagnostic{Severity: Warning, Code: "nothing-selected",
				Summary: fmt.Sprintf("--select %s: the server has nothing of that name that this token may view", name)})
		}
	}
}
