package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// The parts of CycloneDX 1.6 that are used.
type (
	document struct {
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component  component  `json:"component"`
		Properties []property `json:"properties"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Licences   []licensed `json:"licenses"`
		PURL       string     `json:"purl"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	licensed struct {
		Licence struct {
			ID string `json:"id"`
		} `json:"license"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// bom writes what a built file says that it is made of. The same file gives the
// same bytes: there is no time in it, and its number is made from the file.
func bom(w io.Writer, file, version string, modules []*module) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return err
	}
	known := map[string]*module{}
	for _, m := range modules {
		known[m.path] = m
	}
	sum := sha256.Sum256(data)
	main := part("application", itself, version, known[itself].licences...)
	main.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum[:])}}
	library := part("library", "stdlib", strings.TrimPrefix(info.GoVersion, "go"), "BSD-3-Clause")
	d := document{Format: "CycloneDX", Spec: "1.6", Serial: serial(sum), Version: 1,
		Metadata: metadata{Component: main}, Components: []component{library}}
	for _, s := range info.Settings {
		d.Metadata.Properties = append(d.Metadata.Properties, property{"go:build:" + s.Key, s.Value})
	}
	refs := map[string]string{itself: main.Ref}
	for _, dep := range info.Deps {
		m := known[dep.Path]
		if m == nil || m.version != dep.Version || dep.Replace != nil {
			return fmt.Errorf("%s is linked with %s %s, which go list does not know", file, dep.Path, dep.Version)
		}
		c := part("library", dep.Path, dep.Version, m.licences...)
		c.Properties = []property{{"go:sum", dep.Sum}}
		refs[dep.Path] = c.Ref
		d.Components = append(d.Components, c)
	}
	d.Dependencies = []dependency{{library.Ref, []string{}}}
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		on := []string{library.Ref}
		for other := range known[name].needs {
			if refs[other] != "" {
				on = append(on, refs[other])
			}
		}
		slices.Sort(on)
		d.Dependencies = append(d.Dependencies, dependency{refs[name], on})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(d)
}

func part(kind, name, version string, licences ...string) component {
	purl := "pkg:golang/" + strings.ToLower(name) + "@" + strings.ReplaceAll(version, "+", "%2B")
	c := component{Type: kind, Ref: purl, Name: name, Version: version, PURL: purl}
	for _, id := range licences {
		var l licensed
		l.Licence.ID = id
		c.Licences = append(c.Licences, l)
	}
	return c
}

// serial is a UUID (version 8: of the maker's own making) from a digest.
func serial(sum [sha256.Size]byte) string {
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
