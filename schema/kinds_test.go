package schema

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// A secret that loses its mark would be printed: this list is kept by hand.
func TestTheSecretsAreExactlyThese(t *testing.T) {
	var got []string
	for _, k := range Embedded().Kinds() {
		for _, f := range k.Fields {
			if f.WriteOnly {
				got = append(got, k.Name+"."+f.Name)
			}
		}
	}
	want := []string{
		"FastAPIEndpoint.token",
		"NetBoxEndpoint.token_secret",
		"PluginSettings.encryption_key",
		"ProxmoxEndpoint.password",
		"ProxmoxEndpoint.token_value",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("write-only fields (-want +got):\n%s", diff)
	}
}

func TestNoFieldThatSoundsSecretIsShown(t *testing.T) {
	harmless := []string{
		"NetBoxEndpoint.token", "NetBoxEndpoint.token_key", "NetBoxEndpoint.token_version",
		"ProxmoxEndpoint.token_name", "ProxmoxEndpoint.has_ssh_password", "ProxmoxEndpoint.has_ssh_private_key",
		"PluginSettings.intent_warn_plaintext_password", "PluginSettings.encryption_key_configured",
	}
	for _, k := range Embedded().Kinds() {
		for _, f := range k.Fields {
			for _, word := range []string{"password", "secret", "token", "private_key", "encryption_key"} {
				if strings.Contains(f.Name, word) && !f.WriteOnly && !slices.Contains(harmless, k.Name+"."+f.Name) {
					t.Errorf("%s.%s is not write-only", k.Name, f.Name)
				}
			}
		}
	}
}

