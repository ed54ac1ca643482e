package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	sopsyaml "github.com/getsops/sops/v3/stores/yaml"
	"github.com/stretchr/testify/require"

	"proxbox-sync/examples"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// awkwardSecrets have what encodings change, and are short as well as long.
var awkwardSecrets = map[string]string{
	"quotes":       `Gänse"47'11`,
	"brackets":     `Gänse-<4711>&`,
	"a backslash":  `C:\nöt\"q"\`,
	"blanks":       `tok&en one +2`,
	"a path":       `a/b%20cd/e f`,
	"short":        `q"7%`,
	"shorter":      `ü~9`,
	"an emoji":     `p😀ss`,
	"several rows": "-----BEGIN\nrow \"two\"\nrow three\n",
}

// secretForms are the ways in which frameworks and proxies write a text.
func secretForms(s string) map[string]string {
	goJSON, _ := json.Marshal(s)
	inJSON := strings.Trim(strconv.QuoteToASCII(s), " ")
	python := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(goJSON))
	twice, _ := json.Marshal(python)
	forms := map[string]string{
		"plain": s, "JSON": string(goJSON[1 : len(goJSON)-1]), "ASCII": inJSON[1 : len(inJSON)-1], "JSON of others": python[1 : len(python)-1],
		"JSON in JSON": string(twice[3 : len(twice)-3]), "a query": url.QueryEscape(s), "a path": url.PathEscape(s),
		"lower percents": strings.ToLower(url.QueryEscape(s)), "Python's quote": strings.ReplaceAll(url.QueryEscape(s), "+", "%20"),
		"Python's quote of a path": strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(s)),
		"HTML":                     html.EscapeString(s), "hex": hex.EncodeToString([]byte(s)),
		"base64": strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(s)), "="), "base64 for URLs": base64.RawURLEncoding.EncodeToString([]byte(s)),
	}
	return forms
}

// requireNoSecret looks for a secret and its lines in every form. A failure
// names the form, never the text.
func requireNoSecret(t *testing.T, secret, text, where string) {
	t.Helper()
	for line := range strings.Lines(secret) {
		for name, form := range secretForms(strings.TrimSpace(line)) {
			if strings.Contains(text, form) {
				t.Errorf("%s has the secret (%s)", where, name)
			}
		}
	}
}

// echoingServer refuses writes of secrets with every value that it got, in
// every form; on request, it redirects them to a page named by one.
type echoingServer struct {
	inner  http.Handler
	mode   atomic.Value // "", "refuse", "redirect"
	echoed atomic.Int32
}

func (s *echoingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mode, _ := s.mode.Load().(string)
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	var sent map[string]any
	if mode == "" || json.Unmarshal(body, &sent) != nil || r.Method == http.MethodGet {
		s.inner.ServeHTTP(w, r)
		return
	}
	var texts []string
	for name, v := range sent {
		if text, ok := v.(string); ok && strings.Contains("password token_value token_secret encryption_key", name) {
			for _, form := range secretForms(text) {
				texts = append(texts, "payload "+form)
			}
		}
	}
	if len(texts) == 0 {
		s.inner.ServeHTTP(w, r)
		return
	}
	s.echoed.Add(1)
	if mode == "redirect" {
		w.Header().Set("Location", "/login/"+url.PathEscape(strings.TrimPrefix(texts[0], "payload ")))
		w.WriteHeader(http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"name": texts, "detail": texts, texts[0]: texts})
}

// awkwardFile is a manifest of every kind with a secret field that takes any text.
func awkwardFile(secret string) string {
	quoted, _ := json.Marshal(secret) // which YAML reads as well
	file := strings.ReplaceAll(everySecret, "'CANARY'", string(quoted))
	parts := strings.Split(file, "---\n")
	return strings.Join([]string{parts[0], parts[1], parts[3]}, "---\n") // the field token is one of two meanings
}

// seal encrypts the secret fields of a file for a key.
func seal(t *testing.T, plain string, id *age.X25519Identity) string {
	t.Helper()
	store := sopsyaml.NewStore(&config.YAMLStoreConfig{Indent: 2})
	branches, err := store.LoadPlainFile([]byte(plain))
	require.NoError(t, err)
	master, err := sopsage.MasterKeyFromRecipient(id.Recipient().String())
	require.NoError(t, err)
	key := newDataKey()
	require.NoError(t, master.Encrypt(key))
	now := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	tree := sops.Tree{Branches: branches, Metadata: sops.Metadata{
		EncryptedRegex: "^(password|token_value|token_secret|encryption_key)$", Version: "3.13.3",
		LastModified: now, KeyGroups: []sops.KeyGroup{{master}},
	}}
	mac, err := tree.Encrypt(key, aes.NewCipher())
	require.NoError(t, err)
	tree.Metadata.MessageAuthenticationCode, err = aes.NewCipher().Encrypt(mac, key, now.Format(time.RFC3339))
	require.NoError(t, err)
	text, err := store.EmitEncryptedFile(tree)
	require.NoError(t, err)
	return string(text)
}

