package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// PlanOptions are what a run asks for beyond its manifests.
type PlanOptions struct {
	Desired     DesiredOptions
	Select      []Selection       // nil: everything
	SendSecrets []SecretSelection // write-only fields that an update sends; nil: none
	Ownership   Ownership
	Lint        LintOptions
}

// Selection is one --select: a kind, or one object of it by its display text.
type Selection struct{ Kind, Key string }

// SecretSelection names write-only fields; empty parts match everything.
type SecretSelection struct{ Kind, Key, Field string }

// MakePlan is Desired, Observe, Link, Diff and NewPlan in a row. Diagnostics
// with severity Error come without a plan.
func MakePlan(ctx context.Context, set *schema.Set, server Server, docs []Document, o PlanOptions) (*Plan, Diagnostics, error) {
	desired, diags := Desired(set, docs, o.Desired)
	if diags.HasErrors() {
		// What the manifests alone prove wrong is reported in the same run.
		return nil, append(diags, Link(set, desired, nil)...).Sorted(), nil
	}
	desired, live, diags, err := meet(ctx, set, server, docs, o, desired, diags)
	if err != nil || diags.HasErrors() {
		return nil, diags.Sorted(), err
	}
	return planLinked(ctx, set, server, desired, live, diags, o)
}

// planLinked makes the plan of linked states. diags is what is known to be said
// already, none of it an error.
func planLinked(ctx context.Context, set *schema.Set, server Server, desired, live *State, diags Diagnostics, o PlanOptions) (*Plan, Diagnostics, error) {
	instance, err := server.Instance(ctx)
	if err != nil {
		return nil, diags, err
	}
	selected, more := pick(set, desired, o.Select)
	diags = append(diags, more...)
	own := &owning{Ownership: o.Ownership, attached: live.Marked}
	difference, more := Diff(set, selected, live, DiffOptions{
		IgnoreChanges: o.Desired.IgnoreChanges, SendSecrets: sender(o.SendSecrets), Ownership: o.Ownership})
	refusals, more := split(more)
	diags = append(diags, more...)
	diags = append(diags, outside(difference.Changes, o.Select)...)
	diags = append(diags, unusedSends(set, selected, o.SendSecrets)...)
	refusals = append(refusals, own.incomplete()...)
	if diags.HasErrors() {
		return nil, append(diags, refusals...).Sorted(), nil
	}
	orphans := own.orphans(live)
	changes := append(difference.Changes, prune(orphans)...)
	if err := seeDeleted(ctx, set, server, live, changes); err != nil {
		return nil, diags, err
	}
	c := &cascading{ctx: ctx, set: set, server: server, own: own, live: live}
	if err := c.takes(changes); err != nil {
		return nil, diags, err
	}
	if err := c.retargets(changes); err != nil {
		return nil, diags, err
	}
	instance.Identity = live.Identity
	plan, more := NewPlan(instance, changes, difference.Unchanged)
	diags = append(diags, more...).Sorted()
	if diags.HasErrors() {
		return nil, diags, nil
	}
	plan.Owner, plan.Orphans, plan.Secrets = o.Ownership.Owner, orphans, difference.Secrets
	plan.policy, plan.desired, plan.live = o.Ownership, selected, live
	plan.Unmanaged, plan.Unread = own.unmanaged(live), live.Unread
	if err := noteApprovals(ctx, plan, server); err != nil {
		return nil, diags, err
	}
	refusals = append(append(refusals, c.diags...), bereft(selected, changes)...)
	refusals = append(refusals, o.Ownership.Limits.check(plan, own.ownedCounts(live), own.owns)...)
	plan.Diagnostics = Lint(set, selected, append(append(diags, fights(selected, o.Desired.IgnoreChanges, plan)...), refusals...), o.Lint)
	return plan, plan.Diagnostics, nil
}

// split parts what makes a plan impossible from what only forbids to apply it:
// a reviewer is to see the plan that policy refuses.
func split(diags Diagnostics) (refusals, others Diagnostics) {
	for _, d := range diags {
		if d.Severity == Error && d.Trouble == Policy {
			refusals = append(refusals, d)
		} else {
			others = append(others, d)
		}
	}
	return refusals, others
}

// prune turns orphans that are to be deleted into changes.
func prune(orphans []Orphan) []*Change {
	var changes []*Change
	for _, x := range orphans {
		if x.Deleted {
			changes = append(changes, &Change{Action: Delete, Live: x.Object})
		}
	}
	return changes
}

