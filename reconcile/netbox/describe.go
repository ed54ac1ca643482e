package netbox

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// optionsDocument is what OPTIONS answers on a list path. NetBox lists PUT and
// POST there, each only to tokens that may do it.
type optionsDocument struct {
	Actions map[string]map[string]struct {
		ReadOnly bool `json:"read_only"`
		Required bool `json:"required"`
		Choices  []struct {
			Value any `json:"value"`
		} `json:"choices"`
	} `json:"actions"`
}

// Describe implements reconcile.Server.
func (c *Client) Describe(ctx context.Context, kind string) (reconcile.Ability, error) {
	k, err := c.kind(kind)
	if err != nil {
		return reconcile.Ability{}, err
	}
	path, err := c.pathOf(ctx, k)
	if err != nil {
		return reconcile.Ability{}, err
	}
	var doc optionsDocument
	header, err := c.getJSON(ctx, call{method: http.MethodOptions, path: path}, &doc)
	if err != nil {
		return reconcile.Ability{}, err
	}
	methods := strings.FieldsFunc(header.Get("Allow"), func(r rune) bool { return r == ',' || r == ' ' })
	return ability(k, path, doc, methods), nil
}

// ability reads an OPTIONS document.
func ability(k *schema.Kind, path string, doc optionsDocument, methods []string) reconcile.Ability {
	a := reconcile.Ability{Path: path}
	a.Add = permitted(doc, methods, http.MethodPost)
	a.Change = permitted(doc, methods, http.MethodPut)
	if k.Resource.Mode == schema.Singleton && slices.Contains(methods, http.MethodPatch) {
		a.Change = nil // PATCH is all it takes, and OPTIONS does not speak of it
	}
	if len(methods) > 0 && !slices.Contains(methods, http.MethodDelete) {
		a.Delete = new(bool)
	}
	fields, ok := doc.Actions[http.MethodPost]
	if !ok {
		fields, ok = doc.Actions[http.MethodPut]
	}
	if !ok {
		return a
	}
	a.Fields = make(map[string]reconcile.FieldAbility, len(fields))
	for name, f := range fields {
		field := reconcile.FieldAbility{ReadOnly: f.ReadOnly, Required: f.Required}
		for _, choice := range f.Choices {
			if choice.Value != nil {
				field.Choices = append(field.Choices, fmt.Sprint(choice.Value))
			}
		}
		a.Fields[name] = field
	}
	return a
}

// permitted reports what OPTIONS tells of a method; nil where it does not tell.
func permitted(doc optionsDocument, methods []string, method string) *bool {
	_, yes := doc.Actions[method]
	if !yes && len(methods) == 0 {
		return nil
	}
	return &yes
}
