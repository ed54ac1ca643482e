package render

import (
	"slices"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// example writes a small manifest of a kind: its key and required fields, and a
// few that are used often.
func (p *printer) example(set *schema.Set, kind *schema.Kind) {
	members := exampleMembers(set, kind, telling)
	if len(members) == 0 {
		members = exampleMembers(set, kind, func(*schema.Field) bool { return true })
	}
	p.manifest(kind, nil, members)
}

// exampleMembers takes the fields that are needed and three that are wanted.
func exampleMembers(set *schema.Set, kind *schema.Kind, wanted func(*schema.Field) bool) []yamlMember {
	var members []yamlMember
	more := 3
	for _, f := range kind.Fields {
		needed := slices.Contains(kind.Required, f.Name) || slices.Contains(kind.Resource.Key, f.Name)
		if f.ReadOnly || f.WriteOnly || !needed && (more == 0 || !wanted(f)) {
			continue
		}
		if !needed {
			more--
		}
		members = append(members, yamlMember{f.Name, sample(set, kind, f)})
	}
	return members
}

// telling reports whether a field that nobody has to set is worth a line in an
// example.
func telling(f *schema.Field) bool {
	return f.Destination || f.Class == schema.Choice || f.Default != nil
}

// sample makes up a value that a field accepts by its class.
func sample(set *schema.Set, kind *schema.Kind, f *schema.Field) any {
	if f.WriteOnly {
		return "ENC[AES256_GCM,data:…,type:str]"
	}
	if f.Default != nil {
		return documented(f.Default)
	}
	switch f.Class {
	case schema.Choice:
		if len(f.Enum) > 0 {
			return f.Enum[0]
		}
	case schema.Boolean:
		return true
	case schema.Integer, schema.Decimal:
		if f.Minimum != nil {
			return reconcile.Number(plainFloat(*f.Minimum))
		}
		return reconcile.Number("1")
	case schema.Time:
		return "2026-01-31T18:00:00Z"
	case schema.Address:
		return map[string]any{"ip-interface": "192.0.2.7/24", "ip-prefix": "192.0.2.0/24"}[f.Format]
	case schema.Reference:
		return sampleReference(set, f)
	case schema.ReferenceSet:
		return []any{sampleReference(set, f)}
	case schema.List:
		return []any{"a", "b"}
	case schema.Map:
		return map[string]any{"owner": "team-a"}
	case schema.JSON:
		return map[string]any{"any": "value"}
	}
	return sampleText(kind, f)
}

// sampleReference is a reference in its scalar form: a value of the last field
// of the target's key.
func sampleReference(set *schema.Set, f *schema.Field) any {
	target := set.Kind(f.Ref.Kind)
	if target == nil || len(target.Resource.Key) == 0 {
		return "example"
	}
	last := target.Field(target.Resource.Key[len(target.Resource.Key)-1])
	if last == nil || last.Class == schema.Reference {
		return "example"
	}
	return sample(set, target, last)
}

func sampleText(kind *schema.Kind, f *schema.Field) any {
	text := "example"
	switch {
	case f.Destination:
		text = "host.example.net"
	case slices.Contains(kind.Resource.Key, f.Name):
		text = "prod"
	}
	if f.MaxLength != nil && len(text) > *f.MaxLength {
		text = text[:*f.MaxLength]
	}
	return text
}
