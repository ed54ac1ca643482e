package netbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// maxReviewed bounds how many connections of a kind a checkup looks at: each
// costs a request.
const maxReviewed = 100

// connectionCheck is one object whose connection needs approval.
type connectionCheck struct {
	kind     *schema.Kind
	path     string // of its list
	row      reconcile.RowID
	display  string
	disabled bool
	approved bool
	err      error // why it is not known
}

// checkApprovals says which connections wait for approval.
func (c *Client) checkApprovals(ctx context.Context, r *Checkup) {
	var list []*connectionCheck
	more := false
	for i := range r.Kinds {
		k := c.kinds.Kind(r.Kinds[i].Kind)
		if k.Resource.Approval == nil || r.Kinds[i].Path == "" || r.Kinds[i].View == nil || !*r.Kinds[i].View {
			continue
		}
		found, all, err := c.connections(ctx, k, r.Kinds[i].Path)
		if err != nil {
			r.add(LevelWarning, "approval", k.Name+": "+err.Error(), "")
			continue
		}
		list, more = append(list, found...), more || !all
	}
	c.reviewAll(ctx, list)
	var waiting, unknown []string
	disabled := 0
	for _, x := range list {
		name := x.kind.Name + " " + or(x.display, strconv.FormatInt(int64(x.row), 10))
		switch {
		case x.err != nil:
			unknown = append(unknown, name)
		case x.disabled:
			disabled++
		case !x.approved:
			waiting = append(waiting, name)
		}
	}
	if len(waiting) > 0 {
		r.add(LevelWarning, "approval", strings.Join(waiting, ", ")+": the connection waits for approval",
			"the plugin does not use the credentials until then: review and approve it in NetBox; apply --approve-connections does so for what it writes")
	} else if len(list) > len(unknown)+disabled {
		r.add(LevelOK, "approval", fmt.Sprintf("%d connections are approved", len(list)-len(unknown)-disabled), "")
	}
	if disabled > 0 {
		r.add(LevelNote, "approval", fmt.Sprintf("%d connections are of disabled objects", disabled), "")
	}
	if len(unknown) > 0 {
		r.add(LevelNote, "approval", strings.Join(unknown, ", ")+": the server does not show whether the connection is approved", "")
	}
	if more {
		r.add(LevelNote, "approval", fmt.Sprintf("only the first %d connections of a kind were looked at", maxReviewed), "")
	}
}

// connections lists the objects of a kind; all is false where there are more.
func (c *Client) connections(ctx context.Context, k *schema.Kind, path string) (list []*connectionCheck, all bool, err error) {
	var page struct {
		Next    *string `json:"next"`
		Results []struct {
			ID      json.Number `json:"id"`
			Display string      `json:"display"`
			Enabled *bool       `json:"enabled"`
		} `json:"results"`
	}
	query := "fields=id,display,enabled&ordering=id&limit=" + strconv.Itoa(maxReviewed)
	if _, err := c.getJSON(ctx, call{path: path, query: query}, &page); err != nil {
		return nil, false, err
	}
	all = page.Next == nil
	for _, row := range page.Results[:min(len(page.Results), maxReviewed)] {
		if id, ok := rowID(row.ID); ok {
			list = append(list, &connectionCheck{kind: k, path: path, row: id, display: row.Display, disabled: row.Enabled != nil && !*row.Enabled})
		}
	}
	return list, all, nil
}

func (c *Client) reviewAll(ctx context.Context, list []*connectionCheck) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, c.parallelism)
	for _, x := range list {
		if x.disabled {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			defer reconcile.Recovered(&x.err)
			var out reconcile.ApprovalResult
			seen, err := c.review(ctx, call{method: http.MethodGet, path: approvalPath(x.kind, x.path, x.row)}, &out)
			switch {
			case err != nil:
				x.err = err
			case out.Verdict != "":
				x.err = fmt.Errorf("%s", out.Verdict)
			case seen.Fingerprint == "":
				x.err = &Error{Status: out.Status, Request: out.Request, Reason: "the answer shows no connection"}
			default:
				x.approved = seen.Approved
			}
		})
	}
	wg.Wait()
}
