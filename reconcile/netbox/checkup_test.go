package netbox

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

const optionsFields = `{
	"id": {"type": "integer", "required": false, "read_only": true},
	"name": {"type": "string", "required": true, "read_only": false, "max_length": 10},
	"mode": {"type": "choice", "required": false, "read_only": false, "choices": [{"value": "a", "display_name": "A"}, {"value": 2, "display_name": "B"}, {"value": null, "display_name": "-"}]},
	"core": {"type": "nested object", "required": false, "read_only": false, "children": {"id": {"type": "integer"}}}}`

func options(w http.ResponseWriter, allow string, methods ...string) {
	var actions []string
	for _, m := range methods {
		actions = append(actions, `"`+m+`": `+optionsFields)
	}
	w.Header().Set("Allow", allow)
	answer(w, 200, `{"name": "Thing List", "actions": {`+strings.Join(actions, ",")+`}}`)
}

const allMethods = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"

func ptr(b bool) *bool { return &b }

func TestDescribe(t *testing.T) {
	fields := map[string]reconcile.FieldAbility{
		"id":   {ReadOnly: true},
		"name": {Required: true},
		"mode": {Choices: []string{"a", "2"}},
		"core": {},
	}
	for _, tc := range []struct {
		name    string
		kind    string
		allow   string
		methods []string
		want    reconcile.Ability
	}{
		{"a token that may do everything", "Thing", allMethods, []string{"PUT", "POST"}, reconcile.Ability{Path: "plugins/box/things", Fields: fields, Add: ptr(true), Change: ptr(true)}},
		{"one that may only change", "Thing", allMethods, []string{"PUT"}, reconcile.Ability{Path: "plugins/box/things", Fields: fields, Add: ptr(false), Change: ptr(true)}},
		{"one that may only read", "Thing", allMethods, nil, reconcile.Ability{Path: "plugins/box/things", Add: ptr(false), Change: ptr(false)}},
		{"settings", "Lone", "GET, PATCH, HEAD, OPTIONS", nil, reconcile.Ability{Path: "plugins/box/settings", Add: ptr(false), Delete: ptr(false)}},
		{"a server that does not list its methods", "Thing", "", nil, reconcile.Ability{Path: "plugins/box/things"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) { options(w, tc.allow, tc.methods...) })
			got, err := client(t, f.URL).Describe(context.Background(), tc.kind)
			require.NoError(t, err)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			require.Equal(t, "OPTIONS", f.requests()[0].method)
		})
	}
	t.Run("a refusal", func(t *testing.T) {
		f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, `{"detail": "Token expired"}`) })
		_, err := client(t, f.URL).Describe(context.Background(), "Thing")
		require.ErrorIs(t, err, ErrToken)
	})
}

// checked runs Check against a server whose token may do what the methods say.
func checked(t *testing.T, plugin string, serve http.HandlerFunc, kinds ...string) (*Checkup, *fake) {
	t.Helper()
	f := newFake(t, "4.7.3", serve)
	inner := f.Config.Handler
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/status/") {
			plugins := `{}`
			if plugin != "" {
				plugins = `{"netbox-proxbox": "` + plugin + `"}`
			}
			answer(w, 200, `{"netbox-version": "4.7.3", "plugins": `+plugins+`}`)
			return
		}
		inner.ServeHTTP(w, r)
	})
	return client(t, f.URL).Check(context.Background(), kinds...), f
}

func (r *Checkup) levels(topic string) (list []string) {
	for _, f := range r.Findings {
		if f.Topic == topic {
			list = append(list, string(f.Level)+": "+f.Summary)
		}
	}
	return list
}

func permits(methods ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/authentication-check/"):
			answer(w, 200, `{"id": 1, "username": "admin"}`)
		case strings.HasSuffix(r.URL.Path, "/sensitive-data-readiness/"):
			answer(w, 200, `{"can_access_sensitive_data": false}`)
		case r.Method == "OPTIONS":
			options(w, allMethods, methods...)
		case !slices.Contains(methods, "GET"):
			answer(w, 403, `{"detail": "You do not have permission to perform this action."}`)
		default:
			answer(w, 200, `{"count": 12, "results": [{"id": 1}]}`)
		}
	}
}

