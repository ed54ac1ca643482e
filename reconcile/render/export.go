package render

import (
	"fmt"
	"maps"
	"slices"

	"proxbox-sync/reconcile"
)

// ExportDocument is what became of an export.
type ExportDocument struct {
	head
	Server     reconcile.RecordServer `json:"server"`
	Folder     string                 `json:"folder"`
	Owner      string                 `json:"owner,omitempty"`
	Objects    map[string]int         `json:"objects"`
	New        int                    `json:"new"`       // documents
	Changed    int                    `json:"changed"`   // documents
	Unchanged  int                    `json:"unchanged"` // documents
	Removed    int                    `json:"removed"`   // documents
	Elsewhere  int                    `json:"elsewhere"` // objects that documents outside of the folder declare
	Others     int                    `json:"others"`    // objects that the owner does not manage
	Files      []string               `json:"files"`     // written or removed
	Unread     []unreadKind           `json:"unread"`
	Notes      []exportNote           `json:"notes"`
	Stay       []string               `json:"gone"`
	Cant       []string               `json:"not_changed"`
	Unset      []string               `json:"left_out"`
	Secrets    []secretCoverage       `json:"secrets"`
	Skeletons  []string               `json:"skeletons"`
	Encrypted  bool                   `json:"encrypted"`
	Recipients []string               `json:"recipients,omitempty"`
	Uncovered  bool                   `json:"manifests_elsewhere,omitempty"` // the project does not load the folder

	told reconcile.Diagnostics
}

type unreadKind struct {
	Kind string `json:"kind"`
	Why  string `json:"why"`
}

type exportNote struct {
	Object  string `json:"object"`
	Field   string `json:"field,omitempty"`
	Why     string `json:"why"`
	Missing bool   `json:"missing"` // the export lacks it
}

type secretCoverage struct {
	Object string `json:"object"`
	Field  string `json:"field"`
	State  string `json:"state"`
	Why    string `json:"why,omitempty"`
}

