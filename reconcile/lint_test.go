package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/schema"
)

// judged applies the rules to manifests of the real kinds; each document lacks
// its first line.
func judged(t *testing.T, text string, o reconcile.LintOptions) reconcile.Diagnostics {
	t.Helper()
	set := schema.Embedded()
	text = "apiVersion: proxbox-sync/v1\n" + strings.ReplaceAll(text, "---\n", "---\napiVersion: proxbox-sync/v1\n")
	docs, found := manifest.Load(t.Context(), []string{"-"}, manifest.Options{Stdin: strings.NewReader(text)})
	require.False(t, found.HasErrors(), found)
	desired, diags := reconcile.Desired(set, docs, reconcile.DesiredOptions{AllowPlaintextSecrets: true})
	require.False(t, diags.HasErrors(), diags)
	require.Empty(t, reconcile.Link(set, desired, nil))
	return reconcile.Lint(set, desired, found, o)
}

func codes(list reconcile.Diagnostics) []string {
	var out []string
	for _, d := range list {
		out = append(out, d.Code)
	}
	return out
}

// Each rule of each kind: a spec that trips it, and one that only looks like it.
var risks = []struct{ kind, code, trips, near string }{
	{"BackupRoutine", "backup-disabled", "enabled: false", "enabled: true"},
	{"BackupRoutine", "secret-in-plain-text", "raw_config: {Password: x}", "raw_config: {password: '', bypass: x}"},
	{"FastAPIEndpoint", "plain-http", "use_https: false", "use_https: true"},
	{"FastAPIEndpoint", "tls-not-verified", "verify_ssl: false, use_https: true", "verify_ssl: true"},
	{"NetBoxEndpoint", "tls-not-verified", "verify_ssl: false", "verify_ssl: true"},
	{"NetBoxEndpoint", "token-v1", "token_version: v1", "token_version: v2, token_key: k, token_secret: s"},
	{"PluginSettings", "ssrf-protection-off", "ssrf_protection_enabled: false", "ssrf_protection_enabled: true"},
	{"PluginSettings", "private-ranges-allowed", "allow_private_ips: true", "allow_private_ips: false"},
	{"PluginSettings", "wide-range-allowed", `additional_allowed_ip_ranges: "10.1.0.0/16\n0.0.0.0/0"`, `additional_allowed_ip_ranges: "10.127.0.0/16\n192.169.254.0/24"`},
	{"PluginSettings", "wide-range-allowed", `additional_allowed_ip_ranges: " ::/0"`, `additional_allowed_ip_ranges: "2001:db8::/32"`},
	{"PluginSettings", "wide-range-allowed", `additional_allowed_ip_ranges: "169.254.169.254/32\r\n"`, `additional_allowed_ip_ranges: ""`},
	{"PluginSettings", "wide-range-allowed", `additional_allowed_ip_ranges: "FE80::/10"`, `additional_allowed_ip_ranges: "2001:db8::1"`},
	{"PluginSettings", "internal-errors-exposed", "expose_internal_errors: true", "expose_internal_errors: false"},
	{"PluginSettings", "orphans-deleted", "delete_orphans: true", "delete_orphans: false"},
	{"PluginSettings", "descriptions-trusted", "parse_description_metadata: true", "embed_description_metadata: true"},
	{"PluginSettings", "writes-to-proxmox", "netbox_to_proxmox_enabled: true", "netbox_to_proxmox_enabled: false"},
	{"PluginSettings", "destroy-confirmed", "apply_destroy_confirmed: true", "apply_destroy_confirmed: false"},
	{"PluginSettings", "self-approval", "intent_apply_authorization_self_approve_allowed: true", "intent_apply_authorization_self_approve_allowed: false"},
	{"PluginSettings", "conflicts-acknowledged", "branch_on_conflict: acknowledge", "branch_on_conflict: fail"},
	{"PluginSettings", "hardware-discovery", "hardware_discovery_enabled: true", "hardware_discovery_sync_nic_macs: true"},
	{"PluginSettings", "plaintext-password-warning-off", "intent_warn_plaintext_password: false", "intent_warn_plaintext_password: true"},
	{"ProxmoxEndpoint", "tls-not-verified", "verify_ssl: false", "verify_ssl: true"},
	{"ProxmoxEndpoint", "writes-allowed", "allow_writes: true", "allow_writes: false"},
	{"ProxmoxEndpoint", "template-builds-allowed", "allow_packer_template_builds: true", "allow_packer_template_builds: false"},
	{"ProxmoxEndpoint", "root-user", "username: root@pam", "username: root@pve"},
	{"ProxmoxEndpoint", "password-login", "password: x", "password: null, token_value: x"},
	{"ProxmoxEndpoint", "password-login", "password: x, token_value: y", "password: ''"},
	{"ProxmoxEndpoint", "ssh-reuses-login", "password: x, ssh_credential_source: reuse_endpoint", "ssh_credential_source: dedicated"},
	{"ProxmoxEndpoint", "ssh-password", "ssh_auth_method: password", "ssh_auth_method: key"},
	{"ProxmoxEndpoint", "ssh-access", "access_methods: api_ssh", "access_methods: api"},
	{"ProxmoxStorage", "secret-in-plain-text", "raw_config: {keyring: x}", "raw_config: {encryption-key: fingerprint}"},
	{"Replication", "replication-removed", "remove_job: full", "remove_job: local"},
	{"Replication", "replication-disabled", "disable: true", "disable: false"},
	{"Replication", "secret-in-plain-text", "raw_config: {token: x}", "raw_config: {guest: secret}"},
}

