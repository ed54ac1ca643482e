package manifest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

// enc is an encrypted value of its form only: nothing here can decrypt it.
func enc(data string) string {
	return "ENC[AES256_GCM,data:" + data + ",iv:aXY=,tag:dGFn,type:str]"
}

const block = "sops:\n  mac: ENC[AES256_GCM,data:bWFj,iv:aXY=,tag:dGFn,type:str]\n  version: 3.13.3\n"

var sealedFile = `apiVersion: proxbox-sync/v1
kind: Thing
spec:
  name: a
  password: ` + enc("b25l") + `
  list: [x, "` + enc("dHdv") + `"]
  odd/key~: {password: "` + enc("dGhyZWU=") + `"}
` + block + `---
` + block + `---
apiVersion: proxbox-sync/v1
kind: Thing
defaults: {password: "` + enc("Zm91cg==") + `"}
items: [{name: b}, {name: c, password: "` + enc("Zml2ZQ==") + `"}]
` + block

func TestPutsDecryptedValuesWhereTheirCiphertextsStand(t *testing.T) {
	plain := map[string]reconcile.Secret{
		"0#/spec/password":            reconcile.NewSecret("one", enc("b25l")),
		"0#/spec/list/1":              reconcile.NewSecret("two", enc("dHdv")),
		"0#/spec/odd~1key~0/password": reconcile.NewSecret("three", enc("dGhyZWU=")),
		"2#/defaults/password":        reconcile.NewSecret("four", enc("Zm91cg==")),
		"2#/items/1/password":         reconcile.NewSecret("five", enc("Zml2ZQ==")),
	}
	docs, diags := read(sealedFile, manifest.Options{Decrypt: func(file string, data []byte) (map[string]reconcile.Secret, error) {
		require.Equal(t, "<stdin>", file)
		require.Equal(t, sealedFile, string(data))
		return plain, nil
	}})
	require.Empty(t, diags)
	secret := func(s string) string { return fmt.Sprintf("secret %q open=true cipher=true", s) }
	want := []any{
		map[string]any{"name": "a", "password": secret("one"), "list": []any{"x", secret("two")}, "odd/key~": map[string]any{"password": secret("three")}},
		map[string]any{"name": "b", "password": secret("four")},
		map[string]any{"name": "c", "password": secret("five")},
	}
	var got []any
	for _, d := range docs {
		got = append(got, value(d.Spec))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("objects (-want +got):\n%s", diff)
	}
	require.Equal(t, reconcile.Position{File: "<stdin>", Line: 5, Column: 13}, docs[0].Spec.Member("password").Pos)
	require.NotContains(t, fmt.Sprintf("%+v %#v", docs, docs), "three")
}

func TestLeavesSecretsSealedWithoutADecrypter(t *testing.T) {
	docs, diags := read(sealedFile, manifest.Options{})
	require.Empty(t, diags)
	require.Len(t, docs, 3)
	secret, ok := docs[0].Spec.Member("password").Value.(reconcile.Secret)
	require.True(t, ok)
	require.True(t, secret.Sealed())
	require.Equal(t, enc("b25l"), secret.Cipher())
}

type explained struct{}

func (explained) Error() string { return "hunter2" }

func (explained) Diagnostic() reconcile.Diagnostic {
	return reconcile.Diagnostic{Severity: reconcile.Error, Trouble: reconcile.SecretKey, Code: "no-key", Summary: "no key"}
}

