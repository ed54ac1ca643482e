package render

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"proxbox-sync/reconcile"
)

// listedApplied is up to how many successful steps a report names each; more
// are counted only, so that what needs attention isn't lost.
const listedApplied = 50

// results are the fates of steps, in the order that a report shows them, with
// the word for it in the JSON form.
var results = []struct {
	result reconcile.Result
	color  hue
}{
	{reconcile.Applied, green},
	{reconcile.AlreadyDone, green},
	{reconcile.Unmarked, yellow},
	{reconcile.Failed, red},
	{reconcile.Conflicted, red},
	{reconcile.Blocked, yellow},
	{reconcile.NotAttempted, yellow},
}

// Report writes what happened to each step, why, and how many ended how.
func Report(w io.Writer, r *reconcile.Report, s Style) error {
	p := newPrinter(w, s)
	good := r.Count(reconcile.Applied) + r.Count(reconcile.AlreadyDone)
	for _, kind := range results {
		done := kind.result == reconcile.Applied || kind.result == reconcile.AlreadyDone
		if done && good > listedApplied {
			continue
		}
		for i := range r.Steps {
			if r.Steps[i].Result == kind.result {
				p.fate(r, &r.Steps[i], kind.color)
			}
		}
	}
	if len(r.Steps) > 0 {
		p.line()
	}
	if err := trouble(r); err != nil {
		p.paragraph(p.paint(red, "error")+": ", err.Error())
	}
	if r.Interrupted {
		p.paragraph("", "Interrupted: what was under way was finished, the rest was not attempted. Run apply again to carry on.")
	}
	p.line(p.paint(bold, ReportSummary(r)))
	return p.done()
}

// trouble is what ended a run early, nil where that was the interruption which
// the report speaks of anyway.
func trouble(r *reconcile.Report) error {
	if r.Interrupted && errors.Is(r.Err, context.Canceled) {
		return nil
	}
	return r.Err
}

// ReportSummary is the last line of a report:
// "Apply: 12 applied, 1 failed, 2 blocked."
func ReportSummary(r *reconcile.Report) string {
	var parts []string
	for _, kind := range results {
		n := r.Count(kind.result)
		if n > 0 || kind.result == reconcile.Applied {
			parts = append(parts, thousands(n)+" "+string(kind.result))
		}
	}
	return "Apply: " + strings.Join(parts, ", ") + "."
}

// fate writes what became of one step.
func (p *printer) fate(r *reconcile.Report, s *reconcile.StepReport, h hue) {
	c := s.Step.Change
	p.line(p.paint(h, pad(string(s.Result), 14)), signs[c.Action].sign, " ", Escape(title(c)))
	const lead = "    "
	if s.Result == reconcile.Applied || s.Result == reconcile.AlreadyDone {
		return
	}
	if c.Desired != nil && c.Desired.Doc != nil && c.Desired.Doc.Pos.File != "" {
		p.line(lead, "declared at ", place(c.Desired.Doc.Pos))
	}
	for _, i := range s.BlockedBy {
		if i >= 0 && i < len(r.Steps) {
			other := &r.Steps[i]
			p.line(lead, "needs ", Escape(title(other.Step.Change)), " (", string(other.Result), ")")
		}
	}
	if s.Result == reconcile.Unmarked {
		p.paragraph(lead, "the server refuses the marker, so that the object can't be adopted or released")
	}
	for _, m := range s.Messages {
		text := m.Text
		if m.Field != "" {
			text = m.Field + ": " + text
		}
		p.paragraph(lead, text)
	}
	if s.Err != nil {
		p.paragraph(lead, s.Err.Error())
	}
	if text := answer(s); text != "" {
		p.line(lead, p.paint(dim, text))
	}
}

// answer says what the administrator of the server can look for.
func answer(s *reconcile.StepReport) string {
	var parts []string
	if s.Status != 0 {
		parts = append(parts, fmt.Sprintf("HTTP status %d", s.Status))
	}
	if s.Request != "" {
		parts = append(parts, "request "+Escape(s.Request))
	}
	return strings.Join(parts, ", ")
}

type reportBody struct {
	Summary map[string]int `json:"summary"`
	outcome
	Interrupted bool         `json:"interrupted"`
	Results     []stepResult `json:"results"`
	Approvals   []approval   `json:"approvals,omitempty"`

	Plan *reconcile.Record `json:"plan"`
}

type stepResult struct {
	Step      int       `json:"step"`
	Result    string    `json:"result"`
	Kind      string    `json:"kind"`
	Key       string    `json:"key"`
	ID        int64     `json:"id,omitempty"`
	Position  *position `json:"position,omitempty"`
	Status    int       `json:"status,omitempty"`
	Request   string    `json:"request_id,omitempty"`
	Messages  []message `json:"messages,omitempty"`
	BlockedBy []int     `json:"blocked_by,omitempty"`
	Error     string    `json:"error,omitempty"`
}

type message struct {
	Field string `json:"field,omitempty"`
	Text  string `json:"text"`
}

// ReportJSON writes a report in the form ReportFormat, with the record of its
// plan. exitCode is what the command ends with; ok is whether that is 0.
func ReportJSON(w io.Writer, r *reconcile.Report, plan *reconcile.Record, approvals []reconcile.ApprovalReport, exitCode int) error {
	h := success(ReportFormat, r.Plan.Diagnostics)
	h.OK, h.ExitCode = exitCode == 0, &exitCode
	if err := trouble(r); err != nil {
		h.Errors = append(h.Errors, err.Error())
	}
	finished := r.Count(reconcile.Applied) + r.Count(reconcile.AlreadyDone)
	body := reportBody{
		outcome: outcome{Complete: finished == len(r.Steps), Errored: exitCode != 0},
		Summary: map[string]int{}, Interrupted: r.Interrupted,
		Results: make([]stepResult, 0, len(r.Steps)), Plan: plan,
		Approvals: approvalData(approvals),
	}
	for _, kind := range results {
		body.Summary[resultWord(kind.result)] = r.Count(kind.result)
	}
	for i := range r.Steps {
		body.Results = append(body.Results, resultData(&r.Steps[i]))
	}
	return encode(w, struct {
		head
		reportBody
	}{h, body})
}

func resultData(s *reconcile.StepReport) stepResult {
	o := s.Step.Change.Object()
	out := stepResult{
		Step: s.Step.Index, Result: resultWord(s.Result), Kind: o.Kind.Name, Key: o.Display(),
		ID: int64(s.Row), Status: s.Status, Request: s.Request, BlockedBy: s.BlockedBy,
	}
	if o.Doc != nil {
		out.Position = positionData(o.Doc.Pos)
	}
	for _, m := range s.Messages {
		out.Messages = append(out.Messages, message(m))
	}
	if s.Err != nil {
		out.Error = s.Err.Error()
	}
	return out
}

// resultWord is a result as a name in JSON: "already_done".
func resultWord(r reconcile.Result) string { return strings.ReplaceAll(string(r), " ", "_") }
