package sandbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// canary is a secret with characters that every encoding treats differently.
const canary = "c4n\"a<ry>&é\\ %"

func TestSecretsArriveAndAreNeverShown(t *testing.T) {
	for _, generation := range Generations() {
		t.Run(generation, func(t *testing.T) {
			s := newServer(t, Options{Generation: generation})
			must(t, s, "GET", proxbox+"settings/runtime/", nil)
			for _, m := range s.models {
				for _, f := range m.fields {
					if !f.WriteOnly {
						continue
					}
					t.Run(m.kind+"."+f.name, func(t *testing.T) { sendSecret(t, s, m, f) })
				}
			}
		})
	}
}

// hosts are what a write needs beside its secret, by what the kind has.
func hosts(m *model) map[string]any {
	body := map[string]any{}
	for name, v := range map[string]any{"name": "x", "domain": "x.example", "mode": "cluster", "token_version": "v2", "token_key": "k", "token_secret": "s"} {
		if m.byName[name] != nil {
			body[name] = v
		}
	}
	return body
}

func sendSecret(t *testing.T, s *Server, m *model, f *field) {
	path, id := "/api/"+m.path+"/", int64(1)
	var answers []string
	body := hosts(m)
	if body[f.name] = canary; m.singleton {
		w := do(t, s, "PATCH", path+"1/", map[string]any{f.name: canary})
		answers = append(answers, w.Body.String())
	} else {
		w := do(t, s, "POST", path, body)
		answers = append(answers, w.Body.String())
		if w.Code != http.StatusCreated {
			// The server tries it on a backend that isn't there.
			require.Equal(t, http.StatusBadRequest, w.Code)
			id = 0
		} else {
			id = idOf(decoded(t, w))
		}
	}
	if id != 0 && !m.singleton {
		plain, ok := s.PlainSecret(m.kind, id, f.name)
		require.True(t, ok && plain == canary, "it arrived as it was")
	}
	for _, q := range []string{"", "?fields=" + f.name, "?q=x", "?" + f.name + "=" + "x", "?ordering=" + f.name, "?brief=1"} {
		answers = append(answers, do(t, s, "GET", path+q, nil).Body.String())
	}
	answers = append(answers, fmt.Sprintf("%v %+v %#v", s.Requests(), s.Requests(), s.Changes()), fmt.Sprintf("%+v", m.rows[id]))
	for i, a := range answers {
		require.False(t, strings.Contains(a, "c4n"), "output %d shows it", i)
	}
}

func TestSpecificationsOfTokensDoNotPrintThem(t *testing.T) {
	spec := TokenSpec{Token: otherToken, Write: true}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.False(t, strings.Contains(fmt.Sprintf(verb, spec), otherToken), verb)
	}
}

func TestARefusedBulkWriteLeavesNothing(t *testing.T) {
	for _, generation := range []string{"0.0.15.post2", "0.0.29.post6"} {
		t.Run(generation, func(t *testing.T) {
			s := newServer(t, Options{Generation: generation})
			c := newCluster(t, s, "prod")
			a := idOf(must(t, s, "POST", storage, map[string]any{"cluster": c, "name": "a"}))
			changes := len(s.Changes())
			list := must(t, s, "GET", storage, nil)
			for _, x := range []struct{ method, body string }{
				{"POST", fmt.Sprintf(`[{"cluster":%d,"name":"b"},{"cluster":%d,"name":"c","port":-1}]`, c, c)},
				{"POST", fmt.Sprintf(`[{"cluster":%d,"name":"b"},{"cluster":%d,"name":"b"}]`, c, c)},
				{"PATCH", fmt.Sprintf(`[{"id":%d,"name":"z"},{"id":%d,"port":-1}]`, a, a+0)},
				{"PATCH", `[{"name":"z"}]`},
				{"DELETE", `[{"id":"x"}]`},
			} {
				status, body := as(s, testToken, x.method, storage, x.body)
				require.Equal(t, http.StatusBadRequest, status, body)
			}
			require.Empty(t, cmp.Diff(list, must(t, s, "GET", storage, nil)))
			require.Len(t, s.Changes(), changes)
			must(t, s, "POST", storage, map[string]any{"cluster": c, "name": "b"})
		})
	}
}

