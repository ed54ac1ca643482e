package render_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

// benign is a name with which nothing is meant.
const benign = "name"

// hostile are names that mean something to somebody who shows a report.
var hostile = map[string]string{
	"a terminal's colours":           "\x1b[31mred\x1b[0m",
	"a terminal's link":              "\x1b]8;;http://evil.example\x07here\x1b]8;;\x07",
	"text that runs backwards":       "a\u202egnp.\u202cb",
	"commands on lines of their own": "a\n::add-mask::x\r\n::error file=x::y\n##[group]z",
	"a command at the beginning":     "::stop-commands::token",
	"commands of other systems":      "##vso[task.setvariable variable=x]y ##teamcity[x] section_start:1:x\r",
	"an escaped line end":            "%0A::error::x%0D%3A,title=z::",
	"mentions and references":        "@team @org/team #12 GH-12 owner/repo#12 c0ffee12c0ffee12c0ffee12c0ffee12c0ffee12 !12 ~label %milestone",
	"emoji and mathematics":          ":rocket: $x$ $`y`$",
	"a quick action":                 "/close\n/assign @me",
	"an image and links":             "![x](http://evil.example/x.png) [x](javascript:alert(1)) https://evil.example www.evil.example me@evil.example",
	"a reference link":               "[x]: http://evil.example\n\n[x]",
	"HTML that fetches":              `<img src=x onerror=alert(1)><svg onload=alert(1)>`,
	"the end of a script":            `</script><script>alert(1)</script>`,
	"the end of what is folded":      "</code></summary></details></body>\n\n# Heading",
	"the end of a template's quotes": `" onmouseover="alert(1)" x='y' onfocus='alert(1)' autofocus `,
	"the end of CDATA":               "]]><x>&y;<!ENTITY z SYSTEM 'file:///etc/passwd'>",
	"another report's marker":        "x --> <!-- proxbox-sync:plan:other --> <!--",
	"the end of a fence":             "```\n# Heading\n~~~\n`````\nx",
	"backticks":                      "`a``b```c`",
	"only backticks":                 "``",
	"blanks":                         "  ",
	"a table":                        "| a | b |\n|---|---|\n| c | d |",
	"Mermaid":                        "x\"]; click s0 \"javascript:alert(1)\"; s0[\"y\n%%{init: {'securityLevel': 'loose'}}%%\nend #quot;",
	"templates":                      "{{.}} ${{ secrets.TOKEN }} $(id) `id` %{x}",
	"what XML can't hold":            "\x00\x01\x08\x0b\ufffe\uffff",
	"entities":                       "&lt;b&gt;&amp;#60;b&#62;",
	"strange line ends":              "a\u0085b\u2028c\u2029d",
	"broken UTF-8":                   "a\xffb\xc3",
	"a heading and a list":           "# x\n- y\n1. z\n> q\n---\n===",
	"a formula":                      "=cmd|' /C calc'!A0",
}

// hostileRecord has a text wherever a plan, which may come from a file, can have one.
func hostileRecord(s string) *reconcile.Record {
	n := 3
	taken := []reconcile.RecordTaken{{What: s, Objects: []string{s, s}, Count: &n}, {What: s, Count: &n}, {What: s}}
	values := map[string]any{s: s, "list": []any{s, map[string]any{s: s}}, "in": map[string]any{}}
	fields := []reconcile.RecordField{{Name: s, Label: s}, {Name: "list", Label: s}, {Name: "in", Label: s, Changes: []reconcile.RecordValue{
		{Op: "add", Path: "/" + s, After: s}, {Op: "remove", Path: "/" + s, Before: s}, {Op: "replace", Path: "/" + s, Before: s, After: s}}}}
	step := func(i int, a string) reconcile.RecordStep {
		return reconcile.RecordStep{Index: i, Actions: []string{a, s}, Kind: s, Key: s, Position: &reconcile.RecordPosition{File: s, Line: 3, Column: 1}, Wave: i, Deferred: []string{s},
			Risks: []string{s}, Before: values, After: values, Fields: fields, Secrets: []reconcile.RecordSecret{{Name: s, Why: s}}, Marker: &reconcile.RecordMarker{Why: s, Digest: s},
			Released: []string{s}, RenamedFrom: s, Takes: taken}
	}
	steps := []reconcile.RecordStep{step(0, "create"), step(1, "update"), step(2, "delete"), step(3, "mark")}
	steps[1].Needs, steps[2].Needs, steps[3].RenamedOutside = []int{0, 7, -1}, []int{1}, true
	return &reconcile.Record{Server: reconcile.RecordServer{URL: s, Identity: s, NetBoxVersion: s, PluginVersion: s}, Tool: s, Owner: s, Expires: s,
		Manifests: reconcile.RecordManifests{Digest: s, Commit: s}, Policy: reconcile.RecordPolicy{Partial: s, Select: []string{s}, AllowRetarget: []string{s}},
		Steps: steps, Unchanged: map[string]int{s: 2}, Unmanaged: map[string]int{s: 2}, Unread: map[string]string{s: s},
		Orphans: []reconcile.RecordOrphan{{Kind: s, Key: s, Origin: s, Why: s}},
		Secrets: []reconcile.RecordSecretState{{Kind: s, Key: s, Field: s, Status: "unknown", Why: s}}}
}

