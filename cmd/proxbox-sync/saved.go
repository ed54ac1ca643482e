package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"time"

	"github.com/alecthomas/kong"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

// maxPlanBytes bounds a file of a saved plan: some hundred thousand steps.
const maxPlanBytes = 512 << 20

// given decodes a text that, once given, is never empty: an unset variable of a
// job must not leave out the plan, the digest or the end that it was to name.
func given(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("text", &text); err != nil {
		return err
	}
	if text == "" {
		return errors.New("it is empty: is a variable not set?")
	}
	target.SetString(text)
	return nil
}

// saveFlags say where a plan is saved, and how.
type saveFlags struct {
	Out          string `help:"Save the plan to this file, for apply --plan; - is standard output." type:"given" placeholder:"FILE" group:"Saved plan"`
	RedactValues bool   `help:"Save digests in place of the fields' values. Keys stay: addresses, and names of endpoints, nodes and storage, where objects are known by them." group:"Saved plan"`
	Expires      string `help:"Until when the saved plan may be applied: a time (RFC 3339), or how long from now on (24h)." type:"given" placeholder:"TIME" group:"Saved plan"`
}

// until is the time of --expires in RFC 3339, "" for none.
func (f saveFlags) until(now time.Time) (string, error) {
	if f.Out == "" && (f.RedactValues || f.Expires != "") {
		return "", usagef("--redact-values and --expires are about the saved plan: they need --out")
	}
	if f.Expires == "" {
		return "", nil
	}
	at, err := time.Parse(time.RFC3339, f.Expires)
	if err != nil {
		d, bad := time.ParseDuration(f.Expires)
		if bad != nil {
			return "", usagef("--expires: must be a time as 2006-01-02T15:04:05Z, or a duration as 24h")
		}
		at = now.Add(d)
	}
	if !at.After(now) {
		return "", usagef("--expires: must lie ahead")
	}
	return at.UTC().Format(time.RFC3339), nil
}

// save writes a plan to its file and returns the SHA-256 of the bytes.
func (a *app) save(f saveFlags, plan *reconcile.Plan, record *reconcile.Record, code exitCode) (string, error) {
	record, list := record.Unsealed(), plan.Diagnostics
	if f.RedactValues {
		record, list = record.WithoutValues(), list.WithoutTexts()
	}
	doc, err := render.NewPlanDocument(record, list, int(code))
	if err != nil {
		return "", err
	}
	data, sum, err := render.PlanBytes(doc)
	if err != nil {
		return "", err
	}
	if f.Out == "-" {
		_, err = a.stdout.Write(data)
	} else {
		err = writeOutput(f.Out, data)
	}
	if err != nil {
		return "", fmt.Errorf("saving the plan: %w", err)
	}
	return sum, nil
}

// savedFlags say which saved plan is to be carried out.
type savedFlags struct {
	Plan         string `help:"Carry out exactly this saved plan, or what is left of it; - for standard input." type:"given" placeholder:"FILE" group:"Saved plan"`
	ExpectDigest string `help:"SHA-256 that the saved plan's file must have." type:"given" placeholder:"HEX" group:"Saved plan"`
}

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// saved is a plan that was read from a file.
type saved struct {
	doc    *render.PlanDocument
	digest string // SHA-256 of the file
}

// read reads the saved plan that the flags name, nil for none. What is not, to
// the byte, what this program writes is refused as a plan that does not hold.
func (f savedFlags) read(a *app) (*saved, error) {
	switch {
	case f.ExpectDigest != "" && f.Plan == "":
		return nil, usagef("--expect-digest is about a saved plan: it needs --plan")
	case f.ExpectDigest != "" && !digestPattern.MatchString(f.ExpectDigest):
		return nil, usagef("--expect-digest: must be 64 hexadecimal digits, as plan --out and sha256sum print them")
	case f.Plan == "":
		return nil, nil
	}
	return a.readPlan(f.Plan, f.ExpectDigest)
}

func (a *app) readPlan(name, digest string) (*saved, error) {
	data, err := a.planBytes(name)
	if err != nil {
		return nil, usagef("reading the saved plan: %w", err)
	}
	sum := sha256.Sum256(data)
	s := &saved{digest: hex.EncodeToString(sum[:])}
	if digest != "" && digest != s.digest {
		return nil, &statusError{code: exitContested, err: fmt.Errorf("%s is not the plan that was approved: its SHA-256 is %s, expected %s", name, s.digest, digest)}
	}
	if s.doc, err = render.ReadPlan(data); err != nil {
		return nil, &statusError{code: exitContested, err: fmt.Errorf("%s can't be used: %w; plan again, and approve that", name, err)}
	}
	return s, nil
}

func (a *app) planBytes(name string) ([]byte, error) {
	if name == "-" {
		return readLimited(a.stdin, maxPlanBytes)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLimited(io.Reader(f), maxPlanBytes)
}

// tighten lowers limits to those that the plan was made under: a file can be
// stricter than the job that applies it, and never looser.
func (s *saved) tighten(l *reconcile.Limits) {
	if s == nil {
		return
	}
	p := s.doc.Record.Policy
	for _, x := range []struct{ file, limit **int }{
		{&p.MaxDeletes, &l.MaxDeletes}, {&p.DeleteCeiling, &l.DeleteCeiling}, {&p.MaxDeletePercent, &l.MaxDeletePercent},
		{&p.MaxUpdates, &l.MaxUpdates}, {&p.MaxUpdatePercent, &l.MaxUpdatePercent},
	} {
		switch {
		case *x.file == nil, *x.limit != nil && **x.limit <= **x.file:
		case *x.limit == nil && x.limit == &l.MaxDeletes:
			// This one also allows: what the job does not allow the file can't.
			if l.DeleteCeiling == nil || *l.DeleteCeiling > **x.file {
				l.DeleteCeiling = *x.file
			}
		default:
			*x.limit = *x.file
		}
	}
}

// holds refuses a plan that is not what the file says, or what is left of it.
func (s *saved) holds(plan *reconcile.Plan) error {
	if s == nil {
		return nil
	}
	list := reconcile.Moved(s.doc.Record, plan, aboutBuild().Version, time.Now())
	if len(list) == 0 {
		return nil
	}
	return failed(list, errors.New("nothing was applied: the saved plan no longer holds; plan again, and approve that"))
}