func TestWritesKeepTheirMessage(t *testing.T) {
	s := newServer(t, Options{})
	c := newCluster(t, s, "prod")
	w := do(t, s, "PATCH", fmt.Sprintf("%s%d/", clusters, c), map[string]any{"description": "d", "changelog_message": "why"})
	changes := s.Changes()
	last := changes[len(changes)-1]
	require.Empty(t, cmp.Diff(Change{Action: "update", Kind: "Cluster", ID: c, Message: "why", Request: w.Header().Get("X-Request-ID"), Time: last.Time}, last))
	w = do(t, s, "PATCH", fmt.Sprintf("%s%d/", clusters, c), map[string]any{"changelog_message": strings.Repeat("x", 201)})
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Len(t, s.Changes(), len(changes))
}

func TestGuards(t *testing.T) {
	s := newServer(t, Options{})
	path := fmt.Sprintf("%s%d/", clusters, newCluster(t, s, "prod"))
	guarded := func(method, tag string) int {
		return send(s, method, path, []byte(`{}`), map[string]string{"Authorization": "Token " + testToken, "Content-Type": "application/json", "If-Match": tag}).Code
	}
	tag := do(t, s, "GET", path, nil).Header().Get("ETag")
	require.Regexp(t, tagPattern, tag)
	require.Equal(t, http.StatusOK, guarded("PATCH", tag))
	require.Equal(t, http.StatusPreconditionFailed, guarded("PATCH", tag), "the tag is stale now")
	require.Equal(t, http.StatusPreconditionFailed, guarded("DELETE", tag))
	require.Equal(t, http.StatusOK, guarded("GET", tag), "reads have no guard")
	now := do(t, s, "GET", path, nil).Header().Get("ETag")
	require.Equal(t, http.StatusOK, guarded("PATCH", `"x", `+now))
	require.Equal(t, http.StatusNoContent, guarded("DELETE", "*"))
}

func TestFieldsRestrictWhatAWriteReads(t *testing.T) {
	s := newServer(t, Options{})
	path := fmt.Sprintf("%s%d/", clusters, newCluster(t, s, "prod"))
	must(t, s, "PATCH", path+"?fields=id,name", map[string]any{"description": "d"})
	require.Equal(t, "", must(t, s, "GET", path, nil)["description"])
	w := do(t, s, "POST", storage+"?fields=id", map[string]any{"cluster": 1, "name": "a"})
	require.Equal(t, `{"cluster":["This field cannot be null."],"name":["This field cannot be blank."]}`, sorted(t, w.Body.String()))
}

// sorted is a JSON object with its members in order.
func sorted(t *testing.T, text string) string {
	t.Helper()
	v, err := parseJSON([]byte(text))
	require.NoError(t, err)
	return string(appendJSON(nil, v.(*object).values))
}

