package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/netbox"
)

// exitCode is how the program ends. 3 to 6 come before any write, 7 after;
// where several fit, the lowest.
type exitCode int

const (
	exitDone        exitCode = 0
	exitError       exitCode = 1   // server, network, anything without a code of its own
	exitChanges     exitCode = 2   // with --detailed-exitcode: there are changes
	exitManifests   exitCode = 3   // the manifests are wrong
	exitSecrets     exitCode = 4   // a secret can't be decrypted or trusted, or stands in plain text
	exitPolicy      exitCode = 5   // refused by a limit or a policy
	exitContested   exitCode = 6   // the saved plan no longer holds, or another owner has it
	exitPartly      exitCode = 7   // some steps failed, were blocked or met a conflict
	exitUsage       exitCode = 64  // wrong usage, or a server that policy does not allow
	exitInterrupted exitCode = 130 // interrupted
)

// statusError ends the program with a code of its own. With a nil err
// everything was said already.
type statusError struct {
	code exitCode
	err  error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// said ends the program with a code when its output says why.
func said(code exitCode) error {
	if code == exitDone {
		return nil
	}
	return &statusError{code: code}
}

// usagef is a mistake of who called the program.
func usagef(format string, args ...any) error {
	return &statusError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// failure is why a command stopped: diagnostics, an error, or both.
type failure struct {
	list reconcile.Diagnostics
	err  error
}

func (f *failure) Error() string {
	if f.err != nil {
		return f.err.Error()
	}
	return f.list.Error()
}

func (f *failure) Unwrap() error { return f.err }

// failed joins diagnostics and an error to one error, nil when nothing is wrong.
func failed(list reconcile.Diagnostics, err error) error {
	if err == nil && !list.HasErrors() {
		return nil
	}
	return &failure{list, err}
}

// codeOf maps an error to the exit code. It is the only place that does.
func codeOf(err error) exitCode {
	if err == nil {
		return exitDone
	}
	var f *failure
	if errors.As(err, &f) {
		if code := codeOfDiagnostics(f.list); code != exitDone {
			return code
		}
		if f.err == nil {
			return exitError
		}
	}
	var list reconcile.Diagnostics
	if errors.As(err, &list) {
		if code := codeOfDiagnostics(list); code != exitDone {
			return code
		}
	}
	var status *statusError
	var parse *kong.ParseError
	var setting *netbox.ConfigError
	switch {
	case errors.As(err, &status):
		return status.code
	case errors.As(err, &parse), errors.As(err, &setting):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitError
}

// codeOfDiagnostics is the lowest code that one of the errors stands for.
func codeOfDiagnostics(list reconcile.Diagnostics) exitCode {
	code := exitDone
	for _, d := range list.Errors() {
		c := codeOfTrouble(d.Trouble)
		if code == exitDone || c < code {
			code = c
		}
	}
	return code
}

func codeOfTrouble(t reconcile.Trouble) exitCode {
	switch t {
	case reconcile.SecretKey:
		return exitSecrets
	case reconcile.Policy:
		return exitPolicy
	case reconcile.Contested:
		return exitContested
	case reconcile.ServerSide:
		return exitError
	}
	return exitManifests
}

// codeOfReport is the code that a finished run of steps ends with.
func codeOfReport(r *reconcile.Report) exitCode {
	trouble := r.Count(reconcile.Failed) + r.Count(reconcile.Blocked) + r.Count(reconcile.Conflicted)
	switch {
	case trouble > 0:
		return exitPartly
	case r.Interrupted:
		return exitInterrupted
	case r.Err != nil && r.Count(reconcile.Applied) == 0:
		return max(codeOf(r.Err), exitError)
	case r.Err != nil, r.Count(reconcile.NotAttempted) > 0:
		return exitPartly
	}
	return exitDone
}
