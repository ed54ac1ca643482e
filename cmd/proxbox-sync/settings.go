package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
	"proxbox-sync/schema"
)

// tokenVariable holds the API token. Flags never do: other users of the
// machine can read them.
const tokenVariable = "PROXBOX_SYNC_TOKEN"

// maxSecretFile bounds token, certificate and key files, in bytes.
const maxSecretFile = 1 << 20

// connect makes a client from flags, environment and project file, in this
// order of precedence. It sends nothing.
func (a *app) connect(f serverFlags, p *project, set *schema.Set) (*netbox.Client, error) {
	cfg := netbox.Config{
		AllowHTTP: f.AllowHTTP, AllowedOrigins: f.AllowedOrigins, Parallelism: f.Parallelism, BatchSize: f.BatchSize, ReadLimit: int64(f.ReadLimit) << 20, Timeout: f.Timeout,
		UserAgent: "proxbox-sync/" + aboutBuild().Version, Log: a.log, Kinds: set,
	}
	if f.Parallelism < 1 {
		return nil, usagef("--parallelism: at least 1")
	}
	if f.ReadLimit < 1 {
		return nil, usagef("--read-limit: at least 1")
	}
	if f.BatchSize < 1 {
		return nil, usagef("--batch-size: at least 1")
	}
	if f.Timeout <= 0 {
		return nil, usagef("--timeout: more than 0")
	}
	var err error
	if cfg.URL, err = a.serverURL(f, p); err != nil {
		return nil, err
	}
	if cfg.Token, err = a.token(f, p); err != nil {
		return nil, err
	}
	_, fromEnv := a.from["header"]
	if cfg.Headers, err = parseHeaders(f.Header, fromEnv); err != nil {
		return nil, err
	}
	if err := readCertificates(&cfg, f, p); err != nil {
		return nil, err
	}
	return netbox.New(cfg)
}

// serverURL decides which server to talk to. A project file may name one, not
// contradict the environment: it comes with a pull request.
func (a *app) serverURL(f serverFlags, p *project) (string, error) {
	variable, fromEnv := a.from["url"]
	switch {
	case f.URL != "" && fromEnv && p != nil && p.URL != "" && trimURL(p.URL) != trimURL(f.URL):
		return "", usagef("%s: its url is not the one in %s; take one of them out, or say --url", p.file, variable)
	case f.URL != "":
		return f.URL, nil
	case p != nil && p.URL != "":
		return p.URL, nil
	}
	return "", usagef("no server: set PROXBOX_SYNC_URL, use --url, or put url into %s", projectName)
}

func trimURL(u string) string {
	return strings.TrimSuffix(strings.TrimRight(strings.TrimSpace(u), "/"), "/api")
}

// token finds the API token: --token-file, PROXBOX_SYNC_TOKEN,
// PROXBOX_SYNC_TOKEN_FILE, what the project file names, and the variables of
// NetBox's other tools.
func (a *app) token(f serverFlags, p *project) (reconcile.Secret, error) {
	_, fileFromEnv := a.from["token-file"]
	if f.TokenFile != "" && !fileFromEnv {
		return tokenFile(f.TokenFile, os.ReadFile)
	}
	if text := a.env.Get(tokenVariable); text != "" {
		return reconcile.NewSecret(text, ""), nil
	}
	if f.TokenFile != "" {
		return tokenFile(f.TokenFile, os.ReadFile)
	}
	if p != nil && p.TokenEnv != "" {
		if text := a.env.Get(p.TokenEnv); text != "" {
			return reconcile.NewSecret(text, ""), nil
		}
		return reconcile.Secret{}, usagef("no token: %s names the variable %s, which is not set", p.file, p.TokenEnv)
	}
	if p != nil && p.TokenFile != "" {
		return tokenFile(p.TokenFile, p.read)
	}
	for _, name := range []string{"NETBOX_TOKEN", "NETBOX_API_TOKEN"} {
		if text := a.env.Get(name); text != "" {
			return reconcile.NewSecret(text, ""), nil
		}
	}
	return reconcile.Secret{}, usagef("no token: set %s (or NETBOX_TOKEN), or use --token-file", tokenVariable)
}

func tokenFile(name string, read func(string) ([]byte, error)) (reconcile.Secret, error) {
	data, err := read(name)
	if err != nil {
		return reconcile.Secret{}, usagef("reading the token: %w", err)
	}
	return reconcile.NewSecret(strings.TrimSpace(string(data)), ""), nil
}