func TestCustomFields(t *testing.T) {
	s := newServer(t, Options{})
	c := newCluster(t, s, "prod")
	field := must(t, s, "POST", "/api/extras/custom-fields/", map[string]any{"name": "proxbox_sync", "type": "json", "object_types": []string{"netbox_proxbox.proxmoxstorage"}})
	must(t, s, "POST", "/api/extras/custom-fields/", map[string]any{"name": "note", "type": "text", "default": "none", "object_types": []string{"netbox_proxbox.proxmoxstorage"}})
	row := must(t, s, "POST", storage, map[string]any{"cluster": c, "name": "a"})
	require.Equal(t, map[string]any{"proxbox_sync": nil, "note": "none"}, row["custom_fields"])
	path := fmt.Sprintf("%s%d/", storage, idOf(row))

	for _, x := range []struct {
		name   string
		send   any
		status int
		want   any
	}{
		{"a PATCH merges", map[string]any{"proxbox_sync": map[string]any{"v": 1}}, 200, map[string]any{"proxbox_sync": map[string]any{"v": 1.0}, "note": "none"}},
		{"null clears one", map[string]any{"note": nil}, 200, map[string]any{"proxbox_sync": map[string]any{"v": 1.0}, "note": nil}},
		{"an unknown one is refused", map[string]any{"nope": 1}, 400, map[string]any{"custom_fields": map[string]any{"nope": "Custom field 'nope' does not exist for this object type."}}},
		{"types are checked", map[string]any{"note": 5}, 400, map[string]any{"__all__": []any{"Invalid value for custom field 'note': Value must be a string."}}},
		{"a list is no mapping", []any{}, 400, map[string]any{"custom_fields": []any{"Invalid data format. Custom field data must be passed as a dictionary mapping field names to their values."}}},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := do(t, s, "PATCH", path, map[string]any{"custom_fields": x.send})
			require.Equal(t, x.status, w.Code)
			got := decoded(t, w)
			if x.status == 200 {
				got = got["custom_fields"].(map[string]any)
			}
			require.Empty(t, cmp.Diff(x.want, any(got)))
		})
	}
	before := must(t, s, "GET", path, nil)
	must(t, s, "DELETE", fmt.Sprintf("/api/extras/custom-fields/%d/", idOf(field)), nil)
	after := must(t, s, "GET", path, nil)
	require.Equal(t, map[string]any{"note": nil}, after["custom_fields"])
	require.Equal(t, before["last_updated"], after["last_updated"], "deleting a custom field touches no object")
	again := must(t, s, "POST", "/api/extras/custom-fields/", map[string]any{"name": "proxbox_sync", "type": "json", "object_types": []string{"netbox_proxbox.proxmoxstorage"}})
	require.NotNil(t, again)
	require.Equal(t, map[string]any{"note": nil, "proxbox_sync": nil}, must(t, s, "GET", path, nil)["custom_fields"], "the old values are gone")
}

func TestApprovalHoldsForOneTarget(t *testing.T) {
	s := newServer(t, Options{})
	require.NoError(t, s.AddToken(TokenSpec{Token: otherToken, Write: true, Permissions: []Permission{{}}}))
	e := must(t, s, "POST", proxbox+"endpoints/proxmox/", map[string]any{"name": "pve", "domain": "PVE.example", "mode": "cluster"})
	path := fmt.Sprintf("%sendpoints/proxmox/%d/", proxbox, idOf(e))
	review := must(t, s, "GET", path+approvalPath+"/", nil)
	require.Equal(t, false, review["approved"])
	require.Empty(t, cmp.Diff(map[string]any{"kind": "proxmoxendpoint", "domain": "pve.example", "ip_address": "", "port": 8006.0,
		"verify_ssl": true, "username": "root@pam", "token_name": "", "token_version": ""}, review["target"]))
	print := map[string]any{"target_fingerprint": review["target_fingerprint"]}

	status, body := as(s, otherToken, "PUT", path+approvalPath+"/", `{}`)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, `{"detail":"Sensitive data access is not authorized."}`, body)
	require.Equal(t, http.StatusConflict, do(t, s, "PUT", path+approvalPath+"/", map[string]any{"target_fingerprint": "x"}).Code)
	require.Equal(t, true, must(t, s, "PUT", path+approvalPath+"/", print)["approved"])

	approved := func() any { return must(t, s, "GET", path+approvalPath+"/", nil)["approved"] }
	must(t, s, "PATCH", path, map[string]any{"custom_fields": map[string]any{}, "password": "x"})
	require.Equal(t, true, approved(), "neither a marker nor a password is the target")
	must(t, s, "PATCH", path, map[string]any{"port": 8007})
	require.Equal(t, false, approved())
	require.Equal(t, http.StatusConflict, do(t, s, "PUT", path+approvalPath+"/", print).Code)
}

