package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// approvalPath is where a connection is reviewed and approved, below an object.
const approvalPath = "connection-authority"

const msgTargetChanged = "The connection target is invalid or changed since review. Read and review the current target before approval."

// action answers a request to a sub-path of a model: a singleton's runtime
// shape, or the approval of a connection.
func (s *Server) action(c *call, m *model, id, name string) answer {
	if m.singleton && name == m.materialize {
		return s.runtime(c, m)
	}
	if a, ok := s.admitted(c, m, s.allow(m, id, name)); !ok {
		return a
	}
	if c.req.Method == http.MethodOptions {
		return s.options(c, m, "")
	}
	put := c.req.Method == http.MethodPut
	if put && !c.actor.granted("sensitive") {
		return fail(http.StatusForbidden, "Sensitive data access is not authorized.")
	}
	r, a := s.find(c, m, id, actionOf(c.req.Method))
	if r == nil {
		return a
	}
	target, print := m.target(r)
	if put {
		v, a, ok := s.input(c)
		if !ok {
			return a
		}
		body, _ := v.(*object)
		if body == nil || body.values["target_fingerprint"] != print {
			return fail(http.StatusConflict, msgTargetChanged)
		}
		r.approved = print // last_updated stays, as on the real server
	}
	out := newObject()
	out.set("target", target)
	out.set("target_fingerprint", print)
	out.set("approved", r.approved == print && r.values["enabled"] != false)
	return reply(http.StatusOK, out)
}

// target describes where the row's credentials would be sent, and its digest.
// The members come from the fields that the generation names.
func (m *model) target(r *row) (map[string]any, string) {
	_, kind, _ := strings.Cut(m.ObjectType, ".")
	out := map[string]any{"kind": kind}
	for name, from := range m.Approval {
		out[name] = m.targetValue(r, name, from)
	}
	sum := sha256.Sum256(appendJSON(nil, out))
	return out, hex.EncodeToString(sum[:])
}

func (m *model) targetValue(r *row, name string, from any) any {
	// A map chooses the field by the value of token_version and the like: the
	// member that is named by a value of the row.
	if byValue, ok := from.(map[string]any); ok {
		for value, inner := range byValue {
			for _, f := range m.fields {
				if (f.As == "plain choice" || f.As == "choice") && r.values[f.name] == value {
					return m.targetValue(r, name, inner)
				}
			}
		}
		return ""
	}
	field, _ := from.(string)
	v, to := lookup(m, r, strings.Split(field, "."))
	if to != nil {
		return hostOf(fill(to.m.text, to.m, to.r))
	}
	if strings.Contains(field, ".") {
		return plainText(v) // the number of the object referred to
	}
	if text, ok := v.(string); ok && name == "domain" {
		return strings.ToLower(strings.TrimSuffix(strings.TrimSpace(text), "."))
	}
	if v == nil {
		return ""
	}
	return v
}

// runtime shows a singleton's row in the shape that the plugin's backend reads,
// and makes it first where it isn't there.
func (s *Server) runtime(c *call, m *model) answer {
	if a, ok := s.admitted(c, m, s.allow(m, "", m.materialize)); !ok {
		return a
	}
	if c.req.Method == http.MethodOptions {
		return s.options(c, m, "Runtime")
	}
	r := s.theRow(m)
	if !c.actor.may("view", m, r) {
		return fail(http.StatusNotFound, "Not found.")
	}
	b := c.show.row(nil, m, r, selection{})
	b = b[:len(b)-1]
	for _, name := range sortedNames(m.Runtime) {
		x := m.Runtime[name]
		b = append(appendString(append(b, ','), name), ':')
		if x.Secret == "" {
			b = appendJSON(b, x.of(m, r))
			continue
		}
		plain := ""
		if v, ok := r.values[x.Secret].(secret); ok && c.actor.granted("sensitive") {
			plain = v.reveal()
		}
		b = appendString(b, plain)
	}
	return answer{status: http.StatusOK, body: append(b, '}'), header: map[string]string{"Cache-Control": "no-store"}}
}
