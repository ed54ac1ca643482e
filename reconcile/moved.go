package reconcile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// movedLimit bounds how many differences of one object's fields are named.
const movedLimit = 20

// Moved compares a saved plan with the one that was made now. It returns what
// keeps the saved one from being carried out, nothing when the steps of now are
// those of the file or what is left of them. A step of the file that now does
// not have must be done already. version is that of the running program.
func Moved(saved *Record, now *Plan, version string, at time.Time) Diagnostics {
	m := &moving{saved: saved, now: now.Record(), plan: now}
	m.now.Tool = version
	if saved.Redacted {
		m.now = m.now.WithoutValues()
	}
	m.head(at)
	if len(m.diags) > 0 {
		return m.diags // nothing below can be compared
	}
	m.twice()
	before, after := byObject(saved.Steps), byObject(m.now.Steps)
	for _, name := range after.names {
		if before.steps[name] == nil {
			m.report(name, "", "a step more", "the plan now has a step for it that the file does not have: "+after.steps[name].text())
		}
	}
	for _, name := range before.names {
		if now := after.steps[name]; now == nil {
			m.done(name, before.steps[name])
		} else {
			m.step(name, before.steps[name], now)
		}
	}
	if !m.resumed && len(m.diags) == 0 {
		m.whole()
	}
	return m.diags
}

// moving is the work of one call of Moved.
type moving struct {
	saved, now *Record
	plan       *Plan
	resumed    bool // some of the file's steps are done
	index      map[string][]*Object
	diags      Diagnostics
}

func (m *moving) report(object, field, summary, detail string) {
	m.diags = append(m.diags, Diagnostic{Severity: Error, Trouble: Contested, Code: "plan-moved", Object: object, Field: field,
		Summary: summary, Detail: detail})
}

// head compares what the file says of itself.
func (m *moving) head(at time.Time) {
	const identity = "identity of the server"
	for _, x := range []struct{ what, saved, now string }{
		{"server", m.saved.Server.URL, m.now.Server.URL},
		{identity, m.saved.Server.Identity, m.now.Server.Identity},
		{"version of NetBox", m.saved.Server.NetBoxVersion, m.now.Server.NetBoxVersion},
		{"version of netbox-proxbox", m.saved.Server.PluginVersion, m.now.Server.PluginVersion},
		{"version of proxbox-sync", m.saved.Tool, m.now.Tool},
		{"owner", m.saved.Owner, m.now.Owner},
	} {
		switch {
		case x.saved == x.now:
		case x.what == identity && (x.saved == "" || x.now == ""):
			m.report("", "", "whether this is the server that the plan was made with can't be told: one of the two tokens may not view the custom field "+MarkerField,
				"give both the permission extras.view_customfield, plan again, and approve that")
		default:
			m.report("", "", fmt.Sprintf("the %s is another: the plan was made with %q, this is %q", x.what, x.saved, x.now), "plan again here, and approve that")
		}
	}
	if m.saved.Expires != "" {
		until, err := time.Parse(time.RFC3339, m.saved.Expires)
		if err != nil || !at.Before(until) {
			m.report("", "", fmt.Sprintf("the plan was good until %s", m.saved.Expires), "plan again, and approve that")
		}
	}
}

// twice finds steps that the file has more than once: one of them would pass for
// one that is done.
func (m *moving) twice() {
	seen := map[string]bool{}
	for i := range m.saved.Steps {
		s := m.saved.Steps[i].bare()
		s.Index, s.Wave, s.Needs = 0, 0, nil
		at := fmt.Sprintf("%s id %d link %t", s.Title(), s.ID, s.does("link"))
		if s.ID == 0 {
			at = plainJSON(s) // namesakes that don't exist yet differ in something else
		}
		if seen[at] {
			m.report(s.Title(), "", "a step more", "the file has it twice")
		}
		seen[at] = true
	}
}

// objectSteps are the steps of a record by object; a create and the step that
// links it later are one.
type objectSteps struct {
	names []string
	steps map[string]*objectStep
}

// objectStep is what a record does to one object.
type objectStep struct {
	action        string
	id            int64
	before, after map[string]any
	secrets       map[string]string // digests by field
	marker        *RecordMarker
	takes         string
	linked        map[string]bool // fields that a later step of a create sets
	steps         []*RecordStep
}

