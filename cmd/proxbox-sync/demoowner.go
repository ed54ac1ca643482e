package main

import (
	"errors"
	"fmt"
	"slices"

	"proxbox-sync/reconcile"
)

// markers makes the custom field, where the sandbox's version has such.
func (d *demo) markers() error {
	f, err := planField(d.app.ctx, d.set, d.client, d.options.Ownership.Mark)
	if errors.Is(err, reconcile.ErrNoKind) {
		d.options.Ownership = reconcile.Ownership{}
		return nil
	}
	if err != nil {
		return err
	}
	d.title("A custom field remembers what is managed", "init --auto-approve")
	d.tell("A sandbox NetBox runs in this process: in memory, on loopback. init makes a hidden custom field in it, " +
		reconcile.MarkerField + ", in which apply notes on every object whose it is and digests of what it wrote.")
	d.say("")
	_, err = d.apply(f.plan)
	return err
}

// prune takes one object out of the manifests, and has it deleted. Where the
// manifests have none that would do, there is nothing to tell.
func (d *demo) prune(report *reconcile.Report, gone *reconcile.StepReport) error {
	orphan := d.dispensable(report, gone)
	if orphan == nil || d.options.Ownership.Owner == "" {
		return nil
	}
	object := orphan.Step.Change.Desired
	d.docs = slices.DeleteFunc(slices.Clone(d.docs), func(doc reconcile.Document) bool {
		return doc.Kind == object.Doc.Kind && doc.Pos == object.Doc.Pos
	})
	d.title("A manifest is deleted from Git", "plan --prune")
	d.tell(fmt.Sprintf("Somebody removes %s from the manifests. Its marker says that it was made from here, so that it may go.", object))
	d.say("")
	d.options.Ownership.Prune = true
	plan, err := d.plan(demoLines)
	if err != nil {
		return err
	}
	d.title("Apply deletes it, and nothing else", "apply --prune --auto-approve")
	_, err = d.apply(plan)
	return err
}

// dispensable finds an object that may go without being the last one of its kind.
func (d *demo) dispensable(report *reconcile.Report, gone *reconcile.StepReport) *reconcile.StepReport {
	counts := map[string]int{}
	for i := range report.Steps {
		if s := &report.Steps[i]; ours(s) {
			counts[s.Step.Change.Desired.Kind.Name]++
		}
	}
	var but []*reconcile.StepReport
	for {
		s := deletable(report, append(but, gone)...)
		if s == nil || counts[s.Step.Change.Desired.Kind.Name] > 1 {
			return s
		}
		but = append(but, s)
	}
}
