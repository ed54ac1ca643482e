package render

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"

	"proxbox-sync/reconcile"
)

// The names of the JSON forms, as they stand under "format". Each has a JSON
// Schema in schema/output. A form only gains members under its name; anything
// else is a new version.
const (
	PlanFormat     = "proxbox-sync/plan/v1"
	DriftFormat    = "proxbox-sync/drift/v1"
	ReportFormat   = "proxbox-sync/report/v1"
	RestoreFormat  = "proxbox-sync/restore/v1"
	ValidateFormat = "proxbox-sync/validate/v1"
	LintFormat     = "proxbox-sync/lint/v1"
	ExportFormat   = "proxbox-sync/export/v1"
	ObjectsFormat  = "proxbox-sync/objects/v1"
	DoctorFormat   = "proxbox-sync/doctor/v1"
	VersionFormat  = "proxbox-sync/version/v1"
)

// head begins every form of output.
type head struct {
	Format      string       `json:"format"`
	OK          bool         `json:"ok"`
	ExitCode    *int         `json:"exit_code,omitempty"`
	Diagnostics []diagnostic `json:"diagnostics"`
	Errors      []string     `json:"errors"`
}

// outcome is what a failed plan or apply says as well.
type outcome struct {
	Complete bool `json:"complete"`
	Errored  bool `json:"errored"`
}

func success(format string, list reconcile.Diagnostics) head {
	return head{Format: format, OK: true, Diagnostics: diagnostics(list), Errors: []string{}}
}

// ended is the head of a result that is there although the command ends with
// that code.
func ended(format string, list reconcile.Diagnostics, exitCode int) head {
	h := success(format, list)
	if exitCode != 0 {
		h.OK, h.ExitCode = false, &exitCode
	}
	return h
}

type diagnostic struct {
	Severity string    `json:"severity"`
	Code     string    `json:"code"`
	About    string    `json:"about,omitempty"`
	Position *position `json:"position,omitempty"`
	Object   string    `json:"object,omitempty"`
	Field    string    `json:"field,omitempty"`
	Summary  string    `json:"summary"`
	Detail   string    `json:"detail,omitempty"`
	Related  []related `json:"related,omitempty"`
	// Steps are the indexes of the plan's steps that it is about.
	Steps []int `json:"steps,omitempty"`
}

type related struct {
	Position *position `json:"position,omitempty"`
	Message  string    `json:"message"`
}

type position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func serverData(i reconcile.Instance) reconcile.RecordServer {
	return reconcile.RecordServer{URL: i.URL, NetBoxVersion: i.NetBoxVersion, PluginVersion: i.PluginVersion}
}

// PlanDocument is a plan in the form PlanFormat: what plan prints as JSON, and
// what a file of a saved plan holds.
type PlanDocument struct {
	head
	// Errored says that something ended the command before the plan was whole.
	Errored bool `json:"errored"`
	*reconcile.Record
	// Checksum is the SHA-256, in hexadecimal, of all the rest as compact JSON. It
	// finds what was changed by accident or without care; whoever can compute it
	// can change it as well, which is why apply compares the steps on their own.
	Checksum string `json:"checksum"`
	// FileDigest is the SHA-256 of the file that the plan was saved to, where that
	// is not what PlanBytes gives.
	FileDigest string `json:"-"`
}

// sum computes the checksum.
func (d *PlanDocument) sum() (string, error) {
	bare := *d
	bare.Checksum = ""
	data, err := json.Marshal(bare)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// PlanText writes a plan as text, for somebody to look at. There is no checksum
// then: for that one the whole plan is put into JSON.
func PlanText(w io.Writer, record *reconcile.Record, list reconcile.Diagnostics, s Style) error {
	return Write(w, "text", barePlan(record, list, 0), s)
}

func barePlan(record *reconcile.Record, list reconcile.Diagnostics, exitCode int) *PlanDocument {
	d := &PlanDocument{head: ended(PlanFormat, list, exitCode), Record: record}
	tie(d.Diagnostics, record.Steps)
	return d
}

// NewPlanDocument makes the form of a plan. exitCode is what the command ends
// with, 0 also where that says only that there are changes; a plan that policy
// refuses has another one.
func NewPlanDocument(record *reconcile.Record, list reconcile.Diagnostics, exitCode int) (*PlanDocument, error) {
	d := barePlan(record, list, exitCode)
	var err error
	d.Checksum, err = d.sum()
	return d, err
}

// FailureJSON writes the form of a command that has no result, so that JSON on
// standard output is valid also then.
func FailureJSON(w io.Writer, f Failure) error { return encode(w, f.data()) }

// abouts are the words for what a diagnostic means for the run.
var abouts = map[reconcile.Trouble]string{
	reconcile.Manifest: "manifest", reconcile.SecretKey: "secret", reconcile.Policy: "policy",
	reconcile.ServerSide: "server", reconcile.Contested: "ownership",
	reconcile.Risk: "risk",
}

func diagnostics(list reconcile.Diagnostics) []diagnostic {
	out := make([]diagnostic, 0, len(list))
	for _, d := range list {
		x := diagnostic{
			Severity: string(d.Severity), Code: d.Code, About: abouts[d.Trouble], Position: positionData(d.Pos),
			Object: d.Object, Field: d.Field, Summary: d.Summary, Detail: d.Detail,
		}
		for _, r := range d.Related {
			x.Related = append(x.Related, related{positionData(r.Pos), r.Message})
		}
		out = append(out, x)
	}
	return out
}

func positionData(p reconcile.Position) *position {
	if p.File == "" {
		return nil
	}
	return &position{p.File, p.Line, p.Column}
}

// encode writes one JSON value and a line end. It is the only writer of JSON.
func encode(w io.Writer, v any) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(jsonLines{b})
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	return b.Flush()
}

// jsonLines makes encoded JSON safe to print, line by line: a plan of a hundred
// thousand steps is not copied as a whole. A line end inside a text is an escape.
type jsonLines struct{ w *bufio.Writer }

func (l jsonLines) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if !plainJSON(line) {
			line = []byte(escapeJSON(string(line)))
		}
		if _, err := l.w.Write(line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// plainJSON reports whether a line has nothing that escapeJSON could change.
func plainJSON(line []byte) bool {
	for i, c := range line {
		if (c < ' ' || c >= 0x7f) && c != '\n' || c == '#' && i > 0 && line[i-1] == '#' {
			return false
		}
	}
	return true
}
