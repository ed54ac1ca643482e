package netbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"proxbox-sync/reconcile"
)

const (
	maxErrorBody  = 1 << 20
	maxErrorDepth = 12
)

// wholeObject are the names under which NetBox puts messages that belong to no
// field.
var wholeObject = []string{"detail", "__all__", "non_field_errors", "error"}

// ignoredInErrors stand beside the message of an HTTP 500 and help nobody here.
var ignoredInErrors = []string{"exception", "netbox_version", "python_version"}

// parseErrorBody reads the forms of a refusal: {field: [texts]}, {"detail":
// text}, {"__all__": [texts]}, nested objects, lists and plain strings. What it
// does not understand gives no messages.
func parseErrorBody(data []byte) []reconcile.FieldMessage {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var body any
	if dec.Decode(&body) != nil {
		return nil
	}
	var out []reconcile.FieldMessage
	collect(&out, "", body, 0)
	return out
}

func collect(out *[]reconcile.FieldMessage, field string, v any, depth int) {
	if depth > maxErrorDepth || len(*out) >= 4*maxMessages {
		return
	}
	switch v := v.(type) {
	case string:
		*out = append(*out, reconcile.FieldMessage{Field: field, Text: v})
	case json.Number, bool:
		*out = append(*out, reconcile.FieldMessage{Field: field, Text: fmt.Sprint(v)})
	case []any:
		for i, item := range v {
			name := field
			if _, object := item.(map[string]any); object && len(v) > 1 && field != "" {
				name = join(field, strconv.Itoa(i))
			}
			collect(out, name, item, depth+1)
		}
	case map[string]any:
		for _, name := range sortedKeys(v) {
			switch {
			case slices.Contains(wholeObject, name):
				collect(out, field, v[name], depth+1)
			case depth == 0 && slices.Contains(ignoredInErrors, name):
			default:
				collect(out, join(field, cut(name, 100)), v[name], depth+1)
			}
		}
	}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "." + b
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
