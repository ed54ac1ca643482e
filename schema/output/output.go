// Package output holds the JSON Schemas (draft 2020-12) of what the program
// writes as JSON, one file a form, and common.json with what they share.
//
// Place in the flow: beside schema, which holds the kinds. Tests check real
// output against these files; the command line prints them.
//
// Non-goals: checking anything at run time.
package output

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed *.json
var files embed.FS

const common = "common.json"

// Forms returns the names of the forms, sorted.
func Forms() []string {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.Name() != common {
			names = append(names, strings.TrimSuffix(e.Name(), ".json"))
		}
	}
	return names
}

// Schema returns the schema of a form as one document: what it refers to in
// common.json is embedded in its $defs.
func Schema(form string) ([]byte, error) {
	data, err := files.ReadFile(form + ".json")
	if err != nil || form+".json" == common {
		return nil, fmt.Errorf("there is no form %q", form)
	}
	shared, err := files.ReadFile(common)
	if err != nil {
		return nil, err
	}
	data = bytes.TrimRight(data, "\n}")
	data = fmt.Appendf(data, ",\n  \"$defs\": {\"common\": %s}\n}", bytes.TrimSpace(shared))
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		return nil, fmt.Errorf("schema of the form %s: %w", form, err)
	}
	return out.Bytes(), nil
}
