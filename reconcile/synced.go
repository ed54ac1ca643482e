package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"proxbox-sync/schema"
)

// synced is what the manifests declare of one kind that the plugin's own
// synchronisation writes too.
type synced struct {
	first                     *Object // that declares such a field
	pos                       Position
	fields, settings, changed []string
}

// fights warns, once for each kind, of declared fields that the plugin's own
// synchronisation writes too: the two would go on undoing each other's work. It
// says which of them the server has changed since they were written. Fields that
// ignoreChanges leaves to others, and those whose setting the manifests switch
// off, are no matter of dispute.
func fights(desired *State, ignore map[string][]string, p *Plan) Diagnostics {
	kinds, off := map[string]*synced{}, switchedOff(desired)
	for _, kind := range sortedKeys(desired.Objects) {
		x := &synced{}
		for _, o := range desired.Objects[kind] {
			if meta := o.Doc.Meta; !meta.Absent && !meta.Release && !meta.CreateOnly {
				x.declared(o, ignoredPaths(o, ignore), off)
			}
		}
		if x.first != nil {
			kinds[kind] = x
		}
	}
	for _, s := range p.Steps {
		x := kinds[s.Change.Object().Kind.Name]
		for _, fc := range s.Change.Fields {
			if x != nil && (fc.Label == Drift || fc.Label == Both) && slices.Contains(x.fields, fc.Name) {
				x.changed = append(x.changed, fc.Name)
			}
		}
	}
	var diags Diagnostics
	for _, kind := range sortedKeys(kinds) {
		diags = append(diags, kinds[kind].warning(kind))
	}
	return diags
}

func (x *synced) declared(o *Object, ignored []string, off map[string]string) {
	for _, f := range o.Kind.Fields {
		_, declared := o.Fields[f.Name]
		if f.Synced == nil || !declared {
			continue
		}
		_, ignored := nested("", f.Name, ignored)
		if _, off := off[f.Synced.Setting]; ignored || off {
			continue
		}
		if pos := o.fieldPos(f.Name); x.first == nil || x.first == o && pos.before(x.pos) {
			x.first, x.pos = o, pos
		}
		if !slices.Contains(x.fields, f.Name) {
			x.fields = append(x.fields, f.Name)
		}
		if f.Synced.Setting != "" && !slices.Contains(x.settings, f.Synced.Setting) {
			x.settings = append(x.settings, f.Synced.Setting)
		}
	}
}

// switchedOff are the settings of the plugin that the manifests give another
// value than the default, which is to synchronise, where no object of the
// manifests overrides that. The values are the defaults.
func switchedOff(desired *State) map[string]string {
	off := map[string]string{}
	for _, objects := range desired.Objects {
		for _, o := range objects {
			if o.Kind.Resource.Mode != schema.Singleton {
				break
			}
			for name, v := range o.Fields {
				if usual, ok := o.Kind.Field(name).Default.(string); ok && v != usual {
					off[name] = usual
				}
			}
		}
	}
	for _, objects := range desired.Objects {
		for _, o := range objects {
			for name, usual := range off {
				if o.Fields[name] == usual {
					delete(off, name)
				}
			}
		}
	}
	return off
}

func (p Position) before(q Position) bool {
	return cmp.Or(strings.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column)) < 0
}

func (x *synced) warning(kind string) Diagnostic {
	summary := "the plugin's synchronisation with Proxmox writes these fields too: " + names(x.fields)
	if len(x.changed) > 0 {
		summary += "; changed on the server: " + names(x.changed)
	}
	decides := "no setting of the plugin decides"
	if len(x.settings) > 0 {
		decides = fmt.Sprintf("the plugin's setting %s decides", names(x.settings))
	}
	return Diagnostic{Severity: Warning, Trouble: ServerSide, Code: "synced-field", Pos: x.pos, Object: kind, Summary: summary,
		Detail: "it and the manifests may go on undoing each other's work (" + decides +
			"): declare only what it leaves alone, or use ignoreChanges"}
}

// names lists each of some names once, sorted, and of many the first ones.
func names(list []string) string {
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	if more := len(list) - maxListed; more > 0 {
		list = append(list[:maxListed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}
