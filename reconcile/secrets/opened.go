package secrets

import (
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/getsops/sops/v3/keyservice"
)

// opened keeps the data keys of a run by what they were made of, since files that
// were made by copying one share it: each is asked for once. What fails is not
// kept. The keys stand behind closures, where printing does not show them.
type opened struct {
	mu   sync.Mutex
	keys map[[sha256.Size]byte]*dataKey
}

// dataKey is one data key, or a share of one.
type dataKey struct {
	mu    sync.Mutex // held while it is asked for
	plain func() []byte
}

// once returns what ask returned for the same encrypted key before, or asks.
func (o *opened) once(req *keyservice.DecryptRequest, ask func() ([]byte, error)) ([]byte, error) {
	k := o.key(sha256.Sum256([]byte(owner(req.GetKey()) + "\x00" + string(req.GetCiphertext()))))
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.plain != nil {
		return k.plain(), nil
	}
	plain, err := ask()
	if err != nil {
		return nil, err
	}
	kept := slices.Clone(plain)
	k.plain = func() []byte { return slices.Clone(kept) }
	return plain, nil
}

func (o *opened) key(sum [sha256.Size]byte) *dataKey {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys == nil {
		o.keys = map[[sha256.Size]byte]*dataKey{}
	}
	if o.keys[sum] == nil {
		o.keys[sum] = &dataKey{}
	}
	return o.keys[sum]
}

// owner is whose key opens a data key.
func owner(k *keyservice.Key) string {
	switch k := k.GetKeyType().(type) {
	case *keyservice.Key_AgeKey:
		return "age=" + k.AgeKey.Recipient
	case *keyservice.Key_PgpKey:
		return "pgp=" + k.PgpKey.Fingerprint
	}
	return address(k)
}
