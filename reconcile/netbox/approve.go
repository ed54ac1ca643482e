package netbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

var _ reconcile.Approver = (*Client)(nil)

// review is what the approval sub-path answers.
type review struct {
	Target      map[string]any `json:"target"`
	Fingerprint string         `json:"target_fingerprint"`
	Approved    bool           `json:"approved"`
}

// NeedsApproval implements reconcile.Approver, by the plugin's version. A server
// that does not tell its version is taken for one that needs it: asking costs
// little, and an older one says that it has no approval.
func (c *Client) NeedsApproval(ctx context.Context, kind string) (bool, error) {
	k, err := c.kind(kind)
	if err != nil || k.Resource.Approval == nil {
		return false, err
	}
	instance, err := c.Instance(ctx)
	if err != nil {
		return false, err
	}
	version, known := versionNumbers(instance.PluginVersion)
	return !known || slices.Compare(version, approvalVersion) >= 0, nil
}

// Approve implements reconcile.Approver with one GET and, where the target is
// the wanted one and not approved yet, one PUT of its fingerprint.
func (c *Client) Approve(ctx context.Context, kind string, row reconcile.RowID, want map[string]any) (reconcile.ApprovalResult, error) {
	var out reconcile.ApprovalResult
	q, seen, err := c.target(ctx, kind, row, &out)
	if err != nil || out.Verdict != "" {
		return out, err
	}
	k, err := c.kind(kind)
	if err != nil {
		return out, err
	}
	out.Differs = differences(k.Resource.Approval, seen.Target, want)
	switch {
	case len(out.Differs) > 0:
		out.Verdict = reconcile.TargetDiffers
		return out, nil
	case seen.Approved:
		out.Verdict = reconcile.WasApproved
		return out, nil
	case seen.Fingerprint == "":
		return out, &Error{Status: out.Status, Request: out.Request, Reason: "the server shows a connection without its fingerprint"}
	}
	q.method = http.MethodPut
	q.body, err = json.Marshal(map[string]string{"target_fingerprint": seen.Fingerprint})
	if err != nil {
		return out, err
	}
	fingerprint := seen.Fingerprint
	seen, err = c.review(ctx, q, &out)
	switch {
	case err != nil || out.Verdict != "":
	case seen.Fingerprint != fingerprint:
		out.Verdict = reconcile.TargetChanged
	case seen.Approved:
		out.Verdict = reconcile.Approved
	default:
		out.Verdict = reconcile.NotEnabled
	}
	return out, err
}

// Approved implements reconcile.Approver with one GET.
func (c *Client) Approved(ctx context.Context, kind string, row reconcile.RowID) (reconcile.ApprovalResult, error) {
	var out reconcile.ApprovalResult
	_, seen, err := c.target(ctx, kind, row, &out)
	switch {
	case err != nil || out.Verdict != "":
	case seen.Approved:
		out.Verdict = reconcile.WasApproved
	default:
		out.Verdict = reconcile.NotApproved
	}
	return out, err
}

// target is the connection target that the server has for an object, with the
// request that showed it. A verdict in out says why there is none.
func (c *Client) target(ctx context.Context, kind string, row reconcile.RowID, out *reconcile.ApprovalResult) (call, *review, error) {
	k, err := c.kind(kind)
	if err != nil {
		return call{}, nil, err
	}
	if k.Resource.Approval == nil {
		out.Verdict = reconcile.NoApproval
		return call{}, nil, nil
	}
	list, err := c.pathOf(ctx, k)
	if err != nil {
		return call{}, nil, err
	}
	q := call{method: http.MethodGet, path: approvalPath(k, list, row)}
	seen, err := c.review(ctx, q, out)
	if isStatus(err, http.StatusNotFound) && !c.approves() {
		out.Verdict, err = reconcile.NoApproval, nil
	}
	return q, seen, err
}

// approves reports whether the server is known to be one that has approval: then
// a 404 speaks of the object.
func (c *Client) approves() bool {
	c.naming.Lock()
	defer c.naming.Unlock()
	if c.instance == nil {
		return false
	}
	version, known := versionNumbers(c.instance.PluginVersion)
	return known && slices.Compare(version, approvalVersion) >= 0
}

func approvalPath(k *schema.Kind, list string, row reconcile.RowID) string {
	return fmt.Sprintf("%s/%d/%s", list, row, k.Resource.Approval.Path)
}

// review makes one request to the approval sub-path. Refusals that mean
// something become a verdict. A PUT may be sent again like a GET: it names the
// fingerprint, so that twice is the same as once.
func (c *Client) review(ctx context.Context, q call, out *reconcile.ApprovalResult) (*review, error) {
	var seen review
	err := c.again(ctx, ctx, func(ctx context.Context) error {
		resp, err := c.fetch(ctx, q)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		out.Status, out.Request = resp.StatusCode, requestID(resp)
		body := &cappedReader{r: resp.Body, total: c.limits.row, row: c.limits.row}
		data, err := io.ReadAll(body)
		if err != nil {
			return c.bodyError(ctx, resp, body, err)
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&seen); err != nil {
			return c.bodyError(ctx, resp, body, err)
		}
		return nil
	})
	var e *Error
	if err == nil || !errors.As(err, &e) || stops(err) {
		return &seen, err
	}
	out.Status, out.Request = e.Status, e.Request
	switch e.Status {
	case http.StatusForbidden:
		out.Verdict = reconcile.ApprovalForbidden
	case http.StatusConflict, http.StatusPreconditionFailed:
		out.Verdict = reconcile.TargetChanged
	default:
		return nil, err
	}
	return nil, nil
}

// differences names the members of a target that are not as declared, sorted.
// A member that the schema does not describe must be empty: what it means for
// the connection is not known.
func differences(a *schema.Approval, target, want map[string]any) []string {
	var names []string
	for _, name := range sortedKeys(target) {
		if !sameMember(a.Target[name], target[name], want) {
			names = append(names, name)
		}
	}
	for _, name := range sortedKeys(a.Target) {
		if _, shown := target[name]; !shown {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func sameMember(m schema.TargetMember, shown any, want map[string]any) bool {
	expected, declared := m.Unset, false
	for _, name := range m.Fields {
		v, ok := want[name]
		if !ok {
			continue
		}
		expected, declared = v, true
		if targetText(v) != "" {
			break
		}
	}
	forms, several := expected.([]any)
	if !several {
		forms = []any{expected}
	}
	have := targetText(shown)
	return slices.ContainsFunc(forms, func(form any) bool {
		text := targetText(form)
		return have == text || declared && have != "" && (have == hostText(text) || have == strings.ToLower(strings.TrimSuffix(text, ".")))
	})
}

// targetText is a member of a target, or a plain value, as text; "" for nothing.
func targetText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.TrimSpace(v)
	case []any:
		if len(v) == 0 {
			return ""
		}
	case json.Number:
		if n, err := reconcile.ParseNumber(v.String()); err == nil {
			return string(n)
		}
	}
	return fmt.Sprint(v)
}

// hostText is an address without its mask, "" for what is none.
func hostText(text string) string {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Addr().String()
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	return a.String()
}
