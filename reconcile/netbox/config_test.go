package netbox

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

func TestURL(t *testing.T) {
	for _, tc := range []struct {
		name, url string
		allowHTTP bool
		want      string // of the client, or
		wrong     string // part of the error
	}{
		{"https", "https://netbox.example.net", false, "https://netbox.example.net", ""},
		{"a slash at the end is left off", " https://netbox.example.net/ ", false, "https://netbox.example.net", ""},
		{"a sub-path stays", "https://example.net/tools/netbox/", false, "https://example.net/tools/netbox", ""},
		{"the API's own path is left off", "https://example.net/netbox/api/", false, "https://example.net/netbox", ""},
		{"http to this machine by name", "http://localhost:8000", false, "http://localhost:8000", ""},
		{"http to this machine by address", "http://[::1]:8000", false, "http://[::1]:8000", ""},
		{"http elsewhere is refused", "http://netbox.example.net", false, "", "plain http"},
		{"http elsewhere when allowed", "http://netbox.example.net", true, "http://netbox.example.net", ""},
		{"none", "", false, "", "there is none"},
		{"no scheme", "netbox.example.net", false, "", "has to begin"},
		{"another scheme", "ftp://netbox.example.net", false, "", "has to begin"},
		{"no host", "https:///netbox", false, "", "no host"},
		{"a user and password", "https://user:hunter2hunter2@netbox.example.net", false, "", "do not belong"},
		{"a password in what is no URL", "https://user:hunter2hunter2@net box/%zz", false, "", "not a URL"},
		{"a query", "https://netbox.example.net/?a=b", false, "", "query"},
		{"a fragment", "https://netbox.example.net/#a", false, "", "query or a fragment"},
		{"an escaped path", "https://netbox.example.net/a%2Fb", false, "", "escaped"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := New(Config{URL: tc.url, AllowHTTP: tc.allowHTTP, Token: reconcile.NewSecret(testTokenV1, ""), Kinds: kinds(t)})
			if tc.wrong != "" {
				var config *ConfigError
				require.ErrorAs(t, err, &config)
				require.Equal(t, "url", config.Setting)
				require.ErrorContains(t, err, tc.wrong)
				require.NotContains(t, err.Error(), "hunter2")
				return
			}
			require.NoError(t, err)
			if diff := cmp.Diff(tc.want, c.base.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllowedOrigins(t *testing.T) {
	for _, tc := range []struct {
		name    string
		url     string
		allowed []string
		setting string // of the error, "" for none
	}{
		{"none means any", "https://a.example", nil, ""},
		{"the very one", "https://a.example", []string{"https://b.example", "https://a.example"}, ""},
		{"the default port may be named", "https://a.example/netbox", []string{"https://A.example:443/"}, ""},
		{"another port", "https://a.example:8443", []string{"https://a.example"}, "url"},
		{"another scheme", "http://localhost", []string{"https://localhost"}, "url"},
		{"another host", "https://a.example.evil", []string{"https://a.example"}, "url"},
		{"a sub-domain", "https://x.a.example", []string{"https://a.example"}, "url"},
		{"an entry with a path", "https://a.example", []string{"https://a.example/netbox"}, "allowed-origins"},
		{"an entry that is a host only", "https://a.example", []string{"a.example"}, "allowed-origins"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := New(Config{URL: tc.url, AllowedOrigins: tc.allowed, Token: reconcile.NewSecret(testTokenV1, ""), Kinds: kinds(t)})
			if tc.setting == "" {
				require.NoError(t, err)
				return
			}
			var config *ConfigError
			require.ErrorAs(t, err, &config)
			require.Equal(t, tc.setting, config.Setting)
			require.Equal(t, tc.setting == "url", errors.Is(err, ErrOrigin))
		})
	}
}

func TestToken(t *testing.T) {
	for _, tc := range []struct{ name, token, want string }{
		{"v1 in hexadecimal", testTokenV1, "Token " + testTokenV1},
		{"v1 as newer servers make them", strings.Repeat("aZ9x", 10), "Token " + strings.Repeat("aZ9x", 10)},
		{"v2", testTokenV2, "Bearer " + testTokenV2},
		{"with a line end, as files have it", testTokenV1 + "\n", "Token " + testTokenV1},
		{"empty", "", ""},
		{"too short", testTokenV1[1:], ""},
		{"too long", testTokenV1 + "0", ""},
		{"a token of GitHub's", "ghp_0123456789abcdef0123456789abcdef0123", ""},
		{"v2 without its secret half", "nbt_abcdefghijkl", ""},
		{"a second line", testTokenV1 + "\nX-Evil: 1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := New(Config{URL: "https://a.example", Token: reconcile.NewSecret(tc.token, ""), Kinds: kinds(t)})
			if tc.want == "" {
				var config *ConfigError
				require.ErrorAs(t, err, &config)
				require.Equal(t, "token", config.Setting)
				if tc.token != "" {
					require.NotContains(t, err.Error(), strings.TrimSpace(tc.token)[:8])
				}
				return
			}
			require.NoError(t, err)
			require.True(t, c.token() == tc.want, "another header value than expected")
		})
	}
	t.Run("a sealed secret is no token", func(t *testing.T) {
		_, err := New(Config{URL: "https://a.example", Token: reconcile.SealedSecret("ENC[…]"), Kinds: kinds(t)})
		require.ErrorContains(t, err, "token")
	})
}

func TestHeaders(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header http.Header
		wrong  string
	}{
		{"one for a proxy", http.Header{"CF-Access-Client-Secret": {"canary-value-1"}}, ""},
		{"the token's own", http.Header{"authorization": {"canary-value-1"}}, "Authorization cannot be set"},
		{"a cookie", http.Header{"Cookie": {"canary-value-1"}}, "Cookie cannot be set"},
		{"another host", http.Header{"Host": {"canary-value-1"}}, "Host cannot be set"},
		{"a name with a space", http.Header{"X Y": {"canary-value-1"}}, "name"},
		{"a value with a line end", http.Header{"X-Y": {"canary-value-1\r\nHost: x"}}, "control characters"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := New(Config{URL: "https://a.example", Headers: tc.header, Token: reconcile.NewSecret(testTokenV1, ""), Kinds: kinds(t)})
			if tc.wrong == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.wrong)
			require.NotContains(t, err.Error(), "canary-value")
		})
	}
}

