// Command secretfmt reports where a value that holds a secret is handed to what
// formats or encodes anything: fmt, log/slog, encoding/json, and functions like them.
// From the repository's folder:
//
//	go run ./.ci/secretfmt ./cmd/... ./reconcile/... ./schema/...
//
// A reconcile.Secret itself may be formatted: it says (secret). A struct, pointer, map or
// list with one somewhere inside may not, unless its type has a method of its own for
// that: what prints it then goes through its fields, and nothing promises that each way
// of doing so asks the Secret. It looks at types alone, so what an interface holds it
// can't know; tests with canaries look at that.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// holder is the package that declares Secret.
const holder = "proxbox-sync/reconcile"

func main() {
	found, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "secretfmt:", err)
		os.Exit(2)
	}
	for _, f := range found {
		fmt.Fprintln(os.Stderr, f)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	DepOnly                 bool
}

// run checks the packages that patterns name. Types of what they import come from
// what the compiler left in its cache.
func run(patterns []string) ([]string, error) {
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,DepOnly"}, patterns...)...)
	cmd.Stderr = os.Stderr
	data, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := map[string]string{}
	var own []listed
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			own = append(own, p)
		}
	}
	files := token.NewFileSet()
	from := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var found []string
	for _, p := range own {
		parsed, err := parse(files, p)
		if err != nil {
			return nil, err
		}
		more, err := check(files, from, p.ImportPath, parsed)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	if len(own) == 0 {
		return nil, errors.New("no packages")
	}
	return found, nil
}

func parse(files *token.FileSet, p listed) (out []*ast.File, err error) {
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// check returns a line for each value that must not be handed over.
func check(files *token.FileSet, from types.Importer, path string, parsed []*ast.File) ([]string, error) {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	config := types.Config{Importer: from}
	if _, err := config.Check(path, files, parsed, info); err != nil {
		return nil, err
	}
	var found []string
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, arg := range formatted(info, call) {
				t := info.TypeOf(arg)
				if way := holds(t, map[types.Type]bool{}); way != "" && !isSecret(t) && !speaks(t) {
					at := files.Position(arg.Pos())
					found = append(found, fmt.Sprintf("%s:%d:%d: %s holds a secret (%s): hand over what is to be shown of it",
						at.Filename, at.Line, at.Column, types.TypeString(t, nil), way))
				}
			}
			return true
		})
	}
	return found, nil
}

// formatting are packages of which every function and method that takes anything
// formats it, or hands it to what does.
var formatting = map[string]bool{"fmt": true, "log": true, "log/slog": true, "encoding/json": true}

// formatted are the arguments of a call that stand where anything may: in a variadic
// list, as all functions that format have one, or in those packages anywhere.
func formatted(info *types.Info, call *ast.CallExpr) (out []ast.Expr) {
	signature, ok := types.Unalias(info.TypeOf(call.Fun)).(*types.Signature)
	if !ok || call.Ellipsis.IsValid() {
		return nil
	}
	everywhere := formatting[packageOf(info, call.Fun)]
	for i, arg := range call.Args {
		n := signature.Params().Len()
		variadic := signature.Variadic() && i >= n-1
		var want types.Type
		switch {
		case variadic:
			want = signature.Params().At(n - 1).Type().(*types.Slice).Elem()
		case everywhere && i < n:
			want = signature.Params().At(i).Type()
		}
		if want != nil {
			if i, ok := want.Underlying().(*types.Interface); ok && i.NumMethods() == 0 && !types.IsInterface(info.TypeOf(arg)) {
				out = append(out, arg)
			}
		}
	}
	return out
}

func packageOf(info *types.Info, fun ast.Expr) string {
	var name *ast.Ident
	switch fun := ast.Unparen(fun).(type) {
	case *ast.Ident:
		name = fun
	case *ast.SelectorExpr:
		name = fun.Sel
	default:
		return ""
	}
	if o := info.Uses[name]; o != nil && o.Pkg() != nil {
		return o.Pkg().Path()
	}
	return ""
}

func isSecret(t types.Type) bool {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Name() == "Secret" && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == holder
}

// speaks reports whether a type prints itself.
func speaks(t types.Type) bool {
	methods := types.NewMethodSet(t)
	for _, name := range []string{"Format", "Error", "String", "LogValue", "MarshalJSON", "MarshalText"} {
		if methods.Lookup(nil, name) != nil {
			return true
		}
	}
	return false
}

// holds says by which way a type leads to a Secret, "" for none.
func holds(t types.Type, seen map[types.Type]bool) string {
	if t == nil || seen[t] {
		return ""
	}
	seen[t] = true
	if isSecret(t) {
		return "Secret"
	}
	into := func(what string, t types.Type) string {
		if way := holds(t, seen); way != "" {
			return strings.TrimSuffix(what+" → "+way, " → ")
		}
		return ""
	}
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return into("pointer", u.Elem())
	case *types.Slice:
		return into("list", u.Elem())
	case *types.Array:
		return into("list", u.Elem())
	case *types.Map:
		if way := into("key", u.Key()); way != "" {
			return way
		}
		return into("map", u.Elem())
	case *types.Struct:
		for f := range u.Fields() {
			if way := into(f.Name(), f.Type()); way != "" {
				return way
			}
		}
	}
	return ""
}
