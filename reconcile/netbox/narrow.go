package netbox

import (
	"bytes"
	"encoding/json"
	"net/http"

	"proxbox-sync/reconcile"
)

// refusal is a batch that the server said no to: nothing of it was written.
type refusal struct {
	*Error
	outcome reconcile.Outcome
	entries map[int]entryRefusal // by place; nil where the answer does not tell them apart
}

// entryRefusal is what a refusal says of one entry.
type entryRefusal struct {
	messages []reconcile.FieldMessage
	missing  bool // there is no such object
}

// narrow finds the bad ones of a refused batch and sends the others again. The
// requests that this takes grow with the bad ones only: where the answer names
// them, there is one more for all the good ones, else two for each halving.
func (s *sending) narrow(batch []item, r *refusal) {
	switch {
	case r.stop:
		o, stop := s.refused(s.target, r.outcome, r.Error)
		s.all(batch, o, stop)
	case r.entries != nil:
		s.narrowByEntry(batch, r)
	case r.Status == http.StatusMethodNotAllowed:
		s.target.noLists.Store(true)
		s.batch(batch)
	case s.lacksPermission(r):
		o, _ := s.refused(s.target, r.outcome, r.Error)
		s.all(batch, o, nil)
	default:
		if r.Status == http.StatusRequestEntityTooLarge {
			s.target.room.Store(int64(len(bodyOf(batch)) / 2))
		}
		s.batch(batch[:len(batch)/2])
		s.batch(batch[len(batch)/2:])
	}
}

// lacksPermission reports whether a refusal speaks of the kind, not of an
// object: then each write would be refused alike. Older servers say the same of
// one among many.
func (s *sending) lacksPermission(r *refusal) bool {
	return r.Status == http.StatusForbidden && s.namesEach() &&
		len(r.Messages) == 1 && r.Messages[0] == reconcile.FieldMessage{Text: lacksPermission + "."}
}

// narrowByEntry reports the writes that a refusal names and sends the others
// again. A delete that is refused is asked for alone: then the server says what
// is in its way, and what was may be gone by then.
func (s *sending) narrowByEntry(batch []item, r *refusal) {
	var good, again []item
	for i, it := range batch {
		entry, bad := r.entries[i]
		o := r.outcome
		o.Verdict, o.Row, o.Messages = reconcile.Refused, it.write.Row, s.target.explained(entry.messages)
		switch {
		case !bad:
			good = append(good, it)
		case entry.missing:
			o.Status, o.Messages = http.StatusNotFound, notThere().Messages
			s.emit(it.index, o, nil)
		case s.target.op == reconcile.OpDelete:
			again = append(again, it)
		default:
			s.emit(it.index, o, nil)
		}
	}
	s.batch(good)
	for i := range again {
		s.batch(again[i : i+1])
	}
}

// entriesOf reads what a refusal says of single entries: {"errors": [{"index" or
// "id": …, "errors": {…}}]}, or on older servers a list with one object per
// entry, empty for the good ones. It returns nil for anything else.
func (t *target) entriesOf(data []byte, batch []item, scrub *scrubber) map[int]entryRefusal {
	var list []any
	var body struct {
		Errors []struct {
			Index, ID *json.Number
			Errors    map[string]any
		}
	}
	entries := map[int]entryRefusal{}
	switch {
	case decodeNumbers(data, &list):
		if len(list) != len(batch) {
			return nil
		}
		for place, v := range list {
			errs, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			if len(errs) > 0 {
				entries[place] = entryRefusal{messages: t.entryMessages(errs, scrub)}
			}
		}
	case decodeNumbers(data, &body):
		places := make(map[reconcile.RowID]int, len(batch))
		for i, it := range batch {
			places[it.write.Row] = i
		}
		for _, e := range body.Errors {
			place, ok := -1, false
			switch {
			case e.Index != nil:
				n, err := e.Index.Int64()
				place, ok = int(n), err == nil && n >= 0 && n < int64(len(batch))
			case e.ID != nil:
				if id, valid := rowID(*e.ID); valid {
					place, ok = places[id], t.op != reconcile.OpCreate
					ok = ok && batch[place].write.Row == id
				}
			}
			if !ok {
				return nil
			}
			_, missing := e.Errors["id"]
			entries[place] = entryRefusal{messages: t.entryMessages(e.Errors, scrub), missing: missing && e.ID != nil && len(e.Errors) == 1}
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return entries
}

func decodeNumbers(data []byte, into any) bool {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(into) == nil
}

// entryMessages are the server's messages about one entry, cleared.
func (t *target) entryMessages(errs map[string]any, scrub *scrubber) []reconcile.FieldMessage {
	var list []reconcile.FieldMessage
	collect(&list, "", errs, 1)
	list = scrub.messages(list, t.known)
	if len(list) == 0 {
		list = []reconcile.FieldMessage{{Text: "the server refused it without saying why"}}
	}
	return list
}