// hostileDocuments are one of each kind with a text everywhere.
func hostileDocuments(t testing.TB, s string) map[string]render.Document {
	t.Helper()
	set := kinds(t)
	object := &reconcile.Object{Kind: set.Kind("Town"), Row: 1, Fields: map[string]any{"slug": s},
		Doc: &reconcile.Document{Pos: reconcile.Position{File: s, Line: 3, Column: 1}}}
	change := &reconcile.Change{Action: reconcile.Update, Desired: object, Live: object, RenamedFrom: s, RenamedOutside: true,
		Fields: []reconcile.FieldChange{{Name: s, Before: s, After: s, Label: reconcile.Drift}}}
	list := reconcile.Diagnostics{}
	for _, d := range []reconcile.Diagnostic{{Severity: reconcile.Error, Trouble: reconcile.Policy}, {Severity: reconcile.Warning, Trouble: reconcile.Policy}, {Severity: reconcile.Warning}} {
		d.Code, d.Object, d.Field, d.Summary, d.Detail = s, s, s, s, s
		d.Pos = reconcile.Position{File: s, Line: 3, Column: 1}
		d.Related = []reconcile.Related{{Pos: d.Pos, Message: s}}
		list = append(list, d)
	}
	plan := &reconcile.Plan{Instance: reconcile.Instance{URL: s, NetBoxVersion: s, PluginVersion: s}, Owner: s, Diagnostics: list,
		Steps: []*reconcile.Step{{Change: change}, {Change: &reconcile.Change{Action: reconcile.Create, Desired: object}}}, Unmanaged: map[string]int{s: 2}, Unread: map[string]string{s: s},
		Orphans: []reconcile.Orphan{{Object: object, Copied: true, Why: s}}}
	report := &reconcile.Report{Plan: plan, Err: errors.New(s)}
	for i, result := range []reconcile.Result{reconcile.Failed, reconcile.Conflicted, reconcile.Unmarked, reconcile.NotAttempted} {
		report.Steps = append(report.Steps, reconcile.StepReport{Step: &reconcile.Step{Index: i, Change: change}, Result: result, Request: s, BlockedBy: []int{0},
			Messages: []reconcile.FieldMessage{{Field: s, Text: s}}, Err: errors.New(s)})
	}
	approvals := []reconcile.ApprovalReport{{Object: object, Err: errors.New(s)},
		{Object: object, ApprovalResult: reconcile.ApprovalResult{Verdict: reconcile.TargetDiffers, Differs: []string{s}, Request: s}}}
	planned, err := render.NewPlanDocument(hostileRecord(s), list, 5)
	require.NoError(t, err)
	return map[string]render.Document{
		"plan":    planned,
		"report":  render.NewReportDocument(report, hostileRecord(s), approvals, 7),
		"drift":   render.NewDriftDocument(reconcile.DriftOf(plan)),
		"restore": render.NewRestoreDocument(hostileRestored(s, object, list, approvals), 7),
		"failure": &render.Failure{Format: render.PlanFormat, ExitCode: 3, Diagnostics: list, Errors: []string{s}},
	}
}

// hostileRestored is a restore with a text wherever one can be.
func hostileRestored(s string, object *reconcile.Object, list reconcile.Diagnostics, approvals []reconcile.ApprovalReport) *reconcile.Restored {
	fields := []reconcile.FieldChange{{Name: s, Before: s, After: s}}
	unseen := []reconcile.Unseen{{Object: object, Fields: []string{s}}}
	return &reconcile.Restored{Instance: reconcile.Instance{URL: s, NetBoxVersion: s, PluginVersion: s}, Owner: s, Diagnostics: list,
		Results: map[reconcile.Result]int{reconcile.Applied: 1}, Err: errors.New(s), ProofErr: errors.New(s), Approvals: approvals,
		Skipped: []reconcile.Skipped{{Object: object, Why: s}}, Records: map[string]int{s: 2}, Refused: unseen,
		Proof: &reconcile.Proof{Kinds: []reconcile.ProvenKind{{Kind: s, Objects: 3, Equal: 1, Fields: 9}}, Kept: []reconcile.Unequal{{Object: object, Fields: fields}},
			Unseen: unseen, Waiting: []*reconcile.Object{object}, Unasked: approvals[:1]},
		NotBack: []*reconcile.NotBack{
			{Object: object, Result: reconcile.Failed, Reasons: []reconcile.FieldMessage{{Field: s, Text: s}, {Text: s}}, Status: 400, Request: s},
			{Object: object, There: true, Fields: fields},
			{Object: object, There: true, Secrets: []string{s}, Reasons: []reconcile.FieldMessage{{Field: s, Text: s}}},
			{Object: object, Result: reconcile.Blocked, BlockedBy: []string{s}}, {Object: object, Waits: true, Reasons: []reconcile.FieldMessage{{Text: s}}}}}
}

