package reconcile

import (
	"fmt"
	"maps"
	"slices"
)

// Record is a plan as plain data: what is printed as JSON, saved to a file,
// shown in every format and compared with a later plan. It holds no secret, and
// the same plan gives the same record. The lists are never nil.
type Record struct {
	Server RecordServer `json:"server"`
	// Tool is the version of the program that made the plan.
	Tool      string          `json:"tool_version"`
	Owner     string          `json:"owner"`
	Manifests RecordManifests `json:"manifests"`
	Policy    RecordPolicy    `json:"policy"`
	// Expires is the time in RFC 3339 from which on the plan must not be applied
	// any more, "" for never.
	Expires string `json:"expires,omitempty"`
	// Redacted says that values are shown as digests.
	Redacted bool `json:"redacted,omitempty"`
	// Complete is false where objects may exist that the plan does not know:
	// Unread then says which, or Policy.Partial that the run was narrowed.
	Complete  bool                `json:"complete"`
	Summary   Totals              `json:"summary"`
	Steps     []RecordStep        `json:"steps"`
	Unchanged map[string]int      `json:"unchanged"` // by kind
	Unmanaged map[string]int      `json:"unmanaged"` // live objects that are neither declared nor this owner's, by kind
	Unread    map[string]string   `json:"unread"`    // why objects may be missing, by kind
	Orphans   []RecordOrphan      `json:"orphans"`
	Secrets   []RecordSecretState `json:"secrets"`
}

// RecordServer names the server that a plan was made from.
type RecordServer struct {
	URL string `json:"url"`
	// Identity tells servers apart that answer at one URL, one after the other;
	// "" where the server shows nothing to tell them by.
	Identity      string `json:"identity,omitempty"`
	NetBoxVersion string `json:"netbox_version,omitempty"`
	PluginVersion string `json:"plugin_version,omitempty"`
}

// RecordManifests names what a plan was made from.
type RecordManifests struct {
	Digest string `json:"digest"`           // of what the documents mean: see (*Plan).manifestsDigest
	Commit string `json:"commit,omitempty"` // of Git, where it is known
}

// RecordPolicy is what was allowed and asked for when a plan was made.
type RecordPolicy struct {
	Partial            string   `json:"partial,omitempty"` // why the run was not about the whole set
	Select             []string `json:"select,omitempty"`
	SendSecrets        []string `json:"send_secrets,omitempty"` // "" means all
	Prune              bool     `json:"prune"`
	PruneAdopted       bool     `json:"prune_adopted,omitempty"`
	NoAdopt            bool     `json:"no_adopt,omitempty"`
	TakeOwnership      bool     `json:"take_ownership,omitempty"`
	AcceptSecrets      bool     `json:"accept_secrets,omitempty"`
	AllowOlderSecrets  bool     `json:"allow_older_secrets,omitempty"`
	ApproveConnections bool     `json:"approve_connections,omitempty"`
	AllowRetarget      []string `json:"allow_retarget,omitempty"`
	MaxDeletes         *int     `json:"max_deletes,omitempty"`
	DeleteCeiling      *int     `json:"delete_ceiling,omitempty"`
	MaxDeletePercent   *int     `json:"max_delete_percent,omitempty"`
	MaxUpdates         *int     `json:"max_updates,omitempty"`
	MaxUpdatePercent   *int     `json:"max_update_percent,omitempty"`
}

