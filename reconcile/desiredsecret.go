package reconcile

import (
	"fmt"
	"strings"

	"proxbox-sync/schema"
)

// secret takes the value of a write-only field.
func (d *desiring) secret(o *Object, f *schema.Field, m *Member) (any, bool) {
	report := func(trouble Trouble, code, summary, detail string) (any, bool) {
		d.add(Diagnostic{Code: code, Trouble: trouble, Pos: m.Value.Pos, Object: o.Kind.Name, Field: f.Name,
			Summary: summary, Detail: detail})
		return nil, false
	}
	if m.Value.Shape != Scalar {
		return report(Manifest, "wrong-type", fmt.Sprintf("field %q must be text", f.Name), "")
	}
	switch v := m.Value.Value.(type) {
	case Secret:
		return v, true
	case nil:
		if !f.Nullable {
			return "", true
		}
		return nil, true
	case string:
		if v == "" {
			return "", true
		}
		if d.options.AllowPlaintextSecrets {
			return NewSecret(v, ""), true
		}
		return report(SecretKey, "plaintext-secret", fmt.Sprintf("secret field %q stands in plain text", f.Name),
			"encrypt it with sops (best in a *.secrets.yaml file of patch documents), or pass --allow-plaintext-secrets")
	default:
		return report(Manifest, "wrong-type", fmt.Sprintf("field %q must be text", f.Name), "put the value in quotes")
	}
}

// noSecretInside refuses encrypted values outside write-only fields.
func (d *desiring) noSecretInside(o *Object, field string, n *Node) bool {
	good := true
	walk(n, func(n *Node) {
		if _, ok := n.Value.(Secret); !ok {
			return
		}
		good = false
		d.add(Diagnostic{Code: "encrypted-field", Trouble: SecretKey, Pos: n.Pos, Object: o.Kind.Name, Field: field,
			Summary: fmt.Sprintf("field %q is encrypted, but is not a secret", field),
			Detail: "decrypted values may only go into write-only fields; the usual cause is a missing encrypted_regex: " +
				"give one in .sops.yaml that matches " + secretNames(o.Kind)})
	})
	return good
}

func secretNames(k *schema.Kind) string {
	names := writeOnlyFields(k)
	if len(names) == 0 {
		return "secret fields only (" + k.Name + " has none)"
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

func walk(n *Node, visit func(*Node)) {
	visit(n)
	for i := range n.Members {
		walk(n.Members[i].Value, visit)
	}
	for _, item := range n.Items {
		walk(item, visit)
	}
}