// anotherHeader is what begins a second header behind a comma; an address may
// stand there as well.
var anotherHeader = regexp.MustCompile(`,\s*[A-Za-z][A-Za-z0-9-]*:([^/]|$)`)

// parseHeaders reads 'Name: value'. Values may be secret: no error repeats one.
// A variable that joins several headers by commas, as other lists are, would
// send them as one; as a flag such a value is taken as it stands.
func parseHeaders(list []string, fromEnv bool) (http.Header, error) {
	h := http.Header{}
	for _, text := range list {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, usagef("--header: must be 'Name: value'")
		}
		if fromEnv && anotherHeader.MatchString(value) {
			return nil, usagef("%s: it looks like several headers joined by a comma: put each on a line of its own, or use --header", variable("header"))
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}

func readCertificates(cfg *netbox.Config, f serverFlags, p *project) error {
	var err error
	switch {
	case f.CAFile != "":
		cfg.CAFile, err = readFile("--ca-file", f.CAFile)
	case p != nil && p.CAFile != "":
		cfg.CAFile, err = p.read(p.CAFile)
	}
	if err != nil {
		return err
	}
	if f.ClientCert == "" {
		if f.ClientKey != "" {
			return usagef("--client-key needs --client-cert")
		}
		return nil
	}
	if cfg.ClientCert, err = readFile("--client-cert", f.ClientCert); err != nil {
		return err
	}
	key := cfg.ClientCert
	if f.ClientKey != "" {
		if key, err = readFile("--client-key", f.ClientKey); err != nil {
			return err
		}
	}
	cfg.ClientKey = reconcile.NewSecret(string(key), "")
	return nil
}

func readFile(flag, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	defer f.Close()
	data, err := readLimited(io.Reader(f), maxSecretFile)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	return data, nil
}

// originsFlag is a list of servers that, once given, is never empty: nobody
// means all servers by naming none.
type originsFlag []string

// Decode implements kong.MapperValue.
func (o *originsFlag) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("origins", &text); err != nil {
		return err
	}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			return errors.New("it is empty, or has an empty entry: name the servers as scheme://host[:port], or take it away to allow any")
		}
		*o = append(*o, part)
	}
	return nil
}

// secretsFlag is a flag that may stand alone, meaning everything, or name what
// it means; it may be repeated.
type secretsFlag []string

// selections turns the flag into what the hub understands.
func (s secretsFlag) selections(set *schema.Set) ([]reconcile.SecretSelection, error) {
	var out []reconcile.SecretSelection
	for _, text := range s {
		sel, err := reconcile.ParseSecretSelection(set, text)
		if err != nil {
			return nil, usagef("--send-secrets: %w", err)
		}
		out = append(out, sel)
	}
	return out, nil
}

func selections(set *schema.Set, list []string) ([]reconcile.Selection, error) {
	var out []reconcile.Selection
	for _, text := range list {
		sel, err := reconcile.ParseSelection(set, text)
		if err != nil {
			return nil, usagef("--select: %w", err)
		}
		out = append(out, sel)
	}
	return out, nil
}

// allSecrets are the words by which the environment, which has no flag without
// a value, says everything.
var allSecrets = map[string]bool{"1": true, "true": true, "all": true, "yes": true}

// noSecrets are the words by which the environment says nothing.
var noSecrets = map[string]bool{"0": true, "false": true, "no": true, "none": true}

// Decode implements kong.MapperValue.
func (s *secretsFlag) Decode(ctx *kong.DecodeContext) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		*s = append(*s, "")
		return nil
	}
	text, ok := ctx.Scan.Pop().Value.(string)
	if !ok {
		return fmt.Errorf("must be KIND[/KEY][.FIELD]")
	}
	if strings.TrimSpace(text) == "" {
		// A variable that is not set, where a shell expanded it: nobody meant all.
		return errors.New("its value is empty: name secrets as KIND[/KEY][.FIELD], or leave the = out for all of them")
	}
	for part := range strings.SplitSeq(text, "\n") {
		part = strings.TrimSpace(part)
		switch {
		case part == "": // a line end behind the last one
		case noSecrets[part]:
		case allSecrets[part]:
			*s = append(*s, "")
		default:
			*s = append(*s, part)
		}
	}
	return nil
}

// IsBool tells kong that the flag needs no value.
func (secretsFlag) IsBool() bool { return true }
