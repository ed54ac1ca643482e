package render

import (
	"fmt"
	"strings"

	"proxbox-sync/reconcile"
)

// approval is what became of the connection of an object that an apply wrote.
type approval struct {
	Kind    string   `json:"kind"`
	Key     string   `json:"key"`
	ID      int64    `json:"id,omitempty"`
	Result  string   `json:"result,omitempty"`
	Differs []string `json:"differs,omitempty"`
	Status  int      `json:"status,omitempty"`
	Request string   `json:"request_id,omitempty"`
	Error   string   `json:"error,omitempty"`
}

func approvalData(list []reconcile.ApprovalReport) []approval {
	var out []approval
	for _, r := range list {
		x := approval{Kind: r.Object.Kind.Name, Key: r.Object.Display(), ID: int64(r.Row), Differs: r.Differs, Status: r.Status, Request: r.Request}
		if r.Err != nil {
			x.Error = r.Err.Error()
		} else {
			x.Result = verdictWord(r.Verdict)
		}
		out = append(out, x)
	}
	return out
}

func verdictWord(v reconcile.ApprovalVerdict) string { return strings.ReplaceAll(string(v), " ", "_") }

// word is what became of it, in words.
func (x *approval) word() string {
	if x.Error != "" {
		return "not known"
	}
	return wordOf(x.Result)
}

// effective reports whether the server uses the connection now.
func (x *approval) effective() bool {
	return x.Error == "" && (x.Result == verdictWord(reconcile.Approved) || x.Result == verdictWord(reconcile.WasApproved) ||
		x.Result == verdictWord(reconcile.NoApproval))
}

// approvals writes what became of the connections of the objects that an apply
// wrote, nothing when there are none.
func (p *printer) approvals(list []approval) {
	if len(list) == 0 {
		return
	}
	p.line()
	p.line("Connections:")
	for i := range list {
		x := &list[i]
		color := green
		switch {
		case x.Error != "":
			color = red
		case !x.effective():
			color = yellow
		}
		p.line("  ", p.paint(color, pad(Escape(x.word()), 17)), " ", Escape(objectTitle(x.Kind, x.Key)))
		if text := x.detail(); text != "" {
			p.paragraph("      ", text)
		}
	}
}

// detail says why a connection is not approved, and what to do.
func (x *approval) detail() string {
	if x.Error != "" {
		return x.Error
	}
	switch x.Result {
	case verdictWord(reconcile.TargetDiffers):
		return fmt.Sprintf("the server would connect to something else than declared: %s. Declare these fields, or look in NetBox who set them.", strings.Join(x.Differs, ", "))
	case verdictWord(reconcile.TargetChanged):
		return "it changed while it was being approved: run apply again"
	case verdictWord(reconcile.NotEnabled):
		return "noted, and of no effect until the object is enabled"
	case verdictWord(reconcile.ApprovalForbidden):
		return "the token lacks the plugin's permission sensitive-data-access: somebody who has it must approve the connection in NetBox"
	}
	return ""
}
