package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"proxbox-sync/schema"
)

type completionCommand struct {
	Shell string `arg:"" help:"The shell: ${enum}." enum:"bash,zsh,fish"`
}

// Help is shown by completion --help.
func (*completionCommand) Help() string {
	return `How each shell takes it:

    source <(proxbox-sync completion bash)

    proxbox-sync completion zsh > "${fpath[1]}/_proxbox-sync"

    proxbox-sync completion fish > ~/.config/fish/completions/proxbox-sync.fish`
}

func (c *completionCommand) Run(a *app) error {
	commands, global := completions(a.model, kindNames(schema.Embedded()))
	var b strings.Builder
	switch c.Shell {
	case "bash":
		bashCompletion(&b, commands, global)
	case "zsh":
		zshCompletion(&b, commands, global)
	default:
		fishCompletion(&b, commands, global)
	}
	_, err := io.WriteString(a.stdout, b.String())
	return err
}

// completed is a command as completion sees it.
type completed struct {
	name, help string
	flags      []completedFlag
	words      []string // what its first argument may be
	files      bool     // its arguments are files
}

// completedFlag is a flag as completion sees it.
type completedFlag struct {
	name, help string
	takesValue bool
	values     []string // what its value may be
	file       bool     // its value is a file
}

// completions reads the commands and the flags of all commands from the model.
func completions(app *kong.Application, kinds []string) (commands []completed, global []completedFlag) {
	for _, node := range app.Children {
		if node.Hidden {
			continue
		}
		c := completed{name: node.Name, help: node.Help, flags: completedFlags(node.Flags)}
		for i, arg := range node.Positional {
			switch {
			case i > 0:
			case arg.Enum != "":
				c.words = arg.EnumSlice()
			case arg.Name == "kind":
				c.words = kinds
			default:
				c.files = true
			}
		}
		commands = append(commands, c)
	}
	return commands, completedFlags(app.Flags)
}

func completedFlags(flags []*kong.Flag) []completedFlag {
	var out []completedFlag
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		c := completedFlag{name: f.Name, help: firstSentence(f.Help), takesValue: !f.IsBool(), file: f.PlaceHolder == "FILE"}
		if f.Enum != "" {
			c.values = f.EnumSlice()
		}
		out = append(out, c)
	}
	return out
}

func firstSentence(text string) string {
	first, _, _ := strings.Cut(text, ". ")
	first, _, _ = strings.Cut(first, ":")
	return strings.TrimSuffix(first, ".")
}

func names(commands []completed) []string {
	var out []string
	for _, c := range commands {
		out = append(out, c.name)
	}
	return out
}

func flagWords(flags []completedFlag) string {
	var out []string
	for _, f := range flags {
		out = append(out, "--"+f.name)
	}
	return strings.Join(out, " ")
}

func bashCompletion(w io.Writer, commands []completed, global []completedFlag) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	p("# bash completion for proxbox-sync")
	p("_proxbox_sync() {")
	p("    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= i")
	p("    [[ $cur == = ]] && cur=")
	p("    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}")
	p("    for ((i = 1; i < COMP_CWORD; i++)); do")
	p("        case ${COMP_WORDS[i]} in")
	p("        %s) command=${COMP_WORDS[i]}; break ;;", strings.Join(names(commands), "|"))
	p("        esac")
	p("    done")
	p("    COMPREPLY=()")
	p("    case $command in")
	p("    '')")
	bashValues(p, global)
	p("        COMPREPLY=($(compgen -W '%s %s' -- \"$cur\"))", strings.Join(names(commands), " "), flagWords(global))
	p("        ;;")
	for _, c := range commands {
		p("    %s)", c.name)
		bashValues(p, append(append([]completedFlag{}, c.flags...), global...))
		p("        if [[ $cur == -* ]]; then")
		p("            COMPREPLY=($(compgen -W '%s %s' -- \"$cur\"))", flagWords(c.flags), flagWords(global))
		if len(c.words) > 0 {
			p("        else")
			p("            COMPREPLY=($(compgen -W '%s' -- \"$cur\"))", strings.Join(c.words, " "))
		}
		if c.files {
			p("        else")
			p("            compopt -o filenames 2>/dev/null")
			p("            COMPREPLY=($(compgen -f -- \"$cur\"))")
		}
		p("        fi")
		p("        ;;")
	}
	p("    esac")
	p("}")
	p("complete -F _proxbox_sync proxbox-sync")
}