func TestReportsAFailureToDecrypt(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"that explains itself":         {fmt.Errorf("wrapped: %w", explained{}), "8:1 no-key"},
		"that may hold anything in it": {errors.New("hunter2"), "8:1 not-decrypted"},
	} {
		t.Run(name, func(t *testing.T) {
			docs, diags := read(sealedFile, manifest.Options{Decrypt: func(string, []byte) (map[string]reconcile.Secret, error) { return nil, c.err }})
			requireDiagnostics(t, diags, c.want)
			require.Equal(t, reconcile.SecretKey, diags[0].Trouble)
			require.NotContains(t, fmt.Sprintf("%+v", diags), "hunter2")
			require.Len(t, docs, 3, "the documents are checked all the same")
		})
	}
	_, diags := read(sealedFile, manifest.Options{Decrypt: func(string, []byte) (map[string]reconcile.Secret, error) { return nil, nil }})
	require.Len(t, diags, 5)
	require.Equal(t, "not-decrypted", diags[0].Code)

	_, diags = read(sealedFile, manifest.Options{Decrypt: func(string, []byte) (map[string]reconcile.Secret, error) { panic("hunter2") }})
	requireDiagnostics(t, diags, "0:0 unreadable-yaml")
	require.NotContains(t, fmt.Sprintf("%+v", diags), "hunter2")
}

