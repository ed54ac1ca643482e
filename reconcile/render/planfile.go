package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"proxbox-sync/reconcile"
)

// PlanBytes is a plan as it stands in a file, with the SHA-256 of these bytes in
// hexadecimal. The same plan gives the same bytes.
func PlanBytes(d *PlanDocument) (data []byte, digest string, err error) {
	var b bytes.Buffer
	if err := encode(&b, d); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(b.Bytes())
	return b.Bytes(), hex.EncodeToString(sum[:]), nil
}

// unsavedDigest is the SHA-256 of the file that plan --out would write, "" where
// the plan can't be encoded.
func (d *PlanDocument) unsavedDigest() string {
	file := *d
	file.Record = d.Record.Unsealed()
	var err error
	if file.Checksum, err = file.sum(); err != nil {
		return ""
	}
	digest, _ := PlanDigest(&file)
	return digest
}

// PlanDigest is the SHA-256 of PlanBytes, which are not kept.
func PlanDigest(d *PlanDocument) (string, error) {
	sum := sha256.New()
	if err := encode(sum, d); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// ReadPlan reads the bytes of a saved plan. It refuses whatever PlanBytes would
// not have written: other members, another order, white space, a checksum that
// is not the record's. It proves nothing of who wrote them.
func ReadPlan(data []byte) (*PlanDocument, error) {
	d := &PlanDocument{Record: &reconcile.Record{}}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("it is no saved plan: %s", whyNoJSON(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it is no saved plan: something follows it")
	}
	if d.Format != PlanFormat {
		return nil, fmt.Errorf("it is of the form %q; this version reads %q", d.Format, PlanFormat)
	}
	sum, err := d.sum()
	if err != nil {
		return nil, err
	}
	again, _, err := PlanBytes(d)
	if err != nil {
		return nil, err
	}
	if sum != d.Checksum || !bytes.Equal(again, data) {
		return nil, errors.New("it was changed after it was saved: its checksum, or its form, is not what the program writes")
	}
	return d, nil
}

// whyNoJSON says what the decoder found without the names of Go's types.
func whyNoJSON(err error) string {
	var other *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return "it is empty"
	case errors.As(err, &other) && other.Field != "":
		return fmt.Sprintf("%s must not be of the type %s", strings.TrimPrefix(other.Field, "Record."), other.Value)
	case errors.As(err, &other):
		return "it is JSON of the type " + other.Value
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// Diagnosed are the diagnostics that stand in the document.
func (d *PlanDocument) Diagnosed() reconcile.Diagnostics {
	var list reconcile.Diagnostics
	for _, x := range d.Diagnostics {
		out := reconcile.Diagnostic{Severity: reconcile.Severity(x.Severity), Code: x.Code, Pos: x.Position.position(), Object: x.Object,
			Field: x.Field, Summary: x.Summary, Detail: x.Detail}
		for trouble, word := range abouts {
			if word == x.About {
				out.Trouble = trouble
			}
		}
		for _, r := range x.Related {
			out.Related = append(out.Related, reconcile.Related{Pos: r.Position.position(), Message: r.Message})
		}
		list = append(list, out)
	}
	return list
}

func (p *position) position() reconcile.Position {
	if p == nil {
		return reconcile.Position{}
	}
	return reconcile.Position{File: p.File, Line: p.Line, Column: p.Column}
}

// Saved says where a plan was saved, and the SHA-256 of that file.
func Saved(w io.Writer, name, digest string, s Style) error {
	p := newPrinter(w, s)
	p.line()
	if name == "-" {
		name = "standard output"
	}
	p.line("Saved to ", Escape(name), ".")
	p.line("SHA-256: ", digest)
	return p.done()
}
