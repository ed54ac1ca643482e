package reconcile

import (
	"fmt"
	"slices"
	"strings"
)

// fights warns of fields that a plan changes back and that the plugin's own
// synchronisation writes too: the two would go on undoing each other's work.
func fights(p *Plan) Diagnostics {
	fields, settings := map[string][]string{}, map[string][]string{}
	for _, s := range p.Steps {
		c := s.Change
		if c.Action != Update || s.Link {
			continue
		}
		for _, fc := range c.Fields {
			if fc.Field.Synced == nil || fc.Label != Drift && fc.Label != Both {
				continue
			}
			kind := c.Object().Kind.Name
			if !slices.Contains(fields[kind], fc.Name) {
				fields[kind] = append(fields[kind], fc.Name)
			}
			if set := fc.Field.Synced.Setting; set != "" && !slices.Contains(settings[kind], set) {
				settings[kind] = append(settings[kind], set)
			}
		}
	}
	var diags Diagnostics
	for _, kind := range sortedKeys(fields) {
		slices.Sort(fields[kind])
		who := "the plugin's synchronisation with Proxmox"
		if len(settings[kind]) > 0 {
			slices.Sort(settings[kind])
			who += fmt.Sprintf(" (the setting %s decides)", strings.Join(settings[kind], ", "))
		}
		diags = append(diags, Diagnostic{Severity: Warning, Code: "synced-field", Object: kind,
			Summary: "the server changed what the plugin's synchronisation writes too: " + strings.Join(fields[kind], ", "),
			Detail:  fmt.Sprintf("%s and the manifests would go on undoing each other's work: change the setting, take the fields out of the manifests, or name them in metadata.ignoreChanges", who)})
	}
	return diags
}
