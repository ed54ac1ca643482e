// Package examples holds the example repositories of manifests as files that
// are part of the program, so that the demo needs nothing but the binary.
//
// Each folder with a proxbox-sync.yaml is one repository, as a user would keep
// it: a project file, a .sops.yaml, folders of manifests. It stands on its own:
// applied to an empty NetBox of any supported generation it makes everything
// that it refers to. ci holds pipelines for such a repository.
//
// The secrets in an example are made up, and encrypted with an age key that
// lies beside them in a file named ThrowAwayKey: the demo and the tests decrypt
// with it. Everybody has that key. Nobody may encrypt anything real for it.
//
// Place in the flow: none; cmd and tests read the files. Non-goals: being a
// library of manifests to copy without reading.
package examples

import "embed"

// Files holds the example repositories, each below its folder's name
// ("datacenter/endpoints/proxmox.yaml"), hidden files included.
//
//go:embed all:homelab all:datacenter all:ci
var Files embed.FS

// ThrowAwayKey is the name of the file in an example's folder with the age
// identity that decrypts the example's secrets.
const ThrowAwayKey = "THROW-AWAY-age-key.txt"
