package secrets_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/secrets"
)

// FuzzOpen gives Open what manifest.Load would have refused as well: whatever
// comes in, it ends in values of the file or in an error without one.
func FuzzOpen(f *testing.F) {
	id := ageKey(f)
	good := encrypt(f, plainFile, recipe{groups: forAge(f, id), rule: rule})
	f.Add(good)
	f.Add(encrypt(f, plainFile, recipe{groups: forAge(f, id), macOnly: true, rule: rule}))
	f.Add(encrypt(f, "a: [b, {c: 1}]\n", recipe{groups: append(forAge(f, id), forAge(f, id)...)}))
	f.Add("sops: {version: 3.13.3, lastmodified: \"2026-01-01T00:00:00Z\", mac: \"\", age: [{recipient: x, enc: y}]}")
	f.Add("a: &x [*x]\nsops: {version: 3.0.0}")
	f.Add(strings.ReplaceAll(good, "type:str", "type:bytes"))
	f.Add(strings.ReplaceAll(good, "password", "? [a]\n"))
	// The kept inputs are made from an example, whose key is public.
	throwAway, err := os.ReadFile("../../examples/homelab/THROW-AWAY-age-key.txt")
	require.NoError(f, err)
	public, err := age.ParseIdentities(bytes.NewReader(throwAway))
	require.NoError(f, err)
	example, err := os.ReadFile("../../examples/homelab/endpoints/pve.secrets.yaml")
	require.NoError(f, err)
	f.Add(string(example))
	p := withKey(f, id, public[0].(*age.X25519Identity))
	keyless := opener(f, secrets.Options{NoDecrypt: true})
	f.Fuzz(func(t *testing.T, file string) {
		values, info, err := p.Open(context.Background(), "a.yaml", []byte(file))
		for path, secret := range values {
			plain, ok := secret.Reveal()
			if !ok || strings.HasPrefix(plain, "ENC[") || !strings.Contains(file, secret.Cipher()) {
				t.Fatalf("the secret at %q is not one of the file", path)
			}
			if len(plain) >= 8 { // shorter ones are in any text
				requireHidden(t, []string{plain}, secret, info)
			}
		}
		var failure *secrets.Error
		if err != nil && (!errors.As(err, &failure) || len(values) != 0) {
			t.Fatal("an error without a reason, or with values")
		}
		requireHidden(t, plainTexts[1:], err, info)
		if _, _, sealedErr := keyless.Open(context.Background(), "a.yaml", []byte(file)); sealedErr != nil && err == nil {
			t.Fatalf("refused without a key only: %v", sealedErr)
		}
	})
}
