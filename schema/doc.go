// Package schema holds the kinds that proxbox-sync manages: one JSON Schema
// (draft 2020-12) file a kind, and the Go that loads, checks and answers
// questions about them.
//
// The files are the single source of truth. Types, choices, limits, natural
// keys, references, secrets, paths and risk rules stand there; no Go code
// knows a kind by name. Adding a kind is adding a file.
//
// A file uses JSON Schema's own words where it has them: required is what a
// create needs, readOnly and writeOnly as in OpenAPI (writeOnly is a secret, in
// both directions), uniqueItems makes a list a set, description is the help
// text, and on a branch of allOf, or under not, the message of that rule. Five
// vendor keywords say the rest:
//
//	x-resource     root      where the kind lives, what identifies its objects, order and cascades
//	x-lint         root      risk rules: code, severity, message and the schema that matches
//	x-ref          property  a reference to another kind, and what a delete of the target does
//	x-synced       property  the plugin's synchronisation writes it too, and the setting that decides
//	x-destination  property  where stored credentials are sent to
//
// Any other keyword that the loader does not know is an error, so that a
// misspelled one is found.
//
// Place in the flow: below everything. The package imports neither the hub nor
// any other package of the project, makes no request and reads no file but
// those embedded in it or handed to Load.
//
// Non-goals: filling in defaults, and generated Go structs for kinds.
package schema
