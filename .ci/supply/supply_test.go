package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/licences.md anew")

const (
	root = "../.."
	page = root + "/docs/licences.md"
)

const head = `# Licences

proxbox-sync is under [Apache-2.0](../LICENSE). This is what a release is linked with, on all its platforms,
beside the Go standard library (BSD-3-Clause). Generated: ` + "`make licences`" + `.

Allowed are %s: whatever else turns up in a module fails the tests. What is
under MPL-2.0 is linked unchanged; its source is published under the module's name and version. The texts of
all of them go along with each release, as ` + "`THIRD_PARTY_LICENSES.txt`" + `.

| module | version | licence |
|---|---|---|
`

func TestTheListOfLicencesIsThatOfWhatIsLinked(t *testing.T) {
	modules, err := linked(root)
	require.NoError(t, err)
	var b strings.Builder
	fmt.Fprintf(&b, head, strings.Join(allowed[:len(allowed)-1], ", ")+" and "+allowed[len(allowed)-1])
	for _, m := range modules {
		if m.path != itself {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", m.path, m.version, strings.Join(m.licences, ", "))
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o644))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(b.String(), string(got)), "run make licences")

	var texts bytes.Buffer
	require.NoError(t, notices(&texts, modules))
	for _, m := range modules {
		if m.path != itself {
			require.Contains(t, texts.String(), m.path+" "+m.version+": ")
		}
	}
	require.Contains(t, texts.String(), "Mozilla Public License")
}

func TestALicenceIsKnownByItsText(t *testing.T) {
	for _, c := range []struct {
		why  string
		text string
		want []string
		err  string
	}{
		{"MIT, however it is wrapped", "Permission is hereby granted, free of charge,\n// to any person obtaining a copy\n// of this software", []string{"MIT"}, ""},
		{"Apache in full", "  Apache License\n  Version 2.0, January 2004\n", []string{"Apache-2.0"}, ""},
		{"MPL, which names the GPL", "Mozilla Public License Version 2.0\n====\n\n1. Definitions\n GNU General Public License, Version 2.0, the GNU", []string{"MPL-2.0"}, ""},
		{"BSD with three clauses", "Redistribution and use in source and binary forms … Neither the name of", []string{"BSD-3-Clause"}, ""},
		{"BSD with two", "Redistribution and use in source and binary forms …", []string{"BSD-2-Clause"}, ""},
		{"two in one file", "Permission is hereby granted, free of charge, to any person obtaining a copy of this software … Apache License Version 2.0, January 2004", []string{"Apache-2.0", "MIT"}, ""},
		{"GPL", "GNU GENERAL PUBLIC LICENSE\n Version 3, 29 June 2007", nil, "LICENSE is under GPL; allowed are"},
		{"MIT with a clause that takes it back", "Permission is hereby granted, free of charge, to any person obtaining a copy of this software … \"Commons Clause\"", nil, "LICENSE is under Commons-Clause"},
		{"something else", "All rights reserved.", nil, "LICENSE is no licence that is known"},
	} {
		t.Run(c.why, func(t *testing.T) {
			m := &module{texts: map[string]string{"LICENSE": c.text, "NOTICE": "Copyright somebody"}}
			got, err := m.recognise()
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.want, got))
		})
	}
	_, err := (&module{texts: map[string]string{"NOTICE": "Copyright somebody"}}).recognise()
	require.EqualError(t, err, "it has no licence")
}

// A bill names what its file was linked with, twice the same; of a file that was
// linked with something else it makes none.
func TestABillOfMaterialsIsThatOfItsFile(t *testing.T) {
	dir := t.TempDir()
	gomod := "module small\n\ngo 1.26\n\nrequire github.com/google/go-cmp v0.7.0\n"
	sums, err := os.ReadFile(root + "/go.sum")
	require.NoError(t, err)
	for name, text := range map[string]string{
		"go.mod": gomod, "go.sum": string(sums),
		"main.go": "package main\n\nimport \"github.com/google/go-cmp/cmp\"\n\nfunc main() { println(cmp.Equal(1, 1)) }\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	file := filepath.Join(dir, "small")
	build := exec.Command("go", "build", "-trimpath", "-o", file, ".")
	build.Dir = dir
	text, err := build.CombinedOutput()
	require.NoError(t, err, string(text))

	modules := []*module{
		{path: itself, licences: []string{"Apache-2.0"}, needs: map[string]bool{"github.com/google/go-cmp": true}},
		{path: "github.com/google/go-cmp", version: "v0.7.0", licences: []string{"BSD-3-Clause"}},
	}
	var first, second bytes.Buffer
	require.NoError(t, bom(&first, file, "v1.2.3", modules))
	require.NoError(t, bom(&second, file, "v1.2.3", modules))
	require.Equal(t, first.String(), second.String())
	var d document
	require.NoError(t, json.Unmarshal(first.Bytes(), &d))
	require.Equal(t, "v1.2.3", d.Metadata.Component.Version)
	require.Regexp(t, `^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, d.Serial)
	var parts []string
	for _, c := range d.Components {
		parts = append(parts, c.Name+" "+c.Licences[0].Licence.ID)
	}
	require.Empty(t, cmp.Diff([]string{"stdlib BSD-3-Clause", "github.com/google/go-cmp BSD-3-Clause"}, parts))
	require.Contains(t, d.Dependencies, dependency{"pkg:golang/proxbox-sync@v1.2.3",
		[]string{"pkg:golang/github.com/google/go-cmp@v0.7.0", d.Components[0].Ref}})

	modules[1].version = "v0.6.0"
	require.ErrorContains(t, bom(&first, file, "v1.2.3", modules), "go-cmp v0.7.0, which go list does not know")
}
