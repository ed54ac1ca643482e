package render

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"proxbox-sync/reconcile"
)

// RestoreDocument is what became of a restore, in the form RestoreFormat.
type RestoreDocument struct {
	head
	restoreBody
}

type restoreBody struct {
	Drill  bool                   `json:"drill"`
	Server reconcile.RecordServer `json:"server"`
	Owner  string                 `json:"owner"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	outcome
	Interrupted bool           `json:"interrupted"`
	Results     map[string]int `json:"summary"` // steps
	// Proven says that everything was read again and compared.
	Proven   bool           `json:"proven"`
	Compared []compared     `json:"compared"`
	NotBack  []notBack      `json:"not_back"`
	Unseen   []unseen       `json:"not_comparable"`
	Waiting  []objectKey    `json:"waiting_for_approval"`
	Kept     []drifted      `json:"left_as_they_are"`
	Refused  []unseen       `json:"secrets_not_sent_again"`
	Skipped  []skipped      `json:"skipped"`
	Records  map[string]int `json:"records_left_out"`
	// Approvals are what became of the connections that were to be approved.
	Approvals []approval `json:"approvals,omitempty"`
}

type compared struct {
	Kind    string `json:"kind"`
	Objects int    `json:"objects"`
	Equal   int    `json:"equal"`
	Fields  int    `json:"fields"`
}

// notBack is an object that did not come back, or not whole.
type notBack struct {
	objectKey
	There     bool                    `json:"there"` // and not whole
	Waits     bool                    `json:"waits,omitempty"`
	Result    string                  `json:"result,omitempty"`
	Reasons   []message               `json:"reasons,omitempty"`
	BlockedBy []string                `json:"blocked_by,omitempty"`
	Secrets   []string                `json:"secrets,omitempty"`
	Before    map[string]any          `json:"before,omitempty"` // as the server has it
	After     map[string]any          `json:"after,omitempty"`
	Fields    []reconcile.RecordField `json:"fields,omitempty"`
	Status    int                     `json:"status,omitempty"`
	Request   string                  `json:"request_id,omitempty"`
	Todo      string                  `json:"todo,omitempty"`
}

type unseen struct {
	objectKey
	Fields []string `json:"fields"`
}

type skipped struct {
	objectKey
	Why string `json:"why"`
}

// NewRestoreDocument makes the form of a restore. exitCode is what the command
// ends with.
func NewRestoreDocument(x *reconcile.Restored, exitCode int) *RestoreDocument {
	d := &RestoreDocument{head: success(RestoreFormat, x.Diagnostics), restoreBody: restoreBody{
		Drill: x.Drill, Server: serverData(x.Instance), Owner: x.Owner, outcome: outcome{Complete: x.Whole(), Errored: exitCode != 0},
		Interrupted: x.Interrupted, Results: map[string]int{}, Proven: x.Proof != nil, Compared: []compared{}, NotBack: []notBack{},
		Unseen: []unseen{}, Waiting: []objectKey{}, Kept: []drifted{}, Refused: []unseen{}, Skipped: []skipped{}, Records: map[string]int{},
		Approvals: approvalData(x.Approvals)}}
	d.OK, d.ExitCode = exitCode == 0, &exitCode
	if x.Drill {
		d.Server.URL = "sandbox"
	}
	if x.Err != nil && !x.Interrupted {
		d.Errors = append(d.Errors, x.Err.Error())
	}
	if x.ProofErr != nil {
		d.Errors = append(d.Errors, "nothing is proven: reading everything again: "+x.ProofErr.Error())
	}
	for _, kind := range results {
		d.Results[resultWord(kind.result)] = x.Results[kind.result]
	}
	maps.Copy(d.Records, x.Records)
	for _, n := range x.NotBack {
		d.NotBack = append(d.NotBack, notBackData(n, x.Drill))
	}
	for _, s := range x.Skipped {
		d.Skipped = append(d.Skipped, skipped{keyOf(s.Object), s.Why})
	}
	d.Refused = append(d.Refused, unseenData(x.Refused)...)
	d.proof(x.Proof)
	return d
}

// proof takes in what was compared.
func (d *RestoreDocument) proof(p *reconcile.Proof) {
	if p == nil {
		return
	}
	for _, k := range p.Kinds {
		i := slices.IndexFunc(d.Compared, func(c compared) bool { return c.Kind == k.Kind })
		if i < 0 {
			d.Compared = append(d.Compared, compared{Kind: k.Kind})
			i = len(d.Compared) - 1
		}
		c := &d.Compared[i]
		c.Objects, c.Equal, c.Fields = c.Objects+k.Objects, c.Equal+k.Equal, c.Fields+k.Fields
	}
	d.Unseen = append(d.Unseen, unseenData(p.Unseen)...)
	for _, o := range p.Waiting {
		d.Waiting = append(d.Waiting, keyOf(o))
	}
	for _, u := range p.Kept {
		step := (&reconcile.Step{Change: &reconcile.Change{Action: reconcile.Update, Desired: u.Object, Live: u.Object.Peer, Fields: u.Fields}}).Record()
		d.Kept = append(d.Kept, drifted{Kind: step.Kind, Key: step.Key, ID: step.ID, Position: (*position)(step.Position),
			Before: step.Before, After: step.After, Fields: step.Fields})
	}
	for _, r := range p.Unasked {
		why := "the token may not see it"
		if r.Err != nil {
			why = r.Err.Error()
		}
		d.Errors = append(d.Errors, fmt.Sprintf("it is not known whether the connection of %s is approved: %s", r.Object, why))
	}
}

// Took notes how long it took.
func (d *RestoreDocument) Took(t time.Duration) { d.Seconds = math.Round(t.Seconds()*10) / 10 }

func keyOf(o *reconcile.Object) objectKey {
	key := objectKey{Kind: o.Kind.Name, Key: o.Display()}
	if o.Doc != nil {
		key.Position = positionData(o.Doc.Pos)
	}
	return key
}

func (k *objectKey) title() string { return objectTitle(k.Kind, k.Key) }

func unseenData(list []reconcile.Unseen) []unseen {
	var out []unseen
	for _, u := range list {
		out = append(out, unseen{keyOf(u.Object), u.Fields})
	}
	return out
}

func notBackData(n *reconcile.NotBack, drill bool) notBack {
	out := notBack{objectKey: keyOf(n.Object), There: n.There, Waits: n.Waits, Result: resultWord(n.Result), BlockedBy: n.BlockedBy,
		Secrets: n.Secrets, Status: n.Status, Request: n.Request}
	for _, m := range n.Reasons {
		out.Reasons = append(out.Reasons, message(m))
	}
	if len(n.Fields) > 0 {
		step := (&reconcile.Step{Change: &reconcile.Change{Action: reconcile.Update, Desired: n.Object, Live: n.Object.Peer, Fields: n.Fields}}).Record()
		out.Before, out.After, out.Fields = step.Before, step.After, step.Fields
	}
	out.Todo = todo(n, drill)
	return out
}

// todo says what somebody can do about an object that is not back.
func todo(n *reconcile.NotBack, drill bool) string {
	again := "run restore again"
	if drill {
		again = "run the drill again"
	}
	switch {
	case n.Waits && drill:
		return "nothing: on the day, run restore again once that has made it"
	case n.Waits:
		return "have it made, and " + again
	case len(n.Secrets) > 0:
		return "the rest of it is there. Have what the server asks before it takes this secret answer (such as the backend whose key it is), and " + again
	case len(n.BlockedBy) > 0, n.Behind:
		return "bring that back first, and " + again
	case n.Secretless:
		return "fill in its skeleton, or have the sops file read that has it, and " + again
	case n.Untold:
		return "tell them apart in NetBox, as the reason says, and " + again
	case n.Result == "" && len(n.Reasons) > 0 && len(n.Fields) == 0:
		return "declare what it refers to (export --with-references writes it), and " + again
	case n.Status == 401 || n.Status == 403:
		return "have the token permitted to do that (proxbox-sync doctor says what it lacks), and " + again
	}
	return "see to the reason, and " + again
}
