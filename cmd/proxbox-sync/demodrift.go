package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

// meddle does by hand what the demo wants to see noticed: it changes a field of
// one object and deletes another one, which it returns. done is false where the
// manifests have nothing that can be changed or deleted alone.
func (d *demo) meddle(report *reconcile.Report) (gone *reconcile.StepReport, done bool, err error) {
	changed, err := d.change(report)
	if err != nil {
		return nil, false, err
	}
	gone = deletable(report, changed)
	if gone != nil {
		object, who := gone.Step.Change.Desired, "Somebody else"
		if changed == nil {
			who = "Somebody"
		}
		if err := d.write(object.Kind.Name, reconcile.OpDelete, reconcile.Write{Row: gone.Row, Message: "deleted by hand"}); err != nil {
			return nil, false, fmt.Errorf("deleting %s: %w", object, err)
		}
		d.tell(fmt.Sprintf("%s deletes %s.", who, object))
	}
	return gone, changed != nil || gone != nil, nil
}

// change changes one field by hand: the first that the server accepts another
// value for. It returns the step that made the object, nil when there is none.
func (d *demo) change(report *reconcile.Report) (*reconcile.StepReport, error) {
	for _, c := range d.changeable(report) {
		object, value := c.step.Step.Change.Desired, otherValue(c.field)
		err := d.write(object.Kind.Name, reconcile.OpUpdate, reconcile.Write{
			Row: c.step.Row, Fields: map[string]any{c.field.Name: value}, Message: "changed by hand",
		})
		switch {
		case errors.Is(err, errRefused):
			continue // it has rules of its own
		case err != nil:
			return nil, fmt.Errorf("changing %s: %w", object, err)
		}
		d.tell(fmt.Sprintf("In the web interface, somebody sets %s of %s to %v.", c.field.Name, object, shownValue(value)))
		return c.step, nil
	}
	return nil, nil
}

func shownValue(v any) any {
	if text, ok := v.(string); ok && strings.Contains(text, " ") {
		return strconv.Quote(text)
	}
	return v
}

// errRefused is behind the error when the server did not accept a write.
var errRefused = errors.New("refused")

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
		return fmt.Errorf("%w: %s %v", errRefused, outcome.Verdict, texts)
	}
	return nil
}

// candidate is a field of an object that could be changed by hand.
type candidate struct {
	step  *reconcile.StepReport
	field *reconcile.FieldChange
}

// changeable lists managed fields whose value can be turned into another valid
// one, the plugin's kinds first. A choice comes last: others may depend on it.
func (d *demo) changeable(report *reconcile.Report) []candidate {
	var list, core []candidate
	for _, class := range []schema.Class{schema.Boolean, schema.Text, schema.Integer, schema.Decimal, schema.Choice} {
		for i := range report.Steps {
			s := &report.Steps[i]
			if !ours(s) && !declaredSettings(s) {
				continue
			}
			for j := range s.Step.Change.Fields {
				f := &s.Step.Change.Fields[j]
				switch {
				case f.Field == nil || f.Field.Class != class || f.Name != f.Field.Name ||
					!d.managed(s.Step.Change.Desired, f.Field) || otherValue(f) == nil:
				case ofPlugin(s.Step.Change.Desired.Kind):
					list = append(list, candidate{s, f})
				default:
					core = append(core, candidate{s, f})
				}
			}
		}
	}
	return append(list, core...)
}

// ours reports whether a step made an object that the tool keeps as declared.
func ours(s *reconcile.StepReport) bool {
	c := s.Step.Change
	return s.Row != 0 && c.Action == reconcile.Create && c.Desired.Doc != nil && !c.Desired.Doc.Meta.CreateOnly
}

// declaredSettings reports whether a step changed the one object of its kind.
func declaredSettings(s *reconcile.StepReport) bool {
	c := s.Step.Change
	return s.Row != 0 && c.Action == reconcile.Update && c.Desired.Kind.Resource.Mode == schema.Singleton
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

// otherValue is a value within the limits that the field does not have, nil
// when there is none to be found.
func otherValue(f *reconcile.FieldChange) any {
	switch v := f.After.(type) {
	case bool:
		return !v
	case reconcile.Number:
		return otherNumber(string(v), f.Field)
	case string:
		if f.Field.Class == schema.Text {
			return otherText(v, f.Field)
		}
		for _, choice := range f.Field.Enum {
			if choice != v && choice != "" {
				return choice
			}
		}
	}
	return nil
}

func otherText(v string, f *schema.Field) any {
	text := strings.TrimSpace(v + " (changed by hand)")
	if len(f.Rules) > 0 || f.MaxLength != nil && utf8.RuneCountInString(text) > *f.MaxLength {
		return nil
	}
	return text
}

func otherNumber(v string, f *schema.Field) any {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return nil
	}
	for _, other := range []int64{n + 1, n - 1} {
		if (f.Minimum == nil || float64(other) >= *f.Minimum) && (f.Maximum == nil || float64(other) <= *f.Maximum) {
			return reconcile.Number(strconv.FormatInt(other, 10))
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
