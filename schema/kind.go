package schema

import (
	"encoding/json"
	"strings"
)

// Mode says how objects of a kind may be handled.
type Mode string

// The modes of x-resource.mode.
const (
	Managed   Mode = "managed"   // created, updated and deleted
	Lookup    Mode = "lookup"    // only referred to: a manifest of this kind is an error
	Singleton Mode = "singleton" // one object, made by the server: only updated
)

// Kind is one kind of object, read from its schema file. It is immutable.
type Kind struct {
	Name        string
	Title       string
	Description string
	Resource    Resource
	Fields      []*Field // in the order of the file
	Required    []string // fields that a create needs, in the order of the file
	// Rules are the rules across fields in words, for help: those of every object
	// first, then those of one that is about to be created.
	Rules []string
	Lint  []Lint
	Raw   json.RawMessage // the file as it stands

	byName map[string]*Field
}

// Resource is the vendor keyword x-resource: where a kind lives on the server
// and what identifies its objects.
type Resource struct {
	// Paths are the candidates for the list path, relative to the API root and
	// without slashes at the ends ("plugins/proxbox/storage"), preferred first.
	// The first one that the server's API root documents list is used.
	Paths []string `json:"paths"`
	// ObjectType is NetBox's name of the model ("netbox_proxbox.proxmoxstorage"),
	// as permissions and custom fields use it.
	ObjectType string `json:"objectType"`
	// Key names the fields of the natural key, most general first. A reference
	// written as a scalar is the last one. Empty for a singleton.
	Key []string `json:"key"`
	// Unique lists the server's unique constraints that contain the whole key,
	// each a list of fields: what they have beyond the key tells namesakes apart.
	Unique [][]string `json:"unique"`
	// AlsoUnique lists the other unique constraints: two objects may not share
	// these values, but they identify nothing.
	AlsoUnique [][]string `json:"alsoUnique"`
	Mode       Mode       `json:"mode"`
	// Bulk is false where a write has side effects on the server and has to go
	// alone; nil means true.
	Bulk *bool `json:"bulk"`
	// After names kinds whose changes are written first, beside those referred to.
	After []string `json:"after"`
	// Record says that the objects tell what happened, once for each event: there
	// may be very many, and a restore can leave them out.
	Record bool `json:"record"`
	// Cascades say what else a delete takes along.
	Cascades []Cascade `json:"cascades"`
	// Prune is "named" for kinds that are only pruned where the project file names them.
	Prune string `json:"prune"`
	// Materialize is, for a singleton, the sub-path whose GET makes the server
	// create its row ("runtime").
	Materialize string `json:"materialize"`
	// Approval says where and how connections are approved; nil for kinds without.
	Approval *Approval `json:"approval"`
	// Create is a JSON Schema that only objects that are about to be created
	// have to meet: rules of the server that hold for a POST but not for a PATCH.
	Create json.RawMessage `json:"create"`
}

// Cascade is one kind of object that the server deletes along with another.
type Cascade struct {
	Path   string `json:"path"`   // list path of what is deleted, relative to the API root
	Filter string `json:"filter"` // query parameter that takes the id of the object deleted
	Kind   string `json:"kind"`   // the kind at that path, empty where it is none of ours
}

// Approval describes the sub-path at which newer servers show where an object's
// credentials would be sent, and take the approval of exactly that. Older ones
// do not have it.
type Approval struct {
	Path string `json:"path"` // below the object ("connection-authority")
	// Target are the members of what the server shows. One that is not listed
	// here can't be approved.
	Target map[string]TargetMember `json:"target"`
}

// TargetMember is one member of a connection target.
type TargetMember struct {
	// Fields are the ones that it is made of: the first that is declared and not
	// empty counts. A text may be shown in lower case, an address without mask.
	Fields []string `json:"fields"`
	Unset  any      `json:"unset"` // shown when none of them was ever set
}

// Field is one property of a kind.
type Field struct {
	Name                 string
	Title                string
	Description          string
	Class                Class
	Types                []string // JSON types, without "null"; empty: any
	Nullable             bool
	Enum                 []string // choices, as written in manifests, without null; "" where the server takes it
	Format               string
	ReadOnly             bool
	WriteOnly            bool // a secret, in both directions
	Set                  bool // an array whose order and repetitions mean nothing
	Required             bool
	Destination          bool     // where stored credentials are sent to (x-destination)
	Synced               *Synced  // also written by the plugin's own synchronisation (x-synced)
	Ref                  *Ref     // of the property, or of its items for a ReferenceSet
	Default              any      // documented default: help text only, never filled in
	Rules                []string // what else a value must be, in words, for help
	MinLength, MaxLength *int
	Minimum, Maximum     *float64
}

// Class says how values of a field are written, read and compared.
type Class string

// The classes. They follow from type, format, enum and x-ref of a property.
const (
	Text         Class = "text"
	Choice       Class = "choice" // enum of strings; the wire may show {"value","label"}
	Boolean      Class = "boolean"
	Integer      Class = "integer"
	Decimal      Class = "number"
	Time         Class = "time"          // format date-time
	Address      Class = "address"       // formats ip-address, ip-interface, ip-prefix
	Reference    Class = "reference"     // x-ref on the property
	ReferenceSet Class = "reference set" // x-ref on the items
	List         Class = "list"          // array of plain values
	Map          Class = "map"           // object whose keys are managed one by one: custom_fields
	JSON         Class = "json"          // anything, compared exactly
)

// Ref is the vendor keyword x-ref: the property holds a reference.
type Ref struct {
	Kind string `json:"kind"`
	// OnDelete says what happens to the holder when the target is deleted:
	// "cascade", "null" or "refuse".
	OnDelete string `json:"onDelete"`
	// Assigned says that the server takes only a target that is assigned to the
	// holder (an address on one of its interfaces), which no manifest can do.
	Assigned bool `json:"assigned"`
}

// Synced is the vendor keyword x-synced: the plugin's own synchronisation
// writes this field too.
type Synced struct {
	Setting string `json:"setting"` // the plugin setting or endpoint field that decides, if one does
}

// Lint is one risk rule of a kind (vendor keyword x-lint). It has either When
// or Same.
type Lint struct {
	Code        string          `json:"code"`
	Severity    string          `json:"severity"`    // "warning" or "info"
	Field       string          `json:"field"`       // where the risk is written
	Message     string          `json:"message"`     // what is risky, in one line
	Description string          `json:"description"` // why, and what to do
	When        json.RawMessage `json:"when"`        // a JSON Schema; the rule applies to objects that match it
	// Same lists sets of fields: the rule applies to an object that has the same
	// values as another one in all fields of a set.
	Same [][]string `json:"same"`
}

// Field returns the field of that name, or nil.
func (k *Kind) Field(name string) *Field { return k.byName[name] }

// BulkAllowed reports whether several objects may be written in one request.
func (r Resource) BulkAllowed() bool { return r.Bulk == nil || *r.Bulk }

// Permission is NetBox's name of the permission for an action ("view", "add",
// "change", "delete") on the kind: "netbox_proxbox.view_proxmoxstorage".
func (r Resource) Permission(action string) string {
	app, model, _ := strings.Cut(r.ObjectType, ".")
	return app + "." + action + "_" + model
}
