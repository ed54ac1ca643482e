package reconcile

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"proxbox-sync/schema"
)

// markerModel is NetBox's name of the model of custom fields.
const markerModel = "extras.customfield"

// MarkerKind is the kind of the custom field that markers are kept in, nil when
// the set does not have it.
func MarkerKind(set *schema.Set) *schema.Kind {
	i := slices.IndexFunc(set.Kinds(), func(k *schema.Kind) bool { return k.Resource.ObjectType == markerModel })
	if i < 0 {
		return nil
	}
	return set.Kinds()[i]
}

// MarkedKinds are the kinds whose objects carry a marker where the server lets
// them: those of the plugin, and the core kinds named.
func MarkedKinds(set *schema.Set, named []string) []*schema.Kind {
	own := Ownership{Owner: MarkerField, Mark: named}
	return slices.DeleteFunc(slices.Clone(set.Kinds()), func(k *schema.Kind) bool { return !own.marks(k) })
}

// MarkerState is the custom field as the server has it.
type MarkerState struct {
	Row   RowID    // 0: there is none
	Type  string   // "json" when it is as it should be
	Types []string // the object types that it is attached to
	// Identity is the installation's, "" where none was noted; Notes says that
	// something else stands in its place.
	Identity string
	Notes    bool
}

// identityPattern is how the custom field's comments name an installation. NetBox
// shows nothing of its own that tells two of them apart.
var identityPattern = regexp.MustCompile(`^Installation ([0-9a-f]{16})$`)

// ReadMarkerField reads the custom field. A token that may not see custom fields
// is ErrForbidden.
func ReadMarkerField(ctx context.Context, set *schema.Set, server Server) (MarkerState, error) {
	var out MarkerState
	q := Query{Kind: MarkerKind(set).Name, Fields: []string{"name", "type", "object_types", "comments"}, Where: map[string]any{"name": MarkerField}}
	_, err := server.Read(ctx, q, func(row Row) error {
		out.Row = row.ID
		out.Type, _ = row.Fields["type"].(string)
		comments, _ := row.Fields["comments"].(string)
		out.Notes = comments != ""
		if m := identityPattern.FindStringSubmatch(comments); m != nil {
			out.Identity = m[1]
		}
		types, _ := row.Fields["object_types"].([]any)
		for _, t := range types {
			if text, ok := t.(string); ok {
				out.Types = append(out.Types, text)
			}
		}
		return nil
	})
	return out, err
}

// LostMarkers says in words what became of a custom field that is not there: it
// was deleted, with every marker, or that can't be told. It is "" where the
// server's change log knows of no such delete, which it is asked for once.
func LostMarkers(ctx context.Context, server Server) (string, error) {
	cantTell := "whether it was there before can't be told: "
	log, ok := server.(ChangeLog)
	if !ok {
		return cantTell + "the server has no change log", nil
	}
	last, err := log.LastDeletion(ctx, markerModel, MarkerField)
	switch {
	case errors.Is(err, ErrForbidden):
		return cantTell + "the token lacks the permission core.view_objectchange. If it was, " + markersWent, nil
	case errors.Is(err, ErrNoKind):
		return cantTell + "the server shows no change log. If it was, " + markersWent, nil
	case err != nil:
		return "", err
	case last.At.IsZero():
		return "", nil
	}
	by := ""
	if last.By != "" {
		by = " by " + last.By
	}
	return fmt.Sprintf("it was deleted%s on %s, and %s", by, last.At.Format("2006-01-02 15:04 UTC"), markersWent), nil
}

const markersWent = "every marker went with it: after init the next apply adopts what the manifests describe. Which objects were " +
	"created here is forgotten, so they are not pruned, and protect holds only where a manifest says so"

// MarkerFieldDocument is the manifest of the custom field, attached to object
// types. It shows nowhere in the web interface and can't be edited there: what
// it holds makes sense to this program alone. identity, 16 hexadecimal digits,
// names the installation from then on; "" leaves the comments as they are.
func MarkerFieldDocument(set *schema.Set, types []string, identity string) Document {
	kind := MarkerKind(set)
	text := func(v any) *Node { return &Node{Shape: Scalar, Value: v} }
	list := &Node{Shape: Sequence}
	types = slices.Clone(types)
	slices.Sort(types)
	for _, t := range slices.Compact(types) {
		list.Items = append(list.Items, text(t))
	}
	members := []Member{
		{Name: "name", Value: text(MarkerField)},
		{Name: "label", Value: text("proxbox-sync")},
		{Name: "description", Value: text("What proxbox-sync manages: written and read by that program only.")},
		{Name: "type", Value: text("json")},
		{Name: "object_types", Value: list},
		{Name: "ui_visible", Value: text("hidden")},
		{Name: "ui_editable", Value: text("no")},
		{Name: "is_cloneable", Value: text(false)},
	}
	if identity != "" {
		members = append(members, Member{Name: "comments", Value: text("Installation " + identity)})
	}
	return Document{Kind: kind.Name, Spec: &Node{Shape: Mapping, Members: members}}
}
