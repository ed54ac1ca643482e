package secrets_test

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/secrets"
)

func itoa(n uintptr) string { return strconv.Itoa(int(n)) }

// swap exchanges the first occurrences of two texts.
func swap(file, a, b string) string {
	return strings.NewReplacer(a, b, b, a).Replace(file)
}

var ciphertext = regexp.MustCompile(`ENC\[AES256_GCM,data:[^\]]*\]`)

func TestRefusesWhatWasChangedWithoutSops(t *testing.T) {
	id := ageKey(t)
	p := withKey(t, id)
	good := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule})
	loose := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule, macOnly: true})
	twice := encrypt(t, strings.Replace(plainFile, "first-Secret", "ENC[AES256_GCM,data:first-Secret", 1), recipe{groups: forAge(t, id), rule: rule})
	everything := encrypt(t, plainFile, recipe{groups: forAge(t, id)})
	binary := encrypt(t, strings.Replace(plainFile, "first-Secret", "!!binary //79", 1), recipe{groups: forAge(t, id), rule: rule})
	ciphers := ciphertext.FindAllString(good, -1)
	require.Len(t, ciphers, len(plainValues)+2) // and the MAC in both documents
	mac := ciphers[1]
	require.Contains(t, good, "mac: "+mac)
	replace := func(file, old, with string) string {
		require.Contains(t, file, old)
		return strings.Replace(file, old, with, 1)
	}
	everywhere := func(file, old, with string) string {
		require.Contains(t, file, old)
		return strings.ReplaceAll(file, old, with)
	}

	for name, c := range map[string]struct {
		file string
		want secrets.Reason
	}{
		"a plain value was edited":                        {replace(good, "pve-lab", "pve-1ab"), secrets.MACMismatch},
		"a plain value was added":                         {replace(good, "port: 8006", "port: 8006\n  domain: evil.example"), secrets.MACMismatch},
		"two plain values changed places":                 {swap(good, "name: one", "name: two"), secrets.MACMismatch},
		"two encrypted values changed places":             {swap(good, ciphers[2], ciphers[3]), secrets.MACMismatch},
		"an encrypted value was removed":                  {replace(good, "password: "+ciphers[2], "password: null"), secrets.MACMismatch},
		"an encrypted value was emptied":                  {replace(good, ciphers[2], `""`), secrets.MACMismatch},
		"a document was removed":                          {good[:strings.Index(good, "\n---\n")+1], secrets.MACMismatch},
		"the time of the last change was edited":          {everywhere(good, "2026-11-22T10", "2026-11-22T11"), secrets.MACMismatch},
		"the MAC was removed":                             {everywhere(good, "mac: "+mac, `mac: ""`), secrets.MACMismatch},
		"the MAC of another file was put in":              {everywhere(good, mac, ciphertext.FindAllString(loose, 2)[1]), secrets.MACMismatch},
		"a value was put in the MAC's place":              {everywhere(good, mac, ciphers[0]), secrets.MACMismatch},
		"mac_only_encrypted was switched on":              {everywhere(good, "encrypted_regex:", "mac_only_encrypted: true\n  encrypted_regex:"), secrets.MACMismatch},
		"mac_only_encrypted was switched off":             {everywhere(loose, "mac_only_encrypted: true", "mac_only_encrypted: false"), secrets.MACMismatch},
		"a byte of a ciphertext was changed":              {replace(good, ciphers[2], flip(ciphers[2])), secrets.Changed},
		"a ciphertext was replaced by plain text":         {replace(good, ciphers[2], "plain-Secret"), secrets.Changed},
		"the name of an encrypted key was changed":        {replace(good, "    password: "+ciphers[2], "    token_value: "+ciphers[2]), secrets.Changed},
		"a value was moved under another key":             {replace(replace(good, "\n    password: "+ciphers[2], ""), "  port: 8006", "  token_value2: x\n  port: 8006\n  password2:\n    password: "+ciphers[2]), secrets.Changed},
		"a value of another file was put in":              {replace(good, ciphers[2], ciphertext.FindAllString(loose, 3)[2]), secrets.Changed},
		"the rule leaves a value out":                     {everywhere(good, rule, "^nothing$"), secrets.MACMismatch},
		"the rule leaves a value out that no MAC counts":  {everywhere(loose, rule, "^(token_value)$"), secrets.MACMismatch},
		"a value was encrypted twice":                     {twice, secrets.StillEncrypted},
		"a value is no text":                              {binary, secrets.NotText},
		"everything was encrypted":                        {everything, secrets.Unsafe},
		"a value says that it is bytes":                   {replace(good, ciphers[2], strings.Replace(ciphers[2], "type:str", "type:bytes", 1)), secrets.Unsafe},
		"a value says that it is a number":                {replace(good, ciphers[2], strings.Replace(ciphers[2], "type:str", "type:int", 1)), secrets.Unsafe},
		"a value says that it is a comment":               {replace(good, ciphers[2], strings.Replace(ciphers[2], "type:str", "type:comment", 1)), secrets.Unsafe},
		"text follows a ciphertext":                       {replace(good, ciphers[2], ciphers[2]+"x"), secrets.Unsafe},
		"the MAC says that it is bytes":                   {everywhere(good, mac, strings.Replace(mac, "type:str", "type:bytes", 1)), secrets.Unsafe},
		"a ciphertext has no nonce":                       {replace(good, ciphers[2], regexp.MustCompile(`iv:[^,]*`).ReplaceAllString(ciphers[2], "iv:")), secrets.Unsafe},
		"an alias stands in the second document":          {replace(good, "name: two", "name: &x two\n    other: *x"), secrets.Unsafe},
		"an alias cycle stands in the second document":    {replace(good, "name: two", "name: two\n    loop: &x [*x]"), secrets.Unsafe},
		"an alias cycle stands in the second block":       {good[:strings.LastIndex(good, "  lastmodified:")] + "  loop: &x [*x]\n" + good[strings.LastIndex(good, "  lastmodified:"):], secrets.Unsafe},
		"a key holds a colon":                             {replace(good, "name: two", `"na:me": two`), secrets.Unsafe},
		"a key is no text":                                {replace(good, "name: two", "1: two"), secrets.Unsafe},
		"the nesting is deep":                             {replace(good, "name: two", "name: "+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)), secrets.Unsafe},
		"a comment in a list was made a ciphertext":       {replace(good, "  - name: two", "  # "+ciphers[2]+"\n  - name: two"), ""},
		"the file is cut":                                 {good[:strings.Index(good, "\nsops:")], secrets.NotSops},
		"the file is no YAML":                             {"a: [", secrets.Unsafe},
		"the file is empty":                               {"", secrets.NotSops},
		"the first document has no block":                 {"a: b\n---\n" + good, secrets.NotSops},
		"the file was written by a newer minor version":   {everywhere(good, "version: 3.13.3", "version: 3.14.0"), secrets.NewerFormat},
		"the file was written by a newer major version":   {everywhere(good, "version: 3.13.3", "version: 4.0.0-rc.1"), secrets.NewerFormat},
		"the version is missing":                          {everywhere(good, "version: 3.13.3", "versions: 3.13.3"), secrets.Unsafe},
		"the version is no version":                       {everywhere(good, "version: 3.13.3", "version: "+strings.Repeat("9", 30)), secrets.Unsafe},
		"the block has a key that sops doesn't know":      {everywhere(good, "version:", "key_service: https://evil.example\n  version:"), secrets.Unsafe},
		"the block has a key twice":                       {everywhere(good, "version: 3.13.3", "version: 3.13.3\n  version: 3.13.3"), secrets.Unsafe},
		"the block is a list":                             {"a: b\nsops: [a]\n", secrets.Unsafe},
		"the block names no keys":                         {regexp.MustCompile(`(?s)  age:.*?  lastmodified`).ReplaceAllString(good, "  lastmodified"), secrets.Unsafe},
		"the age keys are a text":                         {regexp.MustCompile(`(?s)  age:.*?  lastmodified`).ReplaceAllString(good, "  age: x\n  lastmodified"), secrets.Unsafe},
		"the age keys are one mapping":                    {regexp.MustCompile(`(?s)  age:.*?  lastmodified`).ReplaceAllString(good, "  age: {recipient: a, enc: b}\n  lastmodified"), secrets.Unsafe},
		"there are too many keys":                         {everywhere(good, "  lastmodified", "  pgp: ["+strings.Repeat("{fp: a},", 101)+"]\n  lastmodified"), secrets.Unsafe},
		"lastmodified is missing":                         {regexp.MustCompile(`  lastmodified: .*\n`).ReplaceAllString(good, ""), secrets.Unsafe},
		"lastmodified is no time":                         {everywhere(good, `"2026-11-22T10:00:00Z"`, "yesterday"), secrets.Unsafe},
		"the MAC is missing":                              {regexp.MustCompile(`  mac: .*\n`).ReplaceAllString(good, ""), secrets.MACMismatch},
		"mac_only_encrypted is a word":                    {everywhere(good, "  version:", "  mac_only_encrypted: yes\n  version:"), secrets.Unsafe},
		"key_groups is a text":                            {everywhere(good, "  version:", "  key_groups: x\n  version:"), secrets.Unsafe},
		"a key group is a list":                           {everywhere(good, "  version:", "  key_groups: [[]]\n  version:"), secrets.Unsafe},
		"a key group holds no keys":                       {everywhere(good, "  version:", "  key_groups: [{version: x}]\n  version:"), secrets.Unsafe},
		"a key of a group is a text":                      {everywhere(good, "  version:", "  key_groups: [{age: [x]}]\n  version:"), secrets.Unsafe},
		"a key has a field that sops doesn't know":        {everywhere(good, "recipient:", "command: x\n      recipient:"), secrets.Unsafe},
		"a key has a list for a field":                    {everywhere(good, "recipient:", "enc: [a]\n      recipient:"), secrets.Unsafe},
		"a key is very large":                             {everywhere(good, "  version:", "  pgp: [{fp: "+strings.Repeat("a", 70_000)+"}]\n  version:"), secrets.Unsafe},
		"the rule is a list":                              {everywhere(good, "encrypted_regex: "+rule, "encrypted_regex: [a]"), secrets.Unsafe},
		"shamir_threshold is a list":                      {everywhere(good, "  version:", "  shamir_threshold: []\n  version:"), secrets.Unsafe},
		"an empty list of other keys, as old sops has it": {everywhere(good, "  version:", "  kms: []\n  hc_vault: null\n  version:"), ""},
		"there are two rules":                             {everywhere(good, "  encrypted_regex", "  unencrypted_regex: x\n  encrypted_regex"), secrets.Unsafe},
		"the rule is no regular expression":               {everywhere(good, rule, "("), secrets.Unsafe},
		"the rule takes too long on so many values":       {replace(everywhere(good, rule, "x{900}"), "name: two", "name: ["+strings.Repeat("x,", 40_000)+"]"), secrets.Unsafe},
		"the rule is too large":                           {everywhere(good, rule, "(x{1000}){1}y{900}"), secrets.Unsafe},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == "" {
				_, _, err := p.Open(context.Background(), "a.yaml", []byte(c.file))
				require.NoError(t, err)
				return
			}
			requireReason(t, p, c.file, c.want, append(plainTexts, "plain-Secret")...)
		})
	}
}