// RecordStep is one step of a plan.
type RecordStep struct {
	Index int `json:"index"`
	// Actions begins with create, update, delete or mark; behind it stand link,
	// rename, adopt, take-over, release and send, as far as they are part of it.
	Actions  []string        `json:"actions"`
	Kind     string          `json:"kind"`
	Key      string          `json:"key"`
	ID       int64           `json:"id,omitempty"`
	Position *RecordPosition `json:"position,omitempty"`
	Wave     int             `json:"wave"`
	Needs    []int           `json:"needs,omitempty"`
	Deferred []string        `json:"deferred,omitempty"`
	Risks    []string        `json:"risks,omitempty"`
	// Before and After are the values of the fields that change, by name; those of
	// custom fields are named custom_fields.NAME. Before is nil on a create, After
	// on a delete. Secret fields stand in them as Redacted where a value is sent.
	Before map[string]any `json:"before"`
	After  map[string]any `json:"after"`
	// BeforeSensitive and AfterSensitive name what in them is secret.
	BeforeSensitive map[string]bool `json:"before_sensitive"`
	AfterSensitive  map[string]bool `json:"after_sensitive"`
	Fields          []RecordField   `json:"fields"`
	Secrets         []RecordSecret  `json:"secrets,omitempty"`
	Marker          *RecordMarker   `json:"marker,omitempty"`
	Released        []string        `json:"released,omitempty"`
	RenamedFrom     string          `json:"renamed_from,omitempty"`
	RenamedOutside  bool            `json:"renamed_outside,omitempty"`
	Takes           []RecordTaken   `json:"takes,omitempty"`
}

// RecordPosition is a place in a manifest.
type RecordPosition struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// RecordField is one field that a step changes; its values stand in Before and
// After.
type RecordField struct {
	Name    string        `json:"name"`
	Label   string        `json:"label,omitempty"`
	Set     bool          `json:"set,omitempty"` // the members have no order
	Changes []RecordValue `json:"changes,omitempty"`
}

// RecordValue is one difference inside a value. Op is add, remove or replace;
// Path is a JSON pointer into the field's value. Before is nil for add, After for
// remove.
type RecordValue struct {
	Op     string `json:"op"`
	Path   string `json:"path"`
	Before any    `json:"before"`
	After  any    `json:"after"`
}

// RecordSecret is a secret that a step sends. Digest is that of its ciphertext,
// "" for one that stands in plain text.
type RecordSecret struct {
	Name   string `json:"name"`
	Why    string `json:"why"`
	Sealed bool   `json:"sealed"`
	Digest string `json:"digest,omitempty"`
}

// RecordMarker is the marker that a step writes.
// For a delete it is the one that the object has.
type RecordMarker struct {
	Why    string `json:"why"`
	Digest string `json:"digest"` // of the marker's whole value
}

// RecordTaken is what a delete takes along; Count is nil where it could not be
// counted.
type RecordTaken struct {
	What    string   `json:"what"`
	Objects []string `json:"objects,omitempty"`
	Count   *int     `json:"count"`
}

// RecordOrphan is an owned object without a manifest.
type RecordOrphan struct {
	Kind    string `json:"kind"`
	Key     string `json:"key"`
	ID      int64  `json:"id,omitempty"`
	Origin  string `json:"origin"`
	Protect bool   `json:"protect"`
	Deleted bool   `json:"deleted"`
	Why     string `json:"why,omitempty"`
}

// RecordSecretState is what is known of a declared secret field.
type RecordSecretState struct {
	Kind   string `json:"kind"`
	Key    string `json:"key"`
	Field  string `json:"field"`
	Status string `json:"status"`
	Why    string `json:"why,omitempty"`
	Sent   bool   `json:"sent"`
}

// Totals counts the objects of a plan by what happens to them.
type Totals struct {
	Create    int `json:"create"`
	Update    int `json:"update"`
	Link      int `json:"link"` // creates whose references are set in a step of their own
	Delete    int `json:"delete"`
	Mark      int `json:"mark"` // objects of which nothing but the marker is written
	Unchanged int `json:"unchanged"`
}