// bashValues writes the case that completes values of flags.
func bashValues(p func(string, ...any), flags []completedFlag) {
	p("        case $prev in")
	for _, f := range flags {
		switch {
		case len(f.values) > 0:
			p("        --%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;", f.name, strings.Join(f.values, " "))
		case f.file:
			p("        --%s) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\")); return ;;", f.name)
		case f.takesValue:
			p("        --%s) return ;;", f.name)
		}
	}
	p("        *) ;;")
	p("        esac")
}

// zshEscape quotes text that stands in single quotes inside an _arguments spec.
func zshEscape(text string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `'\''`, `[`, `\[`, `]`, `\]`, `:`, `\:`).Replace(text)
}

func zshCompletion(w io.Writer, commands []completed, global []completedFlag) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	p("#compdef proxbox-sync")
	p("_proxbox_sync() {")
	p("    local curcontext=$curcontext state line")
	p("    local -a commands")
	p("    commands=(")
	for _, c := range commands {
		p("        '%s:%s'", c.name, zshEscape(c.help))
	}
	p("    )")
	p("    _arguments -C \\")
	zshFlags(p, global)
	p("        '1: :{_describe command commands}' \\")
	p("        '*:: :->arguments'")
	p("    [[ $state == arguments ]] || return")
	p("    case $words[1] in")
	for _, c := range commands {
		p("    %s)", c.name)
		p("        _arguments \\")
		zshFlags(p, append(append([]completedFlag{}, c.flags...), global...))
		switch {
		case len(c.words) > 0:
			p("            '1:argument:(%s)'", strings.Join(c.words, " "))
		case c.files:
			p("            '*:file:_files'")
		default:
			p("            '*: :'")
		}
		p("        ;;")
	}
	p("    esac")
	p("}")
	p("if [[ $zsh_eval_context[-1] == loadautofunc ]]; then")
	p("    _proxbox_sync \"$@\"")
	p("else")
	p("    compdef _proxbox_sync proxbox-sync")
	p("fi")
}

func zshFlags(p func(string, ...any), flags []completedFlag) {
	for _, f := range flags {
		tail := ""
		switch {
		case len(f.values) > 0:
			tail = ":value:(" + strings.Join(f.values, " ") + ")"
		case f.file:
			tail = ":file:_files"
		case f.takesValue:
			tail = ":value: "
		}
		equals := ""
		if f.takesValue {
			equals = "="
		}
		p("            '*--%s%s[%s]%s' \\", f.name, equals, zshEscape(f.help), tail)
	}
}

func fishCompletion(w io.Writer, commands []completed, global []completedFlag) {
	quote := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	flag := func(condition string, f completedFlag) {
		value := ""
		switch {
		case len(f.values) > 0:
			value = " -x -a " + quote(strings.Join(f.values, " "))
		case f.file:
			value = " -r -F"
		case f.takesValue:
			value = " -x"
		}
		p("complete -c proxbox-sync%s -l %s -d %s%s", condition, f.name, quote(f.help), value)
	}
	p("# fish completion for proxbox-sync")
	p("complete -c proxbox-sync -f")
	for _, f := range global {
		flag("", f)
	}
	for _, c := range commands {
		p("complete -c proxbox-sync -n __fish_use_subcommand -a %s -d %s", c.name, quote(c.help))
		condition := " -n " + quote("__fish_seen_subcommand_from "+c.name)
		for _, f := range c.flags {
			flag(condition, f)
		}
		if len(c.words) > 0 {
			p("complete -c proxbox-sync%s -a %s", condition, quote(strings.Join(c.words, " ")))
		}
		if c.files {
			p("complete -c proxbox-sync%s -F", condition)
		}
	}
}
