package render

import (
	"fmt"
	"maps"

	"proxbox-sync/reconcile"
)

// listedMissing is up to how many missing objects a drift report names.
const listedMissing = 20

// DriftDocument is what changed on the server behind the manifests' back, in the
// form DriftFormat.
type DriftDocument struct {
	head
	driftBody
}

type driftBody struct {
	Server    reconcile.RecordServer   `json:"server"`
	Owner     string                   `json:"owner"`
	Objects   []drifted                `json:"objects"`
	Copied    []reconcile.RecordOrphan `json:"copied"`
	Missing   []objectKey              `json:"missing"`
	Unmanaged int                      `json:"unmanaged"`
	// Others are live objects that neither a manifest declares nor this owner has.
	Others map[string]int    `json:"others"`
	Unread map[string]string `json:"unread"`
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

// NewDriftDocument makes the form of a drift report.
func NewDriftDocument(r *reconcile.DriftReport) *DriftDocument {
	d := &DriftDocument{head: success(DriftFormat, r.Diagnostics), driftBody: driftBody{
		Server: serverData(r.Instance), Owner: r.Owner, Objects: []drifted{}, Copied: []reconcile.RecordOrphan{}, Missing: []objectKey{}, Unmanaged: r.Unmanaged,
		Others: map[string]int{}, Unread: map[string]string{}}}
	for _, x := range r.Objects {
		step := (&reconcile.Step{Change: driftOnly(x)}).Record()
		d.Objects = append(d.Objects, drifted{Kind: step.Kind, Key: step.Key, ID: step.ID, Position: (*position)(step.Position),
			Before: step.Before, After: step.After, Fields: step.Fields, RenamedOutside: step.RenamedOutside, LiveKey: step.RenamedFrom})
	}
	for _, x := range r.Copied {
		d.Copied = append(d.Copied, x.Record())
	}
	for _, o := range r.Missing {
		key := objectKey{Kind: o.Kind.Name, Key: o.Display()}
		if o.Doc != nil {
			key.Position = positionData(o.Doc.Pos)
		}
		d.Missing = append(d.Missing, key)
	}
	for kind, n := range r.Others {
		if n > 0 {
			d.Others[kind] = n
		}
	}
	maps.Copy(d.Unread, r.Unread)
	return d
}

// driftOnly is a change without what the manifests would do beside it.
func driftOnly(d reconcile.Drifted) *reconcile.Change {
	return &reconcile.Change{Action: d.Change.Action, Desired: d.Change.Desired, Live: d.Change.Live, Fields: d.Fields,
		RenamedFrom: d.Change.RenamedFrom, RenamedOutside: d.Change.RenamedOutside}
}

func (d *DriftDocument) data() any { return d }

// text writes each object that changed with the fields as they are on the server
// and as they should be.
func (d *DriftDocument) text(p *printer) {
	p.origin(d.Server, d.Owner, "")
	for i := range d.Objects {
		x := &d.Objects[i]
		head := p.paint(yellow, "~ "+Escape(objectTitle(x.Kind, x.Key)))
		for _, note := range x.notes() {
			head += p.paint(dim, "  ("+Escape(note)+")")
		}
		p.line(head)
		p.content(x.step())
	}
	for _, x := range d.Copied {
		p.paragraph(p.paint(yellow, "?")+" ", objectTitle(x.Kind, x.Key)+": "+x.Why)
	}
	if d.Any() {
		p.line()
	}
	for _, x := range d.parts() {
		p.part(x)
	}
	p.group(d.Diagnostics)
	p.counts(unmanaged, d.Others)
	p.line(p.paint(bold, d.Summary()))
}

// Any reports whether something changed.
func (d *DriftDocument) Any() bool { return len(d.Objects)+len(d.Copied) > 0 }

func (x *drifted) notes() []string {
	if !x.RenamedOutside {
		return nil
	}
	return []string{"renamed outside: the server has it as " + orNothing(x.LiveKey)}
}

// step is the drift of one object as the step that would put it back.
func (x *drifted) step() *reconcile.RecordStep {
	return &reconcile.RecordStep{Actions: []string{string(reconcile.Update)}, Kind: x.Kind, Key: x.Key,
		Position: (*reconcile.RecordPosition)(x.Position), Before: x.Before, After: x.After, Fields: x.Fields}
}

// parts are what there is to say beside the objects that changed.
func (d *DriftDocument) parts() []part {
	var out []part
	if n := len(d.Missing); n > 0 {
		x := part{title: fmt.Sprintf("%s of the manifests missing on the server. Deleted there or never applied: that can't be known, since a marker goes with its object.",
			count(n, "object"))}
		for _, o := range d.Missing {
			x.lines = append(x.lines, objectTitle(o.Kind, o.Key))
		}
		x.lines = firstOf(x.lines, listedMissing, "and %s more")
		out = append(out, x)
	}
	if d.Unmanaged > 0 {
		out = append(out, part{title: fmt.Sprintf("%s without a marker for what differs: not applied yet, so that nothing tells who changed it.", count(d.Unmanaged, "object"))})
	}
	if x, ok := unread(d.Unread); ok {
		out = append(out, x)
	}
	return out
}

// Summary is the last line of a drift report.
func (d *DriftDocument) Summary() string {
	if !d.Any() {
		return "No drift: nobody changed what is managed."
	}
	text := fmt.Sprintf("Drift: %s changed on the server", count(len(d.Objects), "object"))
	if n := len(d.Copied); n > 0 {
		text += fmt.Sprintf(", %s with a marker that is another one's", thousands(n))
	}
	return text + "."
}
