// Package secrets opens the encrypted values of sops files. It is the only
// package that imports sops, and hides it behind one method: bytes in, values
// out.
//
// Place in the flow: manifest.Load hands it each sops file through a function
// value that the command line joins to Opener.Open; neither package knows the
// other.
//
// A sops file says itself which key services are to be asked for its data key,
// and sops would send the job's Vault token wherever it points. So the file's
// block is read first, and only age and PGP keys that this process was given are
// used, unless the environment allowed another key by its exact address. The
// checksum over the file (its MAC) is always compared. sops' own messages are
// never passed on: some hold the value.
//
// Nothing plain is written anywhere: values stay in memory, as reconcile.Secret.
//
// Non-goals: encrypting, editing, rotating; age plugins; keys from commands
// (SOPS_AGE_KEY_CMD) and SSH keys.
package secrets
