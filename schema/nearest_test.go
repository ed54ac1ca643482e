package schema

import "testing"

func TestNearest(t *testing.T) {
	fields := []string{"name", "domain", "port", "ip_address", "verify_ssl", "token_name", "token_value", "storage_type", "mode"}
	kinds := []string{"ProxmoxEndpoint", "ProxmoxCluster", "ProxmoxNode", "VMBackup", "VMSnapshot", "PluginSettings"}
	for name, c := range map[string]struct {
		name       string
		candidates []string
		want       string
	}{
		"a swapped pair":                    {"nmae", fields, "name"},
		"a letter missing":                  {"domin", fields, "domain"},
		"a letter too many":                 {"portt", fields, "port"},
		"a wrong letter":                    {"verify_ssk", fields, "verify_ssl"},
		"a hyphen for an underscore":        {"ip-address", fields, "ip_address"},
		"words joined without anything":     {"ipaddress", fields, "ip_address"},
		"camel case":                        {"storageType", fields, "storage_type"},
		"another case":                      {"DOMAIN", fields, "domain"},
		"the nearer of two":                 {"token_nam", fields, "token_name"},
		"a kind in lower case":              {"proxmoxendpoint", kinds, "ProxmoxEndpoint"},
		"a kind with a slip":                {"ProxmoxEndpont", kinds, "ProxmoxEndpoint"},
		"a kind in the plural":              {"VMBackups", kinds, "VMBackup"},
		"a word of its own":                 {"colour", fields, ""},
		"a short word of its own":           {"id", fields, ""},
		"nothing":                           {"", fields, ""},
		"no candidates":                     {"name", nil, ""},
		"a word that is a candidate itself": {"name", []string{"name"}, ""},
		"text that is no UTF-8":             {"na\xffme", fields, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Nearest(c.name, c.candidates); got != c.want {
				t.Errorf("Nearest(%q) = %q, want %q", c.name, got, c.want)
			}
		})
	}
}

func TestALongNameCostsNothing(t *testing.T) {
	long := make([]byte, 1<<24)
	for i := range long {
		long[i] = 'a'
	}
	if got := Nearest(string(long), []string{"aaaa"}); got != "" {
		t.Errorf("got %q", got)
	}
}

func FuzzNearest(f *testing.F) {
	f.Add("nmae", "name")
	f.Add("", "")
	f.Add("\xff", "é")
	f.Fuzz(func(t *testing.T, name, candidate string) {
		got := Nearest(name, []string{candidate, "domain"})
		if got != "" && got != candidate && got != "domain" {
			t.Errorf("%q is no candidate", got)
		}
		if got == name && got != "" {
			t.Error("a name is not a slip for itself")
		}
	})
}