// shape is what of a report must not depend on names.
func shape(t *testing.T, format, text string) string {
	t.Helper()
	switch format {
	case "json":
		require.True(t, json.Valid([]byte(text)), text)
	case "markdown":
		return markdownShape(t, text)
	case "html":
		return htmlShape(t, text)
	case "github":
		return annotationShape(t, text)
	case "junit":
		return xmlShape(t, text)
	}
	return ""
}

// shapes are those of the reports of a name, by format and document.
func shapes(t *testing.T, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for document, d := range hostileDocuments(t, name) {
		for _, format := range render.Formats() {
			got := written(t, format, d)
			require.True(t, utf8.ValidString(got))
			out[format+" of a "+document] = shape(t, format, got)
			if format == "github" {
				continue // its commands are its own: annotationShape reads them
			}
			for line := range strings.SplitSeq(got, "\n") {
				require.Empty(t, harmful(line), "%s of a %s", format, document)
			}
		}
	}
	return out
}

// Whatever a name is, a report of it has the parts of a report of a good one.
func TestHostileNamesChangeNoReport(t *testing.T) {
	want := shapes(t, benign)
	for why, s := range hostile {
		t.Run(why, func(t *testing.T) {
			require.Empty(t, cmp.Diff(want, shapes(t, s)))
		})
	}
}

func FuzzReports(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	var once sync.Once
	var want map[string]string
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" || len(s) > 200 {
			t.Skip() // an empty name leaves parts out, and a long one makes Markdown do so
		}
		once.Do(func() { want = shapes(t, benign) })
		require.Empty(t, cmp.Diff(want, shapes(t, s)))
	})
}

// merged joins what follows itself: a text of several lines may be several entries.
func merged(parts []string) string { return strings.Join(slices.Compact(parts), "\n") }

var (
	codeElement = regexp.MustCompile(`<code>[^<>]*</code>`)
	markerLine  = regexp.MustCompile(`^<!-- proxbox-sync:[a-z]+:[A-Za-z0-9._/%-]* -->$`)
	nodeLine    = regexp.MustCompile(`^  s\d+\["[\p{L}\p{N} ./…]([\p{L}\p{N} ./…]|#\d+;)*"\]$`)
	edgeLine    = regexp.MustCompile(`^  s\d+ --> s\d+$`)
)

// markdownShape is what remains of a report without what stands in code. It reads
// blocks and code spans as CommonMark does.
func markdownShape(t *testing.T, text string) string {
	t.Helper()
	lines := strings.Split(text, "\n")
	require.Regexp(t, markerLine, lines[0])
	var out []string
	fence, language := "", ""
	for _, l := range lines[1:] {
		bare := strings.TrimLeft(l, " ")
		ticks := bare[:len(bare)-len(strings.TrimLeft(bare, "`"))]
		switch {
		case fence != "" && len(ticks) >= len(fence) && strings.Trim(bare, "` ") == "":
			out, fence = append(out, "end of "+language), ""
		case fence != "" && language == "mermaid":
			require.True(t, l == "flowchart LR" || nodeLine.MatchString(l) || edgeLine.MatchString(l), l)
		case fence != "":
			require.Regexp(t, `^[-+ !#] `, l, "nothing stands at the beginning of a line")
		case len(ticks) >= 3 && !strings.Contains(bare[len(ticks):], "`"):
			fence, language = ticks, bare[len(ticks):]
			out = append(out, "fence of "+language)
		default:
			out = append(out, withoutSpans(t, codeElement.ReplaceAllString(l, "CODE")))
		}
	}
	require.Empty(t, fence, "a fence is not closed")
	return merged(out)
}

