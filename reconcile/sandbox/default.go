package sandbox

import (
	"encoding/json"
	"fmt"
)

// storedDefault is a default of the data in the form that rows hold.
func (f *field) storedDefault() any {
	switch {
	case f.As == "references":
		return []int64(nil)
	case f.As == "object types":
		return []any{}
	case f.Default == nil && f.Null:
		return nil
	}
	switch v := f.Default.(type) {
	case nil:
		return map[string]any{"text": "", "slug": "", "boolean": false, "plain choice": "", "choice": nil}[f.As]
	case json.Number:
		if f.As == "integer" || f.As == "choice" {
			n, _ := v.Int64()
			return n
		}
		n, _ := v.Float64()
		return n
	case float64:
		if f.As == "integer" {
			return int64(v)
		}
		return v
	case map[string]any, []any:
		b, err := json.Marshal(v)
		if err == nil {
			parsed, err := parseJSON(b)
			if err == nil {
				return parsed
			}
		}
		return nil
	default:
		if f.WriteOnly {
			return newSecret(fmt.Sprint(v))
		}
		return v
	}
}
