package reconcile

import (
	"context"
	"errors"
	"time"
)

// Server is the live side. It is shaped so that speed (pages, batches,
// retries, connections) is the client's business alone.
type Server interface {
	// Instance names the server. It is asked once and remembered.
	Instance(ctx context.Context) (Instance, error)
	// Describe says what the server knows of a kind and what the token may do
	// with it. It costs a request per kind and is asked when needed.
	Describe(ctx context.Context, kind string) (Ability, error)
	// Read calls row for each object that the query asks for, in ascending
	// RowID order, one call at a time, each object once. It stops at the first
	// error that row returns. A kind that the server does not have is
	// ErrNoKind, one that the token may not read at all ErrForbidden.
	Read(ctx context.Context, q Query, row func(Row) error) (Coverage, error)
	// Count says how many objects a list path below the API root has whose
	// filter parameter is the row: what a delete takes along of kinds that no
	// schema describes. A path that the server does not have is ErrNoKind, one
	// that the token may not read, or a filter that it ignores, ErrForbidden.
	Count(ctx context.Context, path, filter string, row RowID) (int, error)
	// Write carries out independent writes of one kind and one operation. It
	// calls done exactly once for each, from one goroutine at a time, with the
	// index in the list. The error is for what concerns none of them alone
	// (context ended, token refused); writes without an outcome were not sent.
	// When ctx ends nothing more is sent, but what is in flight is finished,
	// within the client's own timeout, so that its fate is known. Writes that went
	// out together share one fate where it is not known: sent again in smaller
	// batches (Write.Batch), they show which of them breaks the server.
	Write(ctx context.Context, kind string, op Operation, list []Write, done func(i int, o Outcome)) error
}

// Approver is what a Server can do beside where endpoints' credentials are used
// only after their connection was approved.
type Approver interface {
	// NeedsApproval says whether the server holds back the credentials of objects
	// of a kind until their connection is approved. It sends no request of its own.
	NeedsApproval(ctx context.Context, kind string) (bool, error)
	// Approve looks at the connection target that the server has for an object
	// and approves exactly that, if it is the wanted one. want holds, by field,
	// what the manifests declare: a plain value, or a []any of forms that mean
	// the same (a reference by RowID and by address). Members of the target whose
	// fields are not in want must be what the server makes them without anybody's
	// doing. The error is for what gave no answer.
	Approve(ctx context.Context, kind string, row RowID, want map[string]any) (ApprovalResult, error)
	// Approved says whether the connection of an object is approved, and changes
	// nothing: WasApproved, NotApproved, NoApproval or ApprovalForbidden.
	Approved(ctx context.Context, kind string, row RowID) (ApprovalResult, error)
}

// ChangeLog is what a Server can do beside: look up what became of an object
// that is not there.
type ChangeLog interface {
	// LastDeletion is the last delete of an object of a NetBox model, by its name;
	// the zero Deletion when the log, which is kept for a while only, has none. A
	// token that may not view the log is ErrForbidden, a server without one
	// ErrNoKind.
	LastDeletion(ctx context.Context, objectType, name string) (Deletion, error)
}

// Deletion says when an object was deleted, and by whom.
type Deletion struct {
	At time.Time
	By string // the user's name, "" where the log does not say
}

// ApprovalResult is what became of the approval of one connection.
type ApprovalResult struct {
	Verdict ApprovalVerdict
	// Differs names the members of the target that are not as declared, for
	// TargetDiffers.
	Differs []string
	Status  int    // HTTP status of the last answer
	Request string // its X-Request-ID
}

// ApprovalVerdict is how an approval ended.
type ApprovalVerdict string

// The verdicts.
const (
	Approved          ApprovalVerdict = "approved"
	WasApproved       ApprovalVerdict = "approved already"
	TargetDiffers     ApprovalVerdict = "not as declared"   // the server would connect to something else
	TargetChanged     ApprovalVerdict = "conflict"          // it changed between looking and approving
	NotEnabled        ApprovalVerdict = "not enabled"       // noted, but of no effect until the object is enabled
	NoApproval        ApprovalVerdict = "needs no approval" // the server has none
	NotApproved       ApprovalVerdict = "not approved"      // it waits for somebody to approve it
	ApprovalForbidden ApprovalVerdict = "forbidden"         // the token lacks sensitive-data access
)

// Errors that Server returns, to be tested with errors.Is.
var (
	ErrNoKind    = errors.New("the server does not have this kind")
	ErrForbidden = errors.New("the token may not do this")
)