// NewExportDocument takes in what the export itself says.
func NewExportDocument(e *reconcile.Exports, list reconcile.Diagnostics) *ExportDocument {
	d := &ExportDocument{told: list,
		Server:  serverData(e.Instance),
		Objects: map[string]int{}, Others: e.Others,
		Files: []string{}, Unread: []unreadKind{}, Notes: []exportNote{}, Secrets: []secretCoverage{}, Skeletons: []string{}}
	for kind, n := range e.Counts {
		if n > 0 {
			d.Objects[kind] = n
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(e.Unread)) {
		d.Unread = append(d.Unread, unreadKind{kind, e.Unread[kind]})
	}
	for _, n := range e.Notes {
		d.Notes = append(d.Notes, exportNote{n.Object, n.Field, n.Why, n.Missing})
	}
	for _, s := range e.Secrets {
		d.Secrets = append(d.Secrets, secretCoverage{s.Object.Label(), s.Field, s.State, s.Why})
	}
	return d
}

// Ended notes the exit code.
func (d *ExportDocument) Ended(code int) {
	d.head = ended(ExportFormat, d.told, code)
	for _, list := range []*[]string{&d.Files, &d.Stay, &d.Cant, &d.Unset, &d.Skeletons} {
		if *list == nil {
			*list = []string{}
		}
	}
}

// Incomplete reports whether the manifests lack something that the server shows
// or may have.
func (d *ExportDocument) Incomplete() bool {
	return len(d.Unread)+len(d.Stay)+len(d.Cant) > 0 || slices.ContainsFunc(d.Notes, func(n exportNote) bool { return n.Missing })
}

func (d *ExportDocument) data() any { return d }

func (d *ExportDocument) page() *page {
	return &page{word: "export", title: "Export"}
}

// maxLines bounds how many lines of one kind a text has; JSON has all.
const maxLines = 50

func (d *ExportDocument) text(p *printer) {
	total := 0
	for _, n := range d.Objects {
		total += n
	}
	p.paragraph("", fmt.Sprintf("Exported %s of %s from %s.", count(total, "object"), count(len(d.Objects), "kind"), server(d.Server)))
	p.paragraph("  ", fmt.Sprintf("Documents in %s: %s new, %s changed, %s as before, %s removed; %s written.", d.Folder, thousands(d.New), thousands(d.Changed),
		thousands(d.Unchanged), thousands(d.Removed), count(len(d.Files), "file")))
	if d.Elsewhere > 0 {
		p.paragraph("  ", count(d.Elsewhere, "object")+" more: documents outside of the folder declare them, and were left alone.")
	}
	if d.Others > 0 {
		p.paragraph("  ", fmt.Sprintf("%s that %s does not manage: left out; --all exports them too.", count(d.Others, "object"), d.Owner))
	}
	if d.Uncovered {
		p.paragraph("  ", "The project file does not list this folder under manifests: nothing loads it from there.")
	}
	var missing, noted []string
	for _, n := range d.Notes {
		text := n.Object
		if n.Field != "" {
			text += ", " + n.Field
		}
		text += ": " + n.Why
		if n.Missing {
			missing = append(missing, text)
		} else {
			noted = append(noted, text)
		}
	}
	var unread []string
	for _, u := range d.Unread {
		unread = append(unread, u.Kind+": "+u.Why)
	}
	d.list(p, red, "Could not be read, or not all of it; nothing of these was removed:", unread)
	d.list(p, red, "Not exported:", missing)
	d.list(p, yellow, "Gone from the server, or hidden from this token, and still declared (--remove-gone removes documents):", d.Stay)
	d.list(p, yellow, "To be changed by hand:", d.Cant)
	d.list(p, plain, "No manifest can say:", noted)
	d.list(p, plain, "Set on the server, and left out by the document (--complete adds them):", d.Unset)
	d.secrets(p)
}

func (d *ExportDocument) list(p *printer, h hue, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line()
	p.line(p.paint(h, title))
	for i, l := range lines {
		if i == maxLines {
			p.line("  and ", thousands(len(lines)-i), " more; --format json lists them")
			break
		}
		p.paragraph("  - ", l)
	}
}

// secrets says where the secrets are: the part of a disaster recovery that no
// export can do.
func (d *ExportDocument) secrets(p *printer) {
	if len(d.Secrets) == 0 {
		return
	}
	groups := map[string][]string{}
	for _, s := range d.Secrets {
		text := s.Object + ", " + s.Field
		if s.Why != "" {
			text += ": " + s.Why
		}
		groups[s.State] = append(groups[s.State], text)
	}
	p.line()
	p.line(p.paint(bold, "Secrets"), " (they can't be read back; what is not in Git is lost with the server):")
	p.line("  ", thousands(len(groups[reconcile.SecretApplied])), " in Git, and what was applied")
	d.list(p, yellow, fmt.Sprintf("%s in Git, and not known to be what was applied:", thousands(len(groups[reconcile.SecretOther]))), groups[reconcile.SecretOther])
	d.list(p, yellow, fmt.Sprintf("%s to be filled in, in a file that is there:", thousands(len(groups[reconcile.SecretTodo]))), groups[reconcile.SecretTodo])
	d.list(p, red, fmt.Sprintf("%s not in Git:", thousands(len(groups[reconcile.SecretMissing]))), groups[reconcile.SecretMissing])
	if len(d.Skeletons) == 0 {
		return
	}
	if d.Encrypted {
		d.list(p, plain, "Encrypted skeletons, for "+count(len(d.Recipients), "recipient")+"; fill in each with sops edit FILE:", d.Skeletons)
		d.list(p, plain, "Recipients:", d.Recipients)
		return
	}
	d.list(p, plain, "Skeletons to fill in, encrypt with sops, and take .todo off:", d.Skeletons)
}
