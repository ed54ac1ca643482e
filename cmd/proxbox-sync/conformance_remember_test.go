package main

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"proxbox-sync/reconcile"
)

// remembering answers a read that it has seen from memory until something is
// written: planning again after each change asks for the same twice, and a real
// server takes its time.
type remembering struct {
	reconcile.Server
	changes *atomic.Int64 // behind the client's back
	shared  *sharedThings
	mu      sync.Mutex
	reads   map[string]remembered

	writes atomic.Int64 // objects written
}

type remembered struct {
	rows     []reconcile.Row
	coverage reconcile.Coverage
}

func (r *remembering) Read(ctx context.Context, q reconcile.Query, row func(reconcile.Row) error) (reconcile.Coverage, error) {
	key := fmt.Sprint(r.changes.Load(), r.shared.made.Load(), q)
	r.mu.Lock()
	known, ok := r.reads[key]
	r.mu.Unlock()
	if !ok {
		var err error
		known.coverage, err = r.Server.Read(ctx, q, func(row reconcile.Row) error {
			known.rows = append(known.rows, row)
			return nil
		})
		if err != nil {
			return known.coverage, err
		}
		r.mu.Lock()
		r.reads[key] = known
		r.mu.Unlock()
	}
	for _, x := range known.rows {
		x.Fields = maps.Clone(x.Fields) // the caller makes references of its numbers
		if err := row(x); err != nil {
			return known.coverage, err
		}
	}
	return known.coverage, nil
}

func (r *remembering) Write(
	ctx context.Context, kind string, op reconcile.Operation, list []reconcile.Write, done func(int, reconcile.Outcome),
) error {
	r.forget()
	r.writes.Add(int64(len(list)))
	return r.Server.Write(ctx, kind, op, list, done)
}

func (r *remembering) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.reads)
}
