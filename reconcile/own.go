package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"proxbox-sync/schema"
)

// Ownership is the name under which a run manages objects, and what it may do
// under that name. The zero value manages without markers.
type Ownership struct {
	Owner string
	// Mark names the core kinds that are marked and pruned as well.
	Mark []string
	// Attached are object types that the custom field of the markers is going to be
	// attached to before the plan is carried out.
	Attached []string
	// Partial says why the manifests of this run are not the whole set, "" when
	// they are. A partial run lists no orphans, prunes nothing and releases no
	// fields.
	Partial           string
	NoAdopt           bool // refuse live objects without a marker
	TakeOwnership     bool // take over objects of other owners
	Prune             bool // delete orphans that this owner created
	PruneAdopted      bool // and those it adopted
	AcceptSecrets     bool // record the digests of unknown secrets without sending them
	AllowOlderSecrets bool // send secrets of an older file than the one applied
	AllowRetarget     []Selection
	Limits            Limits
}

// marks reports whether objects of a kind carry a marker under this ownership.
func (w *Ownership) marks(k *schema.Kind) bool {
	if w.Owner == "" || k.Resource.Mode == schema.Lookup || k.Field(customFields) == nil {
		return false
	}
	return k.Resource.Prune != "named" || slices.Contains(w.Mark, k.Name)
}

// owning decides, object by object, what the markers say and become.
type owning struct {
	Ownership
	attached map[string]bool // kinds whose objects can carry the marker on this server
	diags    Diagnostics
}

// standing of a live object towards this owner.
type claim int

const (
	unmarked claim = iota
	ours
	theirs     // another owner's
	unreadable // a marker of a newer version or another form
)

func (w *owning) claim(live *Object) (Marker, claim) {
	m, form := markerOf(live)
	switch {
	case form == noMarker:
		return m, unmarked
	case form == foreignMarker:
		return m, unreadable
	case m.Owner == w.Owner:
		return m, ours
	}
	return m, theirs
}

// carries reports whether an object can have a marker.
func (w *owning) carries(o *Object) bool { return w.marks(o.Kind) && w.attached[o.Kind.Name] }

// admit checks whether this owner may manage the live side of a desired object,
// and returns the marker to go on from.
func (w *owning) admit(o *Object) (Marker, claim) {
	if o.Peer == nil || !w.carries(o) || o.Doc.Meta.CreateOnly {
		return Marker{}, unmarked
	}
	old, claim := w.claim(o.Peer)
	if claim == ours && !o.ownsKey(old.Key) {
		// The marker is another object's: whoever put it here did not make this
		// object ours. It counts as unmarked, so that prune never takes it for one
		// that we created.
		old, claim, o.copiedMarker = Marker{}, unmarked, true
	}
	report := func(trouble Trouble, code, summary, detail string) {
		w.diags = append(w.diags, Diagnostic{Severity: Error, Trouble: trouble, Code: code, Pos: o.Doc.Pos, Object: o.String(),
			Summary: summary, Detail: detail})
	}
	switch {
	case claim == unreadable:
		report(Contested, "unknown-marker", "its marker is of a form that this version can't read",
			"update proxbox-sync if a newer one wrote it; this one never overwrites it. To clear it by hand: "+clearing(o.Peer))
	case claim == theirs && o.Kind.Resource.Mode == schema.Singleton:
		w.share(o, old)
	case claim == theirs && !w.TakeOwnership:
		report(Contested, "other-owner", fmt.Sprintf("it is managed by the owner %q", old.Owner),
			"remove one of the two manifests, or take it over with --take-ownership")
	case claim == unmarked && w.NoAdopt && !o.Doc.Meta.Absent && !o.Doc.Meta.Release:
		report(Policy, "not-adopted", "it exists already and has no marker of ours", "--no-adopt forbids to adopt it")
	}
	return old, claim
}

// clearing is the request that takes a marker off a live object.
func clearing(live *Object) string {
	list := "…" // which of several paths a server has is not known here
	if paths := live.Kind.Resource.Paths; len(paths) == 1 {
		list = "/api/" + paths[0]
	}
	return fmt.Sprintf(`PATCH %s/%d/ {"custom_fields": {"%s": null}}`, list, live.Row, MarkerField)
}

// ownsKey reports whether a recorded key is the object's: the one it has in the
// manifests, or the one the server still has.
func (o *Object) ownsKey(recorded string) bool {
	return recorded == o.keyDigest() || recorded == digest(o.Kind.Name, o.Peer.heldKey(0))
}