func TestPrintingShowsNoSecret(t *testing.T) {
	cfg := Config{
		URL: "https://a.example", Token: reconcile.NewSecret(testTokenV2, ""), Kinds: kinds(t),
		Headers: http.Header{"X-Key": {"canary-header-value"}}, ClientKey: reconcile.NewSecret("canary-key-value", ""),
	}
	printed := fmt.Sprintf("%v %+v %#v %s %q", cfg, cfg, cfg, cfg, cfg)
	cfg.ClientKey = reconcile.Secret{}
	c, err := New(cfg)
	require.NoError(t, err)
	printed += fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c, c)
	for _, secret := range []string{testTokenV2, "canary-header", "canary-key"} {
		require.NotContains(t, printed, secret)
	}
}

func TestClientCertificateThatIsNone(t *testing.T) {
	_, err := New(Config{
		URL: "https://a.example", Token: reconcile.NewSecret(testTokenV1, ""), Kinds: kinds(t),
		ClientCert: []byte("x"), ClientKey: reconcile.NewSecret("canary-key-value", ""),
	})
	var config *ConfigError
	require.ErrorAs(t, err, &config)
	require.Equal(t, "client-cert", config.Setting)
	require.NotContains(t, err.Error(), "canary")

	_, err = New(Config{URL: "https://a.example", Token: reconcile.NewSecret(testTokenV1, ""), Kinds: kinds(t), CAFile: []byte("no PEM")})
	require.ErrorAs(t, err, &config)
	require.Equal(t, "ca-file", config.Setting)
}
