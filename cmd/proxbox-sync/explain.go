package main

import (
	"fmt"
	"strings"

	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

type explainCommand struct {
	What string `arg:"" optional:"" name:"kind" help:"KIND, or KIND.FIELD. Default: the list of kinds."`
}

func (c *explainCommand) Run(a *app) error {
	set := schema.Embedded()
	if c.What == "" {
		return render.Kinds(a.stdout, set, a.style())
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