// share reports fields of the one settings object that two owners declare.
func (w *owning) share(o *Object, m Marker) {
	if w.TakeOwnership {
		return
	}
	for name := range o.Fields {
		if _, taken := m.Fields[name]; taken {
			w.diags = append(w.diags, Diagnostic{Severity: Error, Trouble: Contested, Code: "other-owner",
				Pos: o.fieldPos(name), Object: o.String(), Field: name,
				Summary: fmt.Sprintf("field %q is managed by the owner %q", name, m.Owner),
				Detail:  "declare it in one place only, or take it over with --take-ownership"})
		}
	}
}

// digests are the recorded digests of the fields that this owner manages.
func (w *owning) digests(m Marker) map[string]string {
	if m.Owner == w.Owner {
		return m.Fields
	}
	return m.Others[w.Owner]
}

// label tells who made a difference: the manifests, the server, or both.
// What is ignored inside the field was never recorded.
func (w *owning) label(o *Object, m Marker, fc FieldChange, ignored []string) string {
	recorded, ok := w.digests(m)[fc.Name]
	if !ok {
		return Adoption
	}
	f := fc.digestField()
	switch {
	case o.recordedAs(recorded, f, fc.Name, without(fc.Name, fc.from, ignored)):
		return Intent
	case o.recordedAs(recorded, f, fc.Name, without(fc.Name, fc.wire, ignored)):
		return Drift
	}
	return Both
}

// recordedAs reports whether a recorded digest is that of a value, under the key
// that the manifest gives the object or, when it is being renamed, under the one
// that it still has.
func (o *Object) recordedAs(recorded string, f *schema.Field, name string, v any) bool {
	if recorded == "" {
		return false
	}
	if recorded == o.fieldDigest(f, name, v) {
		return true
	}
	if o.Peer == nil {
		return false
	}
	held := o.Peer.heldKey(0)
	if held == o.Key {
		return false
	}
	old := &Object{Kind: o.Kind, Key: held}
	return recorded == old.fieldDigest(f, name, v)
}

// digestField is the field by whose class a value is brought into normal form:
// entries of custom_fields count exactly.
func (fc FieldChange) digestField() *schema.Field {
	if fc.Name != fc.Field.Name {
		return &schema.Field{Name: fc.Name, Class: schema.JSON}
	}
	return fc.Field
}

// next is the marker that an object has once its manifest is applied. sent are
// the write-only fields whose present value the server then has.
func (w *owning) next(o *Object, old Marker, known claim, sent map[string]bool, ignored []string) Marker {
	m := Marker{Owner: w.Owner, Key: o.keyDigest(), Origin: OriginCreated, Protect: o.Doc.Meta.Protect,
		Fields: map[string]string{}, Sealed: old.Sealed, Others: maps.Clone(old.Others)}
	switch {
	case o.Doc.Meta.Existing || o.Kind.Resource.Mode == schema.Singleton:
		m.Origin = OriginExisting
	case known == ours:
		m.Origin = old.Origin
	case o.Peer != nil:
		m.Origin = OriginAdopted
	}
	before := w.digests(old)
	if w.Partial != "" {
		maps.Copy(m.Fields, before)
	}
	for name, v := range o.Fields {
		f := o.Kind.Field(name)
		switch {
		case slices.Contains(ignored, name):
		case f.WriteOnly:
			w.secretDigest(o, f, v, before[name], sent[name], &m)
		case f.Class == schema.Map:
			entries, _ := v.(map[string]any)
			for entry, value := range entries {
				path := name + "." + entry
				m.Fields[path] = o.fieldDigest(&schema.Field{Class: schema.JSON}, path, without(path, value, ignored))
			}
		default:
			m.Fields[name] = o.fieldDigest(f, name, without(name, v, ignored))
		}
	}
	if known == theirs && o.Kind.Resource.Mode == schema.Singleton && !w.TakeOwnership {
		// The object stays the other owner's; our fields are recorded beside.
		shared := old
		shared.Others = maps.Clone(old.Others)
		if shared.Others == nil {
			shared.Others = map[string]map[string]string{}
		}
		shared.Others[w.Owner] = m.Fields
		return shared
	}
	delete(m.Others, w.Owner)
	return m
}

