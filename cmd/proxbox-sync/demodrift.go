package main

import (
	"errors"
	"fmt"
	"slices"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

// meddle does by hand what the demo wants to see noticed: it changes a field of
// one object and deletes another one, which it returns.
func (d *demo) meddle(report *reconcile.Report) (*reconcile.StepReport, error) {
	changed, field := d.changeable(report)
	if changed == nil {
		return nil, errors.New("the manifests have no object with a plain field to change by hand")
	}
	object := changed.Step.Change.Desired
	value := otherValue(field)
	err := d.write(object.Kind.Name, reconcile.OpUpdate, reconcile.Write{
		Row: changed.Row, Fields: map[string]any{field.Name: value}, Message: "changed by hand",
	})
	if err != nil {
		return nil, fmt.Errorf("changing %s: %w", object, err)
	}
	d.tell(fmt.Sprintf("In the web interface, somebody sets %s of %s to %v.", field.Name, object, value))

	gone := deletable(report, changed)
	if gone != nil {
		object := gone.Step.Change.Desired
		if err := d.write(object.Kind.Name, reconcile.OpDelete, reconcile.Write{Row: gone.Row, Message: "deleted by hand"}); err != nil {
			return nil, fmt.Errorf("deleting %s: %w", object, err)
		}
		d.tell(fmt.Sprintf("Somebody else deletes %s.", object))
	}
	return gone, nil
}

// write sends one write outside any plan.
func (d *demo) write(kind string, op reconcile.Operation, w reconcile.Write) error {
	outcome := reconcile.Outcome{Verdict: reconcile.NotSent}
	err := d.client.Write(d.app.ctx, kind, op, []reconcile.Write{w}, func(_ int, o reconcile.Outcome) { outcome = o })
	switch {
	case err != nil:
		return err
	case outcome.Err != nil:
		return outcome.Err
	case outcome.Verdict != reconcile.Done:
		texts := make([]string, len(outcome.Messages))
		for i, m := range outcome.Messages {
			texts[i] = render.Escape(m.Field + " " + m.Text)
		}
		return fmt.Errorf("%s %v", outcome.Verdict, texts)
	}
	return nil
}

// changeable finds a created object with a managed field whose value can be
// turned into another valid one: a boolean, else a choice, else free text.
func (d *demo) changeable(report *reconcile.Report) (*reconcile.StepReport, *reconcile.FieldChange) {
	for _, class := range []schema.Class{schema.Boolean, schema.Choice, schema.Text} {
		for i := range report.Steps {
			s := &report.Steps[i]
			if !ours(s) || !ofPlugin(s.Step.Change.Desired.Kind) {
				continue
			}
			for j := range s.Step.Change.Fields {
				f := &s.Step.Change.Fields[j]
				if f.Field != nil && f.Field.Class == class && d.managed(s.Step.Change.Desired, f.Field) && otherValue(f) != nil {
					return s, f
				}
			}
		}
	}
	return nil, nil
}

// ours reports whether a step made an object that the tool keeps as declared.
func ours(s *reconcile.StepReport) bool {
	c := s.Step.Change
	return s.Row != 0 && c.Action == reconcile.Create && c.Desired.Doc != nil && !c.Desired.Doc.Meta.CreateOnly
}

// managed reports whether a difference in the field would be noticed, and
// whether changing it alone is harmless.
func (d *demo) managed(o *reconcile.Object, f *schema.Field) bool {
	if f.ReadOnly || f.WriteOnly || f.Destination || slices.Contains(o.Kind.Resource.Key, f.Name) {
		return false
	}
	for _, constraint := range o.Kind.Resource.Unique {
		if slices.Contains(constraint, f.Name) {
			return false
		}
	}
	for _, ignore := range o.Doc.Meta.IgnoreChanges {
		if ignore.Path == f.Name {
			return false
		}
	}
	return !slices.Contains(d.options.Desired.IgnoreChanges[o.Kind.Name], f.Name)
}

// otherValue is a valid value that the field does not have, nil when there is
// none to be found.
func otherValue(f *reconcile.FieldChange) any {
	switch v := f.After.(type) {
	case bool:
		return !v
	case string:
		for _, choice := range f.Field.Enum {
			if choice != v && choice != "" {
				return choice
			}
		}
		const text = "changed by hand"
		if f.Field.Class == schema.Text && f.Field.Format == "" && (f.Field.MaxLength == nil || *f.Field.MaxLength >= 100) {
			return text
		}
	}
	return nil
}

// deletable finds a created object that nothing else of the run needs and whose
// deletion takes nothing along.
func deletable(report *reconcile.Report, but ...*reconcile.StepReport) *reconcile.StepReport {
	needed := map[int]bool{}
	for _, s := range report.Steps {
		for _, i := range s.Step.Needs {
			needed[i] = true
		}
	}
	for i := len(report.Steps) - 1; i >= 0; i-- {
		s := &report.Steps[i]
		kind := s.Step.Change.Desired.Kind
		if !slices.Contains(but, s) && !needed[i] && ours(s) && ofPlugin(kind) && len(kind.Resource.Cascades) == 0 && len(s.Step.Change.Secrets) == 0 {
			return s
		}
	}
	return nil
}
