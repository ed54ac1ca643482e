package render

import (
	"io"
	"strings"

	"proxbox-sync/reconcile"
)

// Status is how one finding of a check-up turned out.
type Status string

// The statuses, from good to bad.
const (
	Fine   Status = "ok"
	Noted  Status = "note" // worth knowing, nothing to do
	Warned Status = "warning"
	Broken Status = "error"
)

// Finding is one line of a check-up.
type Finding struct {
	Status  Status `json:"status"`
	Topic   string `json:"topic"` // a word: "TLS", "token"
	Summary string `json:"summary"`
	Detail  string `json:"detail,omitempty"` // why, and what to do
}

// KindAccess is what a token may do with one kind. Nil means that the server
// does not tell.
type KindAccess struct {
	Kind   string `json:"kind"`
	Path   string `json:"path"` // "" where the server does not have the kind
	View   *bool  `json:"view"`
	Add    *bool  `json:"add"`
	Change *bool  `json:"change"`
	Delete *bool  `json:"delete"`
}

// Checkup is what doctor found out about a server.
type Checkup struct {
	Instance reconcile.Instance
	Findings []Finding
	Kinds    []KindAccess
	// PlanNeeds and ApplyNeeds are permissions as NetBox writes them.
	PlanNeeds, ApplyNeeds []string
	// PlanGrants and ApplyGrants are the same as bodies for the API.
	PlanGrants, ApplyGrants []Grant
}

// Grant is the body of a request that makes a permission of NetBox. Whom it is
// for is left to who sends it.
type Grant struct {
	Name        string   `json:"name"`
	Enabled     bool     `json:"enabled"`
	ObjectTypes []string `json:"object_types"`
	Actions     []string `json:"actions"`
}

// Doctor writes a check-up: the findings, a table of what the token may do,
// and the permissions that plan and apply need.
func Doctor(w io.Writer, c Checkup, s Style) error {
	p := newPrinter(w, s)
	if c.Instance.URL != "" {
		p.line(p.paint(bold, server(serverData(c.Instance))))
		p.line()
	}
	wide := 0
	for _, f := range c.Findings {
		wide = max(wide, length(f.Topic))
	}
	for _, f := range c.Findings {
		lead := "  " + p.paint(statusColor(f.Status), pad(string(f.Status), 8)) + " " + pad(Escape(f.Topic), wide) + "  "
		p.paragraph(lead, f.Summary)
		if f.Detail != "" {
			p.paragraph(strings.Repeat(" ", length(lead)), f.Detail)
		}
	}
	if len(c.Kinds) > 0 {
		p.line()
		p.access(c.Kinds)
	}
	p.permissions("plan needs", c.PlanNeeds)
	p.permissions("apply needs, beside those of plan", c.ApplyNeeds)
	if err := p.grants("plan", c.PlanGrants); err != nil {
		return err
	}
	if err := p.grants("apply, beside that of plan", c.ApplyGrants); err != nil {
		return err
	}
	return p.done()
}

// grants writes bodies to be pasted, each as one value.
func (p *printer) grants(what string, list []Grant) error {
	if len(list) == 0 {
		return nil
	}
	p.line()
	p.line(p.paint(bold, "To grant what is for "+what+": POST /api/users/permissions/, with \"users\" or \"groups\" added:"))
	for _, g := range list {
		var b strings.Builder
		if err := encode(&b, g); err != nil {
			return err
		}
		for l := range strings.Lines(b.String()) {
			p.line("  ", strings.TrimRight(l, "\n"))
		}
	}
	return nil
}

func statusColor(s Status) hue {
	return map[Status]hue{Fine: green, Noted: cyan, Warned: yellow, Broken: red}[s]
}

func (p *printer) access(kinds []KindAccess) {
	wide := 4
	for _, k := range kinds {
		wide = max(wide, length(k.Kind))
	}
	p.line(p.paint(bold, pad("KIND", wide)+"  VIEW  ADD  CHANGE  DELETE  PATH"))
	for _, k := range kinds {
		path := k.Path
		if path == "" {
			path = "(not on this server)"
		}
		p.line(pad(Escape(k.Kind), wide), "  ", pad(yesNo(k.View), 6), pad(yesNo(k.Add), 5),
			pad(yesNo(k.Change), 8), pad(yesNo(k.Delete), 8), Escape(path))
	}
}

func yesNo(b *bool) string {
	switch {
	case b == nil:
		return "?"
	case *b:
		return "yes"
	}
	return "no"
}

func (p *printer) permissions(heading string, list []string) {
	if len(list) == 0 {
		return
	}
	p.line()
	p.line(p.paint(bold, "Permissions that "+heading+":"))
	for _, x := range list {
		p.line("  ", Escape(x))
	}
}

// DoctorJSON writes a check-up in the form DoctorFormat.
func DoctorJSON(w io.Writer, c Checkup, exitCode int) error {
	h := success(DoctorFormat, nil)
	h.OK, h.ExitCode = exitCode == 0, &exitCode
	filled := func(list []string) []string { return append([]string{}, list...) }
	return encode(w, struct {
		head
		Server      reconcile.RecordServer `json:"server"`
		Findings    []Finding              `json:"findings"`
		Kinds       []KindAccess           `json:"kinds"`
		Permissions any                    `json:"permissions"`
	}{
		h, serverData(c.Instance),
		append([]Finding{}, c.Findings...), append([]KindAccess{}, c.Kinds...),
		struct {
			Plan   []string `json:"plan"`
			Apply  []string `json:"apply"`
			Bodies grants   `json:"bodies"`
		}{filled(c.PlanNeeds), filled(c.ApplyNeeds), grants{append([]Grant{}, c.PlanGrants...), append([]Grant{}, c.ApplyGrants...)}},
	})
}

type grants struct {
	Plan  []Grant `json:"plan"`
	Apply []Grant `json:"apply"`
}
