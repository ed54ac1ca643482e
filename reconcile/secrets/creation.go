package secrets

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
)

// Limits of a .sops.yaml, which a pull request may bring along: each of its
// expressions is compiled.
const (
	maxCreationRules = 1000
	maxExpression    = 1000    // characters
	maxExpressions   = 1 << 20 // instructions of all compiled expressions
)

// CreationRules are those of a .sops.yaml, as far as they say who is meant to
// open a file. Of the keys only age and PGP ones are known by name.
type CreationRules struct{ rules []creationRule }

type creationRule struct {
	pos        reconcile.Position
	path       *regexp.Regexp // nil for every file
	recipients map[string]reconcile.Position
	names      bool     // it names keys of any type
	regex      string   // encrypted_regex
	others     []string // settings and keys that sops alone heeds
}

// ReadCreationRules takes the rules out of a parsed .sops.yaml. The error says
// what sops would not understand either.
func ReadCreationRules(n *reconcile.Node) (*CreationRules, error) {
	out := &CreationRules{}
	list := n.Member("creation_rules")
	if isNull(list) {
		return out, nil
	}
	if list.Shape != reconcile.Sequence || len(list.Items) > maxCreationRules {
		return nil, fmt.Errorf("creation_rules is not a list of at most %d rules", maxCreationRules)
	}
	work := 0
	for i, item := range list.Items {
		rule, cost, err := readCreationRule(item)
		if err != nil {
			return nil, fmt.Errorf("creation rule %d: %w", i+1, err)
		}
		if work += cost; work > maxExpressions {
			return nil, errors.New("its expressions are too large")
		}
		out.rules = append(out.rules, rule)
	}
	return out, nil
}

func isNull(n *reconcile.Node) bool {
	return n == nil || n.Shape == reconcile.Scalar && n.Value == nil
}

func readCreationRule(n *reconcile.Node) (rule creationRule, cost int, err error) {
	rule = creationRule{pos: n.Pos, recipients: map[string]reconcile.Position{}}
	if n.Shape != reconcile.Mapping {
		return rule, 0, errors.New("not a mapping")
	}
	if path := n.Member("path_regex"); !isNull(path) && path.Value != "" {
		if rule.path, cost, err = expression(path); err != nil {
			return rule, 0, fmt.Errorf("path_regex: %w", err)
		}
	}
	rule.settings(n)
	// Groups, where there are any, are all that sops looks at.
	groups := n.Member("key_groups")
	if isNull(groups) || groups.Shape == reconcile.Sequence && len(groups.Items) == 0 {
		return rule, cost, rule.keys(n)
	}
	if groups.Shape != reconcile.Sequence {
		return rule, 0, errors.New("key_groups is not a list")
	}
	for _, group := range groups.Items {
		if err := rule.group(group); err != nil {
			return rule, 0, err
		}
	}
	return rule, cost, nil
}

// settings notes how a new file is encrypted by the rule.
func (r *creationRule) settings(n *reconcile.Node) {
	for _, m := range n.Members {
		switch m.Name {
		case "path_regex", "age", "pgp":
		case "encrypted_regex":
			r.regex, _ = m.Value.Value.(string)
		default:
			if !isNull(m.Value) && m.Value.Value != "" && m.Value.Value != false {
				r.others = append(r.others, m.Name)
			}
		}
	}
}

// expression compiles one, and says how large it became.
func expression(n *reconcile.Node) (*regexp.Regexp, int, error) {
	text, ok := n.Value.(string)
	if n.Shape != reconcile.Scalar || !ok || len(text) > maxExpression {
		return nil, 0, fmt.Errorf("not a text of at most %d characters", maxExpression)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, errors.New("not a regular expression")
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil || len(program.Inst) > maxExpressions {
		return nil, 0, errors.New("too large")
	}
	compiled, err := regexp.Compile(text)
	return compiled, len(program.Inst), err
}

// group takes the keys of a key group, and of those that are merged into it.
func (r *creationRule) group(n *reconcile.Node) error {
	if n.Shape != reconcile.Mapping {
		return errors.New("a key group is not a mapping")
	}
	if merge := n.Member("merge"); !isNull(merge) {
		for _, inner := range merge.Items {
			if err := r.group(inner); err != nil {
				return err
			}
		}
	}
	return r.keys(n)
}

// keys takes the keys that stand in a rule or a group: texts with commas, or
// lists of them.
func (r *creationRule) keys(n *reconcile.Node) error {
	for _, m := range n.Members {
		switch m.Name {
		case "age", "pgp":
		case "kms", "gcp_kms", "hckms", "azure_keyvault", "hc_vault", "hc_vault_transit_uri":
			r.names = r.names || !isNull(m.Value) && m.Value.Value != ""
			continue
		default:
			continue
		}
		texts := []*reconcile.Node{m.Value}
		if m.Value.Shape == reconcile.Sequence {
			texts = m.Value.Items
		}
		for _, item := range texts {
			text, ok := item.Value.(string)
			if item.Shape != reconcile.Scalar || !ok && item.Value != nil {
				return fmt.Errorf("%s is neither a text nor a list of texts", m.Name)
			}
			for key := range strings.SplitSeq(text, ",") {
				if id := keyID(m.Name, key); id != "" {
					r.recipients[id], r.names = item.Pos, true
				}
			}
		}
	}
	return nil
}

// keyID is one spelling of an age or PGP key, "" for an empty text.
func keyID(kind, text string) string {
	if kind == "pgp" {
		text = strings.ToUpper(strings.ReplaceAll(text, " ", ""))
	} else if words := strings.Fields(text); len(words) > 2 { // an SSH key with a comment
		text = strings.Join(words[:2], " ")
	}
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return kind + " " + text
}

// Check compares the recipients of a sops file with those of the first rule for
// it. path is the file's, relative to the folder of the .sops.yaml.
func (c *CreationRules) Check(file, path string, info Info) reconcile.Diagnostics {
	if len(c.rules) == 0 {
		return nil
	}
	i := slices.IndexFunc(c.rules, func(r creationRule) bool { return r.path == nil || r.path.MatchString(path) })
	if i < 0 {
		d := reconcile.NoCreationRule.Finding(reconcile.Position{File: file})
		d.Related = []reconcile.Related{{Pos: c.rules[0].pos, Message: "the first rule"}}
		return reconcile.Diagnostics{d}
	}
	rule := c.rules[i]
	if !rule.names {
		return nil // sops then takes the recipients from its environment
	}
	var out reconcile.Diagnostics
	found := map[string]bool{}
	for _, k := range info.Keys {
		found[k.ID] = true
		if _, meant := rule.recipients[k.ID]; !meant && k.ID != "" {
			d := reconcile.RecipientExtra.Finding(reconcile.Position{File: file, Line: k.Line, Column: k.Column})
			d.Summary += ": " + shortList([]string{k.Name})
			d.Related = []reconcile.Related{{Pos: rule.pos, Message: "the rule for this file"}}
			out = append(out, d)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rule.recipients)) {
		if !found[id] {
			d := reconcile.RecipientMissing.Finding(reconcile.Position{File: file})
			d.Summary += ": " + shortList([]string{nameOf(id)})
			d.Related = []reconcile.Related{{Pos: rule.recipients[id], Message: "named here"}}
			out = append(out, d)
		}
	}
	return out
}

// nameOf is a key's public name.
func nameOf(id string) string {
	kind, text, _ := strings.Cut(id, " ")
	return key{kind: kind, fields: map[string]string{"recipient": text, "fp": text}}.name()
}
