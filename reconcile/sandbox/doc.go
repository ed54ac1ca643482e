// Package sandbox is an in-memory NetBox with the Proxbox API, as an
// http.Handler: the embedded default for the demo, the quickstart, drills and
// tests.
//
// It is built from the schema files, which say which kinds there are, what they
// refer to and what is secret, and from one data file per server generation in
// generations/, made from recordings of real servers: which fields exist there,
// their defaults, limits and error texts, how choices and references look,
// where paths lie. Adding a kind is adding a schema file; a generation that says
// nothing of a kind leaves it with what the schema says.
//
// Rules for the code:
//   - Where it differs from a real server, it is wrong. The recorded exchanges
//     in testdata/exchanges are replayed against it, status and body.
//   - No kind is named in Go; what is special about one stands in a generation's
//     data.
//   - A secret that arrives is kept, never shown, and only PlainSecret opens it.
//
// Place in the flow: the far side of the wire. The package imports schema and
// the standard library, neither the hub nor the client, so that the two can't be
// wrong together.
//
// Non-goals: the web interface, GraphQL, jobs, users' passwords, speed beyond
// some ten thousand objects, and keeping anything on disk.
package sandbox
