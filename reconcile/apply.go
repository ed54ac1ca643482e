package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"proxbox-sync/schema"
)

// ApplyOptions are what a run of Apply needs beyond its plan.
type ApplyOptions struct {
	Message  string // changelog_message of every write
	Progress func(done, total int, r StepReport)
	// WithoutRefused writes an object without the secrets that the server refuses,
	// where it has nothing else against it, and reports them as withheld.
	WithoutRefused bool
}

// sentAtOnce is how many steps are turned into what goes over the wire at a time:
// many requests' worth, and of a hundred thousand not all.
const sentAtOnce = 10_000

// attempts bounds how often a step is sent whose fate had to be looked up.
const attempts = 3

// statusCreated is the HTTP status of an object that was made.
const statusCreated = 201

// Apply carries out a plan and reports what happened to each step. A step that
// fails blocks what needs it and nothing else. When ctx ends nothing more is
// sent; what is in flight is finished by the server's client and reported.
func Apply(ctx context.Context, plan *Plan, server Server, o ApplyOptions) *Report {
	a := &applying{ctx: ctx, plan: plan, server: server, options: o,
		reports: make([]StepReport, len(plan.Steps)), rows: map[*Object]RowID{}, versions: map[*Object]string{},
		made: map[rowOfKind]bool{}, failedKinds: map[string][]int{}, withheld: map[int][]Withheld{}}
	for i, s := range plan.Steps {
		a.reports[i] = StepReport{Step: s, Result: NotAttempted}
	}
	for start := 0; start < len(plan.Steps) && a.err == nil; {
		end := start
		for end < len(plan.Steps) && plan.Steps[end].Wave == plan.Steps[start].Wave {
			end++
		}
		a.wave(plan.Steps[start:end])
		start = end
	}
	return &Report{Plan: plan, Steps: a.reports, Interrupted: ctx.Err() != nil, Err: a.err}
}

// Sealed lists the steps' secrets that would have to be sent and that nothing
// decrypted: Apply refuses such steps, so a caller asks before it begins.
func (p *Plan) Sealed() []string {
	var names []string
	for _, s := range p.Steps {
		for _, secret := range s.Change.Secrets {
			if secret.Sealed {
				names = append(names, s.Change.Object().String()+" "+secret.Name)
			}
		}
	}
	return names
}

// applying is the work of one call of Apply.
type applying struct {
	ctx         context.Context
	plan        *Plan
	server      Server
	options     ApplyOptions
	reports     []StepReport
	rows        map[*Object]RowID // of objects made in this run
	versions    map[*Object]string
	made        map[rowOfKind]bool // in this run
	failedKinds map[string][]int   // steps of settings that failed
	withheld    map[int][]Withheld // by step
	finished    int
	err         error
}

// wave runs the steps of one wave, a kind and an operation at a time.
func (a *applying) wave(steps []*Step) {
	var runnable []*Step
	for _, s := range steps {
		if by := a.blockers(s); len(by) > 0 {
			a.finish(StepReport{Step: s, Result: Blocked, BlockedBy: by})
			continue
		}
		runnable = append(runnable, s)
	}
	for len(runnable) > 0 && a.err == nil && a.ctx.Err() == nil {
		first := runnable[0].Change
		same := func(s *Step) bool {
			return s.Change.Object().Kind == first.Object().Kind && s.Change.Action == first.Action
		}
		group := runnable[:0:0]
		for _, s := range runnable {
			if same(s) {
				group = append(group, s)
			}
		}
		runnable = slices.DeleteFunc(slices.Clone(runnable), same)
		a.group(group)
	}
}

func (a *applying) blockers(s *Step) []int {
	var by []int
	for _, need := range s.Needs {
		if !a.succeeded(need) {
			by = append(by, need)
		}
	}
	for _, kind := range s.After {
		by = append(by, a.failedKinds[kind]...)
	}
	return by
}

func (a *applying) succeeded(step int) bool {
	r := a.reports[step].Result
	return r == Applied || r == AlreadyDone || r == Unmarked
}