func byObject(steps []RecordStep) objectSteps {
	out := objectSteps{steps: map[string]*objectStep{}}
	for i := range steps {
		s := &steps[i]
		name := s.Title()
		if old := out.steps[name]; old != nil && !s.does("link") {
			name = fmt.Sprintf("%s (step %d)", name, s.Index+1) // a namesake
		} else if old != nil {
			for field, v := range s.After {
				old.after[field], old.linked[field] = v, true
			}
			old.steps = append(old.steps, s)
			continue
		}
		x := &objectStep{steps: []*RecordStep{s}, id: s.ID, before: s.Before, after: s.After, marker: s.Marker, secrets: map[string]string{}, linked: map[string]bool{},
			takes: plainJSON(s.Takes)}
		if len(s.Actions) > 0 {
			x.action = s.Actions[0]
		}
		if x.after = maps.Clone(s.After); x.after == nil { // a file may leave it out
			x.after = map[string]any{}
		}
		for _, secret := range s.Secrets {
			x.secrets[secret.Name] = secret.Digest
			delete(x.after, secret.Name)
		}
		out.names = append(out.names, name)
		out.steps[name] = x
	}
	return out
}

func (s *RecordStep) does(action string) bool { return slices.Contains(s.Actions, action) }

func (x *objectStep) text() string {
	var names []string
	for field := range x.after {
		names = append(names, field)
	}
	for field := range x.secrets {
		names = append(names, field)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return x.action
	}
	return x.action + " " + strings.Join(first(names, movedLimit), ", ")
}

// rests are the steps that can be left of a step which was carried out in part.
var rests = map[Action][]Action{Create: {Update, Mark}, Update: {Mark}}

// step compares what the file does to an object with what is to be done now: all
// of it, or the rest.
func (m *moving) step(name string, saved, now *objectStep) {
	found := len(m.diags)
	switch {
	case saved.action != now.action && !slices.Contains(rests[Action(saved.action)], Action(now.action)):
		m.report(name, "", "another step", fmt.Sprintf("the file has %s, the plan now has %s", saved.text(), now.text()))
		return
	case saved.action == string(Create) && now.action != string(Create) && !now.finishes(saved):
		m.report(name, "", "another step", fmt.Sprintf("the file creates it; somebody else made it meanwhile, and the plan now has %s", now.text()))
		return
	case saved.id != 0 && now.id != 0 && saved.id != now.id:
		m.report(name, "", "another object", fmt.Sprintf("the file is about id %d, the server now has it as id %d", saved.id, now.id))
		return
	case now.takes != saved.takes:
		m.report(name, "", "the delete takes something else along", fmt.Sprintf("in the file %s, now %s", saved.takes, now.takes))
	case now.marker != nil && (saved.marker == nil || *saved.marker != *now.marker) && saved.action == now.action:
		m.report(name, "", "another marker", "what is recorded of it has changed since the plan was made, or what the manifests declare")
	}
	rest := saved.action != now.action
	for _, field := range sortedKeys(now.after) {
		want, ok := saved.after[field]
		was, now := now.before[field], now.after[field]
		switch {
		case !ok:
			m.report(name, field, "a field more", fmt.Sprintf("the file does not change it; now it goes from %s to %s", plainJSON(was), plainJSON(now)))
		case plainJSON(want) != plainJSON(now):
			m.report(name, field, "another value", fmt.Sprintf("the file sets it to %s, the manifests now say %s", plainJSON(want), plainJSON(now)))
		case saved.action != string(Create) && plainJSON(saved.before[field]) != plainJSON(was):
			m.report(name, field, "it moved", fmt.Sprintf("the plan was made from %s, the server now has %s", plainJSON(saved.before[field]), plainJSON(was)))
		}
	}
	if saved.action == string(Delete) && plainJSON(saved.before) != plainJSON(now.before) {
		m.report(name, "", "it moved", fmt.Sprintf("the plan was made from %s, the server now has %s", plainJSON(saved.before), plainJSON(now.before)))
	}
	for field, d := range now.secrets {
		if want, ok := saved.secrets[field]; !ok || want != d {
			m.report(name, field, "another secret", "the file does not send it, or sends another ciphertext of it")
		}
	}
	for _, field := range sortedKeys(saved.secrets) {
		if _, ok := now.secrets[field]; !ok {
			m.hasSecret(name, field, saved.secrets[field])
		}
	}
	left := false
	for _, field := range sortedKeys(saved.after) {
		if _, ok := now.after[field]; !ok {
			left = true
			m.reached(name, field, saved.after[field])
		}
	}
	if rest || left || len(now.secrets) < len(saved.secrets) || len(now.steps) != len(saved.steps) {
		m.resumed = true
		return
	}
	for i := range now.steps {
		a, b := saved.steps[i].bare(), now.steps[i].bare()
		a.Index, a.Wave, a.Needs = b.Index, b.Wave, b.Needs // these depend on the other steps
		if plainJSON(a) != plainJSON(b) && len(m.diags) == found {
			m.report(name, "", "another step", "what the file says of it is not what the plan now says: "+firstDifference(a, b))
		}
	}
}

// finishes reports whether a step sets what a create that is done left for later,
// and nothing else: the object is then the one that the create made.
func (x *objectStep) finishes(created *objectStep) bool {
	for field := range x.after {
		if !created.linked[field] {
			return false
		}
	}
	return x.marker == nil
}

