package netbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// result is what became of one write. stop is set when it concerns every write:
// the token refused, the server away.
type result struct {
	index   int
	outcome reconcile.Outcome
	stop    error
}

// Write implements reconcile.Server. When ctx ends, nothing more is sent; what
// is under way is finished, within the timeout, and reported: whether it
// arrived would not be known otherwise. Errors name neither kind nor object:
// that is the caller's part.
func (c *Client) Write(
	ctx context.Context, kind string, op reconcile.Operation, list []reconcile.Write,
	done func(i int, o reconcile.Outcome),
) error {
	if len(list) == 0 {
		return nil
	}
	k, err := c.kind(kind)
	if err != nil {
		return err
	}
	if err := writable(k, op); err != nil {
		return err
	}
	// Whether guards work depends on the generation.
	if _, err := c.Instance(ctx); err != nil {
		return err
	}
	path, err := c.pathOf(ctx, k)
	if err != nil {
		return err
	}
	return c.spread(ctx, &target{kind: k, path: path, op: op}, list, done)
}

// target is where writes of one call go.
type target struct {
	kind *schema.Kind
	path string
	op   reconcile.Operation

	// What answers taught about the server.
	noLists atomic.Bool  // it takes one object at a time here
	room    atomic.Int64 // bytes that a body may have
	most    atomic.Int64 // objects that it writes in good time
	until   atomic.Int64 // when it wants to be asked again, in ns since 1970
}

// alone reports whether each write needs a request of its own.
func (t *target) alone() bool {
	return !t.kind.Resource.BulkAllowed() || t.kind.Resource.Mode == schema.Singleton || t.noLists.Load()
}

// slow is how much longer a write with side effects on the server may take: it
// calls others before it answers.
const slow = 3

func (c *Client) timeoutOf(t *target) time.Duration {
	if !t.kind.Resource.BulkAllowed() {
		return slow * c.timeout
	}
	return c.timeout
}

// writable refuses what no server allows.
func writable(k *schema.Kind, op reconcile.Operation) error {
	switch {
	case op != reconcile.OpCreate && op != reconcile.OpUpdate && op != reconcile.OpDelete:
		return fmt.Errorf("there is no operation %q", op)
	case k.Resource.Mode == schema.Lookup:
		return errors.New("objects of this kind are only looked up")
	case k.Resource.Mode == schema.Singleton && op != reconcile.OpUpdate:
		return fmt.Errorf("there is one object of this kind, made by the server: %s is not possible", op)
	}
	return nil
}

// sending is one call of Write on its way.
type sending struct {
	*Client
	ctx     context.Context
	target  *target
	results chan result
	halted  atomic.Bool // by what concerns every write
	told    []bool      // which have an outcome; each is its batch's own
}

// over reports whether nothing more is to be sent. What has no outcome then was
// not sent.
func (s *sending) over() bool { return s.halted.Load() || s.ctx.Err() != nil }

func (s *sending) emit(index int, o reconcile.Outcome, stop error) {
	if stop != nil {
		s.halted.Store(true)
	}
	s.told[index] = true
	s.results <- result{index, o, stop}
}

// guarded sends a batch. What a panic leaves without an outcome may have arrived.
func (s *sending) guarded(batch []item) {
	var crash error
	func() {
		defer reconcile.Recovered(&crash)
		s.batch(batch)
	}()
	if crash == nil {
		return
	}
	for _, x := range batch {
		if !s.told[x.index] {
			s.emit(x.index, reconcile.Outcome{Verdict: reconcile.Uncertain, Err: crash}, crash)
		}
	}
}

// spread sends a list in batches, several at a time where the kind allows that,
// and hands over what became of each write.
func (c *Client) spread(
	ctx context.Context, t *target, list []reconcile.Write, done func(i int, o reconcile.Outcome),
) error {
	workers := 1
	if !t.alone() {
		workers = min(c.parallelism, len(list))
	}
	t.room.Store(maxBatchBytes)
	t.most.Store(int64(c.sizeFor(len(list))))
	s := &sending{Client: c, ctx: ctx, target: t, results: make(chan result), told: make([]bool, len(list))}
	work := make(chan []item)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for batch := range work {
				s.guarded(batch)
			}
		})
	}
	go func() {
		s.split(list, work)
		close(work)
		wg.Wait()
		close(s.results)
	}()
	var first error
	for r := range s.results {
		done(r.index, r.outcome)
		if first == nil {
			first = r.stop
		}
	}
	if first == nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return first
}
