package reconcile

import (
	"context"
	"errors"
	"fmt"

	"proxbox-sync/schema"
)

// abilities finds out what the server can't do of what is desired.
type abilities struct {
	server   Server
	instance Instance
	reading  *reading
	diags    Diagnostics
}

func (a *abilities) version() string {
	if a.instance.PluginVersion == "" {
		return "NetBox " + orUnknown(a.instance.NetBoxVersion)
	}
	return fmt.Sprintf("NetBox %s with netbox-proxbox %s", orUnknown(a.instance.NetBoxVersion), a.instance.PluginVersion)
}

func orUnknown(version string) string {
	if version == "" {
		return "of unknown version"
	}
	return version
}

// check compares what a kind's desired objects declare with what the server
// has. Rows show readable fields for nothing; OPTIONS is asked where they can't
// tell: there are none, a field is missing, or it is write-only.
func (a *abilities) check(ctx context.Context, kind *schema.Kind, objects []*Object) error {
	if err := a.reading.failed[kind.Name]; err != nil {
		for _, o := range objects {
			a.refused(o, o.Doc.KindPos, kind.Name, err)
		}
		return nil
	}
	seen := a.reading.coverage[kind.Name].Fields
	declared := map[string]bool{}
	for _, o := range objects {
		for name := range o.Fields {
			declared[name] = true
		}
	}
	var unsure []string
	for _, name := range sortedKeys(declared) {
		if kind.Field(name).WriteOnly || !seen[name] {
			unsure = append(unsure, name)
		}
	}
	if len(unsure) == 0 {
		return nil
	}
	ability, err := a.server.Describe(ctx, kind.Name)
	if errors.Is(err, ErrForbidden) {
		ability, err = Ability{}, nil // what can't be asked is not checked, and said so
	}
	if err != nil {
		return fmt.Errorf("asking what the server knows of %s: %w", kind.Name, err)
	}
	if ability.Fields == nil {
		a.unchecked(kind, unsure, seen, objects)
		return nil
	}
	for _, o := range objects {
		for _, name := range unsure {
			if _, ok := o.Fields[name]; ok {
				a.field(o, name, ability)
			}
		}
	}
	return nil
}

func (a *abilities) field(o *Object, name string, ability Ability) {
	known, ok := ability.Fields[name]
	x := Diagnostic{Severity: Error, Trouble: Manifest, Code: "unsupported-field", Pos: o.fieldPos(name), Object: o.String(), Field: name}
	switch {
	case !ok:
		x.Summary = fmt.Sprintf("this server does not know field %q", name)
		x.Detail = fmt.Sprintf("%s would ignore it silently; remove it, or update the plugin", a.version())
	case known.ReadOnly:
		x.Summary = fmt.Sprintf("field %q is read-only on this server", name)
		x.Detail = fmt.Sprintf("%s sets it itself; remove it", a.version())
	default:
		return
	}
	a.diags = append(a.diags, x)
}

// unchecked says which fields nobody could check: a field that rows should
// have shown is certainly unknown, all others are only not proven.
func (a *abilities) unchecked(kind *schema.Kind, unsure []string, seen map[string]bool, objects []*Object) {
	var open []string
	for _, name := range unsure {
		if seen == nil || kind.Field(name).WriteOnly {
			open = append(open, name)
			continue
		}
		for _, o := range objects {
			if _, ok := o.Fields[name]; ok {
				a.field(o, name, Ability{})
			}
		}
	}
	if len(open) > 0 {
		a.diags = append(a.diags, Diagnostic{Severity: Warning, Trouble: ServerSide, Code: "unchecked-fields", Object: kind.Name,
			Summary: fmt.Sprintf("not checked with this token whether the server knows: %v", open),
			Detail:  "it says so only to tokens that may add objects of this kind"})
	}
}

// checkTargets reports kinds that only references lead to and that can't be read.
func (a *abilities) checkTargets(demanded map[string]bool, desired *State) {
	for _, kind := range sortedKeys(demanded) {
		if err := a.reading.failed[kind]; err != nil && len(desired.Objects[kind]) == 0 {
			a.refused(nil, Position{}, kind, err)
		}
	}
}

func (a *abilities) refused(o *Object, pos Position, kind string, err error) {
	x := Diagnostic{Severity: Error, Trouble: ServerSide, Pos: pos, Object: kind}
	if o != nil {
		x.Object = o.String()
	}
	if errors.Is(err, ErrNoKind) {
		x.Code, x.Summary = "unsupported-kind", fmt.Sprintf("this server has no %s", kind)
		x.Detail = a.version() + " does not list it in its API"
	} else {
		x.Code, x.Summary = "forbidden-kind", fmt.Sprintf("the token may not view %s", kind)
		x.Detail = fmt.Sprintf("it needs the permission %s", a.reading.set.Kind(kind).Resource.Permission("view"))
	}
	a.diags = append(a.diags, x)
}
