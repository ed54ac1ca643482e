package netbox

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
)

// connection is a server that shows one connection and takes its approval.
type connection struct {
	target, fingerprint string
	approved            bool
	enabled             bool
	put                 int // status that answers a PUT, 0 for success
}

func (x *connection) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/plugins/box/things/7/authority/" {
		answer(w, http.StatusNotFound, `{"detail": "No Thing matches the given query."}`)
		return
	}
	if r.Method == http.MethodPut {
		switch x.put {
		case 0:
			x.approved = x.enabled
		case http.StatusForbidden:
			answer(w, x.put, `{"detail": "Sensitive data access is not authorized."}`)
			return
		default:
			answer(w, x.put, `{"detail": "The connection target is invalid or changed since review."}`)
			return
		}
	}
	approved := map[bool]string{true: "true", false: "false"}[x.approved]
	answer(w, 200, `{"target": `+x.target+`, "target_fingerprint": "`+x.fingerprint+`", "approved": `+approved+`}`)
}

const untouched = `{"kind": "thing", "domain": "", "port": 8006, "verify": true, "ip": "", "identity": ""}`

func TestAConnectionIsApprovedOnlyAsDeclared(t *testing.T) {
	number := func(n string) any { return reconcile.Number(n) }
	for _, c := range []struct {
		why     string
		target  string
		want    map[string]any
		differs []string
	}{
		{"nothing declared, and nothing set", untouched, nil, nil},
		{"everything as declared", `{"kind": "thing", "domain": "A", "port": 1, "verify": false, "ip": "192.0.2.7", "identity": "x"}`,
			map[string]any{"mode": "A", "count": number("1"), "on": false, "address": []any{reconcile.RowID(3), "192.0.2.7/24"}, "name": "x"}, nil},
		{"a host in the server's spelling", strings.Replace(untouched, `"domain": ""`, `"domain": "pve.example"`, 1), map[string]any{"mode": "PVE.Example."}, nil},
		{"an address in the server's spelling", strings.Replace(untouched, `"ip": ""`, `"ip": "2001:db8::1"`, 1),
			map[string]any{"address": []any{"2001:DB8:0::1/64"}}, nil},
		{"a number in another spelling", strings.Replace(untouched, "8006", "8006.0", 1), map[string]any{"count": number("8006")}, nil},
		{"the second of two fields", strings.Replace(untouched, `"identity": ""`, `"identity": "42"`, 1),
			map[string]any{"name": "", "core": []any{reconcile.RowID(42)}}, nil},
		{"declared empty, and empty", untouched, map[string]any{"mode": nil, "address": nil, "name": ""}, nil},
		{"another host", strings.Replace(untouched, `"domain": ""`, `"domain": "evil.example"`, 1), map[string]any{"mode": "pve.example"}, []string{"domain"}},
		{"a host that nobody declared", strings.Replace(untouched, `"domain": ""`, `"domain": "evil.example"`, 1), nil, []string{"domain"}},
		{"a host where none was declared", strings.Replace(untouched, `"domain": ""`, `"domain": "evil.example"`, 1), map[string]any{"mode": nil}, []string{"domain"}},
		{"no host where one was declared", untouched, map[string]any{"mode": "pve.example"}, []string{"domain"}},
		{"an address that nobody declared", strings.Replace(untouched, `"ip": ""`, `"ip": "192.0.2.66"`, 1), map[string]any{"mode": ""}, []string{"ip"}},
		{"another address", strings.Replace(untouched, `"ip": ""`, `"ip": "192.0.2.66"`, 1), map[string]any{"address": []any{reconcile.RowID(3), "192.0.2.6/24"}}, []string{"ip"}},
		{"verification switched off", strings.Replace(untouched, `"verify": true`, `"verify": false`, 1), nil, []string{"verify"}},
		{"another port and another kind", `{"kind": "other", "domain": "", "port": 22, "verify": true, "ip": "", "identity": ""}`, nil, []string{"kind", "port"}},
		{"a member that this version does not know", strings.Replace(untouched, `{`, `{"via": "proxy.example", "more": "", `, 1), nil, []string{"via"}},
		{"a member that is not shown", strings.Replace(untouched, `"port": 8006, `, "", 1), nil, []string{"port"}},
		{"members that are no texts", `{"kind": "thing", "domain": {"a": 1}, "port": [8006], "verify": "true", "ip": null, "identity": null}`, nil, []string{"domain", "port"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			x := &connection{target: c.target, fingerprint: strings.Repeat("a", 64), enabled: true}
			f := newFake(t, "4.7.3", x.ServeHTTP)
			got, err := client(t, f.URL).Approve(context.Background(), "Thing", 7, c.want)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.differs, got.Differs))
			require.Equal(t, c.differs == nil, x.approved)
			if c.differs != nil {
				require.Equal(t, reconcile.TargetDiffers, got.Verdict)
				require.Len(t, f.requests(), 1, "nothing is written")
				return
			}
			require.Equal(t, reconcile.Approved, got.Verdict)
			require.Empty(t, cmp.Diff(`{"target_fingerprint":"`+x.fingerprint+`"}`, f.requests()[1].body))
		})
	}
}

