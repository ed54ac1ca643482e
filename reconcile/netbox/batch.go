package netbox

import (
	"encoding/json"
	"errors"
	"time"

	"proxbox-sync/reconcile"
)

const (
	// maxBatchBytes keeps bodies below the 1 MiB that proxies take by default.
	maxBatchBytes = 1_000_000
	// leastBatch is from how many writes on it pays to send two requests at once
	// in place of one.
	leastBatch = 10
)

// item is one write of a list on its way.
type item struct {
	index   int
	write   reconcile.Write
	entry   json.RawMessage // what stands for it in the body of a batch
	secrets []string        // in the entry
}

// split cuts a list into batches, in its order and of about one size. They are
// made as they are taken, so that few bodies are in memory at a time.
func (s *sending) split(list []reconcile.Write, work chan<- []item) {
	var (
		batch       []item
		most, bytes int
	)
	flush := func() {
		if len(batch) > 0 {
			work <- batch
		}
		batch, most, bytes = nil, int(s.target.most.Load()), 0
	}
	flush()
	for i, w := range list {
		if s.over() {
			return
		}
		it := item{index: i, write: w}
		if s.target.alone() {
			flush()
			work <- []item{it}
			continue
		}
		if err := s.encode(&it); err != nil {
			o, stop := s.unsent(err)
			s.emit(i, o, stop)
			continue
		}
		own := or(w.Batch, len(list))
		if len(batch) >= min(most, own) || bytes+len(it.entry) > int(s.target.room.Load()) {
			flush()
		}
		batch, most, bytes = append(batch, it), min(most, own), bytes+len(it.entry)+1
	}
	flush()
}

// learn makes later batches smaller when one took so long that a larger or slower
// one could outlast the timeout, after which nobody knows what became of it.
func (t *target) learn(n int, took, timeout time.Duration) {
	if good := timeout / 4; took > good {
		t.most.Store(min(t.most.Load(), max(1, int64(float64(n)*float64(good)/float64(took)))))
	}
}

// sizeFor is how many of n writes go in one request: so many that each worker
// has a batch, as far as that pays.
func (c *Client) sizeFor(n int) int {
	batches := max(ceil(n, c.batchSize), min(c.parallelism, n/leastBatch), 1)
	return ceil(n, batches)
}

func ceil(a, b int) int { return (a + b - 1) / b }

// encode makes the entry of a write in the body of a batch.
func (s *sending) encode(it *item) error {
	fields, secrets, err := encodeFields(s.target.kind, it.write.Fields)
	if err != nil {
		return err
	}
	if s.target.op == reconcile.OpDelete {
		fields, secrets = map[string]any{}, nil
	}
	if s.target.op != reconcile.OpCreate {
		if it.write.Row <= 0 {
			return errNoID
		}
		fields["id"] = int64(it.write.Row)
	}
	if m := message(it.write.Message); m != "" {
		fields["changelog_message"] = m
	}
	if it.entry, err = json.Marshal(fields); err != nil {
		return errNotJSON
	}
	it.secrets = secrets
	return nil
}

var (
	errNoID    = errors.New("it has no id")
	errNotJSON = errors.New("its fields cannot be written as JSON")
)

// bodyOf is the body of a batch.
func bodyOf(batch []item) []byte {
	n := 2
	for _, it := range batch {
		n += len(it.entry) + 1
	}
	body := append(make([]byte, 0, n), '[')
	for i, it := range batch {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, it.entry...)
	}
	return append(body, ']')
}

func secretsOf(batch []item) []string {
	var list []string
	for _, it := range batch {
		list = append(list, it.secrets...)
	}
	return list
}
