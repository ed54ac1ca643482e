package reconcile

import (
	"fmt"
	"maps"
	"slices"

	"proxbox-sync/schema"
)

// secrets decides which write-only fields are sent, and returns those whose
// digest is recorded anew: the ones sent, and the ones accepted as they are. Those
// that ignoreChanges leaves to others are sent when that is asked for or needed.
func (d *differing) secrets(change *Change, old Marker, claim claim, ignored []string) map[string]bool {
	o, sent := change.Desired, map[string]bool{}
	needed := d.needed(change)
	for _, f := range o.Kind.Fields {
		v, declared := o.Fields[f.Name]
		if !declared || !f.WriteOnly {
			continue
		}
		state := d.own.secretState(o, f, v, old, claim)
		why, left := "", slices.Contains(ignored, f.Name)
		switch {
		case d.options.SendSecrets != nil && d.options.SendSecrets(o, f.Name):
			why = "asked"
		case !left && (state.Status == "changed" || state.Status == "new"):
			why = state.Status
		case slices.Contains(needed, f.Name):
			why = "needed"
		}
		switch {
		case left && why == "":
			continue
		case why != "":
			d.own.older(o, f, v, old)
			change.Secrets = append(change.Secrets, secretChange(f, v, why, state))
			state.Sent, sent[f.Name] = true, true
		case state.Status == "unknown" && d.own.AcceptSecrets:
			sent[f.Name] = true
		}
		d.out.Secrets = append(d.out.Secrets, state)
	}
	d.wasted(change)
	return sent
}

// wasted reports secrets that the server would drop without a word, since the
// rules of the kind exclude them with the values that the object has there: a
// secret can't be read back to notice it.
func (d *differing) wasted(change *Change) {
	if len(change.Secrets) == 0 || change.Live == nil {
		return
	}
	o, merged := change.Desired, map[string]any{}
	for _, fields := range []map[string]any{change.Live.Fields, o.Fields} {
		for name, v := range fields {
			if f := o.Kind.Field(name); f != nil && !f.WriteOnly && !f.ReadOnly {
				merged[name] = forSchema(v)
			}
		}
	}
	without := d.set.Validate(o.Kind, merged, schema.Whole)
	for _, s := range change.Secrets {
		if v, ok := o.Fields[s.Name].(Secret); !ok || !v.Encrypted() && v.Sealed() {
			continue
		}
		merged[s.Name] = Redacted
		for _, p := range d.set.Validate(o.Kind, merged, schema.Whole) {
			if !slices.Contains(without, p) {
				d.diags = append(d.diags, Diagnostic{Severity: Error, Code: "wasted-secret", Pos: o.fieldPos(s.Name), Object: o.String(), Field: s.Name,
					Summary: fmt.Sprintf("the server would drop secret field %q: %s", s.Name, p.Message),
					Detail:  "that is how the object is on the server; declare the fields that the rule speaks of, or remove the secret"})
			}
		}
		delete(merged, s.Name)
	}
}

// needed lists the write-only fields that a change makes necessary: the rules of
// x-resource.create ask for them with the new values and did not with the old
// ones. One that no manifest declares is reported.
func (d *differing) needed(change *Change) []string {
	o := change.Desired
	if len(o.Kind.Resource.Create) == 0 || len(change.Fields) == 0 || change.Live == nil {
		return nil
	}
	problems := func(fields map[string]any, more string) int {
		value := map[string]any{}
		for name, v := range fields {
			if f := o.Kind.Field(name); f != nil && !f.WriteOnly {
				value[name] = forSchema(v)
			}
		}
		if more != "" {
			value[more] = Redacted
		}
		return len(d.set.Validate(o.Kind, value, schema.Create))
	}
	merged := map[string]any{}
	maps.Copy(merged, change.Live.Fields)
	maps.Copy(merged, o.Fields)
	now := problems(merged, "")
	if now <= problems(change.Live.Fields, "") {
		return nil
	}
	var names []string
	for _, name := range writeOnlyFields(o.Kind) {
		if problems(merged, name) >= now {
			continue
		}
		if _, declared := o.Fields[name]; declared {
			names = append(names, name)
			continue
		}
		d.diags = append(d.diags, Diagnostic{Severity: Error, Code: "needed-secret", Pos: o.Doc.Pos, Object: o.String(), Field: name,
			Summary: fmt.Sprintf("with this change the server needs secret field %q, which no manifest declares", name)})
	}
	return names
}

func secretChange(f *schema.Field, v any, why string, state SecretState) SecretChange {
	s, ok := v.(Secret)
	return SecretChange{Name: f.Name, Why: why, Sealed: ok && s.Sealed(), Again: state.Status == "unchanged"}
}