func TestWhatBecomesOfAnApproval(t *testing.T) {
	for _, c := range []struct {
		why      string
		x        connection
		plugin   string
		row      reconcile.RowID
		want     reconcile.ApprovalVerdict
		err      string
		requests int
	}{
		{"approved", connection{enabled: true}, "", 7, reconcile.Approved, "", 2},
		{"approved before: nothing is sent", connection{enabled: true, approved: true}, "", 7, reconcile.WasApproved, "", 1},
		{"a disabled object's is noted and of no effect", connection{}, "", 7, reconcile.NotEnabled, "", 2},
		{"changed meanwhile", connection{put: http.StatusConflict}, "", 7, reconcile.TargetChanged, "", 2},
		{"the token may not", connection{put: http.StatusForbidden}, "", 7, reconcile.ApprovalForbidden, "", 2},
		{"a server that can't", connection{put: http.StatusInternalServerError}, "", 7, "", "HTTP 500", 2},
		{"an older plugin has none", connection{}, "0.0.15.post2", 8, reconcile.NoApproval, "", 1},
		{"an object that is gone", connection{}, "", 8, "", "No Thing matches", 1},
	} {
		t.Run(c.why, func(t *testing.T) {
			c.x.target, c.x.fingerprint = untouched, strings.Repeat("b", 64)
			f := newFake(t, "4.7.3", c.x.ServeHTTP)
			f.plugin = c.plugin
			cl := client(t, f.URL)
			_, err := cl.Instance(context.Background())
			require.NoError(t, err)
			got, err := cl.Approve(context.Background(), "Thing", c.row, nil)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.want, got.Verdict)
			require.Len(t, f.requests(), c.requests)
		})
	}
}

func TestWhichServersNeedApproval(t *testing.T) {
	for _, c := range []struct {
		netbox, plugin, kind string
		want                 bool
	}{
		{"4.7.3", "0.0.29.post6", "Thing", true},
		{"4.7.3", "0.0.30", "Thing", true},
		{"4.7.3", "1.0.0", "Thing", true},
		{"4.5.9", "0.0.28", "Thing", false},
		{"4.5.9", "0.0.15.post2", "Thing", false},
		{"4.7.3", "0.0.29.post6", "Core", false},
		{"", "", "Thing", true}, // it does not say
	} {
		f := newFake(t, c.netbox, func(http.ResponseWriter, *http.Request) { t.Error("nothing is to be asked") })
		f.plugin = c.plugin
		got, err := client(t, f.URL).NeedsApproval(context.Background(), c.kind)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%+v", c)
	}
}
