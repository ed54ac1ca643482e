package netbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Rules of a batch, beside those of a single write:
//
//   - The server does all of it or nothing. When it refuses, the bad ones are
//     found and the others sent again (narrow.go).
//   - A batch of one is sent as a single write.
//   - Whose outcome a success is, ids and keys tell, not its place alone: servers
//     sort answers as they like, and pass over what is not there.

// batch sends writes that go together in one request, and hands over what became
// of each.
func (s *sending) batch(batch []item) {
	if len(batch) > 1 && !s.target.alone() && !s.over() {
		batch = s.guard(batch)
	}
	if len(batch) <= 1 || s.target.alone() {
		for _, it := range batch {
			if s.over() {
				return
			}
			o, stop := s.one(s.ctx, s.target, it.write)
			s.emit(it.index, o, stop)
		}
		return
	}
	if s.over() {
		return
	}
	q := call{method: methodOf[s.target.op], path: s.target.path, body: bodyOf(batch), scrub: s.own.with(secretsOf(batch)), many: true}
	var refused *refusal
	start := s.now()
	s.deliver(s.ctx, s.target, q,
		func(resp *http.Response) { refused = s.answer(batch, resp, q.scrub) },
		func(o reconcile.Outcome, stop error) { s.all(batch, o, stop) })
	s.target.learn(len(batch), s.now().Sub(start), s.timeout)
	if refused != nil {
		s.narrow(batch, refused) // with the connection given back
	}
}

var methodOf = map[reconcile.Operation]string{
	reconcile.OpCreate: http.MethodPost, reconcile.OpUpdate: http.MethodPatch, reconcile.OpDelete: http.MethodDelete,
}

// all hands over one outcome for each write of a batch.
func (s *sending) all(batch []item, o reconcile.Outcome, stop error) {
	o.Batch = len(batch)
	for _, it := range batch {
		o.Row = it.write.Row
		s.emit(it.index, o, stop)
	}
}

// answer reads the answer to a batch that arrived. A refusal is handed back.
func (s *sending) answer(batch []item, resp *http.Response, scrub *scrubber) *refusal {
	o := reconcile.Outcome{Status: resp.StatusCode, Request: requestID(resp), Batch: len(batch)}
	switch code := resp.StatusCode; {
	case code == http.StatusNoContent && s.target.op == reconcile.OpDelete:
		s.deleted(batch, o)
	case code >= 200 && code <= 299:
		data, reason := s.successBody(resp, scrub)
		var list []json.RawMessage
		switch {
		case reason != "":
			s.all(batch, uncertain(o, reason), nil)
		case json.Unmarshal(data, &list) != nil:
			s.all(batch, uncertain(o, unreadable), nil)
		case s.target.op == reconcile.OpCreate:
			s.created(batch, list, o)
		case s.target.op == reconcile.OpUpdate:
			s.updated(batch, list, o)
		default:
			s.all(batch, uncertain(o, "the answer does not say that they are deleted"), nil)
		}
	case code >= 500 || code == http.StatusRequestTimeout:
		e := s.answerError(resp, scrub, s.target.known)
		o.Verdict, o.Messages, o.Err = reconcile.Uncertain, e.Messages, e
		s.all(batch, o, nil)
	default:
		e, data := s.answerOf(resp, scrub, s.target.known)
		return &refusal{Error: e, outcome: o, entries: s.target.entriesOf(data, batch, scrub)}
	}
	return nil
}

// updated pairs the objects of an answer with the writes, by id. An older server
// passes over objects that are not there, or that the token may not change.
func (s *sending) updated(batch []item, list []json.RawMessage, o reconcile.Outcome) {
	byRow := make(map[reconcile.RowID]json.RawMessage, len(list))
	for _, data := range list {
		var object struct {
			ID json.Number `json:"id"`
		}
		if json.Unmarshal(data, &object) != nil {
			continue
		}
		if id, ok := rowID(object.ID); ok {
			byRow[id] = data
		}
	}
	for _, it := range batch {
		o := o
		o.Row = it.write.Row
		data, there := byRow[it.write.Row]
		if !there {
			passed := notThere()
			passed.Row, passed.Request, passed.Batch = o.Row, o.Request, o.Batch
			s.emit(it.index, passed, nil)
			continue
		}
		s.emit(it.index, s.written(s.target, it.write, data, o), nil)
	}
}

// created pairs the objects of an answer with the writes: at the same place if
// what identifies them agrees, else wherever it does.
func (s *sending) created(batch []item, list []json.RawMessage, o reconcile.Outcome) {
	if len(list) != len(batch) {
		s.all(batch, uncertain(o, fmt.Sprintf("the answer shows %d objects where %d were sent", len(list), len(batch))), nil)
		return
	}
	taken := make([]bool, len(list))
	rows := map[reconcile.RowID]bool{}
	settle := func(it item, place int) bool {
		out := s.written(s.target, it.write, list[place], o)
		if taken[place] || out.Verdict != reconcile.Done || rows[out.Row] || !speaksOf(s.target.kind, it.write, out) {
			return false
		}
		taken[place], rows[out.Row] = true, true
		s.emit(it.index, out, nil)
		return true
	}
	var astray []item
	for i, it := range batch {
		if !settle(it, i) {
			astray = append(astray, it)
		}
	}
	for _, it := range astray {
		found := false
		for place := 0; place < len(list) && !found; place++ {
			found = !taken[place] && settle(it, place)
		}
		if !found {
			s.emit(it.index, uncertain(o, "the answer does not show this object"), nil)
		}
	}
}

// speaksOf reports whether an answer has the values that identify the object
// that was to be created.
func speaksOf(k *schema.Kind, w reconcile.Write, out reconcile.Outcome) bool {
	names := k.Resource.Key
	for _, more := range k.Resource.Unique {
		names = append(names[:len(names):len(names)], more...)
	}
	for _, name := range names {
		sent, declared := w.Fields[name]
		got, shown := out.Fields[name]
		if f := k.Field(name); declared && shown && !f.WriteOnly && !(isNothing(sent) && isNothing(got)) && !sameSent(f, sent, got) {
			return false
		}
	}
	return true
}

func isNothing(v any) bool {
	text, ok := v.(string)
	return v == nil || ok && strings.TrimSpace(text) == "" || reflect.DeepEqual(v, []any{})
}

// sameSent is sameValue for a value that may be written in another way than the
// server shows it.
func sameSent(f *schema.Field, sent, got any) bool {
	if n, ok := sent.(reconcile.Number); ok {
		if plain, err := reconcile.ParseNumber(string(n)); err == nil {
			sent = plain
		}
	}
	return sameValue(f, sent, got)
}
