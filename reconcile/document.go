package reconcile

// Position is a place in a source file. Line and Column count from 1, Column in
// characters; a zero Line means the file as a whole.
type Position struct {
	File   string
	Line   int
	Column int
}

// Shape is the form of a Node.
type Shape uint8

// The shapes.
const (
	Scalar Shape = iota
	Mapping
	Sequence
)

// Node is a value as written in a manifest, with its positions.
type Node struct {
	Pos     Position
	Shape   Shape
	Value   any      // of a Scalar: nil, bool, string, Number or Secret
	Members []Member // of a Mapping, in the order of the file, names unique
	Items   []*Node  // of a Sequence
	// Plain notes how an unquoted scalar was written where that may surprise:
	// "010" read as a Number, yes or a date read as a string. Empty otherwise.
	Plain string
}

// Member is one entry of a mapping.
type Member struct {
	Name  string
	Pos   Position // of the name
	Value *Node
	// Patched says, in a merged spec, that the value comes from a patch document.
	Patched bool
}

// Member returns the value under name, or nil.
func (n *Node) Member(name string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Members {
		if n.Members[i].Name == name {
			return n.Members[i].Value
		}
	}
	return nil
}

// Document is one object as a manifest describes it: a YAML document with a
// spec, or one entry of its items with the defaults merged under it.
type Document struct {
	Kind    string
	KindPos Position
	Pos     Position // where the object begins: the document, or the item
	Meta    Metadata
	Spec    *Node // a Mapping
	// Unfilled are the secret fields that a patch document names and leaves null:
	// a place that somebody has yet to fill in.
	Unfilled []Member
}

// Metadata says how the tool treats an object.
type Metadata struct {
	Existing      bool         // made by someone else: only declared fields are managed, never created
	CreateOnly    bool         // created when missing, never updated
	Patch         bool         // merged over the document of the same kind and key
	Protect       bool         // never deleted by this tool, also after the manifest is gone
	Absent        bool         // must not exist
	Release       bool         // stop managing: remove the marker, leave the object
	RenamedFrom   *Node        // the old key, as a reference is written; nil for none
	IgnoreChanges []Ignore     // fields that are set on create and not compared afterwards
	IgnoreRisks   []RiskIgnore // risk rules that are turned off for this object
	Pos           Position     // of the metadata mapping
}

// Ignore is one entry of metadata.ignoreChanges: a field, or a dotted path into
// a JSON field.
type Ignore struct {
	Path string
	Pos  Position
}
