package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
)

func TestExitCodes(t *testing.T) {
	mistake := func(list ...reconcile.Trouble) reconcile.Diagnostics {
		var out reconcile.Diagnostics
		for _, trouble := range list {
			out = append(out, reconcile.Diagnostic{Severity: reconcile.Error, Trouble: trouble, Summary: "x"})
		}
		return out
	}
	warning := reconcile.Diagnostics{{Severity: reconcile.Warning, Trouble: reconcile.Policy, Summary: "x"}}
	for _, c := range []struct {
		why  string
		err  error
		want exitCode
	}{
		{"nothing went wrong", nil, exitDone},
		{"an error without a code of its own", errors.New("x"), exitError},
		{"a mistake in the manifests", failed(mistake(reconcile.Manifest), nil), exitManifests},
		{"a server without a kind, or a token that may not view it", failed(mistake(reconcile.ServerSide), nil), exitError},
		{"that, and a mistake in the manifests: the lowest", failed(mistake(reconcile.Manifest, reconcile.ServerSide), nil), exitError},
		{"a secret that can't be opened", failed(mistake(reconcile.SecretKey), nil), exitSecrets},
		{"a policy", failed(mistake(reconcile.Policy), nil), exitPolicy},
		{"several: the lowest", failed(mistake(reconcile.Policy, reconcile.SecretKey, reconcile.Manifest), nil), exitManifests},
		{"mistakes and a broken server: the mistakes", failed(mistake(reconcile.SecretKey), errors.New("x")), exitSecrets},
		{"warnings and a broken server: the server", failed(warning, errors.New("x")), exitError},
		{"warnings alone are no failure", failed(warning, nil), exitDone},
		{"diagnostics as an error", fmt.Errorf("doing: %w", mistake(reconcile.Policy)), exitPolicy},
		{"wrong usage", usagef("x"), exitUsage},
		{"a command line that means nothing", &kong.ParseError{}, exitUsage},
		{"a setting that can't be used", fmt.Errorf("x: %w", &netbox.ConfigError{Setting: "url"}), exitUsage},
		{"a server that isn't allowed", &netbox.ConfigError{Setting: "url", Err: netbox.ErrOrigin}, exitUsage},
		{"interrupted", fmt.Errorf("reading: %w", context.Canceled), exitInterrupted},
		{"all was said", said(exitPartly), exitPartly},
		{"all was said and well", said(exitDone), exitDone},
	} {
		t.Run(c.why, func(t *testing.T) {
			require.Equal(t, c.want, codeOf(c.err))
		})
	}
}

func TestExitCodesOfReports(t *testing.T) {
	report := func(interrupted bool, err error, results ...reconcile.Result) *reconcile.Report {
		r := &reconcile.Report{Interrupted: interrupted, Err: err}
		for _, result := range results {
			r.Steps = append(r.Steps, reconcile.StepReport{Result: result})
		}
		return r
	}
	for _, c := range []struct {
		why  string
		r    *reconcile.Report
		want exitCode
	}{
		{"all applied", report(false, nil, reconcile.Applied, reconcile.AlreadyDone), exitDone},
		{"nothing to do", report(false, nil), exitDone},
		{"one failed", report(false, nil, reconcile.Applied, reconcile.Failed), exitPartly},
		{"one blocked", report(false, nil, reconcile.Blocked), exitPartly},
		{"a conflict", report(false, nil, reconcile.Conflicted), exitPartly},
		{"interrupted", report(true, nil, reconcile.Applied, reconcile.NotAttempted), exitInterrupted},
		{"interrupted, and something failed before", report(true, nil, reconcile.Failed, reconcile.NotAttempted), exitPartly},
		{"the server went away before the first write", report(false, errors.New("x"), reconcile.NotAttempted), exitError},
		{"the server went away in between", report(false, errors.New("x"), reconcile.Applied, reconcile.NotAttempted), exitPartly},
	} {
		t.Run(c.why, func(t *testing.T) {
			require.Equal(t, c.want, codeOfReport(c.r))
		})
	}
}

// A panic says where, never with what: its value may hold a secret.
func TestAPanicShowsTypeAndPlaceOnly(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(panicking{t.Context()}, []string{"get", "ProxmoxStorage"},
		[]string{"PROXBOX_SYNC_URL=http://127.0.0.1:1", "PROXBOX_SYNC_TOKEN=0123456789abcdef0123456789abcdef01234567"},
		nil, &stdout, &stderr)
	require.Equal(t, int(exitError), code)
	require.Contains(t, stderr.String(), "internal error: string at ")
	require.NotContains(t, stderr.String()+stdout.String(), "hunter2")
}

// panicking is a context that panics with a secret when it is first used.
type panicking struct{ context.Context }

func (panicking) Value(any) any         { panic("hunter2") }
func (panicking) Done() <-chan struct{} { panic("hunter2") }
func (panicking) Err() error            { panic("hunter2") }