// begins are what an object of a kind needs beside.
var begins = map[string]string{
	"BackupRoutine": "endpoint: e, job_id: j, selection: [100], ", "FastAPIEndpoint": "name: a, domain: api.example, ",
	"NetBoxEndpoint": "name: a, domain: nb.example, ", "ProxmoxEndpoint": "name: a, domain: pve.example, mode: cluster, ",
	"ProxmoxStorage": "cluster: c, name: s, ", "Replication": "endpoint: e, replication_id: 1-0, guest: 1, target: n, jobnum: 0, virtual_machine: v, ",
}

func TestEachRiskIsFoundAndNothingElseIs(t *testing.T) {
	tried := map[string]bool{"same-address of FastAPIEndpoint": true, "same-address of NetBoxEndpoint": true, "same-address of ProxmoxEndpoint": true}
	for _, c := range risks {
		tried[c.code+" of "+c.kind] = true
		t.Run(c.kind+" with "+c.trips, func(t *testing.T) {
			found := judged(t, fmt.Sprintf("kind: %s\nspec: {%s%s}\n", c.kind, begins[c.kind], c.trips), reconcile.LintOptions{})
			require.Equal(t, []string{c.code}, codes(found))
			require.NotZero(t, found[0].Pos.Line)
			require.Equal(t, 3, found[0].Pos.Line)
			require.Equal(t, reconcile.Risk, found[0].Trouble)
		})
		t.Run(c.kind+" with "+c.near, func(t *testing.T) {
			require.Empty(t, judged(t, fmt.Sprintf("kind: %s\nspec: {%s%s}\n", c.kind, begins[c.kind], c.near), reconcile.LintOptions{}))
		})
	}
	for _, r := range reconcile.Rules(schema.Embedded()) {
		if r.Kind != "" {
			require.True(t, tried[r.Code+" of "+r.Kind], "no case for %s of %s", r.Code, r.Kind)
		}
		require.NotEqual(t, reconcile.Error, r.Severity)
	}
}