// group sends steps of one kind and action, looks up those whose fate is not
// known, and sends again what turns out not to have been done.
func (a *applying) group(steps []*Step) {
	kind := steps[0].Change.Object().Kind
	op := operation(steps[0].Change.Action)
	if op == OpCreate {
		steps = a.stillMissing(kind, steps)
	}
	for some := range slices.Chunk(steps, sentAtOnce) {
		if a.err != nil || a.ctx.Err() != nil {
			return
		}
		a.send(kind, op, some)
	}
}

func (a *applying) send(kind *schema.Kind, op Operation, steps []*Step) {
	round := make([]sent, len(steps))
	for i, s := range steps {
		round[i].step = s
	}
	for len(round) > 0 && a.err == nil {
		writes := make([]Write, len(round))
		for i := range round {
			round[i].out = Outcome{}
			writes[i] = a.write(round[i].step)
			writes[i].Batch = round[i].batch
		}
		err := a.server.Write(a.ctx, kind.Name, op, writes, func(i int, out Outcome) {
			if rest := a.withhold(round[i].step, out); rest != nil {
				round[i].step, round[i].rest = rest, a.writesAnything(rest)
			} else if out.Verdict == Done || out.Verdict == Refused {
				a.settle(round[i].step, out)
				out.Fields, out.Messages = nil, nil // looked at; there may be many
			}
			round[i].out = out
		})
		if err != nil {
			a.err = fmt.Errorf("writing %s: %w", kind.Name, err)
		}
		round = a.unsettled(round)
		if a.ctx.Err() != nil {
			return
		}
	}
}

// sent is a step on its way to the server.
type sent struct {
	step  *Step
	out   Outcome // of the last time
	times int     // that its fate had to be looked up
	batch int     // how many may go with it the next time, 0 for any
	rest  bool    // it is to be sent again without what the server refused
}

// stillMissing looks, right before objects are created, whether somebody made
// them after the plan: not every kind has a unique constraint that would keep
// the server from making a second one. It returns the steps to carry out.
func (a *applying) stillMissing(kind *schema.Kind, steps []*Step) []*Step {
	places, err := a.locate(steps)
	if err != nil {
		a.err = fmt.Errorf("looking for %s that somebody made meanwhile: %w", kind.Name, err)
		return nil
	}
	var missing []*Step
	for i, s := range steps {
		switch {
		case places[i] == before:
			missing = append(missing, s)
		case places[i] == after && len(s.Change.Secrets) == 0:
			a.finish(StepReport{Step: s, Result: AlreadyDone, Row: a.row(s.Change.Desired)})
		default:
			a.finish(StepReport{Step: s, Result: Conflicted, Err: errors.New("somebody made the object after the plan was made; plan again")})
		}
	}
	return missing
}

func operation(a Action) Operation {
	switch a {
	case Create:
		return OpCreate
	case Delete:
		return OpDelete
	}
	return OpUpdate
}

// unsettled classifies the outcomes that say neither yes nor no and returns what
// is to be sent again. Of a batch whose fate was not known and that did not
// arrive, halves are sent: one object may be what breaks the server.
func (a *applying) unsettled(round []sent) []sent {
	var open []sent
	var rest []sent
	var steps []*Step
	for _, w := range round {
		if w.rest {
			rest = append(rest, sent{step: w.step, batch: 1})
			continue
		}
		switch w.out.Verdict {
		case Conflict, Uncertain:
			open, steps = append(open, w), append(steps, w.step)
		case NotSent:
			if w.out.Err != nil {
				a.finish(StepReport{Step: w.step, Result: Failed, Status: w.out.Status, Request: w.out.Request, Err: w.out.Err})
			}
		}
	}
	places, err := a.locate(steps)
	again := open[:0]
	for i, w := range open {
		r := StepReport{Step: w.step, Result: Failed, Status: w.out.Status, Request: w.out.Request}
		if w.batch = 0; w.out.Verdict == Uncertain && w.out.Batch > 1 {
			w.batch = w.out.Batch / 2
		} else {
			w.times++
		}
		switch {
		case err != nil:
			r.Err = fmt.Errorf("it is not known whether the write arrived, and looking it up: %w", err)
		case places[i] == after:
			r = StepReport{Step: w.step, Result: AlreadyDone, Row: a.row(w.step.Change.Object()), Request: w.out.Request}
		case places[i] == before && w.saysMade():
			r.Err = fmt.Errorf("the server says that it made an object, and does not show it: %w", orUnanswered(w.out.Err))
		case places[i] == before && w.times < attempts && a.err == nil && a.ctx.Err() == nil:
			again = append(again, w)
			continue
		case places[i] == before:
			r.Err = orUnanswered(w.out.Err)
		default:
			r.Result, r.Err = Conflicted, errors.New("somebody changed the object after the plan was made; plan again")
		}
		a.finish(r)
	}
	return append(again, rest...)
}

