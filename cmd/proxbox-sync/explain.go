package main

import (
	"fmt"
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
	if near := schema.Nearest(c.What, reconcile.RuleCodes(set)); near != "" && strings.ToLower(c.What) == c.What {
		return usagef("there is no rule %q; did you mean %s?", c.What, near)
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

// rulesOf returns the risk rules of that code.
func rulesOf(set *schema.Set, code string) []reconcile.Rule {
	return slices.DeleteFunc(reconcile.Rules(set), func(r reconcile.Rule) bool { return r.Code != code })
}