func TestDeletesFollowTheSchema(t *testing.T) {
	s := newServer(t, Options{})
	c := newCluster(t, s, "prod")
	ip := must(t, s, "POST", "/api/ipam/ip-addresses/", map[string]any{"address": "192.0.2.1/24"})
	e := must(t, s, "POST", proxbox+"endpoints/proxmox/", map[string]any{"name": "pve", "ip_address": ip["id"], "mode": "cluster"})
	pc := must(t, s, "POST", proxbox+"proxmox-clusters/", map[string]any{"endpoint": e["id"], "name": "c1", "mode": "cluster", "netbox_cluster": c})
	n := must(t, s, "POST", proxbox+"proxmox-nodes/", map[string]any{"endpoint": e["id"], "name": "n1", "ip_address": "192.0.2.2", "proxmox_cluster": pc["id"]})
	node := fmt.Sprintf("%sproxmox-nodes/%d/", proxbox, idOf(n))

	w := do(t, s, "DELETE", fmt.Sprintf("/api/ipam/ip-addresses/%d/", idOf(ip)), nil)
	require.Equal(t, http.StatusConflict, w.Code)
	require.Equal(t, fmt.Sprintf(`{"detail":"Unable to delete object. 1 dependent objects were found: pve (%d)"}`, idOf(e)), w.Body.String())

	must(t, s, "DELETE", fmt.Sprintf("%sproxmox-clusters/%d/", proxbox, idOf(pc)), nil)
	after := must(t, s, "GET", node, nil)
	require.Nil(t, after["proxmox_cluster"])
	require.NotEqual(t, n["last_updated"], after["last_updated"])

	must(t, s, "DELETE", fmt.Sprintf("%sendpoints/proxmox/%d/", proxbox, idOf(e)), nil)
	require.Equal(t, http.StatusNotFound, do(t, s, "GET", node, nil).Code)
	must(t, s, "DELETE", fmt.Sprintf("/api/ipam/ip-addresses/%d/", idOf(ip)), nil)
}

func TestRefusalsOfTheCore(t *testing.T) {
	for _, c := range []struct {
		why, path, body, want string
		status                int
	}{
		{"an address without a network", "ipam/ip-addresses", `{"address":"0.0.0.0/0"}`, `{"address":["Cannot create IP address with /0 mask."]}`, 400},
		{"an address of the other family without one", "ipam/ip-addresses", `{"address":"::/0"}`, `{"address":["Cannot create IP address with /0 mask."]}`, 400},
		{"a reference to what the sandbox has none of", "tenancy/tenants", `{"name":"a","slug":"a","group":5555555}`,
			`{"group":["Related object not found using the provided numeric ID: 5555555"]}`, 400},
		{"the same by attributes", "tenancy/tenants", `{"name":"a","slug":"a","group":{"name":"nope"}}`,
			`{"group":["Related object not found using the provided attributes: {'name': 'nope'}"]}`, 400},
		{"the same by a name", "tenancy/tenants", `{"name":"a","slug":"a","group":"nope"}`,
			`{"group":["Related objects must be referenced by numeric ID or by dictionary of attributes. Received an unrecognized value: nope"]}`, 400},
		{"none of them", "tenancy/tenants", `{"name":"a","slug":"a","group":null}`, "", 201},
	} {
		t.Run(c.why, func(t *testing.T) {
			status, body := as(newServer(t, Options{}), testToken, "POST", "/api/"+c.path+"/", c.body)
			require.Equal(t, c.status, status, body)
			if c.want != "" {
				require.Equal(t, c.want, body)
			}
		})
	}
}

// What is no number gets past the field and breaks the change log.
func TestFloatsThatAreNoNumbers(t *testing.T) {
	s := newServer(t, Options{})
	status, body := as(s, testToken, "POST", proxbox+"proxmox-nodes/", `{"ip_address":"1.2.3","node_id":"x","cpu_usage":"NaN"}`)
	require.Equal(t, 400, status)
	require.NotContains(t, body, "cpu_usage")
	status, body = as(s, testToken, "POST", proxbox+"proxmox-nodes/", `{"cpu_usage":"x"}`)
	require.Equal(t, 400, status)
	require.Contains(t, body, `"cpu_usage":["A valid number is required."]`)
	e := must(t, s, "POST", proxbox+"endpoints/proxmox/", map[string]any{"name": "pve", "domain": "pve.example", "mode": "cluster"})
	for _, text := range []string{"NaN", "-nan", "Infinity", "-inf", "1e999"} {
		w := do(t, s, "POST", proxbox+"proxmox-nodes/", map[string]any{"endpoint": e["id"], "name": "n", "ip_address": "192.0.2.2", "cpu_usage": text})
		require.Equal(t, http.StatusInternalServerError, w.Code, text)
		require.Contains(t, w.Body.String(), "DataError")
	}
	require.Equal(t, 0.0, must(t, s, "GET", proxbox+"proxmox-nodes/", nil)["count"])
}
