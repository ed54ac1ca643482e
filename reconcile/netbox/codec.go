package netbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// Rules of the codec: the oddities of NetBox's wire end here.
//
//   - A choice is shown as {"value", "label"} or as its value: plain is the value.
//   - A reference is shown as a nested object or as a number: plain is a RowID.
//   - Numbers keep their digits; a numeric field shown as text is a number.
//   - Times are in UTC, whatever zone the server shows them in.
//   - Inside JSON fields and custom fields nothing is interpreted.
//   - What goes out is the plain value; a Secret is opened here and nowhere else.

// shapeError is a value that no field of its class can have.
type shapeError struct{ field, reason string }

func (e *shapeError) Error() string {
	return "the server shows " + e.field + " in a form that is not understood: " + e.reason
}

// decodeField makes a wire value plain. label is the server's display text of a
// single reference.
func decodeField(f *schema.Field, v any, depth int) (plain any, label string, err error) {
	bad := func(reason string) error { return &shapeError{f.Name, reason} }
	if v == nil {
		return nil, "", nil
	}
	switch f.Class {
	case schema.Reference:
		id, label, ok := decodeReference(v)
		if !ok {
			return nil, "", bad("not a reference")
		}
		return id, label, nil
	case schema.ReferenceSet:
		list, ok := v.([]any)
		if !ok {
			return nil, "", bad("not a list of references")
		}
		ids := make([]any, len(list))
		for i, item := range list {
			id, _, ok := decodeReference(item)
			if !ok {
				return nil, "", bad("not a list of references")
			}
			ids[i] = id
		}
		return ids, "", nil
	case schema.Map, schema.JSON:
		plain, err = decodePlain(v, depth)
	case schema.List:
		list, ok := v.([]any)
		if !ok {
			return nil, "", bad("not a list")
		}
		out := make([]any, len(list))
		for i, item := range list {
			if out[i], err = decodePlain(unwrapChoice(item), depth-1); err != nil {
				break
			}
		}
		plain = out
	default:
		plain, err = decodeScalar(f, unwrapChoice(v))
	}
	if err != nil {
		return nil, "", bad(err.Error())
	}
	return plain, "", nil
}

func decodeReference(v any) (id reconcile.RowID, label string, ok bool) {
	if m, nested := v.(map[string]any); nested {
		label, _ = m["display"].(string)
		v = m["id"]
	}
	number, ok := v.(json.Number)
	if !ok {
		return 0, "", false
	}
	id, ok = rowID(number)
	return id, label, ok
}

// rowID reads the server's number of an object.
func rowID(n json.Number) (reconcile.RowID, bool) {
	id, err := strconv.ParseInt(n.String(), 10, 64)
	return reconcile.RowID(id), err == nil && id > 0
}

// unwrapChoice returns the value of {"value": …, "label": …}, anything else as
// it is.
func unwrapChoice(v any) any {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 2 {
		return v
	}
	value, hasValue := m["value"]
	if _, hasLabel := m["label"]; !hasValue || !hasLabel {
		return v
	}
	return value
}

var errNotScalar = errors.New("neither text nor number nor truth value")

func decodeScalar(f *schema.Field, v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case bool:
		return v, nil
	case json.Number:
		return decodeNumber(v.String())
	case string:
		switch f.Class {
		case schema.Integer, schema.Decimal:
			if n, err := reconcile.ParseNumber(strings.TrimSpace(v)); err == nil {
				return n, nil
			}
		case schema.Time:
			return decodeTime(v), nil
		}
		return v, nil
	}
	return nil, errNotScalar
}

func decodeNumber(text string) (any, error) {
	n, err := reconcile.ParseNumber(text)
	if err != nil {
		return nil, errors.New("a number that is too large or too small")
	}
	return n, nil
}

// decodeTime returns the instant in UTC with up to six digits; text that is no
// instant as it is.
func decodeTime(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.UTC().Truncate(time.Microsecond).Format("2006-01-02T15:04:05.999999Z")
}

