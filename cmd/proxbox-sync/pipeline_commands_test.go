package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A step of a pipeline finds these commands in place of those that would reach
// out of the machine. Each knows the options that the examples use and fails on
// any other one, so that a slip in a step shows.
var standIns = map[string]func(args []string) error{
	"gh":   standInGh,
	"curl": standInCurl,
	"jq":   standInJq,
}

// Of these there is nothing to be seen: the tools are here already, and nobody
// waits.
var nothingToDo = []string{"apt-get", "sleep"}

const (
	standInVariable  = testPrefix + "STAND_IN" // which of them this process is
	platformVariable = testPrefix + "PLATFORM" // where the platform's API is
	jqVariable       = testPrefix + "JQ"       // the real jq, where there is one
)

// standIn runs the stand-in that the environment names, if any.
func standIn() {
	f, ok := standIns[os.Getenv(standInVariable)]
	if !ok {
		return
	}
	if err := f(os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(22)
	}
	os.Exit(0)
}

// standInFolder holds the stand-ins under the names of what they replace.
func standInFolder(t *testing.T) string {
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	for name := range standIns {
		script := fmt.Sprintf("#!/bin/sh\n%s=%s exec '%s' \"$@\"\n", standInVariable, name, self)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755))
	}
	for _, name := range nothingToDo {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755))
	}
	return dir
}

// call is what gh and curl ask the platform.
type call struct {
	method, url, token, out string
	fields                  url.Values
}

func (r call) do() ([]byte, error) {
	address := r.url
	if at := strings.Index(address, "://"); at >= 0 {
		// Every host is the platform; which one it was stays in the path.
		address = os.Getenv(platformVariable) + "/" + address[at+3:]
	} else {
		address = os.Getenv(platformVariable) + "/github/" + address
	}
	var body io.Reader
	if len(r.fields) > 0 {
		fields := map[string]string{}
		for name := range r.fields {
			fields[name] = r.fields.Get(name)
		}
		data, err := json.Marshal(fields)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	q, err := http.NewRequest(r.method, address, body)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", r.token)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", r.method, r.url, answer.Status, data)
	}
	return data, err
}

// field adds NAME=VALUE, where a VALUE of @FILE is the file's content, if that
// is meant.
func (r *call) field(text, sep string, files bool) error {
	name, value, ok := strings.Cut(text, sep)
	if !ok {
		return fmt.Errorf("no value: %s", text)
	}
	if files {
		if file, isFile := strings.CutPrefix(value, "@"); isFile || sep == "@" {
			if !isFile {
				file = value // curl's form is NAME@FILE
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			value = string(data)
		}
	}
	r.fields.Set(name, value)
	return nil
}

func standInGh(args []string) error {
	r := call{method: http.MethodGet, token: os.Getenv("GH_TOKEN"), fields: url.Values{}}
	filter, silent := "", false
	if len(args) == 0 || args[0] != "api" {
		return fmt.Errorf("gh %v: only api", args)
	}
	for i := 1; i < len(args); i++ {
		var err error
		value := func() string { i++; return args[i] }
		switch arg := args[i]; {
		case arg == "--paginate":
		case arg == "--silent":
			silent = true
		case arg == "--method":
			r.method = value()
		case arg == "--jq":
			filter = value()
		case arg == "--field":
			err = r.field(value(), "=", true)
		case arg == "--raw-field":
			err = r.field(value(), "=", false)
		case strings.HasPrefix(arg, "-") || r.url != "":
			err = fmt.Errorf("gh: unknown argument %s", arg)
		default:
			r.url = arg
		}
		if err != nil {
			return err
		}
	}
	data, err := r.do()
	if err != nil || silent {
		return err
	}
	if filter != "" {
		return filtered(os.Stdout, filter, data)
	}
	_, err = os.Stdout.Write(data)
	return err
}

func standInCurl(args []string) error {
	r := call{method: http.MethodGet, fields: url.Values{}}
	fails, follows := false, false
	for i := 0; i < len(args); i++ {
		var err error
		value := func() string { i++; return args[i] }
		switch arg := args[i]; {
		case arg == "--fail":
			fails = true
		case arg == "--silent", arg == "--show-error":
		case arg == "--location":
			follows = true
		case arg == "--proto", arg == "--retry":
			value()
		case arg == "--output":
			r.out = value()
		case arg == "--request":
			r.method = value()
		case arg == "--header":
			name, token, _ := strings.Cut(value(), ": ")
			if r.token = token; name != "PRIVATE-TOKEN" {
				err = fmt.Errorf("curl: unknown header %s", name)
			}
		case arg == "--data-urlencode":
			err = r.field(value(), "@", true)
		case strings.HasPrefix(arg, "-") || r.url != "":
			err = fmt.Errorf("curl: unknown argument %s", arg)
		default:
			r.url = arg
		}
		if err != nil {
			return err
		}
	}
	if !fails {
		return fmt.Errorf("curl without --fail takes an error page for the answer")
	}
	if follows && r.token != "" {
		return errors.New("curl: a redirect would take the token along")
	}
	data, err := r.do()
	if err != nil {
		return err
	}
	if r.out != "" {
		return os.WriteFile(r.out, data, 0o644)
	}
	_, err = os.Stdout.Write(data)
	return err
}

func standInJq(args []string) error {
	if len(args) != 3 || args[0] != "-r" {
		return fmt.Errorf("jq %v: only -r FILTER FILE", args)
	}
	data, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	return filtered(os.Stdout, args[1], data)
}

// row is an object of an API's answer.
type row map[string]any

func (r row) text(names ...string) string {
	var v any = map[string]any(r)
	for _, name := range names {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[name]
	}
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprint(v)
	}
}

