// Proxbox-sync keeps the Proxbox resources of a NetBox in Git: it compares
// manifests with what the server has, shows a plan, and carries it out.
//
// This package is the command line. It wires the parts together and decides
// nothing: reading is manifest's and secrets' work, comparing the hub's,
// talking netbox's, and wording render's. Its own are flags, environment and
// project file (settings.go), exit codes (exit.go), and one file a command.
//
// Results go to standard output, everything else to standard error.
package main
