package netbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// item is one write of a list on its way.
type item struct {
	index int
	write reconcile.Write
}

// result is what became of it. stop is set when it concerns every write: the
// token refused, the server away.
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

// groups splits a list into what is sent together: so far each write alone.
func groups(list []reconcile.Write) [][]item {
	out := make([][]item, len(list))
	for i, w := range list {
		out[i] = []item{{i, w}}
	}
	return out
}

// spread sends the groups of a list, several at a time where the kind allows
// that, and hands over what became of each.
func (c *Client) spread(
	ctx context.Context, t *target, list []reconcile.Write, done func(i int, o reconcile.Outcome),
) error {
	workers := 1
	if t.kind.Resource.BulkAllowed() && t.kind.Resource.Mode != schema.Singleton {
		workers = min(c.parallelism, len(list))
	}
	var (
		work    = make(chan []item)
		results = make(chan result)
		halted  atomic.Bool
		wg      sync.WaitGroup
	)
	for range workers {
		wg.Go(func() {
			for group := range work {
				if halted.Load() || ctx.Err() != nil {
					continue
				}
				for _, r := range c.sendGroup(ctx, t, group) {
					if r.stop != nil {
						halted.Store(true)
					}
					results <- r
				}
			}
		})
	}
	go func() {
		for _, group := range groups(list) {
			work <- group
		}
		close(work)
		wg.Wait()
		close(results)
	}()
	var first error
	for r := range results {
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

// sendGroup sends writes that go together in one request. So far a group has
// one write; requests for several come in here.
func (c *Client) sendGroup(ctx context.Context, t *target, group []item) []result {
	out := make([]result, len(group))
	for i, it := range group {
		outcome, stop := c.one(ctx, t, it.write)
		out[i] = result{it.index, outcome, stop}
	}
	return out
}
