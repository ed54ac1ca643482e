package netbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// changeLog is where NetBox lists what was changed.
var changeLog = schema.Kind{Resource: schema.Resource{Paths: []string{"core/object-changes"}, ObjectType: "core.objectchange"}}

// LastDeletion implements reconcile.ChangeLog with one request: the deletes of
// objects of that model, the latest first. What an object was called stands in
// its values before the delete, since the text that it was shown under may be
// its label. Nothing else of those values is looked at.
func (c *Client) LastDeletion(ctx context.Context, objectType, name string) (reconcile.Deletion, error) {
	var list struct {
		Results []struct {
			Time   time.Time `json:"time"`
			User   string    `json:"user_name"`
			Type   string    `json:"changed_object_type"`
			Action struct {
				Value string `json:"value"`
			} `json:"action"`
			Before json.RawMessage `json:"prechange_data"`
		} `json:"results"`
	}
	query := parameter("changed_object_type", objectType) + "&action=delete&ordering=-id" +
		"&fields=time,user_name,action,changed_object_type,prechange_data" + fmt.Sprintf("&limit=%d", pageSize)
	if _, err := c.getJSON(ctx, call{path: changeLog.Resource.Paths[0], query: query}, &list); err != nil {
		named := doing("looking into NetBox's change log", viewPermission(err, &changeLog))
		if isStatus(err, http.StatusNotFound) {
			named = fmt.Errorf("%w: %w", reconcile.ErrNoKind, named)
		}
		return reconcile.Deletion{}, named
	}
	for _, row := range list.Results {
		// A server may ignore a filter that it does not know.
		if row.Type != objectType || row.Action.Value != "delete" {
			continue
		}
		var before struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(row.Before, &before) == nil && before.Name == name {
			return reconcile.Deletion{At: row.Time.UTC(), By: row.User}, nil
		}
	}
	return reconcile.Deletion{}, nil
}
