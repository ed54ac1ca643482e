package secrets_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/pgp"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
	"proxbox-sync/reconcile/secrets"
)

// rulesOf reads a .sops.yaml as the command line does.
func rulesOf(t *testing.T, text string) (*secrets.CreationRules, error) {
	t.Helper()
	nodes, diags := manifest.Parse(".sops.yaml", []byte(text), manifest.Options{})
	require.Empty(t, diags)
	require.Len(t, nodes, 1)
	return secrets.ReadCreationRules(nodes[0])
}

const fingerprintA, fingerprintB = "782E9A58A39FAE1F9E4A182775E2C675D9A74A15", "0123456789ABCDEF0123456789ABCDEF01234567"

// sopsRecipients are the keys that sops itself would encrypt a file for.
func sopsRecipients(t *testing.T, text, path string) []secrets.Key {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, ".sops.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	c, err := config.LoadCreationRuleForFile(file, filepath.Join(dir, filepath.FromSlash(path)), nil)
	require.NoError(t, err)
	var out []secrets.Key
	for _, group := range c.KeyGroups {
		for _, k := range group {
			switch k := k.(type) {
			case *age.MasterKey:
				out = append(out, secrets.Key{ID: "age " + k.Recipient, Name: k.Recipient})
			case *pgp.MasterKey:
				out = append(out, secrets.Key{ID: "pgp " + strings.ToUpper(k.Fingerprint), Name: "pgp " + k.Fingerprint})
			}
		}
	}
	return out
}

// What a rule says is what sops makes of it: a file that sops encrypts by it is
// as it should be, and one for nobody lacks each of the keys.
func TestRulesMeanWhatTheyMeanToSops(t *testing.T) {
	a, b, c := ageKey(t).Recipient().String(), ageKey(t).Recipient().String(), ageKey(t).Recipient().String()
	for name, x := range map[string]struct {
		text, path string
		want       int
	}{
		"one key for all files":            {"creation_rules: [{age: A}]", "x.yaml", 1},
		"several keys with commas":         {"creation_rules: [{age: \"A, B,C,\"}]", "x.yaml", 3},
		"several keys, folded":             {"creation_rules:\n  - age: >-\n      A,\n      B\n", "x.yaml", 2},
		"a list of keys":                   {"creation_rules: [{age: [A, B]}]", "x.yaml", 2},
		"PGP keys with spaces and small":   {"creation_rules: [{pgp: \"782e 9a58a39fae1f9e4a182775e2c675d9a74a15,G\"}]", "x.yaml", 2},
		"age and PGP":                      {"creation_rules: [{age: A, pgp: [G]}]", "x.yaml", 2},
		"the first rule that fits":         {"creation_rules: [{path_regex: ^prod/, age: A}, {path_regex: secrets, age: \"B,C\"}, {age: A}]", "lab/x.secrets.yaml", 2},
		"a rule for all before others":     {"creation_rules: [{age: A}, {path_regex: secrets, age: \"B,C\"}]", "x.secrets.yaml", 1},
		"a path from the file's folder":    {"creation_rules: [{path_regex: ^x, age: A}, {age: \"A,B\"}]", "lab/x.yaml", 2},
		"an empty path":                    {"creation_rules: [{path_regex: '', age: A}, {age: \"A,B\"}]", "x.yaml", 1},
		"groups of keys":                   {"creation_rules: [{key_groups: [{age: [A]}, {age: [B], pgp: [G]}], shamir_threshold: 2}]", "x.yaml", 3},
		"groups hide what stands beside":   {"creation_rules: [{age: C, key_groups: [{age: [A]}]}]", "x.yaml", 1},
		"groups that others are merged in": {"creation_rules: [{key_groups: [{merge: [{age: [A]}, {merge: [{age: [B]}]}], age: [C]}]}]", "x.yaml", 3},
		"no groups":                        {"creation_rules: [{age: A, key_groups: []}]", "x.yaml", 1},
		"a rule of anchors":                {"keys: [&me A, &you B]\ncreation_rules: [{key_groups: [{age: [*me, *you]}]}]", "x.yaml", 2},
		"one key twice":                    {"creation_rules: [{key_groups: [{age: [A, A]}]}]", "x.yaml", 1},
		"what is for other purposes":       {"stores: {yaml: {indent: 2}}\ndestination_rules: []\ncreation_rules: [{age: A, encrypted_regex: ^x$, mac_only_encrypted: true}]", "x.yaml", 1},
		"a key service beside an age key":  {"creation_rules: [{age: A, hc_vault_transit_uri: 'https://vault.example/v1/sops/keys/first'}]", "x.yaml", 1},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("A,", a+",", "A]", a+"]", "A}", a+"}", "A\"", a+"\"", "A\n", a+"\n", "me A", "me "+a, "B,", b+",", "B]", b+"]", "B}", b+"}", "B\"", b+"\"", "B\n", b+"\n",
				"C,", c+",", "C]", c+"]", "C}", c+"}", "C\"", c+"\"", "G]", fingerprintB+"]", "G\"", fingerprintB+"\"").Replace(x.text)
			rules, err := rulesOf(t, text)
			require.NoError(t, err)
			theirs := sopsRecipients(t, text, x.path)
			path := filepath.FromSlash(x.path)
			require.Empty(t, rules.Check("f", path, secrets.Info{Keys: theirs}))
			missing := rules.Check("f", path, secrets.Info{})
			require.Len(t, missing, x.want)
			for _, d := range missing {
				require.Equal(t, "recipient-missing", d.Code)
				require.Positive(t, d.Related[0].Pos.Line)
			}
			stranger := secrets.Key{ID: "age age1stranger", Name: "age1stranger", Line: 7, Column: 3}
			extra := rules.Check("f", path, secrets.Info{Keys: append(slices.Clone(theirs), stranger)})
			require.Len(t, extra, 1)
			if diff := cmp.Diff([]string{"recipient-extra", "f:7:3"}, []string{extra[0].Code, fmt.Sprintf("%s:%d:%d", extra[0].Pos.File, extra[0].Pos.Line, extra[0].Pos.Column)}); diff != "" {
				t.Error(diff)
			}
			require.Contains(t, extra[0].Summary, "age1stranger")
		})
	}
}