func sender(selections []SecretSelection) func(*Object, string) bool {
	if len(selections) == 0 {
		return nil
	}
	return func(o *Object, field string) bool {
		return slices.ContainsFunc(selections, func(s SecretSelection) bool {
			return (s.Kind == "" || s.Kind == o.Kind.Name) && (s.Key == "" || s.Key == o.Display()) &&
				(s.Field == "" || s.Field == field)
		})
	}
}

// unusedSends reports a --send-secrets that names nothing: whoever gave it
// believes that a secret went out.
func unusedSends(set *schema.Set, desired *State, selections []SecretSelection) Diagnostics {
	var diags Diagnostics
	for _, s := range selections {
		send, used := sender([]SecretSelection{s}), false
		for _, objects := range desired.Objects {
			for _, o := range objects {
				for _, name := range writeOnlyFields(o.Kind) {
					_, declared := o.Fields[name]
					used = used || declared && send(o, name)
				}
			}
		}
		if used || s == (SecretSelection{}) {
			continue
		}
		text := strings.TrimSuffix(s.Kind+"/"+s.Key, "/")
		if s.Field != "" {
			text += "." + s.Field
		}
		var hints hints
		diags = append(diags, Diagnostic{Severity: Error, Code: "empty-selection",
			Summary: fmt.Sprintf("--send-secrets %s: the manifests declare no such secret", text),
			Detail:  cmp.Or(severalHint(set, "--send-secrets", text), strings.TrimSpace(hints.near(s.Key, desired.Objects[s.Kind])))})
	}
	return diags
}

// pick reduces a state to what was selected. A selection that matches nothing
// is a mistake: the run would quietly do less than was asked for.
func pick(set *schema.Set, desired *State, selections []Selection) (*State, Diagnostics) {
	if len(selections) == 0 {
		return desired, nil
	}
	picked := &State{}
	used := make([]bool, len(selections))
	for _, kind := range sortedKeys(desired.Objects) {
		for _, o := range desired.Objects[kind] {
			if i := selectionOf(o, selections); i >= 0 {
				used[i] = true
				picked.Add(o)
			}
		}
	}
	var diags Diagnostics
	var hints hints
	for i, s := range selections {
		if !used[i] {
			text := strings.TrimSuffix(s.Kind+"/"+s.Key, "/")
			diags = append(diags, Diagnostic{Severity: Error, Code: "empty-selection",
				Summary: fmt.Sprintf("--select %s: the manifests declare no such object", text),
				Detail:  cmp.Or(severalHint(set, "--select", text), strings.TrimSpace(hints.near(s.Key, desired.Objects[s.Kind])))})
		}
	}
	return picked, diags
}

func selectionOf(o *Object, selections []Selection) int {
	return slices.IndexFunc(selections, func(s Selection) bool {
		return s.Kind == o.Kind.Name && (s.Key == "" || s.Key == o.Display())
	})
}

// outside reports changes that refer to objects which would have to be created
// first and were not selected.
func outside(changes []*Change, selections []Selection) Diagnostics {
	if len(selections) == 0 {
		return nil
	}
	var diags Diagnostics
	for _, c := range changes {
		for _, target := range c.newTargets() {
			if selectionOf(target.object, selections) < 0 {
				diags = append(diags, Diagnostic{Severity: Error, Code: "unselected-reference", Object: c.Desired.String(),
					Pos: c.Desired.fieldPos(target.field), Field: target.field,
					Summary: fmt.Sprintf("it needs %s, which does not exist yet and is not selected", target.object),
					Detail:  fmt.Sprintf("add --select %s/%s", target.object.Kind.Name, target.object.Display())})
			}
		}
	}
	return diags
}

// target is an object that a change refers to and that does not exist yet.
type target struct {
	field  string
	object *Object
}

// newTargets lists the objects without a row that the fields written refer to.
func (c *Change) newTargets() []target {
	var targets []target
	add := func(field string, v any) {
		if ref, ok := v.(Ref); ok && ref.Target != nil && ref.Target.liveRow() == 0 {
			targets = append(targets, target{field, ref.Target})
		}
	}
	for _, fc := range c.Fields {
		switch v := fc.wire.(type) {
		case Ref:
			add(fc.Name, v)
		case []any:
			for _, item := range v {
				add(fc.Name, item)
			}
		}
	}
	return targets
}

// ParseSelection reads KIND or KIND/KEY.
func ParseSelection(set *schema.Set, text string) (Selection, error) {
	kind, key, _ := strings.Cut(text, "/")
	if err := knownKind(set, kind); err != nil {
		return Selection{}, err
	}
	return Selection{Kind: kind, Key: key}, nil
}

