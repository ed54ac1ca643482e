package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema"
)

// noMarkers tells a custom field that was deleted from one that was never made.
func (a *app) noMarkers(server reconcile.Server) []render.Finding {
	found := render.Finding{Status: render.Noted, Topic: "markers", Detail: "run proxbox-sync init",
		Summary: "there is no custom field " + reconcile.MarkerField + ": nothing shows what is managed"}
	lost, err := reconcile.LostMarkers(a.ctx, server)
	switch {
	case err != nil:
		found.Detail += ": whether it was there before can't be told: " + err.Error()
	case lost != "":
		found.Detail += ": " + lost
	}
	return []render.Finding{found}
}

// markers says what there is of the custom field that markers are kept in.
func (a *app) markers(server reconcile.Server, set *schema.Set, found *netbox.Checkup, named []string) []render.Finding {
	finding := func(status render.Status, summary, detail string) []render.Finding {
		return []render.Finding{{Status: status, Topic: "markers", Summary: summary, Detail: detail}}
	}
	if !found.Healthy() {
		return nil // without an answer there is nothing to be said
	}
	state, err := reconcile.ReadMarkerField(a.ctx, set, server)
	switch {
	case errors.Is(err, reconcile.ErrForbidden):
		return finding(render.Noted, "the token may not see custom fields", "whether objects can carry markers is then told from the objects themselves")
	case err != nil:
		return finding(render.Warned, "the custom field can't be read: "+err.Error(), "")
	case state.Row == 0:
		return a.noMarkers(server)
	case state.Type != "json":
		return finding(render.Warned, fmt.Sprintf("the custom field %s is of the type %q, not json", reconcile.MarkerField, state.Type), "rename or remove it, and run proxbox-sync init")
	}
	var missing []string
	attached := 0
	for _, k := range reconcile.MarkedKinds(set, named) {
		i := slices.IndexFunc(found.Kinds, func(c netbox.KindCheck) bool { return c.Kind == k.Name && c.Path != "" })
		switch {
		case slices.Contains(state.Types, k.Resource.ObjectType):
			attached++
		case i >= 0:
			missing = append(missing, k.Name)
		}
	}
	if len(missing) > 0 {
		return finding(render.Warned, "objects of these kinds can't carry a marker: "+strings.Join(missing, ", "), "run proxbox-sync init: it attaches the custom field to them")
	}
	return finding(render.Fine, fmt.Sprintf("the custom field %s is attached to %d kinds", reconcile.MarkerField, attached), "")
}
