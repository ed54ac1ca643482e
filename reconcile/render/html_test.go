package render_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"proxbox-sync/reconcile/render"
)

// page writes an HTML report to a file.
func page(t *testing.T, d render.Document) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(file, []byte(written(t, "html", d)), 0o600))
	return file
}

const visible = `document.querySelectorAll("details.item:not([hidden])").length`

func TestTheHTMLReportInABrowser(t *testing.T) {
	b := startBrowser(t)
	t.Run("a small plan, filtered by mouse and keyboard", func(t *testing.T) {
		b.t = t
		file := page(t, large(t, 30))
		b.open(file, "", 1200, 900, "light")
		require.EqualValues(t, 30, b.eval(visible))
		require.Equal(t, "30 of 30 shown", b.eval(`document.getElementById("shown").textContent`))
		require.EqualValues(t, 30, b.eval(`document.querySelectorAll("svg .node").length`))

		b.click(`input[name="q"]`)
		b.typed("object-0003 Planned")
		require.EqualValues(t, 1, b.eval(visible))
		require.EqualValues(t, 1, b.eval(`document.querySelectorAll("section.kind:not([hidden])").length`))
		require.Equal(t, "#q=object-0003+Planned", b.eval(`location.hash`))
		b.click(`button[type="reset"]`)
		require.EqualValues(t, 30, b.eval(visible))
		require.Equal(t, "", b.eval(`location.hash`))

		// Everything can be reached and used by the keyboard alone.
		b.eval(`document.querySelector("select[name=action]").focus()`)
		b.key("d", 68, "d") // the option that begins so
		require.Equal(t, "delete", b.eval(`document.activeElement.value`))
		require.EqualValues(t, 3, b.eval(visible))
		b.eval(`document.querySelector("details.item:not([hidden]) summary").focus()`)
		b.key("Enter", 13, "\r")
		require.EqualValues(t, 1, b.eval(`document.querySelectorAll("details[open]").length`))
		require.Equal(t, "#action=delete", b.eval(`location.hash`))

		// An address that names filters shows that view; a link to an object that they
		// hide shows it.
		b.open(file, "kind=Cluster&label=drift", 1200, 900, "light")
		require.EqualValues(t, 2, b.eval(visible))
		const changed = `new Promise((r) => addEventListener("hashchange", () => r(), {once: true}))`
		b.eval(`location.hash = "#s29"; ` + changed)
		require.Equal(t, true, b.eval(`document.getElementById("s29").open && !document.getElementById("s29").hidden`))
		b.eval(`window.changed = ` + changed + `; 0`)
		b.click(`svg a[href="#s4"]`)
		require.Equal(t, "s4", b.eval(`window.changed.then(() => document.activeElement.closest("details").id)`))
		b.click("#open")
		require.EqualValues(t, 30, b.eval(`document.querySelectorAll("details[open]").length`))
		require.Empty(t, b.heard(file))
	})
	t.Run("nothing overflows a narrow window", func(t *testing.T) {
		b.t = t
		b.open(page(t, large(t, 30)), "", 360, 800, "light")
		require.Equal(t, true, b.eval(`document.documentElement.scrollWidth <= 360`))
		b.picture("small-narrow")
	})
	for _, n := range []int{30, 1000} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%d steps, %s", n, scheme), func(t *testing.T) {
				b.t = t
				file := page(t, large(t, n))
				b.open(file, "", 1200, 1000, scheme)
				require.EqualValues(t, n, b.eval(visible))
				b.picture(fmt.Sprintf("%d-%s-top", n, scheme))
				b.eval(`document.querySelector("#objects").scrollIntoView(); document.querySelectorAll("details.item").forEach((d, i) => { d.open = i < 4; })`)
				b.picture(fmt.Sprintf("%d-%s-objects", n, scheme))
				b.eval(`document.querySelector("#order").scrollIntoView()`)
				b.picture(fmt.Sprintf("%d-%s-order", n, scheme))
				if n == 30 { // the styles are the same, and looking at all elements takes long
					require.GreaterOrEqual(t, b.eval(leastContrast), 4.5)
				}
				require.Empty(t, b.heard(file))
			})
		}
	}
	t.Run("what became of an apply, and drift", func(t *testing.T) {
		b.t = t
		_, plan := world(t)
		report := fates(plan)
		file := page(t, render.NewReportDocument(report, plan.Record(), approvals(report), 7))
		b.open(file, "result=not+attempted", 1200, 1000, "light")
		require.EqualValues(t, 1, b.eval(visible))
		b.open(file, "", 1200, 1000, "light")
		b.picture("apply")
		require.Empty(t, b.heard(file))
	})
}

// leastContrast is the lowest contrast, as WCAG computes it, of any text that is
// shown with what is behind it.
const leastContrast = `(() => {
	const parse = (c) => c.match(/[\d.]+/g).map(Number);
	const light = (c) => { const [r, g, b] = parse(c).map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
		return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; const p = parse(c); if (p.length < 4 || p[3] > 0) return c; } return "rgb(255,255,255)"; };
	let least = 21;
	for (const e of document.querySelectorAll("body *")) {
		if (e.closest("svg, script") || !Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.nodeValue.trim())) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
		least = Math.min(least, (a + 0.05) / (b + 0.05));
	}
	return least;
})()`

// elements counts the elements of a report by name, and returns all attributes
// that could do something.
func elements(t testing.TB, text string) (counts map[string]int, acts []string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	require.NoError(t, err)
	counts = map[string]int{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		counts[n.Data]++
		for _, a := range n.Attr {
			inside := strings.HasPrefix(a.Val, "#") && n.Data == "a" || n.Data == "link" && a.Val == "data:,"
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" || a.Key == "srcdoc" || (a.Key == "href" || a.Key == "action") && !inside {
				acts = append(acts, n.Data+" "+a.Key+"="+a.Val)
			}
		}
	}
	return counts, acts
}
