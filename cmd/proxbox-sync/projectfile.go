package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/schema"
)

// projectKeys are the keys that this version knows.
var projectKeys = map[string]func(*projectDecoder, reconcile.Member){
	"url":            func(d *projectDecoder, m reconcile.Member) { d.project.URL = d.text(m.Value, "url") },
	"token_env":      (*projectDecoder).tokenEnv,
	"token_file":     func(d *projectDecoder, m reconcile.Member) { d.project.TokenFile = d.path(m.Value, "token_file") },
	"ca_file":        func(d *projectDecoder, m reconcile.Member) { d.project.CAFile = d.path(m.Value, "ca_file") },
	"manifests":      (*projectDecoder).manifests,
	"ignore_changes": (*projectDecoder).ignoreChanges,
	"owner":          (*projectDecoder).owner,
	"mark":           (*projectDecoder).mark,
	"prune":          (*projectDecoder).prune,
	"limits":         (*projectDecoder).limits,
	"lint":           (*projectDecoder).lint,
}

// projectDecoder turns the YAML of a project file into a project and collects
// every mistake in it.
type projectDecoder struct {
	project *project
	list    reconcile.Diagnostics
}

// decode reads the file strictly.
func (p *project) decode(data []byte) reconcile.Diagnostics {
	nodes, list := manifest.Parse(p.file, data, manifest.Options{})
	if list.HasErrors() {
		return list
	}
	d := &projectDecoder{project: p, list: list}
	switch {
	case len(nodes) > 1:
		d.fail(nodes[1], "project-file", "the project file must be one YAML document", "")
	case len(nodes) == 0 || nodes[0] == nil:
	case nodes[0].Shape != reconcile.Mapping:
		d.fail(nodes[0], "project-type", "the project file must be a mapping", "")
	default:
		for _, m := range nodes[0].Members {
			if set, ok := projectKeys[m.Name]; ok {
				set(d, m)
			} else {
				d.unknown(m)
			}
		}
	}
	return d.list.Sorted()
}

func (d *projectDecoder) fail(n *reconcile.Node, code, summary, detail string) {
	d.failAt(n.Pos, code, summary, detail)
}

func (d *projectDecoder) failAt(pos reconcile.Position, code, summary, detail string) {
	d.list = append(d.list, reconcile.Diagnostic{
		Severity: reconcile.Error, Trouble: reconcile.Manifest, Code: code, Pos: pos, Summary: summary, Detail: detail,
	})
}

func (d *projectDecoder) unknown(m reconcile.Member) {
	names := slices.Sorted(maps.Keys(projectKeys))
	d.failAt(m.Pos, "unknown-key", fmt.Sprintf("unknown key %q in the project file", m.Name),
		didYouMean(m.Name, names)+"The keys are "+strings.Join(names, ", ")+".")
}

// didYouMean suggests the candidate that name was probably meant to be.
func didYouMean(name string, candidates []string) string {
	if near := schema.Nearest(name, candidates); near != "" {
		return fmt.Sprintf("did you mean %q? ", near)
	}
	return ""
}

func (d *projectDecoder) text(n *reconcile.Node, what string) string {
	text, ok := n.Value.(string)
	if n.Shape != reconcile.Scalar || !ok || text == "" {
		d.fail(n, "project-type", what+" must be text", "")
		return ""
	}
	return text
}

func (d *projectDecoder) items(n *reconcile.Node, what string) []*reconcile.Node {
	if n.Shape != reconcile.Sequence {
		d.fail(n, "project-type", what+" must be a list", "")
	}
	return n.Items
}

func (d *projectDecoder) path(n *reconcile.Node, what string) string {
	text := d.text(n, what)
	if text == "" {
		return ""
	}
	abs, err := d.project.inside(text)
	if err != nil {
		d.fail(n, "outside-repository", what+" "+err.Error(), "Name files outside with a flag or an environment variable.")
		return ""
	}
	return abs
}

func (d *projectDecoder) tokenEnv(m reconcile.Member) {
	name := d.text(m.Value, "token_env")
	if name == "" {
		return
	}
	if !tokenEnvPattern.MatchString(name) {
		d.fail(m.Value, "token-env", "token_env must name a variable like NETBOX_TOKEN",
			"A project file may only name variables that match "+tokenEnvPattern.String()+".")
		return
	}
	d.project.TokenEnv = name
}

func (d *projectDecoder) manifests(m reconcile.Member) {
	for _, n := range d.items(m.Value, "manifests") {
		if abs := d.path(n, "an entry of manifests"); abs != "" {
			d.project.Manifests = append(d.project.Manifests, abs)
		}
	}
}

