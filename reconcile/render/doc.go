// Package render turns values into text: diagnostics, plans, reports, live
// objects, explanations and progress, for people and as JSON.
//
// Place in the flow: the last stage. It reads the hub's values and the schema's
// kinds and writes to an io.Writer; cmd chooses which function and where to.
//
// Non-goals: deciding. What is an error, a change or a risk was decided before;
// nothing is sorted, filtered or computed here beyond what layout needs. The
// package reads no environment, no terminal and no clock of its own.
package render

// The rules of all output:
//
//   - Text that comes from manifests or servers goes through escape (one line,
//     nothing invisible, nothing that a terminal obeys) or through a quoting
//     form built on it. No exception for "surely harmless" values.
//   - Every line of text is written by printer.line, which also keeps a line
//     from being taken as a command by a CI system's log reader.
//   - Every JSON value is written by encode, which does both for JSON.
//   - A secret has no text: the hub's Secret prints as redacted, and no function
//     here calls Reveal.
//   - Colour only adds: without it the text says the same.
//   - Lines are laid out for Style.Width columns; values are wrapped, not cut,
//     unless they are longer than a screen, and then the cut is said.
//   - A sentence of ours ends with a full stop; a label does not.
