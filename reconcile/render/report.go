package render

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

// listedApplied is up to how many successful steps a text names each; more are
// counted only, so that what needs attention isn't lost.
const listedApplied = 50

// results are the fates of steps, in the order that a report shows them.
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

// ReportDocument is what became of a plan, in the form ReportFormat.
type ReportDocument struct {
	head
	reportBody
}

type reportBody struct {
	Results map[string]int `json:"summary"`
	outcome
	Interrupted bool         `json:"interrupted"`
	Steps       []stepResult `json:"results"`
	Approvals   []approval   `json:"approvals,omitempty"`
	// PlanDigest is the SHA-256 of the plan's file: of the one that was carried out,
	// else of the one that plan --out would write.
	PlanDigest string            `json:"plan_digest,omitempty"`
	Plan       *reconcile.Record `json:"plan"`
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

// NewReportDocument makes the form of a report. plan is the record of the plan
// that was carried out; exitCode is what the command ends with.
func NewReportDocument(r *reconcile.Report, plan *reconcile.Record, approvals []reconcile.ApprovalReport, exitCode int) *ReportDocument {
	d := &ReportDocument{head: success(ReportFormat, r.Plan.Diagnostics)}
	d.OK, d.ExitCode = exitCode == 0, &exitCode
	tie(d.Diagnostics, plan.Steps)
	if err := trouble(r); err != nil {
		d.Errors = append(d.Errors, err.Error())
	}
	finished := r.Count(reconcile.Applied) + r.Count(reconcile.AlreadyDone)
	d.reportBody = reportBody{
		outcome: outcome{Complete: finished == len(r.Steps), Errored: exitCode != 0},
		Results: map[string]int{}, Interrupted: r.Interrupted,
		Steps: make([]stepResult, 0, len(r.Steps)), Plan: plan,
		Approvals: approvalData(approvals),
	}
	for _, kind := range results {
		d.Results[resultWord(kind.result)] = r.Count(kind.result)
	}
	for i := range r.Steps {
		d.Steps = append(d.Steps, resultData(&r.Steps[i]))
	}
	return d
}

// Refused is the report of a plan of which nothing was carried out, for what list
// and why say beside the plan's own diagnostics.
func Refused(plan *reconcile.Plan, record *reconcile.Record, list reconcile.Diagnostics, why error, exitCode int) *ReportDocument {
	whole := *plan
	whole.Diagnostics = append(slices.Clone(plan.Diagnostics), list...).Sorted()
	r := &reconcile.Report{Plan: &whole, Err: why}
	for _, s := range plan.Steps {
		r.Steps = append(r.Steps, reconcile.StepReport{Step: s, Result: reconcile.NotAttempted})
	}
	return NewReportDocument(r, record, nil, exitCode)
}

func (d *ReportDocument) data() any { return d }

// text writes what happened to each step, why, how many ended how, and what
// became of connections. Where no plan stands above, it begins with that.
func (d *ReportDocument) text(p *printer) {
	if p.style.Whole && d.Plan != nil {
		(&PlanDocument{head: d.head, Record: d.Plan}).text(p)
		p.line()
	}
	good := d.count(reconcile.Applied) + d.count(reconcile.AlreadyDone)
	for _, kind := range results {
		done := kind.result == reconcile.Applied || kind.result == reconcile.AlreadyDone
		if done && good > listedApplied && !p.style.Whole {
			continue
		}
		listed := 0
		for i := range d.Steps {
			if d.Steps[i].Result != resultWord(kind.result) || done && listed == listedApplied {
				continue
			}
			p.fate(d, &d.Steps[i], kind.color)
			listed++
		}
		if n := d.count(kind.result) - listed; n > 0 {
			p.line("... and ", thousands(n), " more ", string(kind.result))
		}
	}
	if len(d.Steps) > 0 {
		p.line()
	}
	for _, text := range d.Errors {
		p.paragraph(p.paint(red, "error")+": ", text)
	}
	if d.Interrupted {
		p.paragraph("", interrupted)
	}
	p.line(p.paint(bold, d.Summary()))
	p.approvals(d.Approvals)
}

const interrupted = "Interrupted: what was under way was finished, the rest was not attempted. Run apply again to carry on."

func (d *ReportDocument) count(r reconcile.Result) int { return d.Results[resultWord(r)] }

// trouble is what ended a run early, nil where that was the interruption which
// the report speaks of anyway.
func trouble(r *reconcile.Report) error {
	if r.Interrupted && errors.Is(r.Err, context.Canceled) {
		return nil
	}
	return r.Err
}

// Summary is the last line of a report:
// "Apply: 12 applied, 1 failed, 2 blocked."
func (d *ReportDocument) Summary() string { return "Apply: " + d.resultCounts() + "." }

func (d *ReportDocument) resultCounts() string {
	var parts []string
	for _, kind := range results {
		n := d.count(kind.result)
		if n > 0 || kind.result == reconcile.Applied {
			parts = append(parts, thousands(n)+" "+string(kind.result))
		}
	}
	return strings.Join(parts, ", ")
}

// fate writes what became of one step.
func (p *printer) fate(d *ReportDocument, s *stepResult, h hue) {
	p.line(p.paint(h, pad(wordOf(s.Result), 14)), signs[d.action(s)].sign, " ", Escape(objectTitle(s.Kind, s.Key)))
	const lead = "    "
	if s.done() {
		return
	}
	if at := place(s.Position); at != "" {
		p.line(lead, "declared at ", at)
	}
	for _, text := range d.reasons(s) {
		p.paragraph(lead, text)
	}
	if text := answer(s); text != "" {
		p.line(lead, p.paint(dim, text))
	}
}

func (s *stepResult) done() bool {
	return s.Result == resultWord(reconcile.Applied) || s.Result == resultWord(reconcile.AlreadyDone)
}

// action is what the plan wanted to do to the object of a result.
func (d *ReportDocument) action(s *stepResult) reconcile.Action {
	if d.Plan == nil || s.Step < 0 || s.Step >= len(d.Plan.Steps) {
		return reconcile.Update
	}
	return action(&d.Plan.Steps[s.Step])
}

// reasons say why a step was not carried out.
func (d *ReportDocument) reasons(s *stepResult) []string {
	var out []string
	for _, i := range s.BlockedBy {
		if i >= 0 && i < len(d.Steps) {
			other := &d.Steps[i]
			out = append(out, "needs "+objectTitle(other.Kind, other.Key)+" ("+wordOf(other.Result)+")")
		}
	}
	if s.Result == resultWord(reconcile.Unmarked) {
		out = append(out, "the server refuses the marker, so that the object can't be adopted or released")
	}
	for _, m := range s.Messages {
		text := m.Text
		if m.Field != "" {
			text = m.Field + ": " + text
		}
		out = append(out, strings.Split(text, "\n")...)
	}
	if s.Error != "" {
		out = append(out, strings.Split(s.Error, "\n")...)
	}
	return out
}

// answer says what the administrator of the server can look for.
func answer(s *stepResult) string {
	var parts []string
	if s.Status != 0 {
		parts = append(parts, fmt.Sprintf("HTTP status %d", s.Status))
	}
	if s.Request != "" {
		parts = append(parts, "request "+Escape(s.Request))
	}
	return strings.Join(parts, ", ")
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

func wordOf(result string) string { return strings.ReplaceAll(result, "_", " ") }
