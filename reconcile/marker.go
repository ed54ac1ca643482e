package reconcile

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"proxbox-sync/schema"
)

// markerVersion is the form of markers that this program writes and reads.
const markerVersion = "1"

// Limits of a marker: whoever may change an object can write anything there.
const (
	maxMarkerFields = 1000
	maxMarkerText   = 200
)

// Origin says how an object came under an owner.
type Origin string

// The origins.
const (
	OriginCreated  Origin = "created"
	OriginAdopted  Origin = "adopted"
	OriginExisting Origin = "existing" // made by someone else, a few fields are managed
)

// Marker is the record of ownership that a live object carries in the custom
// field MarkerField. It holds digests and no values.
type Marker struct {
	Owner   string
	Key     string // digest of kind and key, so that a copy or a rename shows
	Origin  Origin
	Protect bool
	// Fields are the digests of the managed fields as they were last written.
	// Of a secret it is the digest of its ciphertext, or "" when what the server
	// has is not known.
	Fields map[string]string
	// Sealed is when the sops file of the secrets that were sent was last
	// encrypted; the zero time where none were.
	Sealed time.Time
	// Others are the fields that other owners manage, by owner. Only a singleton
	// has them: there is one object for all.
	Others map[string]map[string]string
}

// markerForm says what was found in the custom field.
type markerForm int

const (
	noMarker      markerForm = iota
	goodMarker               // a Marker
	foreignMarker            // a newer version or another form: never overwritten
)

// parseMarker reads the value of the custom field.
func parseMarker(v any) (Marker, markerForm) {
	if v == nil {
		return Marker{}, noMarker
	}
	m, ok := v.(map[string]any)
	if !ok || m["v"] != Number(markerVersion) {
		return Marker{}, foreignMarker
	}
	out := Marker{Protect: m["protect"] == true}
	origin, sealed := "", ""
	good := markerText(m["owner"], &out.Owner) && markerText(m["key"], &out.Key) && markerText(m["origin"], &origin)
	out.Origin = Origin(origin)
	good = good && slices.Contains([]Origin{OriginCreated, OriginAdopted, OriginExisting}, out.Origin) && out.Owner != ""
	out.Fields, ok = markerFields(m["fields"])
	good = good && ok
	if m["sealed"] != nil {
		good = good && markerText(m["sealed"], &sealed)
		at, err := time.Parse(time.RFC3339, sealed)
		good, out.Sealed = good && err == nil, at
	}
	if others, ok := m["others"].(map[string]any); ok {
		out.Others = map[string]map[string]string{}
		for owner, fields := range others {
			parsed, ok := markerFields(fields)
			good = good && ok && len(owner) <= maxMarkerText && len(others) <= maxMarkerFields
			out.Others[owner] = parsed
		}
	}
	if !good {
		return Marker{}, foreignMarker
	}
	return out, goodMarker
}

func markerText(v any, into *string) bool {
	s, ok := v.(string)
	*into = s
	return ok && len(s) <= maxMarkerText
}

func markerFields(v any) (map[string]string, bool) {
	m, ok := v.(map[string]any)
	if !ok || len(m) > maxMarkerFields {
		return nil, false
	}
	out := make(map[string]string, len(m))
	for name, d := range m {
		text := ""
		if len(name) > maxMarkerText || !markerText(d, &text) {
			return nil, false
		}
		out[name] = text
	}
	return out, true
}

// value is the marker as it goes into the custom field.
func (m Marker) value() map[string]any {
	out := map[string]any{"v": Number(markerVersion), "owner": m.Owner, "key": m.Key, "origin": string(m.Origin),
		"fields": digestMap(m.Fields)}
	if m.Protect {
		out["protect"] = true
	}
	if !m.Sealed.IsZero() {
		out["sealed"] = m.Sealed.UTC().Format(time.RFC3339)
	}
	if len(m.Others) > 0 {
		others := make(map[string]any, len(m.Others))
		for owner, fields := range m.Others {
			others[owner] = digestMap(fields)
		}
		out["others"] = others
	}
	return out
}

func digestMap(fields map[string]string) map[string]any {
	out := make(map[string]any, len(fields))
	for name, d := range fields {
		out[name] = d
	}
	return out
}

// equal compares markers as the server would show them.
func (m Marker) equal(other Marker) bool {
	return string(appendExact(nil, m.value())) == string(appendExact(nil, other.value()))
}

// markerOf is the marker that a live object carries.
func markerOf(live *Object) (Marker, markerForm) {
	entries, _ := live.Fields[customFields].(map[string]any)
	return parseMarker(entries[MarkerField])
}

// digest is 16 hexadecimal digits of SHA-256 over its parts, each with its
// length in front, so that no two lists of parts look alike.
func digest(parts ...string) string {
	size := 8 + len(markerVersion)
	for _, p := range parts {
		size += 8 + len(p)
	}
	b := appendSized(make([]byte, 0, size), markerVersion)
	for _, p := range parts {
		b = appendSized(b, p)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func appendSized(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(text))), text...)
}

// keyDigest is the digest of an object's kind and key.
func (o *Object) keyDigest() string { return digest(o.Kind.Name, o.Key) }

var cipherPart = regexp.MustCompile(`(data|iv|tag):([A-Za-z0-9+/=]+)`)

// canonicalCipher writes the parts of a sops string in the one form that base64
// has for their bytes: its last digit has bits that mean nothing, and whoever
// sets them must not make an old secret look like a new one.
func canonicalCipher(text string) string {
	return cipherPart.ReplaceAllStringFunc(text, func(part string) string {
		name, encoded, _ := strings.Cut(part, ":")
		data, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return part
		}
		return name + ":" + base64.StdEncoding.EncodeToString(data)
	})
}

// fieldDigest is the digest of a value of a field of an object, "" for one that
// must have none: a secret that does not stand encrypted in its file.
func (o *Object) fieldDigest(f *schema.Field, name string, v any) string {
	text := ""
	if s, ok := v.(Secret); ok {
		if !s.Encrypted() {
			return ""
		}
		text = canonicalCipher(s.Cipher())
	} else {
		text = portable(f, v)
	}
	return digest(o.Kind.Name, o.Key, name, text)
}

// WithoutMarker takes the marker out of a live object's fields, for showing it:
// a manifest must not have it.
func WithoutMarker(o *Object) {
	entries, ok := o.Fields[customFields].(map[string]any)
	if _, has := entries[MarkerField]; !ok || !has {
		return
	}
	entries = maps.Clone(entries)
	delete(entries, MarkerField)
	o.Fields[customFields] = entries
}
