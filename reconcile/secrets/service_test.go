package secrets

import (
	"context"
	"testing"

	"github.com/getsops/sops/v3/keyservice"
	"github.com/stretchr/testify/require"
)

// sops asks for a key in its own terms. They must lead to the same address as
// the block of the file, or an allowance would mean two things.
func TestAddressesAreTheSameOnBothSidesOfSops(t *testing.T) {
	for want, c := range map[string]struct {
		asked *keyservice.Key
		block key
	}{
		"kms=arn:aws:kms:x": {
			&keyservice.Key{KeyType: &keyservice.Key_KmsKey{KmsKey: &keyservice.KmsKey{Arn: "arn:aws:kms:x"}}},
			key{"kms", map[string]string{"arn": "arn:aws:kms:x", "aws_profile": ""}},
		},
		"kms=arn:aws:kms:x+arn:role": {
			&keyservice.Key{KeyType: &keyservice.Key_KmsKey{KmsKey: &keyservice.KmsKey{Arn: "arn:aws:kms:x", Role: "arn:role"}}},
			key{"kms", map[string]string{"arn": "arn:aws:kms:x", "role": "arn:role"}},
		},
		"kms=": {
			&keyservice.Key{KeyType: &keyservice.Key_KmsKey{KmsKey: &keyservice.KmsKey{Arn: "arn:aws:kms:x", AwsProfile: "admin"}}},
			key{"kms", map[string]string{"arn": "arn:aws:kms:x", "aws_profile": "admin"}},
		},
		"gcp_kms=projects/x": {
			&keyservice.Key{KeyType: &keyservice.Key_GcpKmsKey{GcpKmsKey: &keyservice.GcpKmsKey{ResourceId: "projects/x"}}},
			key{"gcp_kms", map[string]string{"resource_id": "projects/x"}},
		},
		"hckms=region:x": {
			&keyservice.Key{KeyType: &keyservice.Key_HckmsKey{HckmsKey: &keyservice.HckmsKey{KeyId: "region:x"}}},
			key{"hckms", map[string]string{"key_id": "region:x"}},
		},
		"azure_kv=https://v.example/keys/n/1": {
			&keyservice.Key{KeyType: &keyservice.Key_AzureKeyvaultKey{AzureKeyvaultKey: &keyservice.AzureKeyVaultKey{VaultUrl: "https://v.example", Name: "n", Version: "1"}}},
			key{"azure_kv", map[string]string{"vault_url": "https://v.example", "name": "n", "version": "1"}},
		},
		"hc_vault=https://v.example/v1/sops/keys/k": {
			&keyservice.Key{KeyType: &keyservice.Key_VaultKey{VaultKey: &keyservice.VaultKey{VaultAddress: "https://v.example", EnginePath: "sops", KeyName: "k"}}},
			key{"hc_vault", map[string]string{"vault_address": "https://v.example", "engine_path": "sops", "key_name": "k"}},
		},
	} {
		require.Equal(t, want, address(c.asked))
		require.Equal(t, want, c.block.kind+"="+c.block.address())

		s := &service{ctx: context.Background(), keyring: &keyring{}, allowed: map[string]bool{want + "/other": true}, opened: &opened{}}
		_, err := s.Decrypt(context.Background(), &keyservice.DecryptRequest{Key: c.asked})
		require.ErrorIs(t, err, errNoKey)
		_, err = s.Encrypt(context.Background(), &keyservice.EncryptRequest{Key: c.asked})
		require.Error(t, err)
	}
	s := &service{ctx: context.Background(), keyring: &keyring{}, opened: &opened{}}
	_, err := s.Decrypt(context.Background(), &keyservice.DecryptRequest{})
	require.ErrorIs(t, err, errNoKey)
}

// A panic of sops may hold a value.
func TestAPanicIsNamedByItsFileOnly(t *testing.T) {
	p, err := New(Options{Env: func(string) string { panic("hunter2") }})
	require.NoError(t, err)
	_, _, err = p.Open(context.Background(), "a.yaml", []byte(`{"a": 1, "sops": {"version": "3.9.0", "lastmodified": "2026-01-01T00:00:00Z", `+
		`"mac": "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]", "age": [{"recipient": "age1qqq", "enc": "x"}]}}`))
	var failure *Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, Unsafe, failure.Reason)
	require.Equal(t, "a.yaml: this sops file made sops fail", err.Error())
}
