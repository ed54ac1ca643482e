package render

import (
	"fmt"
	"strings"
	"unicode"
)

// Of a picture in Markdown: beyond so many steps nobody can read it.
const (
	maxMermaid      = 60
	maxMermaidLabel = 60 // characters
)

// mermaid draws which steps need which, "" where none needs another. Steps that
// stand alone are left out.
func mermaid(items []item) string {
	linked := map[int]bool{}
	for i := range items {
		for _, need := range items[i].needs {
			linked[i], linked[need] = true, true
		}
	}
	if len(linked) == 0 {
		return ""
	}
	const title = "### Order\n\n"
	tooMany := title + fmt.Sprintf("%s steps depend on each other: too many for a picture. The HTML report draws them.\n\n", thousands(len(linked)))
	if len(linked) > maxMermaid {
		return tooMany
	}
	lines := []string{"flowchart LR"}
	for i := range items {
		if linked[i] {
			lines = append(lines, fmt.Sprintf("  s%d[\"%s\"]", i, mermaidLabel(items[i].actions[0]+" "+items[i].title)))
		}
	}
	for i := range items {
		for _, need := range items[i].needs {
			lines = append(lines, fmt.Sprintf("  s%d --> s%d", need, i))
		}
	}
	picture := title + fence("mermaid", lines) + "\n"
	if len(picture) > maxPicture {
		return tooMany
	}
	return picture
}

// mermaidLabel writes text so that nothing in it is Mermaid's: what is no letter,
// digit or blank stands as the number of its character. It begins with a word
// of ours, since a label that begins like a list is taken for one.
func mermaidLabel(s string) string {
	r := []rune(s)
	if len(r) > maxMermaidLabel {
		r = append(r[:maxMermaidLabel-1:maxMermaidLabel-1], '…')
	}
	var b strings.Builder
	for _, c := range r {
		if c == ' ' || c == '.' || c == '/' || c == '…' || unicode.IsLetter(c) || unicode.IsDigit(c) {
			b.WriteRune(c)
			continue
		}
		fmt.Fprintf(&b, "#%d;", c)
	}
	return b.String()
}