// Record turns a plan into data. Tool, Manifests.Commit and Expires are the
// caller's to fill in.
func (p *Plan) Record() *Record {
	r := &Record{
		Server:    RecordServer{p.Instance.URL, p.Instance.Identity, p.Instance.NetBoxVersion, p.Instance.PluginVersion},
		Owner:     p.Owner,
		Manifests: RecordManifests{Digest: p.manifestsDigest()},
		Policy:    p.policy.record(),
		Complete:  p.policy.Partial == "" && len(p.Unread) == 0,
		Summary:   p.Totals(),
		Steps:     make([]RecordStep, 0, len(p.Steps)),
		Unchanged: counted(p.Unchanged), Unmanaged: counted(p.Unmanaged), Unread: map[string]string{},
		Orphans: make([]RecordOrphan, 0, len(p.Orphans)),
		Secrets: make([]RecordSecretState, 0, len(p.Secrets)),
	}
	r.Policy.Select, r.Policy.SendSecrets, r.Policy.ApproveConnections = p.Asked.Select, p.Asked.SendSecrets, p.Asked.ApproveConnections
	maps.Copy(r.Unread, p.Unread)
	for _, s := range p.Steps {
		r.Steps = append(r.Steps, s.Record())
	}
	for _, x := range p.Orphans {
		r.Orphans = append(r.Orphans, x.Record())
	}
	for _, s := range p.Secrets {
		r.Secrets = append(r.Secrets, RecordSecretState{Kind: s.Object.Kind.Name, Key: s.Object.Display(), Field: s.Field,
			Status: s.Status, Why: s.Why, Sent: s.Sent})
	}
	return r
}

// Totals counts what the steps do.
func (p *Plan) Totals() Totals {
	var n Totals
	for _, s := range p.Steps {
		switch {
		case s.Link:
			n.Link++
		case s.Change.Action == Create:
			n.Create++
		case s.Change.Action == Delete:
			n.Delete++
		case s.Change.Action == Mark:
			n.Mark++
		default:
			n.Update++
		}
	}
	for _, c := range p.Unchanged {
		n.Unchanged += c
	}
	return n
}

// counted leaves out kinds of which there are none.
func counted(counts map[string]int) map[string]int {
	out := maps.Clone(counts)
	maps.DeleteFunc(out, func(_ string, n int) bool { return n == 0 })
	if out == nil {
		out = map[string]int{}
	}
	return out
}

func (w *Ownership) record() RecordPolicy {
	out := RecordPolicy{Partial: w.Partial, Prune: w.Prune, PruneAdopted: w.PruneAdopted, NoAdopt: w.NoAdopt,
		TakeOwnership: w.TakeOwnership, AcceptSecrets: w.AcceptSecrets, AllowOlderSecrets: w.AllowOlderSecrets,
		MaxDeletes: w.Limits.MaxDeletes, DeleteCeiling: w.Limits.DeleteCeiling, MaxDeletePercent: w.Limits.MaxDeletePercent,
		MaxUpdates: w.Limits.MaxUpdates, MaxUpdatePercent: w.Limits.MaxUpdatePercent}
	for _, s := range w.AllowRetarget {
		out.AllowRetarget = append(out.AllowRetarget, s.Kind+"/"+s.Key)
	}
	return out
}

