package render

import (
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// shownAnnotations is how many annotations of one level GitHub shows of a step.
const shownAnnotations = 10

// writeAnnotations writes a page as workflow commands of GitHub, on the lines of
// the manifests: what is wrong, what to look at first, warnings, and as notices
// the totals and what the page is not about. base is the folder, seen from the
// root of the repository, that positions are relative to.
func writeAnnotations(w io.Writer, g *page, base string) error {
	p := newPrinter(w, Style{})
	list := append(slices.Clone(g.first), g.warnings...)
	title := "proxbox-sync " + g.word
	list = append(list, concern{level: note, what: title, text: g.totals})
	notes := g.parts
	if !g.complete {
		notes = append([]part{g.scope}, notes...)
	}
	for _, x := range notes {
		if x.title != "" {
			list = append(list, concern{level: note, what: title, text: x.sentence(), detail: append(slices.Clone(x.lines), x.hint)})
		}
	}
	for _, l := range []level{bad, warn, note} {
		mine := slices.DeleteFunc(slices.Clone(list), func(c concern) bool { return c.level != l })
		if left := len(mine) - shownAnnotations; left > 0 {
			mine = append(mine[:shownAnnotations-1:shownAnnotations-1], concern{level: l, what: title,
				text: fmt.Sprintf("%s more of this level: see the whole report", thousands(left+1))})
		}
		for _, c := range mine {
			p.annotation(c, base)
		}
	}
	return p.done()
}

// annotation writes one workflow command. It is the only line of ours that may
// begin with two colons; data can't end it, nor begin another.
func (p *printer) annotation(c concern, base string) {
	var properties []string
	if c.place != nil {
		file := c.place.File
		if base != "" && !path.IsAbs(file) {
			file = path.Join(base, file)
		}
		properties = append(properties, "file="+property(file))
		if c.place.Line > 0 {
			properties = append(properties, fmt.Sprintf("line=%d", c.place.Line), fmt.Sprintf("col=%d", max(c.place.Column, 1)))
		}
	}
	properties = append(properties, "title="+property(cmp.Or(c.object, c.what)))
	text := c.text
	for _, l := range c.detail {
		if l != "" {
			text += "\n" + l
		}
	}
	_, _ = fmt.Fprintf(p.w, "::%s %s::%s\n", c.level, strings.Join(properties, ","), commandData.Replace(text))
}

// commandData and commandProperty escape as GitHub's own toolkit does.
var (
	commandData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func property(s string) string { return commandProperty.Replace(s) }
