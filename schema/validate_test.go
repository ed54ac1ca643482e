package schema

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// fields reads a value as the hub hands it over: numbers as their text.
func fields(t testing.TB, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v map[string]any
	require.NoError(t, d.Decode(&v))
	return v
}

// shown is a problem in one line: where, which keyword, text, hint.
func shown(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		line := fmt.Sprintf("%s %s [%s] %s", p.Pointer, p.Field, p.Keyword, p.Message)
		if p.Hint != "" {
			line += " (" + p.Hint + ")"
		}
		out = append(out, strings.TrimSpace(line))
	}
	return out
}

func TestValidate(t *testing.T) {
	const endpoint = `"name": "pve", "mode": "cluster"`
	for name, c := range map[string]struct {
		kind  string
		value string
		form  Form
		want  []string
	}{
		"a good endpoint passes":               {"ProxmoxEndpoint", `{` + endpoint + `, "domain": "pve.example", "port": 8006, "tags": ["a", {"slug": "b"}], "site": {"slug": "x"}, "custom_fields": {"any": [1]}}`, Whole, nil},
		"an unknown field is not its business": {"ProxmoxEndpoint", `{` + endpoint + `, "domain": "pve", "colour": "red"}`, Whole, nil},
		"a missing field is named, at its parent": {"ProxmoxCluster", `{"endpoint": "pve"}`, Whole, []string{
			"mode [required] is required", "name [required] is required",
		}},
		"a choice with a slip is suggested": {"ProxmoxEndpoint", `{"name": "a", "mode": "clustre", "domain": "a"}`, Whole, []string{
			`/mode mode [enum] must be one of "undefined", "standalone", "cluster" (did you mean "cluster"?)`,
		}},
		"a choice that may be null says so": {"Replication", `{"remove_job": "none"}`, Partial, []string{
			`/remove_job remove_job [enum] must be one of "local", "full", or null`,
		}},
		"a choice that may be empty says so": {"ProxmoxEndpoint", `{"credential_storage_backend": "vault"}`, Partial, []string{
			`/credential_storage_backend credential_storage_backend [enum] must be one of "openbao", "legacy_encrypted", or empty`,
		}},
		"an empty choice passes where the server takes it": {"ProxmoxEndpoint", `{"environment": "", "sync_mode_vm": "", "credential_storage_backend": ""}`, Partial, nil},
		"a wrong type is all that is said of a choice":     {"ProxmoxEndpoint", `{"mode": 5}`, Partial, []string{"/mode mode [type] must be text, not a number (put it in quotes)"}},
		"a number for text":                        {"VMSnapshot", `{"name": 7}`, Partial, []string{"/name name [type] must be text, not a number (put it in quotes)"}},
		"true for text":                            {"VMSnapshot", `{"name": true}`, Partial, []string{"/name name [type] must be text, not true or false (put it in quotes)"}},
		"text for true":                            {"ProxmoxEndpoint", `{"verify_ssl": "yes"}`, Partial, []string{"/verify_ssl verify_ssl [type] must be true or false, not text (write true or false, without quotes)"}},
		"text for a number":                        {"ProxmoxEndpoint", `{"port": "8006"}`, Partial, []string{"/port port [type] must be a whole number, not text (write it without quotes)"}},
		"a fraction for a whole number":            {"ProxmoxEndpoint", `{"port": 80.5}`, Partial, []string{"/port port [type] must be a whole number"}},
		"a whole number written as a float passes": {"ProxmoxEndpoint", `{"port": 80.0, "retry_backoff": 2}`, Partial, nil},
		"null where it is refused":                 {"ProxmoxNode", `{"location": null, "endpoint": null}`, Partial, []string{"/endpoint endpoint [type] must not be null", "/location location [type] must not be null"}},
		"null where it is allowed":                 {"ProxmoxNode", `{"cpu_usage": null, "proxmox_cluster": null}`, Partial, nil},
		"a list for a reference":                   {"ProxmoxNode", `{"endpoint": ["pve"]}`, Partial, []string{"/endpoint endpoint [type] must be a reference: the target's key, or a mapping of its fields, not a list"}},
		"text for a list":                          {"ProxmoxNode", `{"tags": "prod"}`, Partial, []string{"/tags tags [type] must be a list, not text (write a list: [a, b])"}},
		"a port out of range":                      {"ProxmoxEndpoint", `{"port": 0, "ssh_port": 65536}`, Partial, []string{"/port port [minimum] must be at least 1", "/ssh_port ssh_port [maximum] must be at most 65535"}},
		"a 64 bit number at its limit":             {"ProxmoxNode", `{"max_memory": 9223372036854775807}`, Partial, nil},
		"a 64 bit number beyond its limit":         {"ProxmoxNode", `{"max_memory": 9223372036854775808}`, Partial, []string{"/max_memory max_memory [maximum] must be at most 9223372036854775807"}},
		"too many decimals":                        {"ProxmoxEndpoint", `{"retry_backoff": 1.234}`, Partial, []string{"/retry_backoff retry_backoff [multipleOf] must have at most 2 decimals"}},
		"decimals at their limit":                  {"ProxmoxEndpoint", `{"retry_backoff": 999.99}`, Partial, nil},
		"too long a text":                          {"ProxmoxEndpoint", `{"repoid": "12345678901234567"}`, Partial, []string{"/repoid repoid [maxLength] must be at most 16 characters"}},
		"an empty text where one is needed":        {"VMSnapshot", `{"name": ""}`, Partial, []string{"/name name [minLength] must not be empty"}},
		"the same tag twice":                       {"ProxmoxNode", `{"tags": ["a", "a"]}`, Partial, []string{"/tags tags [uniqueItems] must not name the same thing twice"}},
		"a number in a list of text":               {"Tag", `{"object_types": ["dcim.site", 5]}`, Partial, []string{"/object_types/1 object_types [type] must be text, not a number (put it in quotes)"}},
		"an address for a domain": {"ProxmoxEndpoint", `{"domain": "127.0.0.1"}`, Partial, []string{
			"/domain domain [rule] must be a host name such as pve.example.net or localhost (an IP address belongs into ip_address)",
		}},
		"what looks like an address and the server takes": {"ProxmoxEndpoint", `{"domain": "10.0.0.10"}`, Partial, nil},
		"a domain with space around it":                   {"ProxmoxEndpoint", `{"domain": " pve.example "}`, Partial, nil},
		"a slug with a space":                             {"Site", `{"slug": "a b"}`, Partial, []string{"/slug slug [rule] may contain only letters, digits, hyphens and underscores"}},
		"white space for a name":                          {"Tag", `{"name": " \t "}`, Partial, []string{"/name name [minLength] must not be blank"}},
		"white space where nothing may stand":             {"Tag", `{"description": "  "}`, Partial, nil},
		"a sign in a slug":                                {"Tag", `{"slug": "a→b"}`, Partial, []string{"/slug slug [rule] may contain only letters, digits, hyphens and underscores"}},
		"a letter beyond the first plane":                 {"Tag", `{"slug": "𠮷-1"}`, Partial, nil},
		"a slug of another script, for a tag only":        {"Tag", `{"slug": "höhe"}`, Partial, nil},
		"a colour with its sign":                          {"Tag", `{"color": "#ff0000"}`, Partial, []string{"/color color [maxLength] must be at most 6 characters"}},
		"a colour in upper case":                          {"Tag", `{"color": "FF0000"}`, Partial, []string{"/color color [rule] must be six lower-case hexadecimal digits, such as ff5722 (without #)"}},
		"a node's address with a mask":                    {"ProxmoxNode", `{"ip_address": "192.0.2.1/24"}`, Partial, []string{"/ip_address ip_address [format] must be an IP address without mask, such as 192.0.2.7"}},
		"a node's address with a zone":                    {"ProxmoxNode", `{"ip_address": "fe80::1%eth0"}`, Partial, []string{"/ip_address ip_address [format] must be an IP address without mask, such as 192.0.2.7"}},
		"an address without a mask":                       {"IPAddress", `{"address": "192.0.2.1"}`, Partial, []string{"/address address [format] must be an IP address with its mask, such as 192.0.2.7/24"}},
		"an address with its mask":                        {"IPAddress", `{"address": "2001:DB8::1/64"}`, Partial, nil},
		"a network with host bits":                        {"Prefix", `{"prefix": "192.0.2.1/24"}`, Partial, []string{"/prefix prefix [format] must be an IP network, such as 192.0.2.0/24"}},
		"a time without a zone":                           {"VMBackup", `{"creation_time": "2026-01-31T04:00:00"}`, Partial, []string{"/creation_time creation_time [format] must be a time with its zone, such as 2026-01-31T04:00:00Z, or a date"}},
		"a day that no month has":                         {"VMBackup", `{"creation_time": "2026-02-30"}`, Partial, []string{"/creation_time creation_time [format] must be a time with its zone, such as 2026-01-31T04:00:00Z, or a date"}},
		"a date alone, and a time with an offset":         {"VMTaskHistory", `{"start_time": "2026-01-31", "end_time": "2026-01-31T04:00:00.5+02:00"}`, Partial, nil},
		"null for a JSON field that refuses it":           {"ProxmoxStorage", `{"raw_config": null}`, Partial, []string{"/raw_config raw_config [rule] must not be null"}},
		"anything else for a JSON field":                  {"ProxmoxStorage", `{"raw_config": {"a": [1, null]}}`, Partial, nil},
		"an empty selection":                              {"BackupRoutine", `{"selection": []}`, Partial, []string{"/selection selection [rule] must name at least one guest: the server refuses an empty selection"}},
		"a list for a JSON field that must be a mapping":  {"Device", `{"local_context_data": []}`, Partial, []string{"/local_context_data local_context_data [type] must be a mapping, or null, not a list"}},
		"an endpoint without a host":                      {"ProxmoxEndpoint", `{` + endpoint + `}`, Whole, []string{"[rule] domain or ip_address must be given, and not null"}},
		"an endpoint whose host is null and empty":        {"FastAPIEndpoint", `{"name": "a", "domain": " ", "ip_address": null}`, Whole, []string{"[rule] domain or ip_address must be given, and not null"}},
		"an endpoint with an address only":                {"ProxmoxEndpoint", `{` + endpoint + `, "domain": null, "ip_address": "192.0.2.7/24"}`, Whole, nil},
		"a partial object needs neither fields nor rules": {"NetBoxEndpoint", `{"token_version": "v2"}`, Partial, nil},
		"v2 without its key":                              {"NetBoxEndpoint", `{"name": "n", "domain": "n", "token_version": "v2"}`, Whole, []string{"[rule] token_version v2 needs token_key"}},
		"v2 with a token": {"NetBoxEndpoint", `{"name": "n", "domain": "n", "token_version": "v2", "token_key": "k", "token": {"user": "a", "description": "b"}}`, Whole, []string{
			"[rule] token_version v2 excludes token: a v2 token can't be read back, so give token_key and token_secret",
		}},
		"v2 whose token is cleared": {"NetBoxEndpoint", `{"name": "n", "domain": "n", "token_version": "v2", "token_key": "k", "token": null}`, Whole, nil},
		"v1 with key and secret": {"NetBoxEndpoint", `{"name": "n", "domain": "n", "token_version": "v1", "token_key": "k", "token_secret": "x"}`, Whole, []string{
			"[rule] token_version v1 excludes token_key and token_secret: the server would drop them silently; use token, or token_version v2",
		}},
		"v1 whose key and secret are empty":     {"NetBoxEndpoint", `{"name": "n", "domain": "n", "token_version": "v1", "token_key": "", "token_secret": ""}`, Whole, nil},
		"v2 created without its secret":         {"NetBoxEndpoint", `{"token_version": "v2", "token_key": "k"}`, Create, []string{"[rule] token_version v2 needs token_secret when the endpoint is created"}},
		"v2 created with its secret":            {"NetBoxEndpoint", `{"token_version": "v2", "token_key": "k", "token_secret": "x"}`, Create, nil},
		"a machine that stands nowhere":         {"VirtualMachine", `{"name": "n", "cluster": null, "site": null}`, Whole, []string{"[rule] a machine needs a cluster, a site or a device"}},
		"a machine on a device alone":           {"VirtualMachine", `{"name": "n", "cluster": null, "device": "d"}`, Whole, nil},
		"a machine kept from its device's site": {"VirtualMachine", `{"name": "n", "cluster": "c", "device": "d", "site": null}`, Whole, []string{"[rule] site can't be null beside a device: the server would fill in the device's site"}},
		"slaac on IPv4":                         {"IPAddress", `{"vrf": null, "address": "192.0.2.1/24", "status": "slaac"}`, Whole, []string{"[rule] only IPv6 addresses can have status slaac"}},
		"slaac on IPv6":                         {"IPAddress", `{"vrf": null, "address": "2001:db8::1/64", "status": "slaac"}`, Whole, nil},
		"a secret without its version":          {"NetBoxEndpoint", `{"name": "n", "domain": "n", "token_key": "k", "token_secret": "x"}`, Whole, []string{"[rule] token_key and token_secret need token_version: v2 (the server would drop them)"}},
		"a kind without rules for a create":     {"ProxmoxNode", `{}`, Create, nil},
		"several at once, sorted": {"ProxmoxEndpoint", `{"mode": "x", "port": 0, "timeout": "5", "name": []}`, Partial, []string{
			"/mode mode [enum] must be one of \"undefined\", \"standalone\", \"cluster\"",
			"/name name [type] must be text, or null, not a list",
			"/port port [minimum] must be at least 1",
			"/timeout timeout [type] must be a whole number, or null, not text (write it without quotes)",
		}},
		"a huge exponent":             {"ProxmoxEndpoint", `{"port": 1e1000001, "custom_fields": {"a/b": [1e999999999]}}`, Partial, []string{"/custom_fields/a~1b/0 custom_fields [type] is a number out of all bounds", "/port port [type] is a number out of all bounds"}},
		"an empty value of a lookup":  {"User", `{}`, Whole, []string{"username [required] is required"}},
		"settings need nothing":       {"PluginSettings", `{}`, Whole, nil},
		"a template without its node": {"PluginSettings", `{"node_device_name_template": "{cluster}"}`, Whole, []string{"/node_device_name_template node_device_name_template [rule] must contain {node}"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := Embedded().Kind(c.kind)
			got := shown(Embedded().Validate(k, fields(t, c.value), c.form))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The library's own order of errors is random.
func TestTheOrderOfProblemsIsAlwaysTheSame(t *testing.T) {
	k := Embedded().Kind("PluginSettings")
	value := map[string]any{}
	for _, f := range k.Fields {
		value[f.Name] = []any{"x"}
	}
	want := Embedded().Validate(k, value, Whole)
	require.Greater(t, len(want), 50)
	for range 20 {
		if diff := cmp.Diff(want, Embedded().Validate(k, value, Whole)); diff != "" {
			t.Fatalf("(-first +later):\n%s", diff)
		}
	}
}

func TestNoProblemTellsTheValue(t *testing.T) {
	const canary = "c4n4ry-<&>'\"\\"
	for _, k := range Embedded().Kinds() {
		for _, form := range []Form{Whole, Partial, Create} {
			for _, v := range []any{canary, []any{canary}, map[string]any{canary: canary}, json.Number("1234567.890123")} {
				value := map[string]any{}
				for _, f := range k.Fields {
					value[f.Name] = v
				}
				for _, p := range Embedded().Validate(k, value, form) {
					text := p.Message + p.Hint + p.Keyword
					if strings.Contains(text, "c4n4ry") || strings.Contains(text, "1234567") {
						t.Errorf("%s.%s: a problem tells the value", k.Name, p.Field)
					}
				}
			}
		}
	}
}

func TestTheTextOfASecretIsNotLookedAt(t *testing.T) {
	for _, k := range Embedded().Kinds() {
		for _, f := range k.Fields {
			if !f.WriteOnly {
				continue
			}
			for _, text := range []string{"", "x", strings.Repeat("x", 5000), "ENC[AES256_GCM,data:x]"} {
				if got := Embedded().Validate(k, map[string]any{f.Name: text}, Partial); len(got) > 0 {
					t.Errorf("%s.%s: %v", k.Name, f.Name, shown(got))
				}
			}
			got := shown(Embedded().Validate(k, map[string]any{f.Name: json.Number("5")}, Partial))
			require.Len(t, got, 1, "%s.%s", k.Name, f.Name)
			require.Contains(t, got[0], "must be text")
		}
	}
}

func TestAValueOfAForeignTypeIsAProblemNotAPanic(t *testing.T) {
	type secretive struct{ s string }
	k := Embedded().Kind("ProxmoxEndpoint")
	got := Embedded().Validate(k, map[string]any{"name": secretive{"c4n4ry"}}, Partial)
	require.Len(t, got, 1)
	require.NotContains(t, fmt.Sprint(got), "c4n4ry")
}

func TestLints(t *testing.T) {
	for name, c := range map[string]struct {
		kind, value string
		want        []string
	}{
		"nothing risky":         {"ProxmoxEndpoint", `{"verify_ssl": true, "token_value": "x", "username": "sync@pve"}`, nil},
		"what is not said":      {"ProxmoxEndpoint", `{}`, nil},
		"unverified and writes": {"ProxmoxEndpoint", `{"verify_ssl": false, "allow_writes": true}`, []string{"tls-not-verified", "writes-allowed"}},
		"plain http":            {"FastAPIEndpoint", `{"use_https": false}`, []string{"plain-http"}},
		"loose settings":        {"PluginSettings", `{"ssrf_protection_enabled": false, "expose_internal_errors": true, "delete_orphans": true}`, []string{"ssrf-protection-off", "internal-errors-exposed", "orphans-deleted"}},
		"a number of no bounds": {"ProxmoxEndpoint", `{"port": 1e999999999, "verify_ssl": false}`, []string{"tls-not-verified"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, l := range Embedded().Lints(Embedded().Kind(c.kind), fields(t, c.value)) {
				got = append(got, l.Code)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzValidate(f *testing.F) {
	f.Add("ProxmoxEndpoint", `{"name": "a", "mode": "x", "port": 1e400, "tags": [null]}`)
	f.Add("NetBoxEndpoint", `{"token_version": "v2", "token": {"id": 1}}`)
	f.Add("BackupRoutine", `{"selection": [], "raw_config": {"": 0}}`)
	f.Fuzz(func(t *testing.T, kind, text string) {
		k := Embedded().Kind(kind)
		if k == nil {
			return
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v map[string]any
		if d.Decode(&v) != nil {
			return
		}
		for _, form := range []Form{Whole, Partial, Create} {
			for _, p := range Embedded().Validate(k, v, form) {
				if p.Keyword == "schema" {
					t.Errorf("the checks gave up on a plain value of %s", kind)
				}
				if p.Message == "" || p.Message != strings.TrimSpace(p.Message) {
					t.Errorf("message %q", p.Message)
				}
			}
		}
		Embedded().Lints(k, v)
	})
}

func BenchmarkValidate(b *testing.B) {
	k := Embedded().Kind("ProxmoxStorage")
	value := fields(b, `{"cluster": "prod", "name": "local", "storage_type": "dir", "content": "images", "shared": false, "enabled": true, "path": "/var/lib/vz", "raw_config": {"a": 1}, "tags": ["a"], "max_protected_backups": 5}`)
	for b.Loop() {
		if p := Embedded().Validate(k, value, Whole); p != nil {
			b.Fatal(p)
		}
	}
}

func TestASetMayBeUsedByManyAtOnce(t *testing.T) {
	s, errs := load(files)
	require.Empty(t, errs)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, k := range s.Kinds() {
				s.Validate(k, map[string]any{"name": true}, Whole)
				s.Lints(k, map[string]any{})
			}
		})
	}
	wg.Wait()
	require.NotEmpty(t, s.Validate(s.Kind("ProxmoxEndpoint"), map[string]any{"name": true}, Whole))
}
