// Package schema holds the kinds that proxbox-sync manages: one JSON Schema
// (draft 2020-12) file a kind, and the Go that loads, checks and answers
// questions about them.
//
// The files are the single source of truth. Types, choices, limits, natural
// keys, references, secrets, paths and risk rules stand there; no Go code
// knows a kind by name. Adding a kind is adding a file.
//
// Place in the flow: below everything. The package imports neither the hub nor
// any other package of the project, makes no request and reads no file but
// those embedded in it or handed to Load.
//
// Non-goals: filling in defaults, and generated Go structs for kinds.
package schema