func TestCheckup(t *testing.T) {
	t.Run("a token that may do everything", func(t *testing.T) {
		r, f := checked(t, "0.0.29.post6", permits("GET", "PUT", "POST"))
		require.True(t, r.Healthy())
		require.Equal(t, TokenCheck{Version: 1, User: "admin", Sensitive: ptr(false)}, r.Token)
		require.Equal(t, []string{"note: plain http"}, r.levels("tls"))
		require.Equal(t, []string{"ok: NetBox 4.7.3, netbox-proxbox 0.0.29.post6"}, r.levels("versions"))
		require.Equal(t, []string{"ok: the server has all 5 kinds"}, r.levels("paths"))
		require.Len(t, r.levels("permissions"), 2)
		require.Contains(t, r.levels("secrets"), "warning: the token has no sensitive-data access")
		if diff := cmp.Diff([]string{
			"netbox_box.view_alone", "dcim.view_core", "netbox_box.view_lone", "users.view_seen", "netbox_box.view_thing",
		}, r.Plan); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{
			"dcim.add_core", "dcim.change_core", "dcim.view_core",
			"netbox_box.add_alone", "netbox_box.add_thing", "netbox_box.change_alone", "netbox_box.change_lone", "netbox_box.change_thing",
			"netbox_box.view_alone", "netbox_box.view_lone", "netbox_box.view_thing", "users.view_seen",
		}, r.Apply); diff != "" {
			t.Error(diff)
		}
		require.EqualValues(t, 12, *r.Kinds[0].Objects)
		for _, h := range f.requests() {
			require.Contains(t, []string{"GET", "OPTIONS"}, h.method, "a check changes nothing")
		}
	})
	t.Run("a token that may only read", func(t *testing.T) {
		r, _ := checked(t, "0.0.29.post6", permits("GET"), "Thing")
		require.Equal(t, []string{
			"ok: plan: the token has what it needs, as far as the server tells",
			"warning: apply: the token lacks netbox_box.add_thing, netbox_box.change_thing",
		}, r.levels("permissions"))
	})
	t.Run("a token that may do nothing", func(t *testing.T) {
		r, _ := checked(t, "0.0.29.post6", permits(), "Thing")
		require.Equal(t, ptr(false), r.Kinds[0].View)
		require.Contains(t, r.levels("permissions"), "error: plan: the token lacks netbox_box.view_thing")
		require.False(t, r.Healthy())
		require.NotContains(t, fmt.Sprint(r.Findings), "the manifests use")
	})
	t.Run("a token that may not view what only references lead to", func(t *testing.T) {
		r, _ := checked(t, "0.0.29.post6", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" && strings.HasSuffix(r.URL.Path, "/cores/") {
				answer(w, 403, `{"detail": "You do not have permission to perform this action."}`)
				return
			}
			permits("GET")(w, r)
		})
		require.Contains(t, r.levels("permissions"), "warning: plan: the token lacks dcim.view_core")
		require.True(t, r.Healthy())
	})
	t.Run("permissions to be pasted", func(t *testing.T) {
		r, _ := checked(t, "0.0.29.post6", permits("GET"))
		plan, apply := r.Grants()
		require.Empty(t, cmp.Diff([]Grant{{ObjectTypes: []string{"dcim.core", "netbox_box.alone", "netbox_box.lone", "netbox_box.thing", "users.seen"},
			Actions: []string{"view"}}}, plan))
		require.Empty(t, cmp.Diff([]Grant{
			{ObjectTypes: []string{"dcim.core", "netbox_box.alone", "netbox_box.thing"}, Actions: []string{"add", "change"}},
			{ObjectTypes: []string{"netbox_box.lone"}, Actions: []string{"change"}},
		}, apply))
	})
	t.Run("an older plugin", func(t *testing.T) {
		r, _ := checked(t, "0.0.15.post2", permits("GET"), "Thing")
		require.Equal(t, []string{
			"warning: netbox-proxbox 0.0.15.post2 may show secrets", "note: connections need no approval",
		}, r.levels("secrets"))
	})
	t.Run("no plugin", func(t *testing.T) {
		r, _ := checked(t, "", permits("GET"), "Core")
		require.False(t, r.Healthy())
		require.Equal(t, []string{"error: NetBox 4.7.3 without the netbox-proxbox plugin"}, r.levels("versions"))
	})
	t.Run("kinds that the server does not have", func(t *testing.T) {
		f := newFake(t, "4.7.3", permits("GET"))
		inner := f.Config.Handler
		f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/box/") {
				answer(w, 404, `{}`)
				return
			}
			inner.ServeHTTP(w, r)
		})
		r := client(t, f.URL).Check(context.Background())
		require.Equal(t, []string{"warning: this server does not have Alone, Lone, Thing"}, r.levels("paths"))
		require.Equal(t, []string{"dcim.view_core", "users.view_seen"}, r.Plan)
	})
	t.Run("a wrong token", func(t *testing.T) {
		f := newFake(t, "4.7.3", nil)
		f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, 403, `{"detail": "Invalid v1 token"}`) })
		r := client(t, f.URL).Check(context.Background())
		require.False(t, r.Healthy())
		require.Contains(t, r.levels("token")[0], "Invalid v1 token")
		require.Empty(t, r.Kinds)
		require.Equal(t, f.URL, r.Instance.URL)
	})
	t.Run("no NetBox", func(t *testing.T) {
		f := newFake(t, "4.7.3", nil)
		f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { page200(w, "<html>") })
		r := client(t, f.URL).Check(context.Background())
		require.False(t, r.Healthy())
		require.Contains(t, r.levels("url")[0], "login page")
	})
}