// done checks a step of the file that is not to be done now: the object must
// stand as the step would have left it.
func (m *moving) done(name string, saved *objectStep) {
	m.resumed = true
	if saved.action == string(Delete) {
		if saved.id == 0 || m.exists(name, RowID(saved.id)) {
			m.report(name, "", "a step less", "the file deletes it; the server still has it, and the plan now keeps it")
		}
		return
	}
	if len(m.objects(name)) == 0 {
		m.report(name, "", "a step less", "the manifests no longer have it")
		return
	}
	for _, field := range sortedKeys(saved.after) {
		m.reached(name, field, saved.after[field])
	}
	for _, field := range sortedKeys(saved.secrets) {
		m.hasSecret(name, field, saved.secrets[field])
	}
}

// hasSecret checks that a secret which is not to be sent now is still the one
// that the file would have sent.
func (m *moving) hasSecret(name, field, want string) {
	for _, o := range m.objects(name) {
		if s, ok := o.Fields[field].(Secret); ok && o.fieldDigest(o.Kind.Field(field), field, s) == want {
			return
		}
	}
	m.report(name, field, "another secret", "the file sends one that the manifests no longer have")
}

// reached checks that a field which is not to be changed now has the value that
// the file would have given it.
func (m *moving) reached(name, field string, want any) {
	for _, o := range m.objects(name) {
		if v, ok := o.declaredValue(field); ok {
			if m.saved.Redacted {
				v = withoutValue(o.Kind.Name, o.Display(), field, v)
			}
			if plainJSON(v) == plainJSON(want) {
				return
			}
		}
	}
	m.report(name, field, "a field less", fmt.Sprintf("the file sets it to %s; the manifests no longer say so", plainJSON(want)))
}

// declaredValue is what a manifest says of a field as a plan shows it.
func (o *Object) declaredValue(name string) (any, bool) {
	if v, ok := o.Fields[name]; ok {
		return Shown(v), true
	}
	head, entry, ok := strings.Cut(name, ".")
	entries, isMap := o.Fields[head].(map[string]any)
	if v, has := entries[entry]; ok && isMap && has {
		return Shown(v), true
	}
	return nil, false
}

// objects finds the declared objects of a title.
func (m *moving) objects(name string) []*Object {
	if m.index == nil {
		m.index = map[string][]*Object{}
		if m.plan.desired != nil {
			for _, objects := range m.plan.desired.Objects {
				for _, o := range objects {
					s := RecordStep{Kind: o.Kind.Name, Key: o.Display()}
					m.index[s.Title()] = append(m.index[s.Title()], o)
				}
			}
		}
	}
	name, _, _ = strings.Cut(name, " (step ")
	return m.index[name]
}

// exists reports whether the server still shows a row of the kind in a title.
func (m *moving) exists(name string, row RowID) bool {
	kind, _, _ := strings.Cut(name, " ")
	return m.plan.live != nil && slices.ContainsFunc(m.plan.live.Objects[kind], func(o *Object) bool { return o.Row == row })
}

// whole compares everything that only an unfinished plan shares to the letter:
// order, labels, totals.
func (m *moving) whole() {
	if len(m.saved.Steps) != len(m.now.Steps) {
		m.report("", "", "other steps", fmt.Sprintf("the file has %d, the plan now has %d", len(m.saved.Steps), len(m.now.Steps)))
		return
	}
	for i := range m.saved.Steps {
		a, b := m.saved.Steps[i].bare(), m.now.Steps[i].bare()
		if plainJSON(a) != plainJSON(b) {
			m.report(b.Title(), "", "another step", fmt.Sprintf("what the file says of step %d is not what the plan now says of it: %s", i+1, firstDifference(a, b)))
		}
	}
	totals := m.saved.Summary
	totals.Unchanged = m.now.Summary.Unchanged
	if totals != m.now.Summary {
		m.report("", "", "other totals", "the summary of the file does not count its steps")
	}
}

// bare is a step without what may differ between two runs that do the same:
// places in files, and whether a key was at hand.
func (s RecordStep) bare() RecordStep {
	s.Position = nil
	s.Secrets = slices.Clone(s.Secrets)
	for i := range s.Secrets {
		s.Secrets[i].Sealed = false
	}
	return s
}

// firstDifference names a member in which two steps differ.
func firstDifference(a, b RecordStep) string {
	x, y := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	_ = json.Unmarshal([]byte(plainJSON(a)), &x)
	_ = json.Unmarshal([]byte(plainJSON(b)), &y)
	for _, name := range append(sortedKeys(x), sortedKeys(y)...) {
		if !bytes.Equal(x[name], y[name]) {
			return fmt.Sprintf("%s is %s, now %s", name, cmp.Or(string(x[name]), "absent"), cmp.Or(string(y[name]), "absent"))
		}
	}
	return "they differ"
}

func plainJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error() // plain data: this can't happen
	}
	return string(data)
}
