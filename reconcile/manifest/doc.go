// Package manifest turns files into documents: it finds the files, reads them,
// checks their bytes and their YAML, and takes the envelope (apiVersion, kind,
// metadata, spec or items) off each object.
//
// Place in the flow: first. Load hands its documents to reconcile.Desired. Every
// mistake becomes a diagnostic with its place, and all mistakes of all files are
// found in one run.
//
// The files are written by strangers, so size, depth, aliases, duplicate keys
// and what sops is about to be given are checked here, before anything else
// looks at them. What a scalar means is decided here as well (YAML 1.2 core,
// stricter), never by the YAML library: its guesses differ between versions.
//
// Encrypted values are opened by a function that the caller passes in. The
// package doesn't know sops, and keeps nothing of a value but the Secret that
// it was given.
//
// Non-goals: knowing kinds and fields (Desired checks those), filling in
// defaults, templates, and writing YAML.
package manifest
