package netbox

import (
	"errors"
	"slices"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Grant is one object permission of NetBox: what may be done with which kinds.
type Grant struct {
	ObjectTypes []string // sorted: "netbox_proxbox.proxmoxstorage"
	Actions     []string // "view", "add", "change"
}

// Grants are the permissions that plan needs for the kinds that were looked at,
// and those that apply needs beside them. Kinds that the server doesn't have are
// left out: it would refuse their names.
func (r *Checkup) Grants() (plan, apply []Grant) {
	var view, write, settings []string
	for i := range r.Kinds {
		k := &r.Kinds[i]
		if errors.Is(k.Err, reconcile.ErrNoKind) {
			continue
		}
		view = append(view, k.ObjectType)
		switch k.Mode {
		case schema.Lookup:
		case schema.Singleton:
			settings = append(settings, k.ObjectType)
		default:
			write = append(write, k.ObjectType)
		}
	}
	grant := func(list *[]Grant, types []string, actions ...string) {
		if len(types) > 0 {
			slices.Sort(types)
			*list = append(*list, Grant{ObjectTypes: types, Actions: actions})
		}
	}
	grant(&plan, view, "view")
	grant(&apply, write, "add", "change")
	grant(&apply, settings, "change")
	return plan, apply
}