func TestCheckupOverTLS(t *testing.T) {
	a := newAuthority(t)
	f := newFake(t, "4.7.3", permits("GET"))
	url := secureWith(t, a, "127.0.0.1", nil, f)
	c := client(t, url, func(cfg *Config) { cfg.CAFile = a.pem })
	r := c.Check(context.Background(), "Core")
	require.NotNil(t, r.TLS)
	require.Equal(t, "TLS 1.3", r.TLS.Version)
	require.Equal(t, "CN=test authority", r.TLS.Issuer)
	require.Len(t, r.levels("tls"), 1)
}

func TestCheckupSaysWhichConnectionsWait(t *testing.T) {
	review := func(approved string) string {
		return `{"target": {}, "target_fingerprint": "` + strings.Repeat("c", 64) + `", "approved": ` + approved + `}`
	}
	serve := func(rows, next string, connections map[string]string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id, isConnection := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/api/plugins/box/things/"), "/authority/")
			switch {
			case isConnection && connections[id] == "":
				answer(w, 403, `{"detail": "You do not have permission to perform this action."}`)
			case isConnection:
				answer(w, 200, connections[id])
			case r.Method == "GET" && strings.HasSuffix(r.URL.Path, "/things/"):
				answer(w, 200, `{"count": 4, "next": `+next+`, "results": [`+rows+`]}`)
			default:
				permits("GET", "PUT", "POST")(w, r)
			}
		}
	}
	const rows = `{"id": 1, "display": "one", "enabled": true}, {"id": 2, "display": "two"}, {"id": 3, "display": "three", "enabled": false}`
	for _, c := range []struct {
		why, plugin string
		serve       http.HandlerFunc
		want        []string
	}{
		{"one waits, one is approved, one is disabled", "0.0.29", serve(rows, "null", map[string]string{"1": review("true"), "2": review("false")}),
			[]string{"warning: Thing two: the connection waits for approval", "note: 1 connections are of disabled objects"}},
		{"all are approved", "0.0.29", serve(rows, "null", map[string]string{"1": review("true"), "2": review("true")}),
			[]string{"ok: 2 connections are approved", "note: 1 connections are of disabled objects"}},
		{"one may not be seen, and there are more", "0.0.29", serve(rows, `"x"`, map[string]string{"1": review("true")}),
			[]string{"ok: 1 connections are approved", "note: 1 connections are of disabled objects",
				"note: Thing two: the server does not show whether the connection is approved",
				"note: only the first 100 connections of a kind were looked at"}},
		{"none are there", "0.0.29", serve("", "null", nil), nil},
		{"an older plugin has no approval", "0.0.28", serve(rows, "null", nil), nil},
	} {
		t.Run(c.why, func(t *testing.T) {
			r, f := checked(t, c.plugin, c.serve, "Thing")
			require.Empty(t, cmp.Diff(c.want, r.levels("approval")))
			for _, h := range f.requests() {
				require.Contains(t, []string{"GET", "OPTIONS"}, h.method, "a check changes nothing")
			}
		})
	}
}