func flip(cipher string) string {
	b := []byte(cipher)
	i := strings.Index(cipher, "data:") + len("data:")
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// The MAC covers values in their order and nothing else. What it lets pass must
// at least come out where it stands in the file: the fields that may hold a
// secret are the hub's business, and a review of the plan that of people.
func TestWhatTheMACDoesNotCoverComesOutWhereItStands(t *testing.T) {
	id := ageKey(t)
	const plain = `items:
  - name: one
    password: first-Secret
  - name: two
    domain: a.example
    tags: [x]
`
	good := encrypt(t, plain, recipe{groups: forAge(t, id), rule: rule})
	cipher := ciphertext.FindString(good)
	for name, c := range map[string]struct {
		file string
		want map[string]string
	}{
		"a secret moved to another item": {
			strings.Replace(strings.Replace(good, "\n    password: "+cipher, "", 1), "  - name: two", "  - password: "+cipher+"\n    name: two", 1),
			map[string]string{"0#/items/1/password": "first-Secret"},
		},
		"a plain key with another name": {
			strings.Replace(good, "domain:", "realm:", 1), map[string]string{"0#/items/0/password": "first-Secret"},
		},
		"a null that was added": {
			strings.Replace(good, "domain:", "other: null\n    domain:", 1), map[string]string{"0#/items/0/password": "first-Secret"},
		},
		"a list that became a scalar": {
			regexp.MustCompile(`tags:\s+- x`).ReplaceAllString(good, "tags: x"), map[string]string{"0#/items/0/password": "first-Secret"},
		},
		"items that were cut anew": {
			strings.Replace(good, "  - name: two\n    domain", "    alias: two\n  - domain", 1), map[string]string{"0#/items/0/password": "first-Secret"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, good, c.file)
			values, _, err := withKey(t, id).Open(context.Background(), "a.yaml", []byte(c.file))
			require.NoError(t, err)
			if diff := cmp.Diff(c.want, revealed(t, values)); diff != "" {
				t.Fatalf("values (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKnowsTheFormatOfTheLibrary(t *testing.T) {
	module, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	m := regexp.MustCompile(`github\.com/getsops/sops/v3 v(3\.[0-9]+)\.`).FindSubmatch(module)
	require.NotNil(t, m)
	id := ageKey(t)
	good := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule, version: string(m[1]) + ".99"})
	_, _, err = withKey(t, id).Open(context.Background(), "a.yaml", []byte(good))
	require.NoError(t, err)
	newer := encrypt(t, plainFile, recipe{groups: forAge(t, id), rule: rule, version: "3.999.0"})
	requireReason(t, withKey(t, id), newer, secrets.NewerFormat)
	failure := requireReason(t, withKey(t, id), newer, secrets.NewerFormat)
	require.Contains(t, failure.What, "newer than the "+string(m[1])+" that")
}
