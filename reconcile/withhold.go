package reconcile

import (
	"maps"
	"slices"
)

// withhold makes, of a step that the server refuses for nothing but its secrets,
// the step without them: an object that is there without a token is better than
// one that is missing with all that refers to it. It returns nil where there is
// nothing to be withheld.
func (a *applying) withhold(s *Step, out Outcome) *Step {
	if !a.options.WithoutRefused || out.Verdict != Refused || len(out.Messages) == 0 {
		return nil
	}
	change, rest := *s.Change, *s
	change.Secrets = slices.Clone(change.Secrets)
	var refused []Withheld
	for _, m := range out.Messages {
		i := slices.IndexFunc(change.Secrets, func(x SecretChange) bool { return x.Name == m.Field })
		if j := slices.IndexFunc(refused, func(w Withheld) bool { return w.Field == m.Field }); i < 0 && j >= 0 {
			refused[j].Text += "; " + m.Text
			continue
		}
		if i < 0 {
			return nil
		}
		change.Secrets = slices.Delete(change.Secrets, i, i+1)
		refused = append(refused, Withheld{Field: m.Field, Text: m.Text, Known: a.sentBefore(s.Change, m.Field)})
	}
	if change.Marker != nil {
		marker := *change.Marker
		for _, w := range refused {
			marker.value = withoutSent(marker.value, s.Change, w.Field)
		}
		change.Marker = &marker
	}
	a.withheld[s.Index] = append(a.withheld[s.Index], refused...)
	rest.Change = &change
	return &rest
}

// writesAnything reports whether a step is left to be sent; one that is not is
// finished here.
func (a *applying) writesAnything(s *Step) bool {
	c := s.Change
	if c.Action == Create || len(c.Fields)+len(c.Secrets) > 0 || c.Marker != nil && !c.markerIs(Row{Fields: c.Live.Fields}, true) {
		return true
	}
	a.finish(StepReport{Step: s, Result: AlreadyDone, Row: a.row(c.Object())})
	return false
}

// sentBefore reports whether the marker of the live object says that this very
// secret was sent to it.
func (a *applying) sentBefore(c *Change, field string) bool {
	if c.Live == nil || c.Desired == nil {
		return false
	}
	m, form := markerOf(c.Live)
	if form != goodMarker || !c.Desired.ownsKey(m.Key) {
		return false
	}
	own := &owning{Ownership: a.plan.policy}
	return c.Desired.recordedAs(own.digests(m)[field], c.Desired.Kind.Field(field), field, c.Desired.Fields[field])
}

// withoutSent takes back what a marker's value says of a secret that was not
// taken: the entry is as it was before, or is not there, so that the next apply
// sends it.
func withoutSent(value any, c *Change, field string) any {
	entries, ok := value.(map[string]any)
	if !ok {
		return value
	}
	before := map[string]any{}
	if c.Live != nil {
		if custom, ok := c.Live.Fields[customFields].(map[string]any); ok {
			before, _ = custom[MarkerField].(map[string]any)
		}
	}
	entries = maps.Clone(entries)
	entries["fields"] = takenBack(entries["fields"], before["fields"], field)
	others, _ := entries["others"].(map[string]any)
	old, _ := before["others"].(map[string]any)
	for owner, fields := range others {
		if _, is := fields.(map[string]any); is && owner != "" {
			others = maps.Clone(others)
			others[owner] = takenBack(fields, old[owner], field)
			entries["others"] = others
		}
	}
	return entries
}

func takenBack(now, before any, field string) any {
	fields, ok := now.(map[string]any)
	if !ok || fields[field] == nil {
		return now
	}
	fields = maps.Clone(fields)
	delete(fields, field)
	if old, ok := before.(map[string]any); ok && old[field] != nil {
		fields[field] = old[field]
	}
	return fields
}
