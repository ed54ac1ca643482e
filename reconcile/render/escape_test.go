package render_test

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
)

func TestEscapeMakesOutsideTextVisible(t *testing.T) {
	for _, c := range []struct{ why, in, want string }{
		{"ordinary text stays", "prod/local-lvm: Größe 20 %, 日本", "prod/local-lvm: Größe 20 %, 日本"},
		{"a terminal's colour code", "a\x1b[31mred", `a\x1b[31mred`},
		{"line ends", "a\r\nb\tc", `a\r\nb\tc`},
		{"an eight-bit control character", "a\u009b31m", `a\x9b31m`},
		{"delete", "a\x7f", `a\x7f`},
		{"text that runs backwards", "a\u202eb", `a\u202eb`},
		{"a zero-width space", "a\u200bb", `a\u200bb`},
		{"a byte order mark", "\ufeffa", `\ufeffa`},
		{"invisible tags", "a\U000e0041", `a\U000e0041`},
		{"a filler that shows nothing", "a\u3164b", `a\u3164b`},
		{"line separators", "a\u2028b\u2029", `a\u2028b\u2029`},
		{"broken UTF-8", "a\xffb", `a\xffb`},
		{"a command of GitHub's log reader", "::error::x", `\x3a:error::x`},
		{"the same behind blanks", "  ::error::x", `  \x3a:error::x`},
		{"two colons inside are nothing", "2001:db8::1", "2001:db8::1"},
		{"an old command, anywhere in a line", "x ##[group]y", `x #\x23[group]y`},
		{"a command of Azure's", "x ##vso[task.setvariable]y", `x #\x23vso[task.setvariable]y`},
		{"more number signs before it", "####[x]", `#\x23#\x23[x]`},
		{"a heading is nothing", "## Heading", "## Heading"},
		{"a section of GitLab's", "section_start:1:a", `section_start\x3a1:a`},
		{"an ending section", "section_end:1:a", `section_end\x3a1:a`},
	} {
		t.Run(c.why, func(t *testing.T) {
			require.Equal(t, c.want, render.Escape(c.in))
		})
	}
}

func TestQuoteReadsBackAsYAML(t *testing.T) {
	for _, s := range []string{"", "a", `C:\x "y"`, "a\nb\tc", "\x1b[1m", "\u202e", "\U000e0041", "##[x]", "::x", "yes", "😀", "\u0085", "\ufffd"} {
		var back string
		require.NoError(t, yaml.Unmarshal([]byte(render.Quote(s)), &back), "%q", s)
		require.Equal(t, s, back)
	}
}

func TestLogWriterKeepsARecordOnOneLine(t *testing.T) {
	var b bytes.Buffer
	w := render.LogWriter(&b)
	for _, record := range []string{"level=INFO msg=\"a\u202eb\"\n", "::error::x\n", "{\"msg\":\"a\u200bb ##[x]\"}\n"} {
		n, err := io.WriteString(w, record)
		require.NoError(t, err)
		require.Equal(t, len(record), n)
	}
	want := "level=INFO msg=\"a\\u202eb\"\n\\x3a:error::x\n{\"msg\":\"a\\u200bb #\\u0023[x]\"}\n"
	require.Equal(t, want, b.String())
}

// harmful reports what may not be in any line of output.
func harmful(line string) string {
	for _, r := range line {
		if r == utf8.RuneError || r < 0x20 || r >= 0x7f && r < 0xa0 || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return "has " + strings.ToUpper(string([]rune{r}))
		}
	}
	start := strings.TrimLeft(line, " ")
	for _, p := range []string{"::", "section_start:", "section_end:"} {
		if strings.HasPrefix(start, p) {
			return "begins with " + p
		}
	}
	if strings.Contains(line, "##[") || strings.Contains(line, "##vso[") {
		return "has ##["
	}
	return ""
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a", "::x", " ::x", "##[x", "###vso[x", "\x1b[0m::", "section_start:0:", "\xff::", "\u202e", ":::", "#\u200b#["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		require.Empty(t, harmful(render.Escape(s)))
		require.Empty(t, harmful(render.Quote(s)))
		require.Equal(t, render.Escape(s), render.Escape(s))

		var out bytes.Buffer
		list := reconcile.Diagnostics{{
			Severity: reconcile.Error, Code: s, Pos: reconcile.Position{File: s, Line: 1, Column: 1},
			Object: s, Summary: s, Detail: s, Related: []reconcile.Related{{Message: s}},
		}}
		require.NoError(t, render.Diagnostics(&out, list, render.Style{}))
		require.NoError(t, render.Error(&out, list, render.Style{}))
		for line := range strings.SplitSeq(out.String(), "\n") {
			require.Empty(t, harmful(line))
		}

		out.Reset()
		require.NoError(t, render.FailureJSON(&out, render.Failure{Format: render.PlanFormat, ExitCode: 1, Errors: []string{s}}))
		for line := range strings.SplitSeq(out.String(), "\n") {
			require.Empty(t, harmful(line))
		}
		var back struct{ Errors []string }
		require.NoError(t, json.Unmarshal(out.Bytes(), &back))
		if utf8.ValidString(s) {
			require.Empty(t, cmp.Diff([]string{s}, back.Errors))
		}
	})
}
