package sandbox

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

const (
	v2Token    = "nbt_abcdefghijkl.0123456789012345678901234567890123456789"
	otherToken = "ffffffffffffffffffffffffffffffffffffff00"
)

func as(s *Server, token, method, path, body string) (int, string) {
	w := send(s, method, path, []byte(body), map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json"})
	return w.Code, w.Body.String()
}

func TestTokensAreCheckedAsNetBoxDoes(t *testing.T) {
	s := newServer(t, Options{Token: v2Token})
	const form = `{"detail":"Invalid authorization header: Must be in the form \"Bearer <key>.<token>\" or \"Token <token>\""}`
	for name, c := range map[string]struct{ header, want string }{
		"none":                     {"", `{"detail":"Authentication credentials were not provided."}`},
		"another scheme":           {"Basic abc", `{"detail":"Authentication credentials were not provided."}`},
		"a scheme alone":           {"Token", form},
		"more than a token":        {"Bearer a b", form},
		"a wrong v1 token":         {"Token " + otherToken, `{"detail":"Invalid v1 token"}`},
		"a wrong v2 token":         {"Bearer nbt_abcdefghijkl.ffff", `{"detail":"Invalid v2 token"}`},
		"a v2 token without a dot": {"Bearer nbt_abcdef", `{"detail":"Invalid authorization header: Could not parse key from v2 token. Did you mean to use 'Token' instead of 'Bearer'?"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := send(s, "GET", storage, nil, map[string]string{"Authorization": c.header})
			require.Equal(t, http.StatusForbidden, w.Code)
			require.Empty(t, cmp.Diff(c.want, w.Body.String()))
		})
	}
	code, _ := as(s, v2Token, "GET", storage, "")
	require.Equal(t, http.StatusOK, code)
}

// TestWhatATokenMayDo follows what a real server answered to a token that may
// view two rows and write those whose name is "mine".
func TestWhatATokenMayDo(t *testing.T) {
	s := newServer(t, Options{})
	c := newCluster(t, s, "prod")
	hidden := newCluster(t, s, "hidden")
	var ids []int64
	for _, name := range []string{"mine", "theirs", "unseen"} {
		ids = append(ids, idOf(must(t, s, "POST", storage, map[string]any{"cluster": c, "name": name})))
	}
	require.NoError(t, s.AddToken(TokenSpec{Token: otherToken, Write: true, Permissions: []Permission{
		{Kinds: []string{"ProxmoxStorage"}, Actions: []string{"view"}, Where: []map[string]any{{"id": ids[:2]}}},
		{Kinds: []string{"ProxmoxStorage"}, Actions: []string{"add", "change", "delete"}, Where: []map[string]any{{"name": []string{"mine", "new"}}}},
		{Kinds: []string{"Cluster"}, Actions: []string{"view"}, Where: []map[string]any{{"name": "prod"}}},
	}}))
	at := func(i int) string { return fmt.Sprintf("%s%d/", storage, ids[i]) }
	const denied = `{"detail":"You do not have permission to perform this action."}`
	const noRow = `{"detail":"No ProxmoxStorage matches the given query."}`
	for _, x := range []struct {
		name, method, path, body string
		status                   int
		want                     string // "" where the status says it all
	}{
		{"sees only some rows", "GET", storage + "?fields=name", "", 200, `{"count":2,"next":null,"previous":null,"results":[{"name":"mine"},{"name":"theirs"}]}`},
		{"finds no row that it may not view", "GET", at(2), "", 404, noRow},
		{"may not view other kinds", "GET", proxbox + "endpoints/proxmox/", "", 403, denied},
		{"changes what it may", "PATCH", at(0), `{"content":"iso"}`, 200, ""},
		{"finds nothing to change elsewhere", "PATCH", at(1), `{"content":"iso"}`, 404, noRow},
		{"may not rename out of its bounds", "PATCH", at(0), `{"name":"else"}`, 403, denied},
		{"may not create out of its bounds", "POST", storage, fmt.Sprintf(`{"cluster":%d,"name":"else"}`, c), 403, denied},
		{"is told which of many it may not create", "POST", storage, fmt.Sprintf(`[{"cluster":%d,"name":"new"},{"cluster":%d,"name":"else"}]`, c, c), 403,
			`{"detail":"1 of 2 objects could not be created.","errors":[{"index":1,"errors":{"__all__":["You do not have permission to perform this action on this object."]}}]}`},
		{"does not see bulk rows that it may not change", "PATCH", storage, fmt.Sprintf(`[{"id":%d}]`, ids[1]), 400,
			fmt.Sprintf(`{"detail":"1 of 1 objects could not be found.","errors":[{"id":%d,"errors":{"id":["Object with ID %d does not exist"]}}]}`, ids[1], ids[1])},
		{"may refer by id to what it does not see", "PATCH", at(0), fmt.Sprintf(`{"cluster":%d}`, hidden), 200, ""},
		{"but not by name", "PATCH", at(0), `{"cluster":{"name":"hidden"}}`, 400,
			`{"cluster":["Related object not found using the provided attributes: {'name': 'hidden'}"]}`},
		{"gets the fields from OPTIONS", "OPTIONS", storage, "", 200, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			status, body := as(s, otherToken, x.method, x.path, x.body)
			require.Equal(t, x.status, status, body)
			if x.want != "" {
				require.Empty(t, cmp.Diff(x.want, body))
			}
		})
	}
	require.EqualValues(t, 3, must(t, s, "GET", storage, nil)["count"], "refused writes leave nothing behind")
	require.Equal(t, "mine", must(t, s, "GET", at(0), nil)["name"])
}

func TestAReadOnlyTokenWritesNothing(t *testing.T) {
	s := newServer(t, Options{})
	require.NoError(t, s.AddToken(TokenSpec{Token: otherToken, Superuser: true}))
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		status, body := as(s, otherToken, method, storage, `[]`)
		require.Equal(t, http.StatusForbidden, status)
		require.Equal(t, `{"detail":"You do not have permission to perform this action."}`, body)
	}
	status, body := as(s, otherToken, "OPTIONS", storage, "")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, "actions")
	status, _ = as(s, otherToken, "GET", storage, "")
	require.Equal(t, http.StatusOK, status)
}

func TestTokensWithAKindThatIsNotServedAreRefused(t *testing.T) {
	s := newServer(t, Options{})
	require.Error(t, s.AddToken(TokenSpec{Token: otherToken, Permissions: []Permission{{Kinds: []string{"Nope"}}}}))
}
