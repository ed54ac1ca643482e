package netbox

import (
	"context"
	"net/http"
	"slices"

	"proxbox-sync/reconcile"
)

// versions are the last_updated of objects, as the server showed them right
// before a write. They stand in for If-Match where there is none: in requests
// for several objects, and on servers before NetBox 4.6. A change between the
// look and the write is not noticed; the window is one request long.
type versions map[reconcile.RowID]string

// look reads the versions of some objects, in as many requests as their request
// lines need.
func (c *Client) look(ctx context.Context, t *target, rows []reconcile.RowID) (versions, error) {
	seen := make(versions, len(rows))
	q := reconcile.Query{Kind: t.kind.Name, Fields: []string{}, Rows: rows}
	_, err := c.Read(ctx, q, func(r reconcile.Row) error {
		seen[r.ID] = r.Version
		return nil
	})
	return seen, err
}

func notThere() reconcile.Outcome {
	return reconcile.Outcome{Verdict: reconcile.Refused, Status: http.StatusNotFound,
		Messages: []reconcile.FieldMessage{{Text: "it is not there any more, or the token may not see it"}}}
}

// judge says what speaks against a write; without a verdict, nothing does.
func (seen versions) judge(w reconcile.Write) reconcile.Outcome {
	version, found := seen[w.Row]
	switch {
	case !found:
		return notThere()
	case w.IfVersion != "" && version != w.IfVersion:
		return reconcile.Outcome{Verdict: reconcile.Conflict}
	}
	return reconcile.Outcome{}
}

// guard looks at the objects of a batch right before it is sent, and keeps those
// that are as their writes expect.
func (s *sending) guard(batch []item) []item {
	guarded := slices.ContainsFunc(batch, func(it item) bool { return it.write.IfVersion != "" })
	if s.target.op == reconcile.OpCreate || !guarded {
		return batch
	}
	seen, err := s.look(s.ctx, s.target, rowsOf(batch))
	if err != nil {
		if s.ctx.Err() == nil {
			o, stop := s.unsent(err)
			s.all(batch, o, stop)
		}
		return nil
	}
	kept := batch[:0:0]
	for _, it := range batch {
		if o := seen.judge(it.write); o.Verdict != "" {
			s.emit(it.index, o, nil)
			continue
		}
		kept = append(kept, it)
	}
	return kept
}

func rowsOf(batch []item) []reconcile.RowID {
	rows := make([]reconcile.RowID, len(batch))
	for i, it := range batch {
		rows[i] = it.write.Row
	}
	return rows
}

// namesEach is the NetBox from which on a refused batch names the objects at
// fault, also those that are not there or that the token may not touch. Older
// ones pass over them in silence, or say of all what holds for one.
var namesEach = []int{4, 7, 3}

func (s *sending) namesEach() bool {
	instance, err := s.Instance(s.ctx)
	v, known := versionNumbers(instance.NetBoxVersion)
	return err == nil && known && slices.Compare(v, namesEach) >= 0
}

// deleted hands over the outcomes of a batch of deletes that the server says it
// carried out. Where it may have passed over some, they are looked at again. Who
// deleted one that was gone already is not known.
func (s *sending) deleted(batch []item, o reconcile.Outcome) {
	left := versions{}
	if !s.namesEach() {
		var err error
		// Also after an interrupt: the deletes were sent.
		if left, err = s.look(context.WithoutCancel(s.ctx), s.target, rowsOf(batch)); err != nil {
			s.all(batch, uncertain(o, "the server says that they are deleted, and cannot be asked again: "+err.Error()), nil)
			return
		}
	}
	for _, it := range batch {
		o := o
		o.Verdict, o.Row = reconcile.Done, it.write.Row
		if _, there := left[it.write.Row]; there {
			o.Verdict, o.Status = reconcile.Refused, http.StatusForbidden
			o.Messages = []reconcile.FieldMessage{{Text: "the server says that it deleted all of them, and passed over this one: the token may not delete it"}}
		}
		s.emit(it.index, o, nil)
	}
}
