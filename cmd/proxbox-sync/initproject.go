package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

const ignoreText = `# Keys and tokens never belong into a repository.
*.agekey
*-age-key.txt
keys.txt
.env

# Decrypted copies, and what proxbox-sync writes.
*.dec.yaml
*.plan.json
`

// writeProject writes the files of a new repository. What is there stays.
func (c *initCommand) writeProject(a *app) error {
	for _, file := range []struct{ name, text string }{
		{projectName, c.projectText(a)},
		{".sops.yaml", sopsText(schema.Embedded(), a.env.Get("SOPS_AGE_RECIPIENTS"))},
		{".gitignore", ignoreText},
	} {
		err := writeNew(filepath.Join(a.dir, file.name), file.text)
		switch {
		case errors.Is(err, fs.ErrExist):
			_, _ = fmt.Fprintf(a.stdout, "%s is there already and stays as it is.\n", file.name)
		case err != nil:
			return fmt.Errorf("writing %s: %w", file.name, err)
		default:
			_, _ = fmt.Fprintf(a.stdout, "Wrote %s.\n", file.name)
		}
	}
	return nil
}

// writeNew writes a file that must not exist, also not as a link.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

var notInOwner = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// projectText is a project file with a comment on everything.
func (c *initCommand) projectText(a *app) string {
	owner := c.Owner
	if !ownerPattern.MatchString(owner) {
		owner = strings.Trim(notInOwner.ReplaceAllString(filepath.Base(a.dir), "-"), "-._")
		owner = owner[:min(len(owner), 100)]
	}
	if owner == "" {
		owner = "main"
	}
	url := "# url: https://netbox.example.net"
	if u := trimURL(c.URL); u != "" && !strings.ContainsAny(u, "\n\r#'\" ") {
		url = "url: " + u
	}
	return `# What would otherwise be flags of proxbox-sync. Tokens and keys never stand here.

# The name under which this repository manages objects in NetBox. Every repository has
# its own; changing it gives up everything that was managed under the old one.
owner: "` + owner + `"

# The server. PROXBOX_SYNC_URL, if it is set, must say the same.
` + url + `

# The variable that holds the API token.
token_env: NETBOX_TOKEN

# Folders and files of manifests, relative to this file.
manifests: [manifests]

# Delete objects that this owner created and that no manifest has any more. A plan lists
# them in any case.
prune: false

# Limits bound what one run may do. The environment's are a ceiling: this file can only
# be stricter.
# limits: {max_deletes: 5, max_delete_percent: 30, max_updates: 100}

# Kinds of NetBox itself that are marked, and pruned, as well.
# mark: [Site]

# Fields that are set on create and left to others afterwards.
# ignore_changes: {ProxmoxNode: [location]}
`
}

// sopsText is a .sops.yaml with one rule: in files of secrets, the fields that
// the server never shows are encrypted.
func sopsText(set *schema.Set, recipients string) string {
	var names []string
	for _, k := range set.Kinds() {
		for _, f := range k.Fields {
			if f.WriteOnly {
				names = append(names, regexp.QuoteMeta(f.Name))
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if !regexp.MustCompile(`^age1[a-z0-9,]+$`).MatchString(recipients) {
		recipients = "age1REPLACE-ME"
	}
	return `# Which files sops encrypts, and for whom: replace the recipient by the public keys of who
# may decrypt (age-keygen -y KEYFILE), separated by commas. Only secret fields are
# encrypted, so that a review still sees which object a secret belongs to.
creation_rules:
  - path_regex: \.secrets\.yaml$
    encrypted_regex: ^(` + strings.Join(names, "|") + `)$
    age: ` + recipients + `
`
}
