package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity ranks a diagnostic.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info" // worth knowing, nothing to be done
)

// Trouble groups diagnostics by what they mean for the run; the command line
// maps it to exit codes.
type Trouble uint8

// The troubles.
const (
	Manifest   Trouble = iota // the manifests are wrong
	SecretKey                 // a secret can't be decrypted or trusted, or stands in plain text
	Policy                    // refused by a policy
	ServerSide                // the server lacks a whole kind, or the token may not view it
	Contested                 // another owner has it
	Risk                      // a risk rule applies; never an error
)

// Diagnostic is one mistake or doubt, made for the person who can mend it. Its
// texts never contain a secret, nor a line of a file that holds one.
type Diagnostic struct {
	Severity Severity
	Trouble  Trouble
	Code     string   // stable, for machines: "unknown-field"
	Pos      Position // the zero Position where no file is concerned
	Object   string   // "ProxmoxStorage prod/local", empty when no object is concerned
	Field    string   // field or pointer inside the object, empty for the whole
	Summary  string   // one line, lower case: what is wrong
	Detail   string   // why, and what to do; may be empty
	Related  []Related
}

// Related is another place that a diagnostic speaks of.
type Related struct {
	Pos     Position
	Message string
}

// Diagnostics is a list of them. As an error it is the first one's text.
type Diagnostics []Diagnostic

// Errors returns those with severity Error.
func (d Diagnostics) Errors() Diagnostics {
	var out Diagnostics
	for _, x := range d {
		if x.Severity == Error {
			out = append(out, x)
		}
	}
	return out
}

// HasErrors reports whether any has severity Error.
func (d Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(d, func(x Diagnostic) bool { return x.Severity == Error })
}

// Sorted returns the diagnostics by file, line, column, code and summary,
// without exact repetitions.
func (d Diagnostics) Sorted() Diagnostics {
	out := slices.Clone(d)
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		return cmp.Or(
			strings.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			strings.Compare(a.Object, b.Object),
			strings.Compare(a.Field, b.Field),
			strings.Compare(a.Code, b.Code),
			strings.Compare(a.Summary, b.Summary),
		)
	})
	return slices.CompactFunc(out, func(a, b Diagnostic) bool {
		return a.Pos == b.Pos && a.Code == b.Code && a.Summary == b.Summary && a.Object == b.Object && a.Field == b.Field
	})
}

// Error returns the first diagnostic and how many there are.
func (d Diagnostics) Error() string {
	if len(d) == 0 {
		return "no diagnostics"
	}
	first := d[0].String()
	if len(d) > 1 {
		return fmt.Sprintf("%s (and %d more)", first, len(d)-1)
	}
	return first
}

// String is "file:line:column: summary" for logs and tests; people get
// render's form.
func (x Diagnostic) String() string {
	var b strings.Builder
	if x.Pos.File != "" {
		fmt.Fprintf(&b, "%s:%d:%d: ", x.Pos.File, x.Pos.Line, x.Pos.Column)
	}
	if x.Object != "" {
		b.WriteString(x.Object + ": ")
	}
	b.WriteString(x.Summary)
	return b.String()
}

// WithoutTexts returns the diagnostics with nothing but what they are about: their
// texts may hold values of fields.
func (d Diagnostics) WithoutTexts() Diagnostics {
	out := slices.Clone(d)
	for i := range out {
		out[i].Summary, out[i].Detail, out[i].Related = out[i].Code, "", nil
	}
	return out
}