func TestDistrustsWhatSopsDoesNotProtect(t *testing.T) {
	const begin = "apiVersion: proxbox-sync/v1\nkind: Thing\nspec:\n"
	x := enc("b25l")
	for name, c := range map[string]struct {
		text string
		want []string
		says string
	}{
		"an encrypted value without a block":        {begin + "  a: " + x + "\n", []string{"4:6 no-sops-block"}, ""},
		"a value that begins like one":              {begin + "  a: ENC[x]\n", []string{"4:6 no-sops-block"}, ""},
		"a malformed ciphertext":                    {begin + "  a: ENC[AES256_GCM,data:x]\n" + block, []string{"4:6 malformed-ciphertext"}, ""},
		"a ciphertext with something behind it":     {begin + "  a: " + x + "]\n" + block, []string{"4:6 malformed-ciphertext"}, ""},
		"a ciphertext in a block text":              {begin + "  a: |\n    " + x + "\n" + block, []string{"4:6 malformed-ciphertext"}, ""},
		"an encrypted number":                       {begin + "  a: " + strings.Replace(x, "str", "int", 1) + "\n" + block, []string{"4:6 encrypted-type"}, "type int"},
		"encrypted bytes":                           {begin + "  a: " + strings.Replace(x, "str", "bytes", 1) + "\n" + block, []string{"4:6 encrypted-type"}, "type bytes"},
		"a type that sops doesn't have":             {begin + "  a: " + strings.Replace(x, "str", "hunter", 1) + "\n" + block, []string{"4:6 encrypted-type"}, "unknown to sops"},
		"an encrypted kind":                         {"apiVersion: proxbox-sync/v1\nkind: " + x + "\nspec: {}\n" + block, []string{"2:7 encrypted-envelope"}, "encrypted_regex"},
		"an encrypted apiVersion":                   {"apiVersion: " + x + "\nkind: " + x + "\nspec: {}\n" + block, []string{"1:13 encrypted-envelope"}, "encrypted_regex"},
		"encrypted metadata":                        {"apiVersion: proxbox-sync/v1\nkind: Thing\nmetadata: {protect: '" + x + "', ignoreChanges: ['" + x + "']}\nspec: {}\n" + block, []string{"3:21 encrypted-envelope", "3:92 encrypted-envelope"}, "metadata.protect"},
		"an encrypted key":                          {begin + "  " + x + ": a\n" + block, []string{"4:3 encrypted-key"}, ""},
		"a key with a colon":                        {begin + "  a:b: c\n" + block, []string{"4:3 colon-in-key"}, ""},
		"a key with a colon in a plain file":        {begin + "  a:b: c\n", nil, ""},
		"an encrypted comment":                      {begin + "  # " + x + "\n  a: b\n" + block, []string{"5:3 encrypted-comment"}, ""},
		"an encrypted comment at the end of a line": {begin + "  a: b # " + x + "\n" + block, []string{"4:6 encrypted-comment"}, ""},
		"an encrypted comment in a list":            {begin + "  a:\n    # " + x + "\n    - b\n" + block, []string{"6:7 encrypted-comment"}, ""},
		"a comment about ENC in a plain file":       {begin + "  a: b # not ENC[ted\n", nil, ""},
		"an alias":                                  {begin + "  a: &a b\n  c: *a\n" + block, []string{"5:6 alias-in-sops-file"}, ""},
		"an alias in the block":                     {begin + "  a: &a b\n" + block + "  x: *a\n", []string{"8:6 alias-in-sops-file"}, ""},
		"a merge":                                   {begin + "  a: {<<: {b: c}}\n" + block, []string{"4:7 merge-in-sops-file"}, ""},
		"a document without the block":              {begin + "  a: b\n" + block + "---\n" + begin + "  a: c\n", []string{"9:1 sops-block-missing"}, ""},
		"a first document without the block":        {begin + "  a: b\n---\n" + begin + "  a: c\n" + block, []string{"1:1 sops-block-missing"}, ""},
		"blocks that differ":                        {begin + "  a: b\n" + block + "---\n" + begin + "  a: c\n" + strings.Replace(block, "bWFj", "bWFk", 1), []string{"14:3 sops-blocks-differ"}, ""},
		"a block that is a text":                    {begin + "  a: b\nsops: yes\n", []string{"5:7 sops-block-invalid"}, ""},
		"an empty document between":                 {begin + "  a: b\n" + block + "---\n---\n" + begin + "  a: c\n" + block, nil, ""},
		"a sops key that is no block of a document": {begin + "  sops: {a: b}\n", nil, ""},
		"a file whose plain values are unprotected": {begin + "  a: b\n" + block + "  mac_only_encrypted: true\n", []string{"8:23 mac-only-encrypted"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			_, diags := read(c.text, manifest.Options{Decrypt: func(string, []byte) (map[string]reconcile.Secret, error) {
				asked = true
				return map[string]reconcile.Secret{
					"0#/apiVersion": {}, "0#/kind": {}, "0#/metadata/protect": {}, "0#/metadata/ignoreChanges/0": {},
				}, nil
			}})
			_, sealed := read(c.text, manifest.Options{})
			if diff := cmp.Diff(sealed, diags); diff != "" {
				t.Fatalf("without and with a key (-without +with):\n%s", diff)
			}
			requireDiagnostics(t, diags, c.want...)
			for _, d := range diags {
				require.NotContains(t, d.Summary+d.Detail, "ENC[AES")
				require.NotContains(t, d.Summary+d.Detail, "hunter")
				if d.Severity == reconcile.Error {
					require.Equal(t, d.Code != "encrypted-envelope", d.Trouble == reconcile.SecretKey)
					require.False(t, asked && d.Code != "encrypted-envelope", "the file was given to be decrypted")
				}
			}
			if c.says != "" {
				require.Contains(t, diags[0].Summary+diags[0].Detail, c.says)
			}
		})
	}
}

func TestDecryptsFilesConcurrentlyAndReportsInOrder(t *testing.T) {
	folder := t.TempDir()
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("%02d.yaml", i)] = sealedFile
	}
	write(t, folder, files)
	t.Chdir(folder)
	var running, most atomic.Int32
	both := make(chan struct{})
	docs, diags := manifest.Load(context.Background(), []string{"."}, manifest.Options{
		Decrypt: func(file string, _ []byte) (map[string]reconcile.Secret, error) {
			// The first two wait for each other: with one worker this hangs.
			switch n := running.Add(1); {
			case n == 2:
				close(both)
			case n == 1:
				<-both
			}
			most.Add(1)
			return nil, errors.New(file)
		},
	})
	require.EqualValues(t, 20, most.Load())
	require.Len(t, docs, 60)
	var order []string
	for _, d := range diags {
		order = append(order, d.Pos.File)
	}
	require.IsIncreasing(t, order)
	require.Len(t, order, 20)
}
