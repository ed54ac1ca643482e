package reconcile

import (
	"bytes"
	"encoding/json"
)

// UnmarshalJSON tells a value that is null from one that is not there. Numbers
// are read as json.Number.
func (v *RecordValue) UnmarshalJSON(data []byte) error {
	var raw struct {
		Op            string
		Path          string
		Before, After json.RawMessage
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*v = RecordValue{Op: raw.Op, Path: raw.Path}
	for _, x := range []struct {
		raw json.RawMessage
		to  **any
	}{{raw.Before, &v.Before}, {raw.After, &v.After}} {
		if x.raw == nil {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(x.raw))
		dec.UseNumber()
		*x.to = new(any)
		if err := dec.Decode(*x.to); err != nil {
			return err
		}
	}
	return nil
}