func (r row) isOurs(author, robot string) bool {
	return author == robot && strings.HasPrefix(r.text("body"), os.Getenv("MARKER"))
}

var approveLine = regexp.MustCompile(`<!-- approve (?:run|job)=([0-9]+) head=([0-9a-f]{40}) digest=([0-9a-f]{64}) -->\s*$`)

func (r row) approved() string {
	found := approveLine.FindStringSubmatch(r.text("body"))
	if found == nil {
		return ""
	}
	return r.text("updated_at") + " " + strings.Join(found[1:], " ")
}

// filters say in Go what the jq expressions of the examples say, each known by
// a part that no other has, so that the tests need no jq. Where there is one it
// has to agree.
var filters = map[string]func(row) string{
	`.merged_at != null and .merge_commit_sha == env.GITHUB_SHA`: func(r row) string {
		if r.text("merged_at") == "" || r.text("merge_commit_sha") != os.Getenv("GITHUB_SHA") {
			return ""
		}
		return r.text("number") + " " + r.text("head", "sha") + " " + r.text("merged_at")
	},
	`select(.user.login == "github-actions[bot]" and (.body | startswith(env.MARKER))) | .id`: func(r row) string {
		if !r.isOurs(r.text("user", "login"), "github-actions[bot]") {
			return ""
		}
		return r.text("id")
	},
	`select(.author.username == env.ME`: func(r row) string {
		if !r.isOurs(r.text("author", "username"), os.Getenv("ME")) {
			return ""
		}
		return r.text("id")
	},
	`capture("<!-- approve run=`: func(r row) string {
		if !r.isOurs(r.text("user", "login"), "github-actions[bot]") {
			return ""
		}
		return r.approved()
	},
	`.pull_request == null`: func(r row) string {
		if r["pull_request"] != nil || !r.isOurs(r.text("user", "login"), "github-actions[bot]") {
			return ""
		}
		return r.text("number")
	},
	`.merge_commit_sha, .squash_commit_sha, .sha`: func(r row) string {
		commit := os.Getenv("CI_COMMIT_SHA")
		if r.text("state") != "merged" || commit != r.text("merge_commit_sha") && commit != r.text("squash_commit_sha") && commit != r.text("sha") {
			return ""
		}
		return r.text("iid") + " " + r.text("sha") + " " + r.text("merged_at")
	},
	`capture("<!-- approve job=`: func(r row) string {
		author := r.text("author", "username")
		if !strings.HasPrefix(author, "project_"+os.Getenv("CI_PROJECT_ID")+"_bot") || !r.isOurs(author, author) {
			return ""
		}
		return r.approved()
	},
}

func filtered(out io.Writer, filter string, data []byte) error {
	var want strings.Builder
	if filter == ".username" {
		var one row
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		want.WriteString(one.text("username") + "\n")
	} else if err := filterRows(&want, filter, data); err != nil {
		return err
	}
	if jq := os.Getenv(jqVariable); jq != "" {
		command := exec.Command(jq, "-r", filter)
		command.Stdin = bytes.NewReader(data)
		command.Stderr = os.Stderr
		got, err := command.Output()
		if err != nil {
			return fmt.Errorf("jq %s: %w", filter, err)
		}
		if string(got) != want.String() {
			return fmt.Errorf("jq %s: gives %q, the tests take it for %q", filter, got, want.String())
		}
	}
	_, err := io.WriteString(out, want.String())
	return err
}

func filterRows(out io.StringWriter, filter string, data []byte) error {
	var rows []row
	if err := json.Unmarshal(data, &rows); err != nil {
		return err
	}
	for part, f := range filters {
		if !strings.Contains(filter, part) {
			continue
		}
		for _, r := range rows {
			if line := f(r); line != "" {
				_, _ = out.WriteString(line + "\n")
			}
		}
		return nil
	}
	return fmt.Errorf("an expression that the tests don't know: %s", filter)
}

func TestTheStandInsRefuseWhatTheyDontKnow(t *testing.T) {
	for _, args := range [][]string{
		{"gh", "pr", "list"}, {"gh", "api", "--hostname", "x"}, {"curl", "--insecure", "https://x.example"}, {"curl", "https://x.example"},
		{"jq", "."},
	} {
		require.Error(t, standIns[args[0]](args[1:]), "%v", args)
	}
	require.Error(t, filtered(io.Discard, ".[] | .name", []byte("[]")))
}
