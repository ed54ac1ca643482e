package render

import (
	"encoding/json"
	"io"
	"strings"

	"proxbox-sync/reconcile"
)

// The names of the JSON forms, as they stand under "format". Each has a JSON
// Schema in schema/output. A form only gains members under its name; anything
// else is a new version.
const (
	PlanFormat     = "proxbox-sync/plan/v1"
	DriftFormat    = "proxbox-sync/drift/v1"
	ReportFormat   = "proxbox-sync/report/v1"
	ValidateFormat = "proxbox-sync/validate/v1"
	ObjectsFormat  = "proxbox-sync/objects/v1"
	DoctorFormat   = "proxbox-sync/doctor/v1"
	VersionFormat  = "proxbox-sync/version/v1"
)

// Failure is why a command has no result, as data. Its JSON form has the
// members that every form of output shares.
type Failure struct {
	Format      string // the form that the command would have written
	ExitCode    int
	Diagnostics reconcile.Diagnostics
	Errors      []string // what no diagnostic says
}

// head begins every form of output.
type head struct {
	Format      string       `json:"format"`
	OK          bool         `json:"ok"`
	ExitCode    *int         `json:"exit_code,omitempty"`
	Diagnostics []diagnostic `json:"diagnostics"`
	Errors      []string     `json:"errors"`
}

func success(format string, list reconcile.Diagnostics) head {
	return head{Format: format, OK: true, Diagnostics: diagnostics(list), Errors: []string{}}
}

type diagnostic struct {
	Severity string    `json:"severity"`
	Code     string    `json:"code"`
	Position *position `json:"position,omitempty"`
	Object   string    `json:"object,omitempty"`
	Field    string    `json:"field,omitempty"`
	Summary  string    `json:"summary"`
	Detail   string    `json:"detail,omitempty"`
	Related  []related `json:"related,omitempty"`
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

type serverInfo struct {
	URL           string `json:"url"`
	NetBoxVersion string `json:"netbox_version,omitempty"`
	PluginVersion string `json:"plugin_version,omitempty"`
}

type planBody struct {
	Server    serverInfo     `json:"server"`
	Owner     string         `json:"owner,omitempty"`
	Summary   planTotals     `json:"summary"`
	Steps     []step         `json:"steps"`
	Unchanged map[string]int `json:"unchanged"`
	Orphans   []orphan       `json:"orphans,omitempty"`
	Secrets   []secretState  `json:"secrets,omitempty"`
}

type step struct {
	Index    int       `json:"index"`
	Action   string    `json:"action"`
	Kind     string    `json:"kind"`
	Key      string    `json:"key"`
	ID       int64     `json:"id,omitempty"`
	Position *position `json:"position,omitempty"`
	Wave     int       `json:"wave"`
	Needs    []int     `json:"needs,omitempty"`
	Link     bool      `json:"link,omitempty"`
	Deferred []string  `json:"deferred,omitempty"`
	Risks    []string  `json:"risks,omitempty"`
	Fields   []field   `json:"fields"`
	Secrets  []secret  `json:"secrets,omitempty"`

	Marker         string   `json:"marker,omitempty"` // why it is written
	Released       []string `json:"released,omitempty"`
	RenamedFrom    string   `json:"renamed_from,omitempty"`
	RenamedOutside bool     `json:"renamed_outside,omitempty"`
	Takes          []take   `json:"takes,omitempty"`
}

type field struct {
	Name    string  `json:"name"`
	Before  *any    `json:"before,omitempty"` // absent on a create; null is a value
	After   any     `json:"after"`
	Label   string  `json:"label,omitempty"`
	Changes []inner `json:"changes,omitempty"`
}

type inner struct {
	Op     string `json:"op"`
	Path   string `json:"path"`
	Before *any   `json:"before,omitempty"`
	After  *any   `json:"after,omitempty"`
}

type secret struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Sealed bool   `json:"sealed"`
}

// PlanJSON writes a plan in the form PlanFormat. exitCode is what the command
// ends with, 0 also where that says only that there are changes; a plan that
// policy refuses has another one.
func PlanJSON(w io.Writer, plan *reconcile.Plan, exitCode int) error {
	h := success(PlanFormat, plan.Diagnostics)
	if exitCode != 0 {
		h.OK, h.ExitCode = false, &exitCode
	}
	return encode(w, struct {
		head
		planBody
	}{h, planData(plan)})
}

// FailureJSON writes the form of a command that has no result, so that JSON on
// standard output is valid also then.
func FailureJSON(w io.Writer, f Failure) error {
	h := head{Format: f.Format, ExitCode: &f.ExitCode, Diagnostics: diagnostics(f.Diagnostics), Errors: f.Errors}
	if h.Errors == nil {
		h.Errors = []string{}
	}
	return encode(w, h)
}

func planData(plan *reconcile.Plan) planBody {
	body := planBody{
		Server:    serverInfo{plan.Instance.URL, plan.Instance.NetBoxVersion, plan.Instance.PluginVersion},
		Owner:     plan.Owner,
		Summary:   planCounts(plan),
		Steps:     make([]step, 0, len(plan.Steps)),
		Unchanged: map[string]int{},
		Orphans:   orphanData(plan.Orphans),
		Secrets:   secretData(plan.Secrets),
	}
	for kind, n := range plan.Unchanged {
		if n > 0 {
			body.Unchanged[kind] = n
		}
	}
	for _, s := range plan.Steps {
		body.Steps = append(body.Steps, stepData(s))
	}
	return body
}

func stepData(s *reconcile.Step) step {
	c := s.Change
	out := step{
		Index: s.Index, Action: string(c.Action), Wave: s.Wave, Needs: s.Needs,
		Link: s.Link, Deferred: s.Deferred, Risks: s.Risks, Fields: []field{},
	}
	if c.Live != nil {
		out.ID = int64(c.Live.Row)
	}
	if o := c.Object(); o != nil {
		out.Kind, out.Key = o.Kind.Name, o.Display()
		if o.Doc != nil {
			out.Position = positionData(o.Doc.Pos)
		}
	}
	for _, f := range c.Fields {
		out.Fields = append(out.Fields, fieldData(c.Action, f))
	}
	for _, x := range c.Secrets {
		out.Secrets = append(out.Secrets, secret(x))
	}
	if c.Marker != nil {
		out.Marker = c.Marker.Why
	}
	out.Released, out.RenamedFrom, out.RenamedOutside = c.Released, c.RenamedFrom, c.RenamedOutside
	for _, t := range c.Takes {
		out.Takes = append(out.Takes, takeData(t))
	}
	return out
}

func fieldData(action reconcile.Action, f reconcile.FieldChange) field {
	data := field{Name: f.Name, After: reconcile.Shown(f.After), Label: f.Label}
	if action != reconcile.Create {
		data.Before = shownPointer(f.Before)
	}
	for _, in := range f.Inner {
		data.Changes = append(data.Changes, innerData(in))
	}
	return data
}

func innerData(in reconcile.ValueChange) inner {
	out := inner{Op: in.Op, Path: in.Path}
	if in.Op != "add" {
		out.Before = shownPointer(in.Before)
	}
	if in.Op != "remove" {
		out.After = shownPointer(in.After)
	}
	return out
}

func shownPointer(v any) *any {
	v = reconcile.Shown(v)
	return &v
}

func diagnostics(list reconcile.Diagnostics) []diagnostic {
	out := make([]diagnostic, 0, len(list))
	for _, d := range list {
		x := diagnostic{
			Severity: string(d.Severity), Code: d.Code, Position: positionData(d.Pos),
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
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, escapeJSON(b.String()))
	return err
}
