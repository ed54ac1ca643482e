package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// ordering sorts steps into waves (Kahn's algorithm, level by level). A step
// waits for the creates of what it refers to, and for all steps of the kinds
// that its own kind names in x-resource.after. The latter are counted by kind,
// not by step: otherwise the work would be the product of both.
type ordering struct {
	steps     []*Step
	needs     map[*Step][]*Step
	neededBy  map[*Step][]*Step
	creates   map[*Object]*Step
	open      map[*Step]int  // unfinished needs
	remaining map[string]int // unfinished steps by kind
	done      map[*Step]bool
}

func newOrdering(changes []*Change) *ordering {
	o := &ordering{needs: map[*Step][]*Step{}, neededBy: map[*Step][]*Step{}, creates: map[*Object]*Step{},
		open: map[*Step]int{}, remaining: map[string]int{}, done: map[*Step]bool{}}
	for _, c := range changes {
		s := &Step{Change: c}
		o.steps = append(o.steps, s)
		o.remaining[c.Desired.Kind.Name]++
		if c.Action == Create {
			o.creates[c.Desired] = s
		}
	}
	definitions := o.definitions()
	for _, s := range o.steps {
		s.After = afterKinds(s.Change.Object().Kind, o.remaining)
		for _, fc := range s.Change.Fields {
			if entry, is := strings.CutPrefix(fc.Name, customFields+"."); is && definitions[entry] != nil {
				o.link(s, definitions[entry])
			}
		}
		for _, t := range s.Change.newTargets() {
			if need := o.creates[t.object]; need != nil {
				o.link(s, need)
			}
		}
	}
	return o
}

// definitions are the steps that make or change custom fields, by their names:
// an object can have a value only once the field is there for its kind.
func (o *ordering) definitions() map[string]*Step {
	steps := map[string]*Step{}
	for _, s := range o.steps {
		object := s.Change.Object()
		if k := object.Kind.Resource; k.ObjectType == markerModel && len(k.Key) == 1 {
			if name, ok := object.Fields[k.Key[0]].(string); ok {
				steps[name] = s
			}
		}
	}
	return steps
}

// afterKinds lists the kinds of x-resource.after that the plan has steps of.
func afterKinds(k *schema.Kind, counts map[string]int) []string {
	return slices.DeleteFunc(slices.Clone(k.Resource.After), func(name string) bool {
		return name == k.Name || counts[name] == 0
	})
}

func (o *ordering) link(s, need *Step) {
	if slices.Contains(o.needs[s], need) {
		return
	}
	o.needs[s] = append(o.needs[s], need)
	o.neededBy[need] = append(o.neededBy[need], s)
	o.open[s]++
}

// run assigns the waves.
func (o *ordering) run() Diagnostics {
	var ready []*Step
	for _, s := range o.steps {
		if o.open[s] == 0 {
			ready = append(ready, s)
		}
	}
	for wave := 0; len(o.done) < len(o.steps); {
		now, later := o.split(ready)
		if len(now) == 0 {
			if o.loosen(later) {
				ready = later
				continue
			}
			freed, diags := o.cut()
			if diags != nil {
				return diags
			}
			if freed != nil {
				ready = append(later, freed)
			}
			continue
		}
		ready = later
		for _, s := range now {
			s.Wave = wave
			o.done[s] = true
			o.remaining[s.Change.Object().Kind.Name]--
		}
		wave++
		for _, s := range now {
			for _, next := range o.neededBy[s] {
				if o.open[next]--; o.open[next] == 0 {
					ready = append(ready, next)
				}
			}
		}
	}
	return nil
}

// split parts the steps that may run now from those that wait for a kind.
func (o *ordering) split(ready []*Step) (now, later []*Step) {
	for _, s := range ready {
		if slices.ContainsFunc(s.After, func(kind string) bool { return o.remaining[kind] > 0 }) {
			later = append(later, s)
		} else {
			now = append(now, s)
		}
	}
	return now, later
}

// loosen drops the wish to come after other kinds where those in turn wait for
// these steps: a reference is a need, after is an order of preference.
func (o *ordering) loosen(later []*Step) bool {
	for _, s := range later {
		s.After = nil
	}
	return len(later) > 0
}

// cut takes one reference out of a cycle of creates: the object is created
// without it, and a step behind both sets it.
func (o *ordering) cut() (*Step, Diagnostics) {
	cycle := o.cycle()
	best, field := -1, ""
	for i, s := range cycle {
		next := cycle[(i+1)%len(cycle)]
		if name := deferrable(s, next); name != "" && (best < 0 || stepLess(s, cycle[best])) {
			best, field = i, name
		}
	}
	if best < 0 {
		return nil, o.hopeless(cycle)
	}
	s, need := cycle[best], cycle[(best+1)%len(cycle)]
	return o.postpone(s, need, field), nil
}

func stepLess(a, b *Step) bool {
	return a.Change.Object().Kind.Name+"\x00"+a.Change.Object().Key < b.Change.Object().Kind.Name+"\x00"+b.Change.Object().Key
}

