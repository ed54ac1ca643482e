package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
	"proxbox-sync/schema/output"
)

type schemaCommand struct {
	Kind   string `arg:"" optional:"" help:"A kind, or a form of output such as plan. Default: one schema for manifests of all kinds."`
	Output string `help:"The schema of an output form: ${forms}." placeholder:"FORM" group:"Output"`
}

// Help is shown by schema --help.
func (*schemaCommand) Help() string {
	return `Without arguments: the JSON Schema of manifests, for an editor's YAML language
server. Write it to a file and name that in the editor's settings, or on the first
line of a manifest:

    # yaml-language-server: $schema=proxbox-sync.schema.json`
}

func (c *schemaCommand) Run(a *app) error {
	if c.Output == "" && slices.Contains(output.Forms(), c.Kind) {
		c.Kind, c.Output = "", c.Kind
	}
	if c.Output != "" {
		if c.Kind != "" {
			return usagef("either a kind or --output")
		}
		text, err := output.Schema(c.Output)
		if err != nil {
			return usagef("--output: there is no form %q; the forms are %s", c.Output, strings.Join(output.Forms(), ", "))
		}
		_, err = fmt.Fprintf(a.stdout, "%s\n", text)
		return err
	}
	set := schema.Embedded()
	var text json.RawMessage
	if c.Kind != "" {
		kind, err := findKind(set, c.Kind)
		if err != nil {
			return err
		}
		text = kind.Raw
	} else {
		bundle, err := set.Bundle()
		if err != nil {
			return fmt.Errorf("making the schema of manifests: %w", err)
		}
		text = bundle
	}
	_, err := fmt.Fprintf(a.stdout, "%s\n", strings.TrimRight(string(text), "\n"))
	return err
}
