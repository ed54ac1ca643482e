package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/schema/output"
)

// app is what every command is given.
type app struct {
	ctx    context.Context
	env    environment
	from   map[string]string // flag name -> the variable that its value came from
	dir    string            // working directory
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
	model  *kong.Application

	noColor bool
	report  reporting
}

// resulting is a command that can give its result as JSON.
type resulting interface {
	// result returns the name of the JSON form, and whether it was asked for.
	result() (form string, json bool)
}

// run is the program. It returns the exit code and never ends the process.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		if r := recover(); r != nil {
			_, _ = fmt.Fprintf(stderr, "proxbox-sync: %v\n", reconcile.CrashOf(r))
			code = int(exitError)
		}
	}()
	a := &app{
		ctx: ctx, env: newEnvironment(env), from: map[string]string{},
		stdin: stdin, stdout: stdout, stderr: stderr,
	}
	var grammar cli
	parser, help := newParser(&grammar, a)
	parsed, err := parser.Parse(args)
	if *help {
		return int(exitDone)
	}
	if err != nil {
		return int(a.refuse(err, args))
	}
	command := parsed.Selected().Target.Addr().Interface()
	err = a.prepare(&grammar)
	if err == nil {
		err = parsed.Run(a)
	}
	return int(a.end(command, err))
}

// helpShown unwinds the parser once it has printed its help, which it would
// follow by ending the process.
type helpShown struct{}

// newParser builds the parser; *help becomes true when help was printed.
func newParser(grammar *cli, a *app) (*parser, *bool) {
	help := new(bool)
	k := kong.Must(grammar,
		kong.Name("proxbox-sync"),
		kong.Description("Keep the Proxbox resources of a NetBox in Git."),
		kong.Writers(a.stdout, a.stderr),
		kong.Exit(func(int) { panic(helpShown{}) }),
		kong.Resolvers(&envResolver{a.env, a.from}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.NamedMapper("given", kong.MapperFunc(given)),
		kong.ValueFormatter(helpValue),
		kong.Vars{"forms": strings.Join(output.Forms(), ", ")},
	)
	a.model = k.Model
	return &parser{k, help}, help
}

type parser struct {
	kong *kong.Kong
	help *bool
}

// Parse parses the arguments; the help flag ends it early.
func (p *parser) Parse(args []string) (ctx *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(helpShown); !ok {
				panic(r)
			}
			*p.help = true
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	return p.kong.Parse(args)
}

// helpValue is the help text of a flag, with the variable that stands for it.
func helpValue(v *kong.Value) string {
	if v.Flag == nil || v.Name == "help" {
		return v.Help
	}
	return fmt.Sprintf("%s ($%s)", v.Help, variable(v.Name))
}

// prepare sets up what depends on flags that all commands share.
func (a *app) prepare(g *cli) error {
	a.noColor = g.NoColor
	var level slog.Level
	if err := level.UnmarshalText([]byte(g.LogLevel)); err != nil {
		return usagef("--log-level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	w := render.LogWriter(a.stderr)
	if g.LogFormat == "json" {
		a.log = slog.New(slog.NewJSONHandler(w, options))
	} else {
		a.log = slog.New(slog.NewTextHandler(w, options))
	}
	for _, text := range unknownVariables(a.env, a.model) {
		_, _ = fmt.Fprintf(a.stderr, "warning: %s\n", render.Escape(text))
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding the working directory: %w", err)
	}
	a.dir = dir
	return nil
}

// refuse ends the program for a command line that means nothing.
func (a *app) refuse(err error, args []string) exitCode {
	text := err.Error()
	for _, arg := range args {
		if arg == "--token" || strings.HasPrefix(arg, "--token=") {
			text = "there is no flag for the token, since others could see it: set " + tokenVariable + " or use --token-file"
		}
	}
	if unknown, ok := strings.CutPrefix(text, "unknown flag "); ok && len(args) > 0 && strings.HasPrefix(args[0], "-") {
		text += " (flags of a command stand behind it: proxbox-sync COMMAND " + strings.Fields(unknown)[0] + ")"
	}
	a.complain(errors.New(text), nil)
	_, _ = fmt.Fprintln(a.stderr, "Run proxbox-sync --help for how it is used.")
	if wantsJSON(args, a.env) {
		form := "proxbox-sync/" + commandWord(args, a.model) + "/v1"
		_ = render.FailureJSON(a.stdout, render.Failure{Format: form, ExitCode: int(exitUsage), Errors: []string{text}})
	}
	return exitUsage
}

// wantsJSON looks for the format in a command line that could not be parsed.
func wantsJSON(args []string, env environment) bool {
	for i, arg := range args {
		if arg == "--format=json" || arg == "--format" && i+1 < len(args) && args[i+1] == "json" {
			return true
		}
	}
	return env.Get(variable("format")) == "json"
}

func commandWord(args []string, model *kong.Application) string {
	for _, arg := range args {
		if slices.ContainsFunc(model.Children, func(n *kong.Node) bool { return n.Name == arg }) {
			return arg
		}
	}
	return "usage"
}

// end reports what went wrong and returns the exit code.
func (a *app) end(command any, err error) exitCode {
	if err == nil {
		return exitDone
	}
	code := codeOf(err)
	if code == exitInterrupted || a.ctx.Err() != nil && code == exitError {
		code = exitInterrupted
	}
	var status *statusError
	if errors.As(err, &status) && status.err == nil {
		return code
	}
	f := &failure{err: err}
	errors.As(err, &f)
	if code == exitInterrupted && (status == nil || status.code != exitInterrupted) {
		// What broke off where the interrupt met it is of no use to anybody.
		f = &failure{list: f.list, err: errors.New("interrupted")}
	}
	a.complain(f.err, f)
	a.noResult(command, code, f)
	return code
}

// noResult says in the forms that were asked for why there is no result.
func (a *app) noResult(command any, code exitCode, f *failure) {
	r, ok := command.(resulting)
	if !ok {
		return
	}
	form, json := r.result()
	out := &render.Failure{Format: form, ExitCode: int(code), Owner: cmp.Or(a.report.owner, a.env.Get(variable("owner"))), Diagnostics: f.list}
	if f.err != nil {
		out.Errors = []string{f.err.Error()}
	}
	switch {
	case a.report.shown:
	case json:
		_ = render.FailureJSON(a.stdout, *out)
	case a.report.format != "" && a.report.format != "text":
		_ = a.show(out)
	}
	if !a.report.saved {
		if err := a.deliver(out); err != nil {
			a.complain(err, nil)
		}
	}
}

// complain writes diagnostics and an error to standard error.
func (a *app) complain(err error, f *failure) {
	if f != nil {
		_ = render.Diagnostics(a.stderr, f.list, a.errStyle())
	}
	if err != nil {
		_ = render.Error(a.stderr, err, a.errStyle())
	}
}

// style says how text on standard output looks.
func (a *app) style() render.Style { return a.styleOf(a.stdout) }

// errStyle says how text on standard error looks.
func (a *app) errStyle() render.Style { return a.styleOf(a.stderr) }

func (a *app) styleOf(w io.Writer) render.Style {
	f, ok := terminal(w)
	if !ok {
		return render.Style{}
	}
	s := render.Style{Color: !a.noColor && a.env.Get("NO_COLOR") == "" && a.env.Get("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		s.Width = min(width, 120)
	}
	return s
}

// terminal reports whether a stream is a terminal.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}
