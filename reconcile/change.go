package reconcile

import (
	"strings"

	"proxbox-sync/schema"
)

// Action is what is done to one object. The words are the same in plans,
// reports, logs and tests.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
	// Mark changes nothing but the marker: an adoption, a release, a digest that
	// is brought up to date.
	Mark Action = "mark"
)

// Change is one object's difference between desired and live.
type Change struct {
	Action  Action
	Desired *Object // nil for the delete of an orphan
	Live    *Object // nil for a create, and for a singleton without a row yet
	Fields  []FieldChange
	Secrets []SecretChange
	// Marker is the marker that is written along; nil leaves the one there is.
	// A release writes an empty one.
	Marker *MarkerChange
	// Released names the fields that left the manifest: their live values stay.
	Released []string
	// RenamedFrom is the display text of the key that the server still has;
	// RenamedOutside says that somebody renamed it there.
	RenamedFrom    string
	RenamedOutside bool
	// held are the declared fields that were as declared when the plan was made:
	// the step stands on them, too.
	held []*schema.Field
	// managed are, for a delete, the fields beside the key that were managed.
	managed []string
	// namesakes are the rows that had the key of a create when the plan was made.
	namesakes []RowID
	// Takes is what a delete takes along beyond the plan's own deletes.
	Takes []Taken
}

// Object is the object that a change is about: the desired side where there is
// one.
func (c *Change) Object() *Object {
	if c.Desired != nil {
		return c.Desired
	}
	return c.Live
}

// MarkerChange is what a step does to the marker.
type MarkerChange struct {
	Why   string // "created", "adopted", "taken over", "released", "updated"
	value any    // of the custom field; nil clears it
}

// adopts reports whether the object had no marker of its own before.
func (m *MarkerChange) adopts() bool { return strings.HasPrefix(m.Why, "adopted") }

// Taken is what a delete takes along: objects by name, or a number of rows of a
// kind that the schema does not have.
type Taken struct {
	What    string // kind or list path
	Objects []string
	Count   int
	Unknown bool // it could not be counted
}

// Origin of a difference.
const (
	Intent   = "intent"   // the manifests changed
	Drift    = "drift"    // the server changed
	Both     = "conflict" // both did
	Adoption = "adoption" // no marker yet, or the field is new in the manifest
)

// FieldChange is one field that differs. Before and After are shown values:
// plain values in which a reference is the display text of its target's key,
// so that they can be printed and encoded as they are. They never hold a secret.
type FieldChange struct {
	// Name is the field's name; for a key of custom_fields "custom_fields.<key>".
	Name   string
	Field  *schema.Field
	Before any // nil on a create
	After  any
	// Inner lists the differences inside a JSON field, list or set, empty for
	// other fields and on a create.
	Inner []ValueChange
	// Label says who changed it: Intent, Drift, Both or Adoption; "" without an
	// owner and on a create.
	Label string

	wire any // the desired value: what Apply sends
	from any // the live value that the change was planned from
}

// ValueChange is one difference inside a value.
type ValueChange struct {
	Path   string // JSON pointer into the field's value
	Before any
	After  any
	Op     string // "add", "remove" or "replace"
}

// SecretChange is one write-only field that a step sends.
type SecretChange struct {
	Name   string
	Why    string // "new": sent on create, or when a manifest starts to declare it; "changed": in Git; "needed": by another change; "asked": --send-secrets asked for it
	Sealed bool   // not decrypted: it can be planned, not applied
	Again  bool   // the same ciphertext was applied before
}

// Plan is the ordered steps that lead from live to desired. It is a value used
// alike by display, checks and execution.
type Plan struct {
	Instance Instance
	Steps    []*Step
	// Unchanged counts, per kind, the desired objects that need nothing.
	Unchanged map[string]int
	// Diagnostics are the warnings that belong to the plan, and with severity
	// Error the reasons why it must not be applied as it is (limits, policy).
	Diagnostics Diagnostics
	Owner       string
	// Orphans are live objects of this owner without a manifest.
	Orphans []Orphan
	// Secrets is the state of every declared write-only field.
	Secrets []SecretState
	// Unmanaged counts, per kind that was read, the live objects that no manifest
	// declares and that carry no marker of this owner.
	Unmanaged map[string]int
	// Unread says why objects of a kind may exist that the plan does not know.
	Unread map[string]string

	// Asked is what the caller asked for beyond manifests and policy: it is
	// recorded, and has no effect here.
	Asked Asked

	policy        Ownership
	desired, live *State // what the plan was made from; nil for a plan made by hand
	digested      string // manifestsDigest, once it was asked for
}

// Asked is what somebody asked of a run, in the words of the command line.
type Asked struct {
	Select, SendSecrets []string
	ApproveConnections  bool
}

// Orphan is an owned object whose manifest is gone, or one whose marker is not
// its own.
type Orphan struct {
	Object  *Object
	Origin  Origin
	Protect bool
	Deleted bool   // the plan deletes it
	Copied  bool   // its marker is another object's: it was copied or renamed outside
	Why     string // why it is kept
}

// SecretState says what is known of a write-only field that a manifest declares.
type SecretState struct {
	Object *Object
	Field  string
	Status string // "new", "changed", "unchanged", "unknown"
	Why    string // for "unknown"
	Sent   bool
}

// Step is one write of a plan.
type Step struct {
	Index  int // position in Plan.Steps, from 0
	Change *Change
	// Wave is the round in which the step runs, from 0: everything it needs ran
	// in an earlier one.
	Wave  int
	Needs []int // indexes of the steps that must have succeeded
	// After names kinds whose steps run before; those of settings must have succeeded.
	After []string
	// Deferred names the reference fields that this create leaves out since
	// their target comes later; a link step sets them. Empty otherwise.
	Deferred []string
	// Link marks the step that sets the deferred references of an earlier create.
	Link bool
	// Risks are what a reviewer should see first, in words.
	Risks []string
}

// Result is what became of a step.
type Result string

// The results.
const (
	Applied      Result = "applied"
	AlreadyDone  Result = "already done" // the server had it when we looked again
	Failed       Result = "failed"
	Unmarked     Result = "not marked"    // the server refuses the marker: the object can't be adopted
	Conflicted   Result = "conflict"      // somebody changed the object after the plan
	Blocked      Result = "blocked"       // something it needs failed
	NotAttempted Result = "not attempted" // the run ended before
)

// StepReport is the fate of one step.
type StepReport struct {
	Step      *Step
	Result    Result
	Row       RowID
	Messages  []FieldMessage
	Status    int
	Request   string // X-Request-ID
	BlockedBy []int  // step indexes
	Withheld  []Withheld
	Err       error
}

// Withheld is a secret that the server refused while it took the rest of its
// object.
type Withheld struct {
	Field string
	Text  string // the server's words
	// Known says that what was refused is what the marker says was sent before: the
	// server may well have it.
	Known bool
}

// Report is what happened to each step of a plan, in the plan's order.
type Report struct {
	Plan        *Plan
	Steps       []StepReport
	Interrupted bool
	// Err is what ended the run early for a reason that concerns no single step.
	Err error
}

// Count returns how many steps ended with the result.
func (r *Report) Count(result Result) int {
	n := 0
	for i := range r.Steps {
		if r.Steps[i].Result == result {
			n++
		}
	}
	return n
}