// saysMade reports whether the server says that it made the object of a create.
// It may have, whatever it shows of it: sent again, there could be two.
func (w sent) saysMade() bool {
	return w.step.Change.Action == Create && w.out.Status == statusCreated
}

func orUnanswered(err error) error {
	if err == nil {
		return fmt.Errorf("the server did not take the write")
	}
	return err
}

// settle notes a write that the server accepted or refused.
func (a *applying) settle(s *Step, out Outcome) {
	r := StepReport{Step: s, Result: Applied, Row: out.Row, Status: out.Status, Request: out.Request}
	if out.Verdict == Refused {
		r.Result, r.Messages, r.Err = Failed, out.Messages, out.Err
	} else {
		a.rows[s.Change.Object()], a.versions[s.Change.Object()] = out.Row, out.Version
		if s.Change.Action == Create {
			a.made[rowOfKind{s.Change.Object().Kind, out.Row}] = true
		}
		if messages := a.notTaken(s.Change, out); len(messages) > 0 {
			r.Result, r.Messages = Failed, messages
		}
	}
	if s.Change.Action == Mark && out.Verdict == Refused {
		r.Result = Unmarked
	}
	if out.Verdict == Refused && out.Status == 404 {
		switch s.Change.Action {
		case Delete:
			r.Result, r.Err = AlreadyDone, nil
		case Update, Mark:
			r.Result, r.Err = Conflicted, errors.New("the object is gone since the plan was made, or the token may not change it; plan again")
		}
	}
	a.finish(r)
}

// notTaken compares what was written with what the server says it has now: it
// drops fields that it does not know, or that another field rules out, without
// an error.
func (a *applying) notTaken(c *Change, out Outcome) []FieldMessage {
	if out.Fields == nil || c.Action == Delete {
		return nil
	}
	var messages []FieldMessage
	for _, fc := range c.Fields {
		name := fc.Field.Name
		live, there := out.Fields[name]
		switch {
		case !there:
			messages = append(messages, FieldMessage{Field: fc.Name, Text: "the server took the request and ignored this field: it does not know it"})
		case !a.agreesAll(&Change{Fields: []FieldChange{fc}}, Row{Fields: map[string]any{name: live}}, wanted):
			messages = append(messages, FieldMessage{Field: fc.Name, Text: "the server took the request and keeps another value: another field may rule this one out"})
		}
	}
	return messages
}

// finish notes the fate of a step. Settings that could not be written block the
// kinds that come after them; of other kinds an object blocks what refers to it.
func (a *applying) finish(r StepReport) {
	r.Withheld = a.withheld[r.Step.Index]
	a.reports[r.Step.Index] = r
	a.finished++
	if k := r.Step.Change.Object().Kind; !a.succeeded(r.Step.Index) && k.Resource.Mode == schema.Singleton {
		kind := k.Name
		a.failedKinds[kind] = append(a.failedKinds[kind], r.Step.Index)
	}
	if a.options.Progress != nil {
		a.options.Progress(a.finished, len(a.plan.Steps), r)
	}
}