func TestTwoAtOneAddress(t *testing.T) {
	for name, c := range map[string]struct {
		specs []string
		want  int
	}{
		"one domain and port":                          {[]string{"name: a, domain: x.example, port: 1", "name: b, domain: x.example, port: 1"}, 1},
		"a domain in another case":                     {[]string{"name: a, domain: x.example, port: 1", "name: b, domain: X.Example, port: 1"}, 1},
		"the port that the server gives":               {[]string{"name: a, domain: x.example", "name: b, domain: x.example, port: 8800"}, 1},
		"no port anywhere":                             {[]string{"name: a, domain: x.example", "name: b, domain: x.example"}, 1},
		"one address, spelt as a map":                  {[]string{"name: a, ip_address: 192.0.2.1/24", "name: b, ip_address: {address: 192.0.2.1/24}"}, 1},
		"one address, with two masks":                  {[]string{"name: a, ip_address: 192.0.2.1/24", "name: b, ip_address: 192.0.2.1/32"}, 1},
		"one address in another VRF":                   {[]string{"name: a, ip_address: 192.0.2.1/24", "name: b, ip_address: {address: 192.0.2.1/24, vrf: other}"}, 0},
		"domain and address, said once":                {[]string{"name: a, domain: x.example, ip_address: 192.0.2.1/24", "name: b, domain: x.example, ip_address: 192.0.2.1/24"}, 1},
		"three of them, each but the first":            {[]string{"name: a, domain: x.example", "name: b, domain: x.example", "name: c, domain: x.example"}, 2},
		"another port":                                 {[]string{"name: a, domain: x.example, port: 1", "name: b, domain: x.example, port: 2"}, 0},
		"another port than the one the server gives":   {[]string{"name: a, domain: x.example", "name: b, domain: x.example, port: 2"}, 0},
		"another domain":                               {[]string{"name: a, domain: x.example", "name: b, domain: y.example"}, 0},
		"no domain on both sides":                      {[]string{"name: a, domain: null, ip_address: 192.0.2.1/24", "name: b, domain: '', ip_address: 192.0.2.2/24"}, 0},
		"the address of one is the other one's domain": {[]string{"name: a, domain: x.example", "name: b, ip_address: 192.0.2.2/24"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var docs []string
			for _, s := range c.specs {
				docs = append(docs, "kind: FastAPIEndpoint\nspec: {"+s+"}\n")
			}
			found := judged(t, strings.Join(docs, "---\n"), reconcile.LintOptions{})
			require.Equal(t, slices.Repeat([]string{"same-address"}, c.want), append([]string{}, codes(found)...))
			for _, d := range found {
				require.Equal(t, "as here: FastAPIEndpoint a", d.Related[0].Message)
			}
		})
	}
	t.Run("one of each kind", func(t *testing.T) {
		require.Empty(t, judged(t, "kind: FastAPIEndpoint\nspec: {name: a, domain: x.example, port: 1}\n---\n"+
			"kind: NetBoxEndpoint\nspec: {name: a, domain: x.example, port: 1}\n", reconcile.LintOptions{}))
	})
	t.Run("one that is to go", func(t *testing.T) {
		require.Empty(t, judged(t, "kind: FastAPIEndpoint\nmetadata: {absent: true}\nspec: {name: a, domain: x.example, use_https: false}\n---\n"+
			"kind: FastAPIEndpoint\nspec: {name: b, domain: x.example}\n---\n"+
			"kind: FastAPIEndpoint\nmetadata: {release: true}\nspec: {name: c, domain: x.example}\n", reconcile.LintOptions{}))
	})
}