func (d *projectDecoder) ignoreChanges(m reconcile.Member) {
	if m.Value.Shape != reconcile.Mapping {
		d.fail(m.Value, "project-type", "ignore_changes must be a mapping of kinds to lists of fields", "")
		return
	}
	d.project.IgnoreChanges = map[string][]string{}
	set := schema.Embedded()
	for _, entry := range m.Value.Members {
		kind := set.Kind(entry.Name)
		if kind == nil {
			d.failAt(entry.Pos, "unknown-kind", fmt.Sprintf("unknown kind %q", entry.Name), didYouMean(entry.Name, kindNames(set)))
			continue
		}
		for _, n := range d.items(entry.Value, "ignore_changes."+entry.Name) {
			field := d.text(n, "a field name")
			if name, _, _ := strings.Cut(field, "."); field != "" && kind.Field(name) == nil {
				d.fail(n, "unknown-field", fmt.Sprintf("%s has no field %q", kind.Name, name), didYouMean(name, fieldNames(kind)))
			}
			d.project.IgnoreChanges[kind.Name] = append(d.project.IgnoreChanges[kind.Name], field)
		}
	}
}

func (d *projectDecoder) owner(m reconcile.Member) {
	name := d.text(m.Value, "owner")
	if name != "" && !ownerPattern.MatchString(name) {
		d.fail(m.Value, "owner", "owner must be at most 100 letters, digits, dots, underscores, slashes and hyphens", "")
	}
	d.project.Owner = name
}

func (d *projectDecoder) prune(m reconcile.Member) {
	on, ok := m.Value.Value.(bool)
	if m.Value.Shape != reconcile.Scalar || !ok {
		d.fail(m.Value, "project-type", "prune must be true or false", "")
		return
	}
	d.project.Prune, d.project.prunePos = &on, m.Pos
}

// mark names kinds that are not the plugin's own: those are marked anyway.
func (d *projectDecoder) mark(m reconcile.Member) {
	set := schema.Embedded()
	var names []string
	for _, k := range set.Kinds() {
		if k.Resource.Prune == "named" && k.Resource.Mode == schema.Managed {
			names = append(names, k.Name)
		}
	}
	for _, n := range d.items(m.Value, "mark") {
		name := d.text(n, "an entry of mark")
		if name != "" && !slices.Contains(names, name) {
			d.fail(n, "unknown-kind", fmt.Sprintf("%q can't be marked by name", name),
				didYouMean(name, names)+"The kinds are "+strings.Join(names, ", ")+"; those of the plugin are marked anyway.")
			continue
		}
		d.project.Mark = append(d.project.Mark, name)
	}
}

func (d *projectDecoder) limits(m reconcile.Member) {
	if m.Value.Shape != reconcile.Mapping {
		d.fail(m.Value, "project-type", "limits must be a mapping of limits to numbers", "")
		return
	}
	l := &d.project.Limits
	known := map[string]struct {
		into *limit
		most int
	}{
		"max_deletes": {&l.MaxDeletes, math.MaxInt32}, "max_delete_percent": {&l.MaxDeletePercent, 100},
		"max_updates": {&l.MaxUpdates, math.MaxInt32}, "max_update_percent": {&l.MaxUpdatePercent, 100},
	}
	names := slices.Sorted(maps.Keys(known))
	for _, entry := range m.Value.Members {
		k, ok := known[entry.Name]
		if !ok {
			d.failAt(entry.Pos, "unknown-key", fmt.Sprintf("unknown limit %q", entry.Name),
				didYouMean(entry.Name, names)+"The limits are "+strings.Join(names, ", ")+".")
			continue
		}
		number, _ := entry.Value.Value.(reconcile.Number)
		n, err := strconv.Atoi(string(number))
		if err != nil || n < 0 || n > k.most {
			upTo := ""
			if k.most <= 100 {
				upTo = fmt.Sprintf(" to %d", k.most)
			}
			d.fail(entry.Value, "project-type", fmt.Sprintf("limits.%s must be a whole number from 0%s", entry.Name, upTo), "")
			continue
		}
		*k.into = limit{"limits." + entry.Name, entry.Pos, &n}
	}
}

func kindNames(set *schema.Set) []string {
	var names []string
	for _, k := range set.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

func fieldNames(k *schema.Kind) []string {
	var names []string
	for _, f := range k.Fields {
		names = append(names, f.Name)
	}
	return names
}
