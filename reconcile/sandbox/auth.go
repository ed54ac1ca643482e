package sandbox

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const (
	msgDenied       = "You do not have permission to perform this action."
	msgDeniedObject = "You do not have permission to perform this action on this object."
)

// TokenSpec is an API token and what it may do.
type TokenSpec struct {
	// Token is what the client sends: 40 hex digits for v1, nbt_<key>.<token> for v2.
	Token string
	// Write allows requests that change something.
	Write bool
	// Superuser may do everything; Permissions and Sensitive don't matter then.
	Superuser bool
	// Sensitive is the plugin's grant to approve connections and to see secrets
	// that the server can show.
	Sensitive   bool
	Permissions []Permission
}

// Format prints the specification without the token.
func (t TokenSpec) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{token (secret), write %t, superuser %t, %d permissions}", t.Write, t.Superuser, len(t.Permissions))
}

// Permission grants actions on kinds.
type Permission struct {
	// Kinds are names of kinds; none means all.
	Kinds []string
	// Actions are "view", "add", "change" and "delete"; none means all.
	Actions []string
	// Where restricts it to objects that match at least one of these: all of its
	// fields have the value, or one of a list of values. A field may be "id", and
	// a reference's value is an id.
	Where []map[string]any
}

// actor is a token as the server keeps it.
type actor struct {
	write, superuser, sensitive bool
	permissions                 []Permission
}

var (
	v1Pattern = regexp.MustCompile(`^[0-9A-Za-z]{40}$`)
	v2Pattern = regexp.MustCompile(`^nbt_[0-9A-Za-z]{1,32}\.[0-9A-Za-z]{20,64}$`)
)

// AddToken makes the server accept another token.
func (s *Server) AddToken(t TokenSpec) error {
	if !v1Pattern.MatchString(t.Token) && !v2Pattern.MatchString(t.Token) {
		return fmt.Errorf("a token is 40 letters and digits, or nbt_<key>.<token>")
	}
	for _, p := range t.Permissions {
		for _, k := range p.Kinds {
			if !slices.ContainsFunc(s.models, func(m *model) bool { return m.kind == k }) {
				return fmt.Errorf("permission for a kind %q that the server does not have", k)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[sha256.Sum256([]byte(t.Token))] = &actor{write: t.Write, superuser: t.Superuser, sensitive: t.Sensitive, permissions: t.Permissions}
	return nil
}

// authenticate returns who sent the request, or the text of the refusal. The
// token's form decides its version, not the scheme.
func (s *Server) authenticate(r *http.Request) (*actor, string) {
	parts := strings.Fields(r.Header.Get("Authorization"))
	if len(parts) == 0 || !strings.EqualFold(parts[0], "Token") && !strings.EqualFold(parts[0], "Bearer") {
		return nil, "Authentication credentials were not provided."
	}
	if len(parts) != 2 {
		return nil, `Invalid authorization header: Must be in the form "Bearer <key>.<token>" or "Token <token>"`
	}
	version := "v1"
	if strings.HasPrefix(parts[1], "nbt_") {
		if version = "v2"; !strings.Contains(parts[1], ".") {
			return nil, "Invalid authorization header: Could not parse key from v2 token. Did you mean to use 'Token' instead of 'Bearer'?"
		}
	}
	if a := s.tokens[sha256.Sum256([]byte(parts[1]))]; a != nil {
		return a, ""
	}
	return nil, "Invalid " + version + " token"
}

// may tells whether the action is allowed on the row, or, with no row, on any.
func (a *actor) may(action string, m *model, r *row) bool {
	if a.superuser {
		return true
	}
	for _, p := range a.permissions {
		if len(p.Kinds) > 0 && !slices.Contains(p.Kinds, m.kind) || len(p.Actions) > 0 && !slices.Contains(p.Actions, action) {
			continue
		}
		if r == nil || len(p.Where) == 0 {
			return true
		}
		for _, where := range p.Where {
			if matches(m, r, where) {
				return true
			}
		}
	}
	return false
}

// unrestricted tells whether the action is allowed on every row.
func (a *actor) unrestricted(action string, m *model) bool {
	if a.superuser {
		return true
	}
	return slices.ContainsFunc(a.permissions, func(p Permission) bool {
		return len(p.Where) == 0 && (len(p.Kinds) == 0 || slices.Contains(p.Kinds, m.kind)) &&
			(len(p.Actions) == 0 || slices.Contains(p.Actions, action))
	})
}

func (a *actor) granted(grant string) bool { return a.superuser || grant == "sensitive" && a.sensitive }

func matches(m *model, r *row, where map[string]any) bool {
	for name, want := range where {
		v, to := lookup(m, r, strings.Split(name, "."))
		if to != nil {
			v = to.r.id
		}
		if !isOneOf(v, want) {
			return false
		}
	}
	return true
}

func isOneOf(v, want any) bool {
	switch want := want.(type) {
	case []any:
		return slices.ContainsFunc(want, func(x any) bool { return isOneOf(v, x) })
	case []int64:
		return slices.ContainsFunc(want, func(x int64) bool { return v == x })
	case []int:
		return slices.ContainsFunc(want, func(x int) bool { return v == int64(x) })
	case []string:
		return slices.ContainsFunc(want, func(x string) bool { return v == x })
	case int:
		return v == int64(want)
	}
	return sameValue(v, want)
}

// actionOf is the permission that a method needs.
func actionOf(method string) string {
	return map[string]string{"GET": "view", "HEAD": "view", "POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}[method]
}

// permits checks what NetBox checks before it looks at objects.
func (a *actor) permits(method string, m *model) bool {
	action := actionOf(method)
	if action == "" {
		return true
	}
	return (action == "view" || a.write) && a.may(action, m, nil)
}
