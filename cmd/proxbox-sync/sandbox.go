package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/render"
	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

type sandboxCommand struct {
	Listen      string `help:"Address to listen on." default:"127.0.0.1:8900" placeholder:"HOST:PORT"`
	Generation  string `help:"Version of the plugin to be like. Default: the newest. --generation=list lists them." placeholder:"VERSION"`
	AllowRemote bool   `help:"Allow an address that other machines can reach."`
}

// Help is shown by sandbox --help.
func (*sandboxCommand) Help() string {
	return `Serves a NetBox with the Proxbox API that lives in memory: nothing is on disk, and
everything is gone when it stops. The token is that of PROXBOX_SYNC_TOKEN, or one is
made up and printed. Ctrl-C stops it.`
}

func (c *sandboxCommand) Run(a *app) error {
	if c.Generation == "list" {
		_, err := fmt.Fprintln(a.stdout, strings.Join(sandbox.Generations(), "\n"))
		return err
	}
	if err := c.checkAddress(); err != nil {
		return err
	}
	token := a.env.Get(tokenVariable)
	madeUp := token == ""
	if madeUp {
		token = newToken()
	}
	handler, err := sandbox.New(sandbox.Options{Generation: c.Generation, Token: token, Kinds: schema.Embedded()})
	if err != nil {
		return usagef("%w", err)
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	url := "http://" + listener.Addr().String()
	_, _ = fmt.Fprintf(a.stdout, "A sandbox NetBox listens on %s\n\n    export PROXBOX_SYNC_URL=%s\n", url, url)
	if madeUp {
		_, _ = fmt.Fprintf(a.stdout, "    export %s=%s\n", tokenVariable, token)
	}
	_, _ = fmt.Fprintf(a.stdout, "\nIt is kept in memory and gone when it stops. Ctrl-C stops it.\n")
	return serve(a.ctx, listener, handler, a.log)
}

// checkAddress refuses to be reached by others unless that was asked for.
func (c *sandboxCommand) checkAddress() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return usagef("--listen: must be HOST:PORT")
	}
	if ip := net.ParseIP(host); c.AllowRemote || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return usagef("--listen: other machines could reach %s: use 127.0.0.1, or say --allow-remote", render.Escape(c.Listen))
}

// serve answers requests until ctx ends, which is no error.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler: recovering(handler, log), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(soon); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("stopping: %w", err)
		}
		return nil
	}
}

// recovering answers and logs a panic without its value, which net/http would log.
func recovering(handler http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v)
			default:
				log.Error("answering a request", "error", reconcile.CrashOf(v))
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		handler.ServeHTTP(w, r)
	})
}

// newToken makes up a v1 token, which every generation understands.
func newToken() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
