package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type explainCommand struct {
	What string `arg:"" optional:"" name:"kind" help:"KIND, KIND.FIELD, or the CODE of a risk rule. Default: the list of kinds."`
}

func (c *explainCommand) Run(a *app) error {
	set := schema.Embedded()
	if c.What == "" {
		return render.Kinds(a.stdout, set, a.style())
	}
	if rules := rulesOf(set, c.What); len(rules) > 0 {
		return render.ExplainRule(a.stdout, rules, a.style())
	}
	near := schema.Nearest(c.What, reconcile.RuleCodes(set))
	switch {
	case near != "" && strings.ToLower(c.What) == c.What:
		return usagef("there is no rule %q; did you mean %s?", c.What, near)
	case codePattern.MatchString(c.What) && schema.Nearest(c.What, kindNames(set)) == "":
		return noRule(c.What, reconcile.RuleCodes(set))
	}
	name, field, one := strings.Cut(c.What, ".")
	kind, err := findKind(set, name)
	if err != nil {
		return err
	}
	if !one {
		return render.Explain(a.stdout, set, kind, a.style())
	}
	f := kind.Field(field)
	if f == nil {
		hint := fmt.Sprintf("proxbox-sync explain %s lists them", kind.Name)
		if near := schema.Nearest(field, fieldNames(kind)); near != "" {
			hint = "did you mean " + near + "?"
		}
		return usagef("%s has no field %q; %s", kind.Name, field, hint)
	}
	return render.ExplainField(a.stdout, set, kind, f, a.style())
}

// codePattern is the form of a rule's code. No kind has a name like that.
var codePattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)

// noRule names the rules that share a word with what somebody typed.
func noRule(code string, codes []string) error {
	words := strings.Split(code, "-")
	near := slices.DeleteFunc(codes, func(c string) bool {
		return !slices.ContainsFunc(strings.Split(c, "-"), func(word string) bool { return slices.Contains(words, word) })
	})
	if len(near) == 0 {
		return usagef("there is no rule %q; proxbox-sync explain KIND lists those of a kind", code)
	}
	return usagef("there is no rule %q; did you mean %s?", code, strings.Join(near, " or "))
}

// rulesOf returns the risk rules of that code.
func rulesOf(set *schema.Set, code string) []reconcile.Rule {
	return slices.DeleteFunc(reconcile.Rules(set), func(r reconcile.Rule) bool { return r.Code != code })
}