// secretDigest records what the server has of a write-only field: a digest, or ""
// when that is not known. No entry at all says that the field was not managed.
func (w *owning) secretDigest(o *Object, f *schema.Field, v any, before string, sent bool, m *Marker) {
	d := o.fieldDigest(f, f.Name, v)
	switch {
	case sent && d != "":
		m.Fields[f.Name] = d
		if s, ok := v.(Secret); ok && s.Modified().After(m.Sealed) {
			m.Sealed = s.Modified().UTC().Truncate(time.Second)
		}
	case o.recordedAs(before, f, f.Name, v):
		m.Fields[f.Name] = d // under the new key, when it is renamed
	case before != "" && !sent:
		m.Fields[f.Name] = before
	default:
		m.Fields[f.Name] = ""
	}
}

// released lists the fields that a marker records and the manifest has no more.
func (w *owning) released(old Marker, next Marker) []string {
	if w.Partial != "" {
		return nil
	}
	var names []string
	now := w.digests(next)
	for name := range w.digests(old) {
		if _, ok := now[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// secretState compares a write-only field with what was recorded of it.
func (w *owning) secretState(o *Object, f *schema.Field, v any, old Marker, claim claim) SecretState {
	state := SecretState{Object: o, Field: f.Name, Status: "unknown"}
	mine := w.digests(old)
	recorded, managed := mine[f.Name]
	now := o.fieldDigest(f, f.Name, v)
	switch {
	case o.Peer == nil && o.Kind.Resource.Mode != schema.Singleton:
		state.Status = "new"
	case !w.carries(o):
		state.Why = "there is no marker to compare with"
	case claim == unmarked || mine == nil:
		state.Why = "the object is not ours yet"
	case !managed:
		state.Status = "new"
	case now == "":
		state.Why = "it stands in plain text, of which no digest is kept"
	case recorded == "":
		state.Why = "nothing is recorded of what the server has"
	case o.recordedAs(recorded, f, f.Name, v):
		state.Status = "unchanged"
	default:
		state.Status = "changed"
	}
	return state
}

// older refuses a changed secret that comes from an older file than the one
// that was applied: an old ciphertext put back is valid in every other way.
func (w *owning) older(o *Object, f *schema.Field, v any, old Marker) {
	s, ok := v.(Secret)
	if !ok || old.Sealed.IsZero() || s.Modified().IsZero() || !s.Modified().Before(old.Sealed) {
		return
	}
	x := Diagnostic{Severity: Warning, Trouble: Policy, Code: "older-secret", Pos: o.fieldPos(f.Name), Object: o.String(), Field: f.Name,
		Summary: fmt.Sprintf("secret field %q comes from a file older than what was applied (%s, applied %s)", f.Name,
			s.Modified().UTC().Format(time.RFC3339), old.Sealed.UTC().Format(time.RFC3339)),
		Detail: "if it is meant to go back, allow it with --allow-older-secrets"}
	if !w.AllowOlderSecrets {
		x.Severity = Error
	}
	w.diags = append(w.diags, x)
}

// retarget refuses to point credentials that the server holds somewhere else,
// unless all of them are sent anew along with it.
func (w *owning) retarget(c *Change) {
	o := c.Desired
	moved := movedTargets(c)
	if len(moved) == 0 || c.Live == nil || sendsAllSecrets(c) || selectionOf(o, w.AllowRetarget) >= 0 {
		return
	}
	first, _, _ := strings.Cut(moved[0], " ")
	w.diags = append(w.diags, Diagnostic{Severity: Error, Trouble: Policy, Code: "retargeted-credentials",
		Pos: o.fieldPos(first), Object: o.String(), Field: first,
		Summary: fmt.Sprintf("a new %s would send the stored credentials somewhere else", strings.Join(moved, ", ")),
		Detail: fmt.Sprintf("if that is meant, allow it with --allow-retarget %s/%s, or give all its secrets new values (%s)",
			o.Kind.Name, o.Display(), strings.Join(writeOnlyFields(o.Kind), ", "))})
}

// sendsAllSecrets reports whether every write-only field of the kind is sent
// anew. A kind without any has nothing to lose. What was applied before does not
// count, though it is asked for: whoever changed the address need not have the
// key. Nor does a field that an update finds new in the manifests: it may be one
// that they gave up before, and the ciphertext an old one.
func sendsAllSecrets(c *Change) bool {
	for _, name := range writeOnlyFields(c.Object().Kind) {
		if !slices.ContainsFunc(c.Secrets, func(s SecretChange) bool { return s.Name == name && (s.Why != "new" && !s.Again || c.Live == nil) }) {
			return false
		}
	}
	return true
}

func writeOnlyFields(k *schema.Kind) []string {
	var names []string
	for _, f := range k.Fields {
		if f.WriteOnly && !f.ReadOnly {
			names = append(names, f.Name)
		}
	}
	return names
}