func TestRulesThatSayNothingOfAFile(t *testing.T) {
	keys := secrets.Info{Keys: []secrets.Key{{ID: "age age1x", Name: "age1x"}, {Name: "hc_vault at vault.example"}}}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"no rules":                            {"stores: {yaml: {indent: 2}}", nil},
		"empty rules":                         {"creation_rules:", nil},
		"a rule whose keys come from outside": {"creation_rules: [{encrypted_regex: ^x$}]", nil},
		"a rule for a key service alone":      {"creation_rules: [{kms: 'arn:aws:kms:eu-west-1:1:key/x'}]", []string{"recipient-extra"}},
		"no rule for this file":               {"creation_rules: [{path_regex: ^y, age: age1y}]", []string{"no-creation-rule"}},
	} {
		t.Run(name, func(t *testing.T) {
			rules, err := rulesOf(t, c.text)
			require.NoError(t, err)
			var got []string
			for _, d := range rules.Check("f", "x.yaml", keys) {
				got = append(got, d.Code)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestRulesThatCanNotBeRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a rule that is text":        {"creation_rules: [x]", "creation rule 1: not a mapping"},
		"rules that are a mapping":   {"creation_rules: {age: x}", "not a list"},
		"a key that is a number":     {"creation_rules: [{age: 5}]", "age is neither a text nor a list"},
		"a key that is a mapping":    {"creation_rules: [{}, {pgp: {x: y}}]", "creation rule 2: pgp is neither"},
		"groups that are text":       {"creation_rules: [{key_groups: x}]", "key_groups is not a list"},
		"a group that is text":       {"creation_rules: [{key_groups: [x]}]", "a key group is not a mapping"},
		"a broken expression":        {"creation_rules: [{path_regex: '(', age: x}]", "path_regex: not a regular expression"},
		"an expression that is long": {"creation_rules: [{path_regex: '" + strings.Repeat("x", 1001) + "'}]", "at most 1000 characters"},
		"an expression that is huge": {"creation_rules: [{path_regex: '(((a{100}){100}){100})'}]", "path_regex"},
		"many large expressions":     {"creation_rules:\n" + strings.Repeat("  - {path_regex: '("+strings.Repeat("a", 200)+"){1000}'}\n", 10), "too large"},
		"too many rules":             {"creation_rules:\n" + strings.Repeat("  - {age: x}\n", 1001), "at most 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := rulesOf(t, c.text)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// A name that doesn't look like a key's is a stranger's text.
func TestOnlyWhatLooksLikeAKeyIsShown(t *testing.T) {
	rules, err := rulesOf(t, "creation_rules: [{age: \"::error::\\e[31m, ssh-ed25519 AAAA somebody\", pgp: \"<b>\"}]")
	require.NoError(t, err)
	for _, d := range rules.Check("f", "x.yaml", secrets.Info{}) {
		require.Regexp(t, `: (age \(malformed\)|age ssh-ed25519|pgp \(malformed\))$`, d.Summary)
	}
	require.Len(t, rules.Check("f", "x.yaml", secrets.Info{}), 3)
	require.Equal(t, reconcile.Warning, rules.Check("f", "x.yaml", secrets.Info{})[0].Severity)
}
