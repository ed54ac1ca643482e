package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

// summaryVariable names the file that GitHub shows as the summary of a step. It
// is there already, and other parts of the step append to it as well.
const summaryVariable = "GITHUB_STEP_SUMMARY"

// reportFlags say in which forms a result is written, and where to.
type reportFlags struct {
	Format string   `help:"Form of the result: ${enum}." enum:"text,json,markdown,html,github,junit" default:"text" group:"Output"`
	Report []string `help:"Write the result in this form to a file as well, - for standard output; may be repeated." placeholder:"FORM=FILE" sep:"none" group:"Output"`
}

// reporting is where the result of a command goes beside standard output.
type reporting struct {
	format  string // of standard output
	taken   bool   // standard output is somebody else's
	targets []reportTarget
	plan    string // where the plan is saved, "" for nowhere
	owner   string // as far as the run knows it by now
	shown   bool   // standard output has the result
	saved   bool   // the files have it
}

// reportTarget is one --report.
type reportTarget struct{ format, file string }

// beginReports checks the flags before anything is asked of a server: a report
// that can't be written is noticed before an apply and not after. Standard output
// may be taken by something else; the result goes to standard error then. plan is
// the file of the command's saved plan, "" for none.
func (a *app) beginReports(f reportFlags, taken bool, plan string) error {
	a.report.format, a.report.taken = f.Format, taken
	var targets []reportTarget
	for _, text := range f.Report {
		format, file, _ := strings.Cut(text, "=")
		t := reportTarget{format, file}
		switch {
		case !slices.Contains(render.Formats(), format) || file == "":
			return usagef("--report %s: write it as FORM=FILE; the forms are %s", text, strings.Join(render.Formats(), ", "))
		case slices.ContainsFunc(targets, func(other reportTarget) bool { return sameFile(other.file, file) }):
			return usagef("--report: %s is named twice", file)
		case plan != "" && file != "-" && sameFile(plan, file):
			return usagef("--report %s: that is the file of the saved plan; write the report to another one", text)
		case file == "-" && (taken || f.Format != "text"):
			return usagef("--report %s: something else is written to standard output already", text)
		}
		if file != "-" {
			if err := fitForReport(file); err != nil {
				return usagef("--report %s: %w", text, err)
			}
		}
		targets = append(targets, t)
	}
	a.report.targets = targets
	return nil
}

// sameFile reports whether two names are of one file, also of one that is not
// there yet.
func sameFile(one, other string) bool {
	if one == "-" || other == "-" {
		return one == other
	}
	x, err := filepath.Abs(one)
	y, bad := filepath.Abs(other)
	if err != nil || bad != nil {
		return filepath.Clean(one) == filepath.Clean(other)
	}
	return x == y || sameInode(x, y) || filepath.Base(x) == filepath.Base(y) && sameInode(filepath.Dir(x), filepath.Dir(y))
}

func sameInode(x, y string) bool {
	one, err := os.Stat(x)
	other, bad := os.Stat(y)
	return err == nil && bad == nil && os.SameFile(one, other)
}

// fitForReport refuses what a report may not replace.
func fitForReport(file string) error {
	info, err := os.Lstat(file)
	switch {
	case err == nil && info.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link, which is not followed")
	case err == nil && !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if info, err = os.Stat(filepath.Dir(file)); err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("its folder is not one")
	}
	return nil
}

// show writes a result to standard output.
func (a *app) show(d render.Document) error {
	a.report.shown = true
	if a.report.taken {
		return render.Write(a.stderr, a.report.format, d, a.errStyle())
	}
	return render.Write(a.stdout, a.report.format, d, a.reportStyle(a.style()))
}

// deliver writes a result to the files of --report.
func (a *app) deliver(d render.Document) error {
	a.report.saved = true
	var all []error
	for _, t := range a.report.targets {
		if err := a.saveTo(t, d); err != nil {
			all = append(all, fmt.Errorf("writing the report %s: %w", t.file, err))
		}
	}
	return errors.Join(all...)
}

// emit writes a result everywhere and ends the run with a code.
func (a *app) emit(d render.Document, code exitCode) error {
	return a.finish(errors.Join(a.show(d), a.deliver(d)), code)
}

// finish ends a run with its code. A report that could not be written is an error
// of a run that had none.
func (a *app) finish(err error, code exitCode) error {
	if err != nil && (code == exitDone || code == exitChanges) {
		return err
	}
	a.complain(err, nil)
	return said(code)
}

func (a *app) saveTo(t reportTarget, d render.Document) error {
	var b bytes.Buffer
	if err := render.Write(&b, t.format, d, a.reportStyle(render.Style{Whole: true})); err != nil {
		return err
	}
	switch summary := a.env.Get(summaryVariable); {
	case t.file == "-":
		_, err := a.stdout.Write(b.Bytes())
		return err
	case summary != "" && filepath.Clean(summary) == filepath.Clean(t.file):
		return appendFile(t.file, b.Bytes())
	}
	if err := fitForReport(t.file); err != nil {
		return err
	}
	return writeOutput(t.file, b.Bytes())
}

// reportStyle adds to a style from where annotations name files.
func (a *app) reportStyle(s render.Style) render.Style {
	if root := a.env.Get("GITHUB_WORKSPACE"); root != "" {
		if base, err := filepath.Rel(root, a.dir); err == nil && base != "." && filepath.IsLocal(base) {
			s.Base = filepath.ToSlash(base)
		}
	}
	return s
}

// appendFile adds to a file that others write as well, on a line of its own.
func appendFile(file string, data []byte) error {
	if err := fitForReport(file); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		data = append([]byte("\n"), data...)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// showPlan writes a plan as text.
func (a *app) showPlan(w io.Writer, plan *reconcile.Plan, style render.Style) error {
	return render.PlanText(w, a.record(plan), plan.Diagnostics, style)
}
