package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// allowed are the licences of what may be linked: none asks more of a user than
// to pass on texts, but for MPL-2.0, which asks for the source of its own files.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"}

// marks are sentences that only texts of one licence have, lower case, in single
// spaces and without commas and rules. Those of licences that are not allowed stand here to be recognised.
var marks = []struct{ licence, words string }{
	{"Apache-2.0", "apache license version 2.0 january 2004"},
	{"Apache-2.0", "licensed under the apache license version 2.0"},
	{"MPL-2.0", "mozilla public license version 2.0 1. definitions"},
	{"MIT", "permission is hereby granted free of charge to any person obtaining a copy of this software"},
	{"ISC", "permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted"},
	{"ISC", "permission to use copy modify and distribute this software for any purpose with or without fee is hereby granted"},
	// MPL-2.0 names these as its secondary licences, so that their names alone say nothing.
	{"GPL", "gnu general public license version 2 june 1991"},
	{"GPL", "gnu general public license version 3 29 june 2007"},
	{"LGPL", "gnu lesser general public license version 2.1 february 1999"},
	{"LGPL", "gnu lesser general public license version 3 29 june 2007"},
	{"AGPL", "gnu affero general public license version 3 19 november 2007"},
	{"GPL", "under the terms of the gnu"},
	{"EPL", "eclipse public license"},
	{"CDDL", "common development and distribution license"},
	{"EUPL", "european union public licence"},
	{"SSPL", "server side public license"},
	{"BUSL", "business source license"},
	{"Commons-Clause", "commons clause"},
}

// recognise are the licences that a module's files hold. One that says nothing of
// a licence, like an Apache NOTICE, adds none; a module without any is an error.
func (m *module) recognise() ([]string, error) {
	found := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(m.texts)) {
		kinds := licencesOf(m.texts[name])
		base := strings.ToLower(path.Base(name))
		if len(kinds) == 0 && !strings.HasPrefix(base, "notice") && !strings.HasPrefix(base, "patents") && !strings.HasPrefix(base, "copyright") {
			return nil, fmt.Errorf("%s is no licence that is known", name)
		}
		for _, kind := range kinds {
			found[kind] = true
			if !slices.Contains(allowed, kind) {
				return nil, fmt.Errorf("%s is under %s; allowed are %s", name, kind, strings.Join(allowed, ", "))
			}
		}
	}
	if len(found) == 0 {
		return nil, errors.New("it has no licence")
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// licencesOf are the licences that a text holds, each once.
func licencesOf(text string) []string {
	text = strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return strings.ContainsRune(" \t\r\n*#/=-,", r)
	}), " ")
	var out []string
	for _, mark := range marks {
		if strings.Contains(text, mark.words) && !slices.Contains(out, mark.licence) {
			out = append(out, mark.licence)
		}
	}
	if strings.Contains(text, "redistribution and use in source and binary forms") {
		if strings.Contains(text, "neither the name") || strings.Contains(text, "may not be used to endorse or promote") {
			return append(out, "BSD-3-Clause")
		}
		return append(out, "BSD-2-Clause")
	}
	return out
}

// notices writes the texts of all licences, each once: most of them want to go
// along with a program.
func notices(w io.Writer, modules []*module) error {
	_, err := fmt.Fprint(w, "proxbox-sync is under the licence in LICENSE. It is linked with the Go standard library and the\n",
		"modules below, each followed by what its files say. The source of each is published under its name\n",
		"and version.\n")
	of := map[string][]string{}
	var texts []string
	for _, m := range modules {
		for _, name := range slices.Sorted(maps.Keys(m.texts)) {
			text := strings.TrimSpace(m.texts[name])
			if m.path == itself {
				continue
			}
			if of[text] == nil {
				texts = append(texts, text)
			}
			of[text] = append(of[text], m.path+" "+m.version+": "+name)
		}
	}
	for _, text := range texts {
		if err == nil {
			_, err = fmt.Fprintf(w, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(of[text], "\n"), text)
		}
	}
	return err
}