func TestDatabaseIDsAreFoundWhereverTheyStand(t *testing.T) {
	found := judged(t, "kind: ProxmoxEndpoint\nspec:\n  name: a\n  domain: x.example\n  mode: cluster\n  site: {id: 3}\n  tags: [prod, {id: 4}]\n"+
		"  custom_fields: {rack: {id: 5}}\n---\nkind: BackupRoutine\nspec: {endpoint: a, job_id: j, selection: [1], storage: {cluster: {id: 6}, name: s}}\n", reconcile.LintOptions{})
	want := []string{`7:14 database-id field "site" has a reference by database id`, `8:21 database-id field "tags" has a reference by database id`,
		`13:72 database-id field "storage" has a reference by database id`}
	if diff := cmp.Diff(want, lines(found)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What patches add and take away counts, at the place where it is written.
func TestRulesSeeTheMergedObject(t *testing.T) {
	const base = "kind: ProxmoxEndpoint\nspec: {name: a, domain: x.example, mode: cluster, verify_ssl: false}\n---\n" +
		"kind: ProxmoxEndpoint\nmetadata: {patch: true}\nspec: {name: a, %s}\n"
	require.Empty(t, judged(t, fmt.Sprintf(base, "verify_ssl: true"), reconcile.LintOptions{}))
	require.Equal(t, []string{"3:63 tls-not-verified", "8:31 writes-allowed"}, places(judged(t, fmt.Sprintf(base, "allow_writes: true"), reconcile.LintOptions{})))
}

func places(list reconcile.Diagnostics) []string {
	var out []string
	for _, d := range list {
		out = append(out, fmt.Sprintf("%d:%d %s", d.Pos.Line, d.Pos.Column, d.Code))
	}
	return out
}

func TestIgnoresAreAccountedFor(t *testing.T) {
	const two = "kind: ProxmoxEndpoint\n%sdefaults: {mode: cluster}\nitems:\n  - {name: a, domain: x.example, verify_ssl: false}\n  - {name: b, domain: y.example, verify_ssl: false}\n"
	own := fmt.Sprintf(two, "metadata: {ignoreRisks: [{code: tls-not-verified, reason: lab}]}\n")
	project := func(code string, covers func(string) bool) []reconcile.RiskIgnore {
		return []reconcile.RiskIgnore{{Code: code, Reason: "lab", Pos: reconcile.Position{File: "p.yaml", Line: 1, Column: 1}, Covers: covers}}
	}
	for name, c := range map[string]struct {
		text string
		o    reconcile.LintOptions
		want []string // severity, code, findings hidden
	}{
		"nothing is ignored":               {fmt.Sprintf(two, ""), reconcile.LintOptions{}, []string{"warning tls-not-verified 0", "warning tls-not-verified 0"}},
		"all objects of a document":        {own, reconcile.LintOptions{}, []string{"info rule-ignored 2"}},
		"everywhere":                       {fmt.Sprintf(two, ""), reconcile.LintOptions{Ignore: project("tls-not-verified", nil)}, []string{"info rule-ignored 2"}},
		"in no file of the run":            {fmt.Sprintf(two, ""), reconcile.LintOptions{Ignore: project("tls-not-verified", func(string) bool { return false })}, []string{"warning tls-not-verified 0", "warning tls-not-verified 0", "warning unused-ignore 0"}},
		"in no file of a part of the run":  {fmt.Sprintf(two, ""), reconcile.LintOptions{Partial: true, Ignore: project("tls-not-verified", func(string) bool { return false })}, []string{"warning tls-not-verified 0", "warning tls-not-verified 0"}},
		"another rule":                     {fmt.Sprintf(two, ""), reconcile.LintOptions{Ignore: project("plain-http", nil)}, []string{"warning tls-not-verified 0", "warning tls-not-verified 0", "warning unused-ignore 0"}},
		"by the document and the project":  {own, reconcile.LintOptions{Ignore: project("tls-not-verified", nil)}, []string{"info rule-ignored 2"}},
		"a document that needs none":       {"kind: Site\nmetadata: {ignoreRisks: [{code: plain-http, reason: lab}]}\nspec: {name: a, slug: a}\n", reconcile.LintOptions{}, []string{"warning unused-ignore 0"}},
		"what is for information, in plan": {"kind: ProxmoxEndpoint\nspec: {name: a, domain: x.example, mode: cluster, username: root@pam}\n", reconcile.LintOptions{WarningsOnly: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range judged(t, c.text, c.o) {
				hidden := 0
				if d.Code == "rule-ignored" {
					hidden = len(d.Related)
					require.Contains(t, d.Summary, ": lab")
				}
				got = append(got, fmt.Sprintf("%s %s %d", d.Severity, d.Code, hidden))
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestManyFindingsAreCutAndCounted(t *testing.T) {
	var b strings.Builder
	b.WriteString("kind: ProxmoxEndpoint\ndefaults: {mode: cluster, verify_ssl: false}\nitems:\n")
	for i := range 2100 {
		fmt.Fprintf(&b, "  - {name: e%d, domain: e%d.example}\n", i, i)
	}
	found := judged(t, b.String(), reconcile.LintOptions{})
	require.Len(t, found, 2001)
	require.Equal(t, 1, strings.Count(strings.Join(codes(found), " "), "more-findings"))
	ignored := judged(t, b.String(), reconcile.LintOptions{Ignore: []reconcile.RiskIgnore{{Code: "tls-not-verified", Reason: "lab"}}})
	require.Equal(t, []string{"rule-ignored"}, codes(ignored))
	require.Equal(t, "2100 findings are not reported", ignored[0].Detail)
	require.Equal(t, "and 2090 more", ignored[0].Related[10].Message)
}

// Errors stay errors, also with the code of a rule.
func TestOnlyFindingsCanBeTurnedOff(t *testing.T) {
	mistake := reconcile.Diagnostic{Severity: reconcile.Error, Code: "database-id", Summary: "a number"}
	got := reconcile.Lint(schema.Embedded(), &reconcile.State{}, reconcile.Diagnostics{mistake, reconcile.MACOnlyEncrypted.Finding(reconcile.Position{File: "a"})},
		reconcile.LintOptions{Ignore: []reconcile.RiskIgnore{{Code: "database-id", Reason: "x"}, {Code: "mac-only-encrypted", Reason: "x"}}, Partial: true})
	require.Equal(t, []string{"database-id", "rule-ignored"}, codes(got))
	require.True(t, got.HasErrors())
}
