// Package render turns values into text: diagnostics, plans, reports, live
// objects, explanations and progress, for people, pull requests and programs.
//
// A plan, a report or drift becomes a Document first, plain data, which every
// format is made from: text from the document itself, JSON by encoding it,
// Markdown, HTML, annotations and JUnit from its page, the one place that says
// what a report has and in which order.
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
//     from being taken as a command by a CI system's log reader; only
//     printer.annotation means to give such a command.
//   - Every JSON value is written by encode, which does both for JSON.
//   - A page's texts are escaped when it is made. Then Markdown puts them into
//     code, Mermaid writes their characters as numbers, html/template and
//     encoding/xml escape them again for where they go.
//   - A secret has no text: the hub's Secret prints as redacted, and no function
//     here calls Reveal.
//   - Colour only adds: without it the text says the same.
//   - Lines are laid out for Style.Width columns; values are wrapped, not cut,
//     unless they are longer than a screen, and then the cut is said.
//   - A sentence of ours ends with a full stop; a label does not.