var errTooDeep = errors.New("nested too deep")

// decodePlain makes any JSON value plain, without interpreting it.
func decodePlain(v any, depth int) (any, error) {
	if depth < 0 {
		return nil, errTooDeep
	}
	switch v := v.(type) {
	case nil, bool, string:
		return v, nil
	case json.Number:
		return decodeNumber(v.String())
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			plain, err := decodePlain(item, depth-1)
			if err != nil {
				return nil, err
			}
			out[i] = plain
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, item := range v {
			plain, err := decodePlain(item, depth-1)
			if err != nil {
				return nil, err
			}
			out[name] = plain
		}
		return out, nil
	}
	return nil, errNotScalar
}

// errSealed is why a write with a secret that nothing decrypted is not sent.
var errSealed = errors.New("the secret is not decrypted")

// encodeFields makes the body of a write, and lists the secrets in it.
func encodeFields(k *schema.Kind, fields map[string]any) (body map[string]any, secrets []string, err error) {
	body = make(map[string]any, len(fields)+2)
	for name, v := range fields {
		f := k.Field(name)
		if f == nil {
			return nil, nil, fmt.Errorf("%s has no field %s", k.Name, name)
		}
		if body[name], err = encode(v, &secrets, 0); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		if text, ok := body[name].(string); ok && f.WriteOnly && text != "" {
			secrets = append(secrets, text)
		}
	}
	return body, secrets, nil
}

// encode makes a plain value ready for encoding/json.
func encode(v any, secrets *[]string, depth int) (any, error) {
	if depth > defaultLimits.depth {
		return nil, errTooDeep
	}
	switch v := v.(type) {
	case nil, bool, string:
		return v, nil
	case reconcile.Number:
		n, err := reconcile.ParseNumber(string(v)) // never let a text that is no number into the body
		return json.Number(n), err
	case reconcile.RowID:
		return int64(v), nil
	case reconcile.Secret:
		text, ok := v.Reveal()
		if !ok {
			return nil, errSealed
		}
		if text != "" {
			*secrets = append(*secrets, text)
		}
		return text, nil
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			wire, err := encode(item, secrets, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = wire
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, item := range v {
			wire, err := encode(item, secrets, depth+1)
			if err != nil {
				return nil, err
			}
			out[name] = wire
		}
		return out, nil
	}
	return nil, fmt.Errorf("a %T cannot be sent", v)
}

// sameValue reports whether a row's plain value is the one asked for.
func sameValue(f *schema.Field, want, got any) bool {
	w, wok := want.(string)
	g, gok := got.(string)
	if !wok || !gok {
		return reflect.DeepEqual(want, got)
	}
	switch f.Class {
	case schema.Time:
		return decodeTime(w) == decodeTime(g)
	case schema.Address:
		return sameAddress(w, g)
	}
	return strings.TrimSpace(w) == strings.TrimSpace(g)
}

func sameAddress(a, b string) bool {
	if p, err := netip.ParsePrefix(a); err == nil {
		q, err := netip.ParsePrefix(b)
		return err == nil && p == q
	}
	if p, err := netip.ParseAddr(a); err == nil {
		q, err := netip.ParseAddr(b)
		return err == nil && p == q
	}
	return a == b
}

// etag is the server's ETag of an object with this last_updated: in UTC, with
// an offset in place of Z, and without microseconds where they are zero.
func etag(version string) (string, bool) {
	t, err := time.Parse(time.RFC3339Nano, version)
	if err != nil {
		return "", false
	}
	layout := "2006-01-02T15:04:05.000000-07:00"
	if t.Truncate(time.Microsecond).Nanosecond() == 0 {
		layout = "2006-01-02T15:04:05-07:00"
	}
	return `W/"` + t.UTC().Format(layout) + `"`, true
}
