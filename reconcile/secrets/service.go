package secrets

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"filippo.io/age"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/pgp"
)

// service is the only key service that sops is given. It answers for age keys
// of the keyring and for PGP keys; anything else only at an address that was
// allowed. That the file's block was checked before is not relied on here.
type service struct {
	keyservice.UnimplementedKeyServiceServer
	ctx     context.Context // of the Open in which sops asks
	keyring *keyring
	gnupg   gnupg
	allowed map[string]bool
	opened  *opened // of all files

	mu    sync.Mutex
	tried bool // a key was there and did not open the file
}

var errNoKey = errors.New("no key")

// Decrypt opens the data key of a file, or its share of it.
func (s *service) Decrypt(_ context.Context, req *keyservice.DecryptRequest) (*keyservice.DecryptResponse, error) {
	plain, err := s.opened.once(req, func() ([]byte, error) { return s.ask(req) })
	if err != nil {
		return nil, err
	}
	return &keyservice.DecryptResponse{Plaintext: plain}, nil
}

func (s *service) ask(req *keyservice.DecryptRequest) ([]byte, error) {
	switch k := req.GetKey().GetKeyType().(type) {
	case *keyservice.Key_AgeKey:
		return s.age(k.AgeKey, req.Ciphertext)
	case *keyservice.Key_PgpKey:
		return s.pgp(k.PgpKey, req.Ciphertext)
	}
	if !s.allowed[address(req.Key)] {
		return nil, errNoKey
	}
	s.used()
	answer, err := keyservice.Server{}.Decrypt(s.ctx, req)
	return answer.GetPlaintext(), err
}

func (s *service) used() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = true
}

func (s *service) age(k *keyservice.AgeKey, ciphertext []byte) ([]byte, error) {
	// Without identities sops would go looking for them itself.
	if len(s.keyring.identities) == 0 {
		return nil, errNoKey
	}
	s.used()
	master := sopsage.MasterKey{Recipient: k.Recipient, EncryptedKey: string(ciphertext)}
	sopsage.ParsedIdentities(slices.Clone[[]age.Identity](s.keyring.identities)).ApplyToMasterKey(&master)
	return master.Decrypt()
}

func (s *service) pgp(k *keyservice.PgpKey, ciphertext []byte) ([]byte, error) {
	master := pgp.NewMasterKeyFromFingerprint(k.Fingerprint)
	master.EncryptedKey = string(ciphertext)
	switch {
	case s.gnupg.binary:
		// The built-in OpenPGP would ask for a passphrase on standard output.
		pgp.DisableOpenPGP{}.ApplyToMasterKey(master)
		if s.gnupg.home != "" {
			pgp.GnuPGHome(s.gnupg.home).ApplyToMasterKey(master)
		}
	case s.gnupg.ring != "":
		pgp.SecRing(s.gnupg.ring).ApplyToMasterKey(master)
	default:
		return nil, errNoKey
	}
	plain, err := master.DecryptContext(s.ctx)
	if err != nil && !strings.Contains(err.Error(), "No secret key") {
		s.used()
	}
	return plain, err
}

// address is the type and exact place of a key, as key.address has it.
func address(k *keyservice.Key) string {
	out := key{fields: map[string]string{}}
	switch k := k.GetKeyType().(type) {
	case *keyservice.Key_KmsKey:
		out.kind = "kms"
		out.fields["arn"], out.fields["role"], out.fields["aws_profile"] = k.KmsKey.Arn, k.KmsKey.Role, k.KmsKey.AwsProfile
	case *keyservice.Key_GcpKmsKey:
		out.kind, out.fields["resource_id"] = "gcp_kms", k.GcpKmsKey.ResourceId
	case *keyservice.Key_HckmsKey:
		out.kind, out.fields["key_id"] = "hckms", k.HckmsKey.KeyId
	case *keyservice.Key_AzureKeyvaultKey:
		out.kind = "azure_kv"
		out.fields["vault_url"], out.fields["name"], out.fields["version"] = k.AzureKeyvaultKey.VaultUrl, k.AzureKeyvaultKey.Name, k.AzureKeyvaultKey.Version
	case *keyservice.Key_VaultKey:
		out.kind = "hc_vault"
		out.fields["vault_address"], out.fields["engine_path"], out.fields["key_name"] = k.VaultKey.VaultAddress, k.VaultKey.EnginePath, k.VaultKey.KeyName
	}
	return out.kind + "=" + out.address()
}
