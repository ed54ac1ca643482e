package reconcile

import (
	"fmt"
	"slices"

	"proxbox-sync/schema"
)

// retargets refuses to change the key of an object through which stored
// credentials find their way: the address that an endpoint refers to. The
// endpoint itself does not change then, and the server connects elsewhere all
// the same.
func (c *cascading) retargets(changes []*Change) error {
	for _, change := range changes {
		if change.Action != Update || change.Live == nil || !movesKey(change) {
			continue
		}
		for _, k := range c.set.Kinds() {
			if len(writeOnlyFields(k)) == 0 {
				continue
			}
			for _, f := range k.Fields {
				if f.Class != schema.Reference || !f.Destination || f.Ref.Kind != change.Live.Kind.Name {
					continue
				}
				holders, all, err := c.referrers(k, f, change.Live.Row)
				if err == nil && !all {
					err = fmt.Errorf("%w: not every %s can be seen", ErrForbidden, k.Name)
				}
				if err != nil {
					return fmt.Errorf("looking for credentials that %s leads to: %w", change.Live, err)
				}
				c.refuseRetarget(change, f, holders, changes)
			}
		}
	}
	return nil
}

func movesKey(change *Change) bool {
	return slices.ContainsFunc(change.Fields, func(fc FieldChange) bool {
		return slices.Contains(change.Live.Kind.Resource.Key, fc.Name)
	})
}

func (c *cascading) refuseRetarget(change *Change, f *schema.Field, holders []*Object, changes []*Change) {
	for _, h := range holders {
		h = h.declared()
		own := slices.IndexFunc(changes, func(other *Change) bool { return other.Object() == h })
		if selectionOf(h, c.own.AllowRetarget) >= 0 || own >= 0 && sendsAllSecrets(changes[own]) {
			continue
		}
		c.diags = append(c.diags, Diagnostic{Severity: Error, Trouble: Policy, Code: "retargeted-credentials",
			Pos: change.Object().Doc.Pos, Object: change.Object().String(),
			Summary: fmt.Sprintf("its new key would send the stored credentials of %s somewhere else (by its %s)", h, f.Name),
			Detail:  fmt.Sprintf("if that is meant, allow it with --allow-retarget %s/%s", h.Kind.Name, h.Display())})
	}
}