func TestWhereCredentialsGoIsMarked(t *testing.T) {
	for kind, fields := range map[string][]string{
		"ProxmoxEndpoint": {"domain", "ip_address", "port", "verify_ssl", "username", "token_name", "ssh_username", "ssh_port", "ssh_known_host_fingerprint"},
		"NetBoxEndpoint":  {"domain", "ip_address", "port", "verify_ssl"},
		"FastAPIEndpoint": {"domain", "ip_address", "port", "use_https", "verify_ssl", "websocket_domain", "websocket_port"},
	} {
		var got []string
		for _, f := range Embedded().Kind(kind).Fields {
			if f.Destination {
				got = append(got, f.Name)
			}
		}
		slices.Sort(got)
		slices.Sort(fields)
		if diff := cmp.Diff(fields, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}

// Each place that credentials go to must be looked at before it is approved.
func TestApprovalLooksAtEveryDestination(t *testing.T) {
	notShown := []string{"ssh_username", "ssh_port", "ssh_known_host_fingerprint"} // not part of the server's target
	seen := 0
	for _, k := range Embedded().Kinds() {
		if k.Resource.Approval == nil {
			continue
		}
		seen++
		var fields []string
		for _, from := range k.Resource.Approval.Target {
			fields = append(fields, from.Fields...)
		}
		for _, f := range k.Fields {
			if f.Destination && !slices.Contains(fields, f.Name) && !slices.Contains(notShown, f.Name) {
				t.Errorf("%s: %s is a destination, and its approval does not look at it", k.Name, f.Name)
			}
		}
		for _, name := range fields {
			require.False(t, k.Field(name).WriteOnly, "%s.%s is a secret", k.Name, name)
		}
	}
	require.Equal(t, 2, seen)
}

func TestKeysAreRequiredAndCanBeShown(t *testing.T) {
	for _, k := range Embedded().Kinds() {
		for _, name := range k.Resource.Key {
			f := k.Field(name)
			require.NotNil(t, f, "%s.%s", k.Name, name)
			if f.WriteOnly || f.ReadOnly {
				t.Errorf("%s.%s is a key and can't be read and written", k.Name, name)
			}
			if !f.Required && k.Resource.Mode == Managed {
				t.Errorf("%s.%s is a key and not required", k.Name, name)
			}
		}
	}
}

func TestKindsWithSecretsComeAfterTheSettings(t *testing.T) {
	for _, k := range Embedded().Kinds() {
		secret := slices.ContainsFunc(k.Fields, func(f *Field) bool { return f.WriteOnly })
		if secret && k.Resource.Mode == Managed && !slices.Contains(k.Resource.After, "PluginSettings") {
			t.Errorf("%s sends secrets before the settings say how they are stored", k.Name)
		}
	}
}

// Order between kinds that no single object needs must not go in circles.
func TestAfterAndReferencesOfTheSettingsHaveNoCycle(t *testing.T) {
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		if slices.Contains(path, name) {
			t.Fatalf("cycle: %v", append(path, name))
		}
		path = append(slices.Clone(path), name)
		k := Embedded().Kind(name)
		next := slices.Clone(k.Resource.After)
		for _, f := range k.Fields {
			if f.Ref != nil && f.Ref.Kind != name && f.Ref.Kind != "IPAddress" {
				next = append(next, f.Ref.Kind)
			}
		}
		for _, n := range next {
			visit(n, path)
		}
	}
	visit("PluginSettings", nil)
	visit("ProxmoxEndpoint", nil)
}

func TestTheFileOrderOfFieldsIsKept(t *testing.T) {
	var got []string
	for _, f := range Embedded().Kind("ProxmoxCluster").Fields {
		got = append(got, f.Name)
	}
	want := []string{
		"endpoint", "name", "netbox_cluster", "mode", "cluster_id", "nodes_count", "quorate", "version",
		"tags", "custom_fields", "node_count",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestClassesFollowFromTheKeywords(t *testing.T) {
	for name, want := range map[string]Class{
		"ProxmoxEndpoint.name": Text, "ProxmoxEndpoint.mode": Choice, "ProxmoxEndpoint.port": Integer,
		"ProxmoxEndpoint.verify_ssl": Boolean, "ProxmoxEndpoint.retry_backoff": Decimal,
		"ProxmoxEndpoint.ip_address": Reference, "ProxmoxEndpoint.tags": ReferenceSet,
		"ProxmoxEndpoint.allowed_tenants": ReferenceSet, "ProxmoxEndpoint.custom_fields": Map,
		"ProxmoxEndpoint.service_monitoring_units": JSON, "ProxmoxNode.ip_address": Address,
		"IPAddress.address": Address, "VMBackup.creation_time": Time, "VMBackup.storage": Text,
		"VMBackup.proxmox_storage": Reference, "VMSnapshot.node": Text, "Tag.object_types": List,
		"PluginSettings.cloud_customer_prefix_id": Reference, "PluginSettings.default_role_qemu": Reference,
		"VirtualMachine.local_context_data": JSON,
	} {
		kind, field, _ := strings.Cut(name, ".")
		if got := Embedded().Kind(kind).Field(field).Class; got != want {
			t.Errorf("%s: want %s, got %s", name, want, got)
		}
	}
}

func TestEveryWritableFieldSaysWhatItIs(t *testing.T) {
	for _, k := range Embedded().Kinds() {
		for _, f := range k.Fields {
			if f.Title == "" || !strings.HasSuffix(strings.TrimSpace(f.Description), ".") || len(f.Description) < 5 {
				t.Errorf("%s.%s: title %q, description %q", k.Name, f.Name, f.Title, f.Description)
			}
		}
	}
}

func TestABackendCallingKindIsWrittenOneByOne(t *testing.T) {
	require.False(t, Embedded().Kind("FastAPIEndpoint").Resource.BulkAllowed())
	require.True(t, Embedded().Kind("ProxmoxStorage").Resource.BulkAllowed())
}

func TestHelpHasTheRulesInWords(t *testing.T) {
	k := Embedded().Kind("NetBoxEndpoint")
	require.Len(t, k.Rules, 6)
	require.Contains(t, k.Rules[0], "domain or ip_address")
	require.Contains(t, k.Rules[5], "needs token_secret when")
	for name, want := range map[string][]string{
		"ProxmoxEndpoint.retry_backoff": {"must have at most 2 decimals"},
		"BackupRoutine.raw_config":      {"must not be null"},
		"Site.slug":                     {"may contain only letters, digits, hyphens and underscores"},
		"Site.name":                     nil,
	} {
		kind, field, _ := strings.Cut(name, ".")
		if diff := cmp.Diff(want, Embedded().Kind(kind).Field(field).Rules); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A line that begins like a workflow command is escaped wherever it is shown, and
// any word may come to begin a line.
func TestNoRuleHasAWordThatBeginsLikeAWorkflowCommand(t *testing.T) {
	for _, k := range Embedded().Kinds() {
		for _, l := range k.Lint {
			for _, word := range strings.Fields(l.Message + " " + l.Description) {
				require.False(t, strings.HasPrefix(word, "::") || strings.HasPrefix(word, "##["), "%s, rule %s: %s", k.Name, l.Code, word)
			}
		}
	}
}

// A filter that the server does not know is ignored there: the cascade would
// then be said to take everything along.
func TestCascadesAreCountedByFiltersThatTheServerKnows(t *testing.T) {
	c := readContract(t, "netbox-4.7.3-proxbox-0.0.29.post6.json")
	checked := 0
	for _, k := range Embedded().Kinds() {
		for _, cascade := range k.Resource.Cascades {
			known, ok := c.Kinds[cascade.Kind]
			if !ok {
				continue
			}
			checked++
			if !slices.Contains(known.Filters, cascade.Filter) {
				t.Errorf("%s: %s has no filter %q", k.Name, cascade.Path, cascade.Filter)
			}
			if !slices.Contains(Embedded().Kind(cascade.Kind).Resource.Paths, cascade.Path) {
				t.Errorf("%s: %s is not where %s lives", k.Name, cascade.Path, cascade.Kind)
			}
		}
	}
	require.Positive(t, checked)
}

// What a cascade says and what references say must be the same story.
func TestEveryCascadingReferenceIsListedAtItsTarget(t *testing.T) {
	for _, k := range Embedded().Kinds() {
		for _, f := range k.Fields {
			if f.Ref == nil || f.Ref.OnDelete != "cascade" || k.Resource.Mode == Lookup {
				continue
			}
			target := Embedded().Kind(f.Ref.Kind)
			if !slices.ContainsFunc(target.Resource.Cascades, func(c Cascade) bool { return c.Kind == k.Name }) {
				t.Errorf("%s.%s goes with its %s, which does not list it under cascades", k.Name, f.Name, target.Name)
			}
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, errs := load(files); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}