// Record turns a step into data.
func (s *Step) Record() RecordStep {
	c := s.Change
	o := c.Object()
	out := RecordStep{Index: s.Index, Actions: s.actions(), Kind: o.Kind.Name, Key: o.Display(), Wave: s.Wave, Needs: s.Needs,
		Deferred: s.Deferred, Risks: s.Risks, Released: c.Released, RenamedFrom: c.RenamedFrom, RenamedOutside: c.RenamedOutside,
		BeforeSensitive: map[string]bool{}, AfterSensitive: map[string]bool{}, Fields: make([]RecordField, 0, len(c.Fields))}
	if c.Live != nil {
		out.ID = int64(c.Live.Row)
	}
	if o.Doc != nil {
		out.Position = recordPosition(o.Doc.Pos)
	}
	if c.Action != Create {
		out.Before = map[string]any{}
	}
	if c.Action == Delete {
		out.Before = shownDeleted(c)
	} else {
		out.After = map[string]any{}
	}
	for _, f := range c.Fields {
		if out.Before != nil {
			out.Before[f.Name] = Shown(f.Before)
		}
		out.After[f.Name] = Shown(f.After)
		out.Fields = append(out.Fields, f.record())
	}
	for _, x := range c.Secrets {
		out.After[x.Name], out.AfterSensitive[x.Name] = Redacted, true
		if out.Before != nil {
			out.BeforeSensitive[x.Name] = true
		}
		secret := RecordSecret{Name: x.Name, Why: x.Why, Sealed: x.Sealed}
		if v, ok := o.Fields[x.Name].(Secret); ok {
			secret.Digest = o.fieldDigest(o.Kind.Field(x.Name), x.Name, v)
		}
		out.Secrets = append(out.Secrets, secret)
	}
	switch {
	case c.Marker != nil:
		out.Marker = &RecordMarker{Why: c.Marker.Why, Digest: markerDigest(c.Marker.value)}
	case c.Action == Delete:
		entries, _ := c.Live.Fields[customFields].(map[string]any)
		out.Marker = &RecordMarker{Why: "deleted", Digest: markerDigest(entries[MarkerField])}
	}
	for _, t := range c.Takes {
		out.Takes = append(out.Takes, t.Record())
	}
	return out
}

// actions says in words what a step does.
func (s *Step) actions() []string {
	c := s.Change
	out := []string{string(c.Action)}
	add := func(when bool, word string) {
		if when {
			out = append(out, word)
		}
	}
	add(s.Link, "link")
	add(c.RenamedFrom != "" || c.RenamedOutside, "rename")
	if c.Marker != nil && c.Live != nil {
		add(c.Marker.adopts(), "adopt")
		add(c.Marker.Why == "taken over", "take-over")
		add(c.Marker.Why == "released", "release")
	}
	add(len(c.Secrets) > 0, "send")
	return out
}

func markerDigest(value any) string { return digest("marker", string(appendExact(nil, value))) }

// shownDeleted are the key and the managed fields of an object that is deleted:
// with the marker, all that a delete stands on.
func shownDeleted(c *Change) map[string]any {
	out := map[string]any{}
	for _, name := range slices.Concat(c.Live.Kind.Resource.Key, c.managed) {
		if v, read := c.Live.Fields[name]; read {
			out[name] = Shown(v)
		}
	}
	return out
}

func (fc FieldChange) record() RecordField {
	out := RecordField{Name: fc.Name, Label: fc.Label, Set: fc.Field != nil && fc.Field.Set}
	for _, in := range fc.Inner {
		x := RecordValue{Op: in.Op, Path: in.Path}
		if in.Op != "add" {
			x.Before = Shown(in.Before)
		}
		if in.Op != "remove" {
			x.After = Shown(in.After)
		}
		out.Changes = append(out.Changes, x)
	}
	return out
}

func recordPosition(p Position) *RecordPosition {
	if p.File == "" {
		return nil
	}
	return &RecordPosition{p.File, p.Line, p.Column}
}

// Record turns what a delete takes along into data.
func (t Taken) Record() RecordTaken {
	out := RecordTaken{What: t.What, Objects: slices.Clone(t.Objects)}
	if !t.Unknown {
		n := max(t.Count, len(t.Objects))
		out.Count = &n
	}
	return out
}

// Record turns an orphan into data.
func (x Orphan) Record() RecordOrphan {
	return RecordOrphan{Kind: x.Object.Kind.Name, Key: x.Object.Display(), ID: int64(x.Object.Row),
		Origin: string(x.Origin), Protect: x.Protect, Deleted: x.Deleted, Why: x.Why}
}

// Title names the object of a step as a plan shows it.
func (s *RecordStep) Title() string {
	if s.Key == "" {
		return s.Kind
	}
	return fmt.Sprintf("%s %s", s.Kind, s.Key)
}
