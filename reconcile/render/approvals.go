package render

import (
	"fmt"
	"io"
	"strings"

	"proxbox-sync/reconcile"
)

// Approvals writes what became of the connections of the objects that an apply
// wrote. It writes nothing when there are none.
func Approvals(w io.Writer, list []reconcile.ApprovalReport, s Style) error {
	if len(list) == 0 {
		return nil
	}
	p := newPrinter(w, s)
	p.line()
	p.line("Connections:")
	for i := range list {
		r := &list[i]
		color, word := green, string(r.Verdict)
		switch {
		case r.Err != nil:
			color, word = red, "not known"
		case !r.Effective():
			color = yellow
		}
		p.line("  ", p.paint(color, pad(Escape(word), 17)), " ", Escape(r.Object.String()))
		if text := approvalDetail(r); text != "" {
			p.paragraph("      ", text)
		}
	}
	return p.done()
}

// approvalDetail says why a connection is not approved, and what to do.
func approvalDetail(r *reconcile.ApprovalReport) string {
	if r.Err != nil {
		return r.Err.Error()
	}
	switch r.Verdict {
	case reconcile.TargetDiffers:
		return fmt.Sprintf("the server would connect to something else than declared: %s. Declare these fields, or look in NetBox who set them.", strings.Join(r.Differs, ", "))
	case reconcile.TargetChanged:
		return "it changed while it was being approved: run apply again"
	case reconcile.NotEnabled:
		return "noted, and of no effect until the object is enabled"
	case reconcile.ApprovalForbidden:
		return "the token lacks the plugin's permission sensitive-data-access: somebody who has it must approve the connection in NetBox"
	}
	return ""
}

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
			x.Result = strings.ReplaceAll(string(r.Verdict), " ", "_")
		}
		out = append(out, x)
	}
	return out
}