// ParseSecretSelection reads KIND, KIND/KEY or either with .FIELD behind it;
// "" selects every write-only field.
func ParseSecretSelection(set *schema.Set, text string) (SecretSelection, error) {
	if text == "" {
		return SecretSelection{}, nil
	}
	var s SecretSelection
	if i := strings.LastIndexByte(text, '.'); i >= 0 && secretFieldExists(set, text[i+1:]) {
		text, s.Field = text[:i], text[i+1:]
	}
	s.Kind, s.Key, _ = strings.Cut(text, "/")
	if err := knownKind(set, s.Kind); err != nil {
		return SecretSelection{}, err
	}
	if f := set.Kind(s.Kind).Field(s.Field); s.Field != "" && (f == nil || !f.WriteOnly) {
		return SecretSelection{}, fmt.Errorf("%s has no secret field %q", s.Kind, s.Field)
	}
	return s, nil
}

func secretFieldExists(set *schema.Set, name string) bool {
	return slices.ContainsFunc(set.Kinds(), func(k *schema.Kind) bool {
		f := k.Field(name)
		return f != nil && f.WriteOnly
	})
}

func knownKind(set *schema.Set, name string) error {
	if k := set.Kind(name); k == nil || k.Resource.Mode == schema.Lookup {
		if hint := severalHint(set, "", name); hint != "" {
			return fmt.Errorf("unknown kind %q; %s", name, hint)
		}
		return fmt.Errorf("unknown kind %q; %s", name, didYouMean(name, managedKinds(set), "known kinds: "))
	}
	return nil
}

// severalHint tells somebody who joined several selections by commas, which
// keys may hold as well, to repeat the flag. It is empty for everything else.
func severalHint(set *schema.Set, flag, text string) string {
	parts := strings.Split(text, ",")
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
		kind, _, _ := strings.Cut(parts[i], "/")
		if set.Kind(kind) == nil {
			return ""
		}
	}
	switch {
	case len(parts) < 2:
		return ""
	case flag == "":
		return "to name several, repeat the flag"
	}
	return "to name several, repeat the flag: " + flag + "=" + strings.Join(parts, " "+flag+"=")
}

// NewPlan puts changes in order: what is referred to first, kinds named by
// x-resource.after before those that name them, otherwise by kind and key. A
// cycle of references is cut by creating one object without the reference and
// setting it in a step of its own.
func NewPlan(instance Instance, changes []*Change, unchanged map[string]int) (*Plan, Diagnostics) {
	order := newOrdering(slices.DeleteFunc(slices.Clone(changes), isDelete))
	diags := order.run()
	if diags.HasErrors() {
		return nil, diags
	}
	steps := append(order.steps, order.deletes(slices.DeleteFunc(slices.Clone(changes), isNoDelete))...)
	slices.SortStableFunc(steps, func(a, b *Step) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave),
			strings.Compare(a.Change.Object().Kind.Name, b.Change.Object().Kind.Name),
			strings.Compare(a.Change.Object().Key, b.Change.Object().Key))
	})
	position := make(map[*Step]int, len(steps))
	for i, s := range steps {
		s.Index, position[s] = i, i
	}
	for _, s := range steps {
		for _, need := range order.needs[s] {
			s.Needs = append(s.Needs, position[need])
		}
		slices.Sort(s.Needs)
		s.Needs = slices.Compact(s.Needs)
		s.Risks = risks(s)
	}
	return &Plan{Instance: instance, Steps: steps, Unchanged: unchanged}, diags
}

func isDelete(c *Change) bool   { return c.Action == Delete }
func isNoDelete(c *Change) bool { return c.Action != Delete }

func shownOrNull(v any) any {
	if v == nil {
		return "null"
	}
	return v
}

// risks says what a reviewer should see first. Credentials that are all sent
// anew are meant for where they go.
func risks(s *Step) []string {
	moved := movedTargets(s.Change)
	if s.Change.Action != Update || len(moved) == 0 || sendsAllSecrets(s.Change) {
		return nil
	}
	return []string{fmt.Sprintf("the credentials that the server has stored will be used with a new %s", strings.Join(moved, ", "))}
}

// movedTargets are the changes of where stored credentials are sent to, each
// with the old and the new value.
func movedTargets(c *Change) []string {
	var moved []string
	for _, fc := range c.Fields {
		if fc.Field.Destination {
			moved = append(moved, fmt.Sprintf("%s (%v → %v)", fc.Name, shownOrNull(fc.Before), shownOrNull(fc.After)))
		}
	}
	return moved
}
