package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"proxbox-sync/schema"
)

// envPrefix begins the name of every variable that stands for a flag:
// --token-file is PROXBOX_SYNC_TOKEN_FILE.
const envPrefix = "PROXBOX_SYNC_"

// testPrefix begins the names that the project's own tests use.
const testPrefix = envPrefix + "TEST_"

// otherNames are variables of NetBox's own tools that are understood as well,
// by flag.
var otherNames = map[string][]string{"url": {"NETBOX_URL"}}

// environment is the process environment. A variable that is set to the empty
// string counts as not set, but for one that restricts: a pipeline whose setting
// came out empty must not allow everything, nor carry out what nobody approved.
type environment map[string]string

// restricting are the flags whose variable is an error when it is empty.
var restricting = []string{"allowed-origins", "plan", "expect-digest", "expires"}

func newEnvironment(list []string) environment {
	env := environment{}
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok && (value != "" || restricts(name)) {
			env[name] = value
		}
	}
	return env
}

func restricts(name string) bool {
	return slices.ContainsFunc(restricting, func(flag string) bool { return name == variable(flag) })
}

// Get returns a variable, "" when it isn't set.
func (e environment) Get(name string) string { return e[name] }

// variable is the name of the variable that stands for a flag.
func variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// hideFromChildren takes what is this program's alone out of the environment that
// its children get: GnuPG, and the agent that it leaves running.
func hideFromChildren(list []string) {
	for _, entry := range list {
		name, _, _ := strings.Cut(entry, "=")
		if tokenEnvPattern.MatchString(name) || name == variable("header") || name == "SOPS_AGE_KEY" {
			_ = os.Unsetenv(name)
		}
	}
}

// envResolver gives flags that the command line doesn't have their value from
// the environment, and remembers which.
type envResolver struct {
	env  environment
	from map[string]string // flag name -> variable
}

func (r *envResolver) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (r *envResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if flag.Name == "help" {
		return nil, nil
	}
	for _, name := range append([]string{variable(flag.Name)}, otherNames[flag.Name]...) {
		text, ok := r.env[name]
		if !ok {
			continue
		}
		r.from[flag.Name] = name
		if !flag.IsSlice() {
			return text, nil
		}
		return splitList(text, flag.Tag.Sep), nil
	}
	return nil, nil
}

// splitList splits the value of a variable that stands for a repeated flag: at
// the flag's own separator, or at line ends where it has none, since its values
// may hold commas.
func splitList(text string, sep rune) []any {
	if sep == -1 {
		sep = '\n'
	}
	var out []any
	for part := range strings.SplitSeq(text, string(sep)) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// unknownVariables returns a warning for each variable with our prefix that
// means nothing: a slip there (ALLOWED_ORIGIN) must not go unnoticed.
func unknownVariables(env environment, app *kong.Application) []string {
	known := map[string]bool{tokenVariable: true}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag.Name != "help" {
			known[variable(flag.Name)] = true
		}
		return next(nil)
	})
	var out []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, testPrefix) || known[name] || tokenEnvPattern.MatchString(name) {
			continue
		}
		text := fmt.Sprintf("the environment variable %s means nothing to this program", name)
		if near := schema.Nearest(name, slices.Sorted(maps.Keys(known))); near != "" {
			text += fmt.Sprintf("; did you mean %s?", near)
		}
		out = append(out, text)
	}
	return out
}