// cycle follows unfinished needs until a step repeats.
func (o *ordering) cycle() []*Step {
	var s *Step
	for _, candidate := range o.steps {
		if !o.done[candidate] && o.open[candidate] > 0 {
			s = candidate
			break
		}
	}
	seen := map[*Step]int{}
	var path []*Step
	for {
		if at, ok := seen[s]; ok {
			return path[at:]
		}
		seen[s] = len(path)
		path = append(path, s)
		i := slices.IndexFunc(o.needs[s], func(n *Step) bool { return !o.done[n] })
		s = o.needs[s][i]
	}
}

// deferrable names the field by which s refers to need, if the server lets it
// be empty at first.
func deferrable(s, need *Step) string {
	if s.Change.Action != Create {
		return ""
	}
	name := ""
	for _, t := range s.Change.newTargets() {
		if t.object != need.Change.Object() {
			continue
		}
		f := s.Change.Object().Kind.Field(t.field)
		if f.Required || slices.Contains(s.Change.Object().Kind.Resource.Key, f.Name) {
			return "" // one that can't wait is enough
		}
		name = f.Name
	}
	return name
}

// postpone moves one field of a create into a link step and returns the step
// that is free because of it.
func (o *ordering) postpone(s, need *Step, field string) *Step {
	c := *s.Change
	i := slices.IndexFunc(c.Fields, func(fc FieldChange) bool { return fc.Name == field })
	linked := c.Fields[i]
	c.Fields = slices.Delete(slices.Clone(c.Fields), i, i+1)
	s.Change = &c
	s.Deferred = append(s.Deferred, field)

	link := &Step{Link: true, Change: &Change{Action: Update, Desired: c.Desired, Fields: []FieldChange{linked}}}
	o.steps = append(o.steps, link)
	o.remaining[c.Desired.Kind.Name]++
	o.link(link, s)
	for _, t := range link.Change.newTargets() {
		if target := o.creates[t.object]; target != nil && target != s {
			o.link(link, target)
			o.unlink(s, target)
		}
	}
	o.unlink(s, need)
	if o.open[s] == 0 {
		return s
	}
	return nil
}

func (o *ordering) unlink(s, need *Step) {
	i := slices.Index(o.needs[s], need)
	if i < 0 || slices.ContainsFunc(s.Change.newTargets(), func(t target) bool { return t.object == need.Change.Object() }) {
		return
	}
	o.needs[s] = slices.Delete(o.needs[s], i, i+1)
	o.neededBy[need] = slices.DeleteFunc(o.neededBy[need], func(x *Step) bool { return x == s })
	if !o.done[need] {
		o.open[s]--
	}
}

func (o *ordering) hopeless(cycle []*Step) Diagnostics {
	names := make([]string, len(cycle))
	for i, s := range cycle {
		names[i] = s.Change.Object().String()
	}
	first := cycle[0].Change.Desired
	return Diagnostics{{Severity: Error, Code: "reference-cycle", Pos: first.Doc.Pos, Object: first.String(),
		Summary: "objects that need each other to be created: " + strings.Join(append(names, names[0]), " -> "),
		Detail:  fmt.Sprintf("none of the %d references can be set later; remove one", len(cycle))}}
}

// deletes orders the deletes behind everything else: what refers to an object
// goes before it, and an object that is moved away from a deleted one has to be
// moved first, since a cascade would take it along.
func (o *ordering) deletes(changes []*Change) []*Step {
	first := 0
	movers := map[RowID][]*Step{}
	for _, s := range o.steps {
		first = max(first, s.Wave+1)
		if s.Change.Live != nil {
			for _, target := range s.Change.Live.references() {
				movers[target.Row] = append(movers[target.Row], s)
			}
		}
	}
	steps := make([]*Step, len(changes))
	byObject := map[*Object]*Step{}
	for i, c := range changes {
		steps[i] = &Step{Change: c, Wave: first}
		byObject[c.Live] = steps[i]
	}
	var wave func(s *Step, depth int) int
	referrers := map[*Step][]*Step{}
	for _, s := range steps {
		for _, target := range s.Change.Live.references() {
			if t := byObject[target]; t != nil && t != s {
				referrers[t] = append(referrers[t], s)
			}
		}
		for _, mover := range movers[s.Change.Live.Row] {
			if slices.Contains(mover.Change.Live.references(), s.Change.Live) {
				o.needs[s] = append(o.needs[s], mover)
			}
		}
	}
	waves := map[*Step]int{}
	wave = func(s *Step, depth int) int {
		if w, ok := waves[s]; ok || depth > maxKeyDepth {
			return max(w, first)
		}
		w := first
		for _, r := range referrers[s] {
			o.needs[s] = append(o.needs[s], r)
			w = max(w, wave(r, depth+1)+1)
		}
		waves[s] = w
		return w
	}
	for _, s := range steps {
		s.Wave = wave(s, 0)
	}
	return steps
}

// references are the live objects that a live object refers to, as far as both
// were read.
func (o *Object) references() []*Object {
	var targets []*Object
	for _, f := range o.Kind.Fields {
		switch v := o.Fields[f.Name].(type) {
		case Ref:
			if v.Target != nil {
				targets = append(targets, v.Target)
			}
		case []any:
			for _, item := range v {
				if ref, ok := item.(Ref); ok && ref.Target != nil {
					targets = append(targets, ref.Target)
				}
			}
		}
	}
	return targets
}
