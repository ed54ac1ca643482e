// Package netbox is the API client: the only maker of requests.
//
// It implements reconcile.Server on NetBox's REST API with the Proxbox plugin:
// authentication, paths, paging, filters, batches of writes and the narrowing of
// refused ones, retries, guards and the translation between wire values and plain
// values. It also says what a token may do, for the doctor command.
//
// Place in the flow: below Observe, which reads through it, and below Apply,
// which writes through it. It is the border at which a Secret is opened, and
// the place where a server's answers stop being trusted: what comes back is
// bounded in bytes, depth, rows and pages, never decides where the next request
// goes, and never repeats a secret that was sent.
//
// Non-goals: natural keys (the wire speaks in numbers), deciding what to write,
// remembering anything between runs, text for people beyond error messages.
package netbox
