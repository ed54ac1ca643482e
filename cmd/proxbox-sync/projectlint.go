package main

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// lint reads which risk rules the project turns off. A pull request may write
// that, so each entry says why, and every report repeats it.
func (d *projectDecoder) lint(m reconcile.Member) {
	if m.Value.Shape != reconcile.Mapping {
		d.fail(m.Value, "project-type", "lint must be a mapping", "")
		return
	}
	for _, entry := range m.Value.Members {
		if entry.Name != "ignore" {
			d.failAt(entry.Pos, "unknown-key", fmt.Sprintf("unknown key %q under lint", entry.Name), "The key is ignore.")
			continue
		}
		for _, n := range d.items(entry.Value, "lint.ignore") {
			d.riskIgnore(n)
		}
	}
}

// riskIgnore reads one entry.
func (d *projectDecoder) riskIgnore(n *reconcile.Node) {
	if n.Shape != reconcile.Mapping {
		d.fail(n, "project-type", "an entry of lint.ignore must be a mapping", "Its keys are code, reason and paths.")
		return
	}
	x := reconcile.RiskIgnore{Pos: n.Pos}
	var patterns [][]string
	for _, m := range n.Members {
		switch m.Name {
		case "code":
			x.Code = d.text(m.Value, "code")
			if codes := reconcile.RuleCodes(schema.Embedded()); x.Code != "" && !slices.Contains(codes, x.Code) {
				d.fail(m.Value, "unknown-rule", fmt.Sprintf("there is no rule %q", x.Code),
					didYouMean(x.Code, codes)+"The rules are "+strings.Join(codes, ", ")+".")
			}
		case "reason":
			x.Reason = strings.TrimSpace(d.text(m.Value, "reason"))
		case "paths":
			for _, item := range d.items(m.Value, "paths") {
				patterns = append(patterns, d.pattern(item))
			}
			x.Covers = d.project.covers(patterns)
		default:
			d.failAt(m.Pos, "unknown-key", fmt.Sprintf("unknown key %q in an entry of lint.ignore", m.Name), "Its keys are code, reason and paths.")
		}
	}
	if n.Member("code") == nil {
		d.fail(n, "ignore-without-rule", "an entry of lint.ignore without code", "")
	}
	if x.Reason == "" {
		d.fail(n, "ignore-without-reason", "an entry of lint.ignore without a reason",
			"The reason is shown in every report, so that a reviewer can judge it.")
	}
	d.project.IgnoreRisks = append(d.project.IgnoreRisks, x)
}

// pattern reads a path with wildcards.
func (d *projectDecoder) pattern(n *reconcile.Node) []string {
	text := strings.TrimSuffix(d.text(n, "an entry of paths"), "/")
	if text == "" {
		return nil
	}
	_, err := path.Match(text, "")
	if err != nil || !filepath.IsLocal(filepath.FromSlash(text)) {
		d.fail(n, "project-type", "an entry of paths must be a path below the project file",
			"It may have the wildcards *, ? and [ ] in a name, and ** for any number of folders.")
		return nil
	}
	return strings.Split(path.Clean(text), "/")
}

// covers tells which files patterns name: the file itself, or a folder that it
// is in.
func (p *project) covers(patterns [][]string) func(string) bool {
	return func(file string) bool {
		abs := filepath.FromSlash(file)
		if !filepath.IsAbs(abs) {
			abs = filepath.Join(p.from, abs)
		}
		rel, err := filepath.Rel(p.dir, abs)
		if err != nil || file == "" || !filepath.IsLocal(rel) {
			return false
		}
		names := strings.Split(filepath.ToSlash(rel), "/")
		return slices.ContainsFunc(patterns, func(pattern []string) bool {
			return len(pattern) > 0 && matchPath(pattern, names)
		})
	}
}

// matchPath reports whether a pattern matches the first names of a path, or all
// of them. It goes through the pattern once: ** many times over costs nothing.
func matchPath(pattern, names []string) bool {
	// reached[i]: the pattern so far matches the first i names.
	reached := make([]bool, len(names)+1)
	reached[0] = true
	for _, part := range pattern {
		next := make([]bool, len(names)+1)
		for i := range reached {
			if part == "**" {
				next[i] = reached[i] || i > 0 && next[i-1]
			} else if i > 0 && reached[i-1] {
				next[i], _ = path.Match(part, names[i-1])
			}
		}
		reached = next
	}
	return slices.Contains(reached[1:], true)
}

// lintOptions are what the project file says of risk rules. In a partial run an
// entry may find nothing.
func lintOptions(p *project, partial bool) reconcile.LintOptions {
	o := reconcile.LintOptions{Partial: partial}
	if p != nil {
		o.Ignore = p.IgnoreRisks
	}
	return o
}
