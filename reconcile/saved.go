package reconcile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A saved plan is a commitment: what somebody approved. It is compared and never
// obeyed: apply plans again from the manifests and the live state, and carries
// that out if it is what the file says, or what is left of it.

// manifestsDigest is the SHA-256, in hexadecimal, over what the documents of a
// plan mean: kinds, keys, declared fields in normal form, ciphertexts and
// metadata. Comments, order and files don't count.
func (p *Plan) manifestsDigest() string {
	if p.desired == nil || p.digested != "" {
		return p.digested
	}
	h := sha256.New()
	var line []byte
	for _, kind := range sortedKeys(p.desired.Objects) {
		sums := make([][sha256.Size]byte, 0, len(p.desired.Objects[kind])) // the texts of a hundred thousand take 60 MB
		for _, o := range p.desired.Objects[kind] {
			sums = append(sums, sha256.Sum256([]byte(o.meaning())))
		}
		slices.SortFunc(sums, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
		for _, sum := range sums {
			line = append(hex.AppendEncode(append(append(line[:0], kind...), 0), sum[:]), 0)
			h.Write(line)
		}
	}
	p.digested = hex.EncodeToString(h.Sum(nil))
	return p.digested
}

// meaning is a text that two documents share which say the same.
func (o *Object) meaning() string {
	var b strings.Builder
	meta := o.Doc.Meta
	fmt.Fprintf(&b, "%s\x00%t%t%t%t%t", o.Key, meta.Existing, meta.CreateOnly, meta.Protect, meta.Absent, meta.Release)
	for _, ignore := range meta.IgnoreChanges {
		b.WriteString("\x00" + ignore.Path)
	}
	for _, name := range sortedKeys(o.Fields) {
		b.WriteString("\x00" + name + "=" + o.fieldDigest(o.Kind.Field(name), name, o.Fields[name]))
	}
	return b.String()
}

// Unsealed returns the record without what it says of the key of this run: whether
// a secret was decrypted. Who has no key saves the same plan.
func (r *Record) Unsealed() *Record {
	out := *r
	out.Steps = slices.Clone(r.Steps)
	for i := range out.Steps {
		s := &out.Steps[i]
		s.Secrets = slices.Clone(s.Secrets)
		for j := range s.Secrets {
			s.Secrets[j].Sealed = false
		}
	}
	return &out
}

// WithoutValues returns the record with digests in place of the values of fields:
// of kind, key, field and value, so that equal records stay equal.
func (r *Record) WithoutValues() *Record {
	out := *r
	out.Redacted = true
	out.Steps = slices.Clone(r.Steps)
	for i := range out.Steps {
		s := &out.Steps[i]
		s.Before, s.After = s.withoutValues(s.Before), s.withoutValues(s.After)
		if len(s.Risks) > 0 {
			s.Risks = []string{"a reviewer should look at this step; what for names values, which are left out"}
		}
		s.Fields = slices.Clone(s.Fields)
		for j := range s.Fields {
			s.Fields[j].Changes = nil
		}
	}
	return &out
}

func (s *RecordStep) withoutValues(values map[string]any) map[string]any {
	if values == nil {
		return nil
	}
	out := make(map[string]any, len(values))
	for name, v := range values {
		if s.AfterSensitive[name] {
			out[name] = v
			continue
		}
		out[name] = withoutValue(s.Kind, s.Key, name, v)
	}
	return out
}

func withoutValue(kind, key, field string, v any) any {
	if v == nil {
		return nil
	}
	return "(redacted " + digest(kind, key, field, plainJSON(v)) + ")"
}
