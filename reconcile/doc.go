// Package reconcile is the hub of proxbox-sync: the types that every part
// speaks in, and the pure stages between them.
//
//	files ── manifest.Load ──> []Document ── Desired ──> State ┐
//	                                                           ├─ Diff ──> []Change ── NewPlan ──> Plan ──┬─ render
//	server ── Observe ─────────────────────────────────> State ┘                                          └─ Apply ──> Report ── render
//
// There are two spaces with one border. Files, diff, plan and output speak in
// natural keys; the wire speaks in numbers. Only Observe turns numbers into
// keys, and only Apply turns keys into numbers.
//
// Non-goals: HTTP, YAML, sops, command lines and text. The package imports none
// of them, even indirectly; a test proves it.
package reconcile