// Instance identifies a server.
type Instance struct {
	URL string // scheme, host, port and sub-path, without credentials
	// Identity tells installations apart that answer at one URL one after the
	// other, as far as the server shows something that does; "" otherwise.
	Identity      string
	NetBoxVersion string // "4.7.3"
	// PluginVersion is netbox-proxbox's ("0.0.29.post6"), "" where the server
	// does not have the plugin.
	PluginVersion string
}

// Query asks for objects of one kind.
type Query struct {
	Kind string
	// Fields are the ones wanted beside id and last_updated, in schema names.
	// Write-only fields are never asked for. Nil asks for every field of the
	// schema that is not write-only.
	Fields []string
	// Rows restricts the answer to these ids; nil means no restriction.
	Rows []RowID
	// Where restricts the answer to objects whose field has this plain value
	// (a RowID for a reference). The client sends it as filter where it can and
	// checks every row, since servers ignore filters that they don't know.
	Where map[string]any
	// Search is free text for the server's q parameter.
	Search string
	// Named says, by field, for which values objects are needed at all: those that
	// have one of them in one of the fields. The others may be left out where that
	// is cheaper, which Coverage.Partly says. Fields are texts or addresses. Nil
	// means that all objects are needed.
	Named map[string][]string
}

// Row is one object as the server shows it, its values made plain by the kind's
// schema: choices by value, references as RowID (sets as []any of RowID), times
// in UTC as RFC 3339 with up to six digits.
type Row struct {
	ID      RowID
	Version string // last_updated as the server wrote it
	Fields  map[string]any
	// Labels are the server's display texts of referenced objects, by field;
	// only for references whose kind is not read.
	Labels map[string]string
}

// Coverage says how much of a kind an answer covers.
type Coverage struct {
	Rows     int
	Requests int
	// Complete is false when objects may exist that the answer does not show.
	Complete bool
	Why      string // why it is not complete
	Partly   bool   // objects that Query.Named is not about were left out
	// Fields that at least one row had; nil when there were no rows.
	Fields map[string]bool
}

// Ability is what the server knows of a kind and what the token may do there.
type Ability struct {
	Path string // list path in use, from the API root document
	// Fields are the server's own fields, by name. Nil: the server does not say
	// (it shows them only to tokens that may add).
	Fields map[string]FieldAbility
	// Add, Change, Delete are nil where the answer does not tell.
	View, Add, Change, Delete *bool
}

// FieldAbility is what OPTIONS says of one field.
type FieldAbility struct {
	ReadOnly bool
	Required bool
	Choices  []string // nil: none given
}

// Operation is what a write does.
type Operation string

// The operations.
const (
	OpCreate Operation = "create"
	OpUpdate Operation = "update"
	OpDelete Operation = "delete"
)

// Write is one create, update or delete. Fields hold plain values, references
// as RowID and []any of RowID; secrets as Secret, opened by the client's
// encoder only.
type Write struct {
	Row    RowID // 0 for a create, and for a singleton without a row yet
	Fields map[string]any
	// IfVersion guards an update or delete: it is refused as Conflict when the
	// object's last_updated differs and the server can check that. "" for none.
	IfVersion string
	Message   string // changelog_message
	Batch     int    // how many writes may go in one request with it; 0: as many as the client likes
}

// Verdict is how a write ended.
type Verdict string

// The verdicts.
const (
	Done      Verdict = "done"
	Refused   Verdict = "refused"   // the server said no to this object
	Conflict  Verdict = "conflict"  // the guard did not hold: the object changed meanwhile
	Uncertain Verdict = "uncertain" // may have arrived: look before sending again
	NotSent   Verdict = "not sent"
)

// Outcome is what became of one write.
type Outcome struct {
	Verdict Verdict
	Row     RowID  // of the object created or updated
	Version string // its last_updated after the write
	// Fields are the values of the fields written, as the server answered them,
	// in the form of Row; nil when it did not say. Write-only ones are left out.
	Fields map[string]any
	// Messages are the server's, by field ("" for the whole object), cleared of
	// anything that could be a secret.
	Messages []FieldMessage
	Status   int    // HTTP status, 0 when there was no answer
	Request  string // X-Request-ID, for the administrator
	Err      error  // for Uncertain and NotSent: why
	Batch    int    // how many writes went in the same request, 0 for one alone
}

// FieldMessage is something that the server says about a field.
type FieldMessage struct {
	Field string
	Text  string
}