// No command shows a secret, decrypted or in plain text, whatever characters it has.
func TestNoCommandShowsAnAwkwardSecret(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	for name, secret := range awkwardSecrets {
		t.Run(name, func(t *testing.T) {
			box, err := sandbox.New(sandbox.Options{Token: scriptToken, Kinds: schema.Embedded()})
			require.NoError(t, err)
			loud := &echoingServer{inner: box}
			server := httptest.NewServer(loud)
			defer server.Close()
			dir := t.TempDir()
			write := func(name, text string) string {
				path := filepath.Join(dir, name)
				require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
				return path
			}
			sealed := write("sealed.yaml", seal(t, awkwardFile(secret), id))
			endpoint, _, _ := strings.Cut(awkwardFile(secret), "---\n") // what the demo can change and repair
			sealedDemo := filepath.Join(dir, "demo")
			require.NoError(t, os.Mkdir(sealedDemo, 0o700))
			write("demo/sealed.yaml", seal(t, endpoint, id))
			write("demo/"+examples.ThrowAwayKey, id.String()+"\n")
			open := filepath.Join(t.TempDir(), "open.yaml")
			require.NoError(t, os.WriteFile(open, []byte(awkwardFile(secret)), 0o600))
			env := []string{"PROXBOX_SYNC_URL=" + server.URL, "PROXBOX_SYNC_TOKEN=" + scriptToken, "PROXBOX_SYNC_TIMEOUT=5s",
				"SOPS_AGE_KEY=" + id.String(), "PROXBOX_SYNC_LOG_LEVEL=debug"}
			check := func(ctx context.Context, want exitCode, args ...string) {
				t.Helper()
				for _, form := range []string{"text", "json"} {
					got := runWith(ctx, append(env, "PROXBOX_SYNC_FORMAT="+form), args...)
					requireNoSecret(t, secret, got.stdout, fmt.Sprintf("stdout of %v", args))
					requireNoSecret(t, secret, got.stderr, fmt.Sprintf("stderr of %v", args))
					for _, text := range []string{id.String(), scriptToken} {
						require.False(t, strings.Contains(got.stdout+got.stderr, text), "%v shows key or token", args)
					}
					if got.code != int(want) {
						t.Errorf("%v ended with %d, want %d", args, got.code, want)
					}
				}
			}
			ctx := t.Context()
			check(ctx, exitDone, "init", "--auto-approve")
			check(ctx, exitSecrets, "validate", open)
			for _, file := range [][]string{{sealed}, {"--allow-plaintext-secrets", open}} {
				all := func(args ...string) []string { return append(args, file...) }
				check(ctx, exitDone, all("validate")...)
				check(ctx, exitDone, all("plan", "--send-secrets")...)
				check(ctx, exitDone, all("drift", "--owner=o")...)
				loud.mode.Store("refuse")
				check(ctx, exitPartly, all("apply", "--auto-approve", "--send-secrets")...)
				loud.mode.Store("redirect")
				before := loud.echoed.Load()
				got := runWith(ctx, env, all("apply", "--auto-approve", "--send-secrets")...)
				require.NotEqual(t, int(exitDone), got.code)
				requireNoSecret(t, secret, got.stdout+got.stderr, "a redirected apply")
				require.Greater(t, loud.echoed.Load(), before)
				loud.mode.Store("")
				check(ctx, exitDone, all("apply", "--auto-approve", "--owner=o", "--send-secrets")...)
				check(ctx, exitDone, all("drift", "--owner=o")...)
			}
			for _, kind := range []string{"ProxmoxEndpoint", "NetBoxEndpoint", "PluginSettings"} {
				check(ctx, exitDone, "get", kind)
				check(ctx, exitDone, "schema", kind)
				check(ctx, exitDone, "explain", kind)
			}
			check(ctx, exitDone, "doctor")
			check(ctx, exitDone, "version")
			check(ctx, exitDone, "completion", "bash")
			check(ctx, exitDone, "demo", sealedDemo)
			ended, end := context.WithCancel(ctx)
			end()
			check(ended, exitDone, "sandbox", "--listen=127.0.0.1:0")
		})
	}
}