// withoutSpans takes the code spans out of a line.
func withoutSpans(t *testing.T, l string) string {
	t.Helper()
	var b strings.Builder
	for {
		at := strings.IndexByte(l, '`')
		if at < 0 {
			return b.String() + l
		}
		b.WriteString(l[:at])
		l = l[at:]
		run := len(l) - len(strings.TrimLeft(l, "`"))
		end := -1
		for i := run; i < len(l); {
			if l[i] != '`' {
				i++
				continue
			}
			n := len(l[i:]) - len(strings.TrimLeft(l[i:], "`"))
			if n == run {
				end = i + n
				break
			}
			i += n
		}
		require.Positive(t, end, "a code span is not closed: %s", l)
		b.WriteString("SPAN")
		l = l[end:]
	}
}

func htmlShape(t *testing.T, text string) string {
	t.Helper()
	counts, acts := elements(t, text)
	require.Empty(t, acts)
	delete(counts, "li")
	shape, err := json.Marshal(counts)
	require.NoError(t, err)
	return string(shape)
}

var (
	command = regexp.MustCompile(`^::(error|warning|notice) ((?:[a-zA-Z]+=[^:,]*)(?:,[a-zA-Z]+=[^:,]*)*)::(.*)$`)
	decoded = strings.NewReplacer("%0A", "\n", "%0D", "\r", "%3A", ":", "%2C", ",", "%25", "%")
)

// annotationShape reads the workflow commands of a report as a runner does.
func annotationShape(t *testing.T, text string) string {
	t.Helper()
	var out []string
	for line := range strings.Lines(text) {
		m := command.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		require.NotNil(t, m, line)
		var names []string
		for _, p := range strings.Split(m[2], ",") {
			name, v, _ := strings.Cut(p, "=")
			names = append(names, name)
			require.NotContains(t, decoded.Replace(v), "\n")
		}
		for l := range strings.Lines(decoded.Replace(m[3])) {
			require.Empty(t, harmful(strings.TrimSuffix(l, "\n")))
		}
		out = append(out, m[1]+" "+strings.Join(names, ","))
	}
	return strings.Join(out, "\n")
}

// xmlShape reads a report with a strict parser: its elements and the names of
// their attributes.
func xmlShape(t *testing.T, text string) string {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(text))
	var out []string
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, "\n")
		}
		require.NoError(t, err)
		switch x := token.(type) {
		case xml.StartElement:
			var names []string
			for _, a := range x.Attr {
				names = append(names, a.Name.Local)
			}
			out = append(out, x.Name.Local+" "+strings.Join(names, ","))
		case xml.Directive, xml.Comment:
			t.Errorf("a report has %T", token)
		}
	}
}

// All hostile names at once, in a real browser: no script runs, nothing is asked
// for, nothing is said on the console, and all objects are there.
func TestHostileNamesDoNothingInABrowser(t *testing.T) {
	b := startBrowser(t)
	r := &reconcile.Record{}
	var list reconcile.Diagnostics
	for _, why := range slices.Sorted(maps.Keys(hostile)) {
		one := hostileRecord(hostile[why])
		for i := range one.Steps {
			one.Steps[i].Index = len(r.Steps)
			r.Steps = append(r.Steps, one.Steps[i])
		}
		r.Owner, r.Server, r.Policy = r.Owner+one.Owner, one.Server, one.Policy
		list = append(list, reconcile.Diagnostic{Severity: reconcile.Error, Summary: hostile[why], Object: hostile[why], Detail: hostile[why]})
	}
	d, err := render.NewPlanDocument(r, list, 5)
	require.NoError(t, err)
	file := page(t, d)
	for _, fragment := range []string{"", "q=%3Cscript%3E", `kind="><img src=x onerror=alert(1)>&action=x`, "s1"} {
		b.open(file, fragment, 1200, 900, "light")
		require.EqualValues(t, len(r.Steps), b.eval(`document.querySelectorAll("details.item").length`))
		require.EqualValues(t, 1, b.eval(`document.scripts.length`))
		require.EqualValues(t, 0, b.eval(`document.images.length`))
		b.eval(`document.getElementById("open").click(); document.querySelectorAll("select").forEach((s) => { s.selectedIndex = s.options.length - 1; s.dispatchEvent(new Event("input", {bubbles: true})); })`)
		require.Empty(t, b.heard(file))
	}
	// Were something to get in, the page's policy would stop it, and the test hear of it.
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	broken := filepath.Join(t.TempDir(), "broken.html")
	require.NoError(t, os.WriteFile(broken, []byte(strings.Replace(string(data), "<h1>", `<script>window.ran = 1</script><img src="http://evil.example/x"><h1>`, 1)), 0o600))
	b.open(broken, "", 1200, 900, "light")
	require.Nil(t, b.eval(`window.ran`))
	require.Contains(t, fmt.Sprint(b.heard(broken)), "Content Security Policy")
}
