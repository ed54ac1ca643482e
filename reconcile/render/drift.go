package render

import (
	"fmt"
	"io"

	"proxbox-sync/reconcile"
)

// listedMissing is up to how many missing objects a drift report names.
const listedMissing = 20

// Drift writes what changed on the server behind the manifests' back: each
// object with the fields as they are there and as they should be.
func Drift(w io.Writer, r *reconcile.DriftReport, s Style) error {
	p := newPrinter(w, s)
	p.origin(r.Instance, r.Owner)
	for _, d := range r.Objects {
		head := p.paint(yellow, "~ "+Escape(title(d.Change)))
		if d.Change.RenamedOutside {
			head += p.paint(dim, "  (renamed outside: the server has it as "+Escape(orNothing(d.Change.RenamedFrom))+")")
		}
		p.line(head)
		p.content(&reconcile.Step{Change: driftOnly(d)})
	}
	for _, x := range r.Copied {
		p.paragraph(p.paint(yellow, "?")+" ", x.Object.String()+": "+x.Why)
	}
	if r.Any() {
		p.line()
	}
	p.missing(r)
	p.group(r.Diagnostics)
	p.line(p.paint(bold, DriftSummary(r)))
	return p.done()
}

// driftOnly is a change without what the manifests would do beside it.
func driftOnly(d reconcile.Drifted) *reconcile.Change {
	return &reconcile.Change{Action: d.Change.Action, Desired: d.Change.Desired, Live: d.Change.Live, Fields: d.Fields,
		RenamedFrom: d.Change.RenamedFrom, RenamedOutside: d.Change.RenamedOutside}
}

func (p *printer) missing(r *reconcile.DriftReport) {
	if len(r.Missing) > 0 {
		p.paragraph("", fmt.Sprintf("%s of the manifests missing on the server. Deleted there or never applied: that can't be known, since a marker goes with its object.",
			count(len(r.Missing), "object")))
		for i, o := range r.Missing {
			if i == listedMissing {
				p.line("  ", fmt.Sprintf("and %s more", thousands(len(r.Missing)-i)))
				break
			}
			p.line("  ", Escape(o.String()))
		}
		p.line()
	}
	if r.Unmanaged > 0 {
		p.paragraph("", fmt.Sprintf("%s without a marker for what differs: not applied yet, so that nothing tells who changed it.", count(r.Unmanaged, "object")))
		p.line()
	}
}

// DriftSummary is the last line of a drift report.
func DriftSummary(r *reconcile.DriftReport) string {
	if !r.Any() {
		return "No drift: nobody changed what is managed."
	}
	text := fmt.Sprintf("Drift: %s changed on the server", count(len(r.Objects), "object"))
	if n := len(r.Copied); n > 0 {
		text += fmt.Sprintf(", %s with a marker that is another one's", thousands(n))
	}
	return text + "."
}

type driftBody struct {
	Server    reconcile.RecordServer   `json:"server"`
	Owner     string                   `json:"owner"`
	Objects   []drifted                `json:"objects"`
	Copied    []reconcile.RecordOrphan `json:"copied"`
	Missing   []objectKey              `json:"missing"`
	Unmanaged int                      `json:"unmanaged"`
}

type drifted struct {
	Kind           string                  `json:"kind"`
	Key            string                  `json:"key"`
	ID             int64                   `json:"id,omitempty"`
	Position       *position               `json:"position,omitempty"`
	Before         map[string]any          `json:"before"` // as the server has it
	After          map[string]any          `json:"after"`
	Fields         []reconcile.RecordField `json:"fields"`
	RenamedOutside bool                    `json:"renamed_outside,omitempty"`
	LiveKey        string                  `json:"live_key,omitempty"` // where it was renamed
}

type objectKey struct {
	Kind     string    `json:"kind"`
	Key      string    `json:"key"`
	Position *position `json:"position,omitempty"`
}

// DriftJSON writes the same in the form DriftFormat.
func DriftJSON(w io.Writer, r *reconcile.DriftReport) error {
	body := driftBody{
		Server: serverData(r.Instance), Owner: r.Owner,
		Objects: []drifted{}, Copied: []reconcile.RecordOrphan{}, Missing: []objectKey{}, Unmanaged: r.Unmanaged,
	}
	for _, d := range r.Objects {
		step := (&reconcile.Step{Change: driftOnly(d)}).Record()
		body.Objects = append(body.Objects, drifted{Kind: step.Kind, Key: step.Key, ID: step.ID, Position: (*position)(step.Position),
			Before: step.Before, After: step.After, Fields: step.Fields, RenamedOutside: step.RenamedOutside, LiveKey: step.RenamedFrom})
	}
	for _, x := range r.Copied {
		body.Copied = append(body.Copied, x.Record())
	}
	for _, o := range r.Missing {
		key := objectKey{Kind: o.Kind.Name, Key: o.Display()}
		if o.Doc != nil {
			key.Position = positionData(o.Doc.Pos)
		}
		body.Missing = append(body.Missing, key)
	}
	return encode(w, struct {
		head
		driftBody
	}{success(DriftFormat, r.Diagnostics), body})
}
