package render

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
)

// The HTML report is one file that needs nothing else: its style and script stand
// in it, and its policy lets nothing but these two run and nothing be fetched.
// Without the script it can be read all the same. Data gets into it through
// html/template alone.
var (
	//go:embed web/style.css
	webStyle string
	//go:embed web/script.js
	webScript string
	//go:embed web/body.tmpl
	webBody string

	webTemplate = template.Must(template.New("report").Parse(webBody))
	webPolicy   = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src " + hash(webStyle) + "; script-src " + hash(webScript)
)

// hash names a text in a content security policy.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// shownConcerns is how much of what comes first is not folded.
const shownConcerns = 20

// htmlPage is a page as the template takes it.
type htmlPage struct {
	Title, Server, Totals string
	Failed                bool
	Facts                 []fact
	First, More, Warnings []htmlConcern
	Kinds                 []htmlKind
	Parts                 []htmlPart
	Graph                 *graph
	Filters               []htmlFilter
	Objects               int
}

type htmlConcern struct {
	Level    level
	What     string
	Headline string
	Place    string
	Detail   []string
	Anchor   string
}

type htmlKind struct {
	Name  string
	Items []htmlItem
}

type htmlItem struct {
	Anchor        string
	Action        string
	Actions       string // for filtering: separated by blanks
	Labels        string
	Sign, Title   string
	Result, State string
	Notes         []string
	Place         string
	Remarks       []string
	Fields        []fieldView
	Created       bool
}

type htmlPart struct {
	Title, Data, Hint string
	Lines             []string
}

type htmlFilter struct {
	Name, Label string
	Values      []string
}

// writeHTML writes a page as one HTML document.
func writeHTML(w io.Writer, g *page) error {
	title := html.EscapeString(strings.TrimSpace(g.title + " " + g.server))
	if _, err := fmt.Fprintf(w, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"+
		"<meta http-equiv=\"Content-Security-Policy\" content=\"%s\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"+
		"<meta name=\"referrer\" content=\"no-referrer\">\n<link rel=\"icon\" href=\"data:,\">\n<title>%s</title>\n<style>%s</style>\n</head>\n",
		html.EscapeString(webPolicy), title, webStyle); err != nil {
		return err
	}
	if err := webTemplate.Execute(w, g.html()); err != nil {
		return err
	}
	_, err := io.WriteString(w, "<script>"+webScript+"</script>\n</body>\n</html>\n")
	return err
}

func (g *page) html() *htmlPage {
	out := &htmlPage{Title: g.title, Server: g.server, Totals: g.totals, Failed: g.failed, Facts: g.facts,
		First: htmlConcerns(g.first), Warnings: htmlConcerns(g.warnings), Graph: newGraph(g.items), Objects: len(g.items)}
	if len(out.First) > shownConcerns+1 {
		out.First, out.More = out.First[:shownConcerns], out.First[shownConcerns:]
	}
	for _, x := range append([]part{g.scope}, g.parts...) {
		if x.title != "" {
			out.Parts = append(out.Parts, htmlPart{x.title, x.data, x.hint, x.lines})
		}
	}
	filters := []htmlFilter{{"kind", "Kind", nil}, {"action", "Action", nil}, {"result", "Result", nil}, {"label", "Label", nil}}
	seen := make([]map[string]bool, len(filters))
	note := func(i int, values ...string) {
		if seen[i] == nil {
			seen[i] = map[string]bool{}
		}
		for _, v := range values {
			if v != "" {
				seen[i][v] = true
			}
		}
	}
	for _, x := range itemsByKind(g.items) {
		if n := len(out.Kinds); n == 0 || out.Kinds[n-1].Name != x.kind {
			out.Kinds = append(out.Kinds, htmlKind{Name: x.kind})
		}
		k := &out.Kinds[len(out.Kinds)-1]
		k.Items = append(k.Items, htmlItemOf(x))
		note(0, x.kind)
		note(1, x.actions...)
		note(2, x.result)
		note(3, x.labels...)
	}
	for i, f := range filters {
		if len(seen[i]) > 0 {
			f.Values = slices.Sorted(maps.Keys(seen[i]))
			out.Filters = append(out.Filters, f)
		}
	}
	return out
}

func htmlItemOf(x *item) htmlItem {
	out := htmlItem{Anchor: anchor(x.index), Action: x.actions[0], Actions: strings.Join(x.actions, " "), Labels: strings.Join(x.labels, " "),
		Sign: x.sign(), Title: x.title, Result: x.result, Notes: append(slices.Clone(x.notes), x.labels...), Place: place(x.place),
		Remarks: x.remarks, Fields: x.fields, Created: x.actions[0] == "create"}
	switch {
	case x.alarm != "" && x.result != "":
		out.State = "bad"
	case x.skipped:
		out.State = "skipped"
	case x.result != "":
		out.State = "good"
	}
	return out
}

func htmlConcerns(list []concern) []htmlConcern {
	var out []htmlConcern
	for i := range list {
		c := &list[i]
		x := htmlConcern{Level: c.level, What: c.what, Headline: c.headline(), Place: place(c.place), Detail: c.detail}
		if c.step >= 0 {
			x.Anchor = anchor(c.step)
		}
		out = append(out, x)
	}
	return out
}

func anchor(step int) string { return fmt.Sprintf("s%d", step) }
