package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

const source = `package reconcile

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

type Secret struct{ reveal func() string }

func (Secret) String() string { return "(secret)" }

type (
	config struct{ token Secret }
	client struct{ *config }
	spoken struct{ token Secret }
	plain  struct{ name string; next *plain }
)

func (spoken) String() string { return "" }

func usagef(format string, args ...any) {}
func take(v any)                        {}
func names(list ...string)              {}

func all(s Secret, c config, p *client, m map[string]Secret, k spoken, n plain, anything any, log *slog.Logger) {
	_ = fmt.Sprintf("%v %s", s, &s)
	_ = fmt.Sprint(k, n, anything, c.token)
	take(c)
	names("a")
	usagef("%v", []any{c}...)
	_ = fmt.Sprintf("%+v", c)            // WRONG
	_ = fmt.Errorf("%v", p)              // WRONG
	usagef("%v", m)                      // WRONG
	_, _ = json.Marshal(c)               // WRONG
	log.Info("a", "config", []*client{p}) // WRONG
	slog.Info("a", slog.Any("config", c)) // WRONG
	println(fmt.Sprint(1, struct{ a [2]Secret }{})) // WRONG
}
`

func TestFindsWhatHoldsASecret(t *testing.T) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, "a.go", source, parser.SkipObjectResolution)
	require.NoError(t, err)
	found, err := check(files, importer.ForCompiler(files, "source", nil), holder, []*ast.File{f})
	require.NoError(t, err)
	var want, got []string
	for i, line := range strings.Split(source, "\n") {
		if strings.HasSuffix(line, "// WRONG") {
			want = append(want, strconv.Itoa(i+1))
		}
	}
	place := regexp.MustCompile(`^a\.go:(\d+):\d+: .* holds a secret \(.*Secret\): `)
	for _, line := range found {
		m := place.FindStringSubmatch(line)
		require.NotNil(t, m, line)
		got = append(got, m[1])
	}
	require.Empty(t, cmp.Diff(want, got))
}
