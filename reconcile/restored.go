package reconcile

import (
	"cmp"
	"slices"
	"strings"
)

// Restored is what became of a restore: what was done, what is proven, and what
// did not come back. It keeps nothing of what went well but numbers.
type Restored struct {
	Instance    Instance
	Owner       string
	Drill       bool
	Diagnostics Diagnostics
	Results     map[Result]int // steps
	Interrupted bool
	Err         error // what ended the run early and concerns no single step
	Approvals   []ApprovalReport
	Skipped     []Skipped
	Records     map[string]int
	// Refused are secrets that the server refuses to take again and that, as its
	// marker says, it was sent before.
	Refused []Unseen
	// Proof is nil where there is none, for the reason that ProofErr says.
	Proof    *Proof
	ProofErr error
	// NotBack are the objects that did not come back whole.
	NotBack []*NotBack

	byPlace map[place]*NotBack
}

// NotBack is an object that did not come back, or not whole.
type NotBack struct {
	Object *Object
	There  bool // the server has it, and something of it is missing or different
	// Waits says that nothing is wrong with it: somebody else makes what is missing.
	Waits      bool
	Behind     bool   // it only waits for another object that is not back
	Untold     bool   // it, or what it refers to, can't be told from its namesakes
	Secretless bool   // it can't be made without a secret that no manifest has
	Result     Result // of the step that did not work, "" where there was none
	Reasons    []FieldMessage
	Fields     []FieldChange // how the server has it, and how it should be
	Secrets    []string      // that the server did not take
	BlockedBy  []string      // what had to come back first
	Status     int
	Request    string

	sends bool // its step sends a secret, of which no proof tells
}

// place identifies a declared object beyond one reading of the documents.
type place struct {
	kind string
	pos  Position
}

func placeOf(o *Object) place { return place{o.Kind.Name, o.Doc.Pos} }

// NewRestored begins with what was done.
func NewRestored(r *Restoration, report *Report) *Restored {
	x := &Restored{Instance: r.Plan.Instance, Owner: r.Plan.Owner, Diagnostics: r.Plan.Diagnostics, Results: map[Result]int{},
		Interrupted: report.Interrupted, Err: report.Err, Skipped: r.Skipped, Records: r.Records, byPlace: map[place]*NotBack{}}
	x.lost(r.Lost)
	for i := range report.Steps {
		x.step(report, &report.Steps[i])
	}
	return x
}

// entry is the one of an object, made where there is none.
func (x *Restored) entry(o *Object) *NotBack {
	at := placeOf(o)
	if x.byPlace[at] == nil {
		x.byPlace[at] = &NotBack{Object: o}
		x.NotBack = append(x.NotBack, x.byPlace[at])
	}
	return x.byPlace[at]
}

func (x *Restored) lost(list []Lost) {
	for _, l := range list {
		n := x.entry(l.Object)
		if l.Field != "" {
			n.There = true
		}
		first := len(n.Reasons) == 0
		n.There, n.Untold, n.Secretless = n.There || l.There, n.Untold || l.Untold, n.Secretless || l.Secretless
		n.Waits, n.Behind = l.Waits && (n.Waits || first), l.Behind && (n.Behind || first)
		n.Reasons = append(n.Reasons, FieldMessage{Field: l.Field, Text: l.Why})
	}
}

// step notes the fate of a step, and what of it did not work.
func (x *Restored) step(report *Report, r *StepReport) {
	x.Results[r.Result]++
	o := r.Step.Change.Object()
	for _, w := range r.Withheld {
		if w.Known {
			x.Refused = append(x.Refused, Unseen{o, []string{w.Field}})
			continue
		}
		n := x.entry(o)
		n.There, n.Waits = true, false
		n.Secrets = append(n.Secrets, w.Field)
		n.Reasons = append(n.Reasons, FieldMessage{Field: w.Field, Text: w.Text})
	}
	switch r.Result {
	case Applied, AlreadyDone, Unmarked, NotAttempted: // the proof tells of the last
		return
	}
	n := x.entry(o)
	n.Waits, n.Behind, n.Result, n.Status, n.Request = false, false, r.Result, r.Status, r.Request
	n.There = n.There || r.Step.Change.Live != nil || r.Step.Link
	n.sends = n.sends || len(r.Step.Change.Secrets) > 0
	n.Reasons = append(n.Reasons, r.Messages...)
	if r.Err != nil {
		n.Reasons = append(n.Reasons, FieldMessage{Text: r.Err.Error()})
	}
	for _, i := range r.BlockedBy {
		if other := report.Steps[i].Step.Change.Object(); other != o {
			n.BlockedBy = append(n.BlockedBy, other.String())
		}
	}
}

// Add takes in the proof: what it finds missing or different, and not what turned
// out to be there although a step did not work.
func (x *Restored) Add(p *Proof) {
	x.Proof = p
	found := map[place]bool{}
	var lost []Lost
	for _, l := range p.Lost {
		if found[placeOf(l.Object)] = true; x.byPlace[placeOf(l.Object)] == nil {
			lost = append(lost, l)
		}
	}
	for _, o := range p.Missing {
		found[placeOf(o)] = true
		x.entry(o).There = false
	}
	for _, u := range p.Differing {
		found[placeOf(u.Object)] = true
		n := x.entry(u.Object)
		n.There, n.Waits, n.Fields = true, false, u.Fields
	}
	x.lost(lost)
	x.NotBack = slices.DeleteFunc(x.NotBack, func(n *NotBack) bool {
		return n.Result != "" && !n.sends && len(n.Secrets) == 0 && !found[placeOf(n.Object)]
	})
	for _, n := range x.NotBack {
		n.There = n.There || !found[placeOf(n.Object)]
	}
	slices.SortStableFunc(x.NotBack, func(a, b *NotBack) int {
		return cmp.Or(strings.Compare(a.Object.Doc.Pos.File, b.Object.Doc.Pos.File), cmp.Compare(a.Object.Doc.Pos.Line, b.Object.Doc.Pos.Line),
			cmp.Compare(a.Object.Doc.Pos.Column, b.Object.Doc.Pos.Column))
	})
}

// Whole reports whether everything came back, as far as it can be compared. In a
// drill nobody makes what somebody else makes: that counts as no failure there.
func (x *Restored) Whole() bool {
	return x.Proof != nil && !x.Interrupted && x.Err == nil && !slices.ContainsFunc(x.NotBack, func(n *NotBack) bool { return !x.Drill || !n.Waits })
}
