package reconcile

import "proxbox-sync/schema"

// Object is one thing of a kind, on either side. For desired objects Fields
// holds what the manifests declare and nothing else; for live ones what was
// asked of the server.
type Object struct {
	Kind   *schema.Kind
	Fields map[string]any
	// Key is the canonical text of the natural key, "" while references in it
	// are not resolved. Namesakes share it.
	Key string
	// Row and Version are the server's id and last_updated; Row is 0 for an
	// object that is not there (yet).
	Row     RowID
	Version string
	// Doc is where a desired object was declared; patches are merged already.
	Doc *Document
	// Peer is the object on the other side that was matched with this one.
	Peer *Object

	// renamedFrom are the key fields of metadata.renamedFrom, on the desired side.
	renamedFrom    map[string]any
	copiedMarker   bool // Peer carries a marker that another object's key is in
	renamedOutside bool // Peer was recognised by its marker, not by its key
}

// State is all objects of one side that a run is about.
type State struct {
	// Objects are grouped by kind name, in the order they were declared or read.
	Objects map[string][]*Object
	// Marked names, on the live side, the kinds whose objects can carry the
	// marker there; nil where nobody asked.
	Marked map[string]bool
	// Identity is the server's, on the live side: see Instance.
	Identity string
	// Unread says why objects of a kind may be missing, by kind.
	Unread map[string]string
	// Partly names the kinds of which objects that nothing refers to were left out.
	Partly map[string]bool
}

// Add appends an object.
func (s *State) Add(o *Object) {
	if s.Objects == nil {
		s.Objects = map[string][]*Object{}
	}
	s.Objects[o.Kind.Name] = append(s.Objects[o.Kind.Name], o)
}
