package render

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// Bounds of a Markdown report, in bytes, which are never fewer than characters.
// GitHub takes a comment of 65,536 characters.
const (
	maxMarkdown = 60000
	maxFirst    = 16000 // what comes first
	maxPicture  = 12000
	maxBeside   = 10000 // what stands beside the objects
	maxWarnings = 6000
	maxDetail   = 6000 // one object
	maxLine     = 600  // one line of any of these, in characters
	maxFact     = 200  // one line at the head
	maxOwner    = 100  // bytes, as the command line allows
)

// How data gets into Markdown, where mentions, references, links, images and HTML
// mean something: nowhere but into code spans, fences longer than any run of
// backticks in them, and escaped HTML inside <code>. No line begins with data.

// span is text as a code span.
func span(s string) string {
	if s == "" {
		return "`\"\"`"
	}
	s = clip(s, maxLine)
	run := strings.Repeat("`", longestRun(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") {
		s = " " + s + " "
	}
	return run + s + run
}

// longestRun is the length of the longest run of backticks.
func longestRun(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != '`' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// fence is lines as a fenced block.
func fence(language string, lines []string) string {
	longest := 2
	for _, l := range lines {
		longest = max(longest, longestRun(l))
	}
	run := strings.Repeat("`", longest+1)
	return run + language + "\n" + strings.Join(lines, "\n") + "\n" + run + "\n"
}

// clip cuts a line that is too long for a comment, and says so.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + fmt.Sprintf(" … (%s characters more)", thousands(len(r)-most))
}

// hiddenMarker is by what a job finds its own comment again. The owner stands in
// it so that nothing of it can end the comment.
func hiddenMarker(word, owner string) string {
	var b strings.Builder
	for i := range min(len(owner), maxOwner) {
		c := owner[i]
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', strings.IndexByte("._/", c) >= 0,
			c == '-' && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return "<!-- proxbox-sync:" + word + ":" + b.String() + " -->\n"
}

// writeMarkdown writes a page for a comment or a step summary: its head, what to
// look at first, the steps' dependencies, each object folded, and what stands
// beside. What does not fit is left out from the end of the objects, and counted.
func writeMarkdown(w io.Writer, g *page) error {
	var b strings.Builder
	b.WriteString(hiddenMarker(g.word, g.owner))
	b.WriteString("## " + g.title)
	if g.server != "" {
		b.WriteString(" for " + span(clip(g.server, maxFact)))
	}
	b.WriteString("\n\n")
	for _, f := range g.facts {
		b.WriteString("- " + f.Name + ": " + span(clip(f.Value, maxFact)) + "\n")
	}
	b.WriteString("\n**" + g.totals + "**\n\n")
	b.WriteString(concernsMarkdown("Look at this first", g.first, maxFirst))
	var beside strings.Builder
	beside.WriteString(partsMarkdown(append([]part{g.scope}, g.parts...)))
	beside.WriteString(concernsMarkdown("Warnings", g.warnings, maxWarnings))
	b.WriteString(mermaid(g.items))
	b.WriteString(itemsMarkdown(g.items, maxMarkdown-b.Len()-beside.Len()))
	b.WriteString(beside.String())
	_, err := io.WriteString(w, b.String())
	return err
}

// concernsMarkdown lists concerns under a heading, as many as fit.
func concernsMarkdown(title string, list []concern, room int) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("### " + title + "\n\n")
	for i := range list {
		c := &list[i]
		entry := "- **" + c.what + "** " + span(c.headline())
		if where := place(c.place); where != "" {
			entry += " at " + span(where)
		}
		entry += "\n"
		for _, l := range c.detail {
			entry += "  - " + span(l) + "\n"
		}
		if b.Len()+len(entry) > room-100 {
			fmt.Fprintf(&b, "- and %s more, which are left out here\n", thousands(len(list)-i))
			break
		}
		b.WriteString(entry)
	}
	return b.String() + "\n"
}

func partsMarkdown(list []part) string {
	var b strings.Builder
	if !slices.ContainsFunc(list, func(x part) bool { return x.title != "" }) {
		return ""
	}
	b.WriteString("### What stays, and what is not known\n\n")
	for i := range list {
		entry := partMarkdown(&list[i])
		if b.Len()+len(entry) > maxBeside-100 {
			b.WriteString("- and more, which is left out here\n")
			break
		}
		b.WriteString(entry)
	}
	return b.String() + "\n"
}

func partMarkdown(x *part) string {
	if x.title == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString("- " + x.title)
	if x.data != "" {
		b.WriteString(": " + span(x.data))
	}
	b.WriteString("\n")
	for i, l := range x.lines {
		entry := "  - " + span(l) + "\n"
		if b.Len()+len(entry) > maxBeside/3 {
			fmt.Fprintf(&b, "  - and %s more, which are left out here\n", thousands(len(x.lines)-i))
			break
		}
		b.WriteString(entry)
	}
	if x.hint != "" {
		b.WriteString("  - " + x.hint + "\n")
	}
	return b.String()
}

// itemsMarkdown writes each item folded, kind by kind, as many as fit.
func itemsMarkdown(items []item, room int) string {
	if len(items) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("### Objects\n\n")
	done := 0
	for _, x := range itemsByKind(items) {
		entry := itemMarkdown(x)
		if b.Len()+len(entry) > room-300 {
			fmt.Fprintf(&b, "**%s of %s objects are left out: a comment has no room for them. The other formats have all.**\n",
				thousands(len(items)-done), thousands(len(items)))
			break
		}
		b.WriteString(entry)
		done++
	}
	return b.String() + "\n"
}

func itemsByKind(items []item) []*item {
	var kinds []string
	index := map[string][]*item{}
	for i := range items {
		x := &items[i]
		if index[x.kind] == nil {
			kinds = append(kinds, x.kind)
		}
		index[x.kind] = append(index[x.kind], x)
	}
	out := make([]*item, 0, len(items))
	for _, kind := range kinds {
		out = append(out, index[kind]...)
	}
	return out
}

func itemMarkdown(x *item) string {
	head := x.sign() + " " + x.title
	if x.result != "" {
		head = x.result + ": " + head
	}
	about := append(append([]string{}, x.notes...), x.labels...)
	if len(about) > 0 {
		head += " (" + strings.Join(about, ", ") + ")"
	}
	var lines []string
	for _, remark := range x.remarks {
		lines = append(lines, clip("! "+remark, maxLine))
	}
	size := 0
	for _, l := range lines {
		size += len(l) + 1
	}
	changes := diffLines(x)
	for i, l := range changes {
		l = clip(l, maxLine)
		if size += len(l) + 1; size > maxDetail {
			lines = append(lines, fmt.Sprintf("# %s lines more", thousands(len(changes)-i)))
			break
		}
		lines = append(lines, l)
	}
	var b strings.Builder
	b.WriteString("<details><summary><code>" + html.EscapeString(clip(head, maxLine)) + "</code></summary>\n\n")
	if where := place(x.place); where != "" {
		b.WriteString("Declared at " + span(where) + ".\n\n")
	}
	if len(lines) > 0 {
		b.WriteString(fence("diff", lines) + "\n")
	}
	b.WriteString("</details>\n")
	return b.String()
}

// diffLines are the fields of an item as the lines of a diff.
func diffLines(x *item) []string {
	var out []string
	for _, f := range x.fields {
		tail := ""
		if f.Label != "" {
			tail = "  (" + f.Label + ")"
		}
		if f.Note != "" {
			tail += "  (" + f.Note + ")"
		}
		if f.Old {
			out = append(out, "- "+f.Name+": "+f.Before)
		}
		if f.New {
			out = append(out, "+ "+f.Name+": "+f.After+tail)
			continue
		}
		if !f.Old && !f.New {
			out = append(out, "  "+f.Name+":"+tail)
		}
		for _, in := range f.Inner {
			name := in.Name
			if name != "" {
				name += ": "
			}
			if in.Old {
				out = append(out, "-   "+name+in.Before)
			}
			if in.New {
				out = append(out, "+   "+name+in.After)
			}
		}
	}
	return out
}
