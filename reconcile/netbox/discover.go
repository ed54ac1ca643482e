package netbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"proxbox-sync/reconcile"
	"proxbox-sync/schema"
)

// getJSON fetches a small document into v, trying again where that helps.
func (c *Client) getJSON(ctx context.Context, q call, v any) (http.Header, error) {
	q.method = or(q.method, http.MethodGet)
	var header http.Header
	err := c.again(ctx, ctx, func(ctx context.Context) error {
		resp, err := c.fetch(ctx, q)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		header = resp.Header
		r := &cappedReader{r: resp.Body, total: c.limits.small, row: c.limits.small}
		data, err := io.ReadAll(r)
		if err != nil {
			return c.bodyError(ctx, resp, r, err)
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(v); err != nil {
			return c.bodyError(ctx, resp, r, err)
		}
		return nil
	})
	return header, err
}

// fetch makes a read and returns its answer when that is a success in JSON.
func (c *Client) fetch(ctx context.Context, q call) (*http.Response, error) {
	resp, _, err := c.send(ctx, q)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK && isJSON(resp) {
		return resp, nil
	}
	defer resp.Body.Close()
	e := c.answerError(resp, c.own, func(string) knownField { return knownField{exists: true} })
	if resp.StatusCode < 300 && e.Reason == "" {
		e.Reason = fmt.Sprintf("the server answered HTTP %d without an answer", resp.StatusCode)
	}
	if busy(resp.StatusCode) {
		return nil, &transient{err: e, after: parseRetryAfter(resp.Header, c.now())}
	}
	return nil, e
}

// bodyError says why a body could not be read to its end or not understood.
func (c *Client) bodyError(ctx context.Context, resp *http.Response, r *cappedReader, err error) error {
	e := &Error{Status: resp.StatusCode, Request: requestID(resp)}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errTooLarge):
		e.Reason = "the answer is larger than this program reads"
	case r.err != nil && !errors.Is(r.err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Reason = "the answer broke off"
		return &transient{err: e}
	default:
		e.Reason = "the answer is not the JSON that was expected"
	}
	return e
}

var errTooLarge = errors.New("too large")

// cappedReader ends with errTooLarge after total bytes, or after row bytes since
// row was last set.
type cappedReader struct {
	r          io.Reader
	total, row int64
	err        error // of the reader below
}

func (r *cappedReader) Read(p []byte) (int, error) {
	if r.total <= 0 || r.row <= 0 {
		return 0, errTooLarge
	}
	if most := min(r.total, r.row); int64(len(p)) > most {
		p = p[:most]
	}
	n, err := r.r.Read(p)
	r.total -= int64(n)
	r.row -= int64(n)
	if err != nil {
		r.err = err
	}
	return n, err
}

// Greet asks in the background for what every command needs to know of the server,
// so that it is there when the manifests have been read. What is wrong is told to
// the one who needs it. The returned function ends that; nothing goes on after it.
func (c *Client) Greet(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	behind := func(ask func()) {
		wg.Go(func() {
			var err error
			defer reconcile.Recovered(&err) // whoever asks again gets there
			ask()
		})
	}
	behind(func() { _, _ = c.Instance(ctx) })
	roots := map[string]bool{}
	for _, k := range c.kinds.Kinds() {
		if parts := strings.Split(k.Resource.Paths[0], "/"); parts[0] == "plugins" && len(parts) > 2 {
			roots[strings.Join(parts[:2], "/")] = true
		}
	}
	for path := range roots {
		behind(func() { _, _ = c.root(ctx, path) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// Instance names the server, by its status document. A token that may not read
// that leaves the versions unknown.
func (c *Client) Instance(ctx context.Context) (reconcile.Instance, error) {
	c.naming.Lock()
	defer c.naming.Unlock()
	if c.instance == nil {
		instance, err := c.askInstance(ctx)
		if err != nil && ctx.Err() != nil {
			return instance, err // of this call, and not of the server
		}
		c.instance, c.nameless = &instance, err
	}
	return *c.instance, c.nameless
}

func (c *Client) askInstance(ctx context.Context) (reconcile.Instance, error) {
	var doc struct {
		Version *string           `json:"netbox-version"`
		Plugins map[string]string `json:"plugins"`
	}
	_, err := c.getJSON(ctx, call{path: "status"}, &doc)
	switch {
	case errors.Is(err, reconcile.ErrForbidden) && !stops(err):
	case err != nil:
		return reconcile.Instance{}, doing("asking "+c.base.String()+" for its status", err)
	case doc.Version == nil:
		return reconcile.Instance{}, &Error{
			Doing: "asking " + c.base.String() + " for its status", Reason: "the answer names no NetBox version: is this NetBox?",
		}
	}
	instance := reconcile.Instance{URL: c.base.String()}
	if doc.Version != nil {
		instance.NetBoxVersion = *doc.Version
	}
	for _, name := range []string{"netbox_proxbox", "netbox-proxbox"} {
		if v := doc.Plugins[name]; v != "" {
			instance.PluginVersion = v
		}
	}
	if c.generation.Load() == 0 {
		c.generation.Store(generation(instance.NetBoxVersion))
	}
	return instance, nil
}

// pathOf returns the list path of a kind: the first candidate that the server
// has. The paths of NetBox's own kinds are fixed; a plugin's are looked up in
// its root documents.
func (c *Client) pathOf(ctx context.Context, k *schema.Kind) (string, error) {
	for _, candidate := range k.Resource.Paths {
		listed, err := c.lists(ctx, candidate)
		if err != nil {
			return "", err
		}
		if listed {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("%w: none of %s is listed below %s", reconcile.ErrNoKind,
		strings.Join(k.Resource.Paths, ", "), c.url("", ""))
}

func (c *Client) lists(ctx context.Context, candidate string) (bool, error) {
	parts := strings.Split(candidate, "/")
	if parts[0] != "plugins" {
		return true, nil
	}
	for i := 2; i < len(parts); i++ {
		root, err := c.root(ctx, strings.Join(parts[:i], "/"))
		if err != nil {
			return false, err
		}
		if root[candidate] {
			return true, nil
		}
		if !root[strings.Join(parts[:i+1], "/")] {
			return false, nil
		}
	}
	return false, nil
}

// root returns the paths that a root document lists, none where the server does
// not have the document.
func (c *Client) root(ctx context.Context, path string) (map[string]bool, error) {
	c.listing.Lock()
	defer c.listing.Unlock()
	if listed, ok := c.roots[path]; ok {
		return listed, nil
	}
	if err := c.rootless[path]; err != nil {
		return nil, err
	}
	var doc any
	_, err := c.getJSON(ctx, call{path: path}, &doc)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		doc, err = nil, nil
	}
	if err != nil {
		err = doing("reading the list of paths at "+c.url(path, "").String(), err)
		if ctx.Err() == nil {
			c.rootless[path] = err
		}
		return nil, err
	}
	listed := map[string]bool{}
	collectPaths(listed, path, doc, 0)
	c.roots[path] = listed
	return listed, nil
}

var pathForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)

// collectPaths adds the paths that a root document names, relative to the API
// root. Only the part of a URL below the document's own path counts: a proxy in
// front, or a sub-path, may make the rest differ from ours.
func collectPaths(into map[string]bool, root string, v any, depth int) {
	switch v := v.(type) {
	case map[string]any:
		if depth < 5 {
			for _, item := range v {
				collectPaths(into, root, item, depth+1)
			}
		}
	case string:
		u, err := url.Parse(v)
		if err != nil || len(into) >= 10_000 {
			return
		}
		_, below, found := strings.Cut(u.EscapedPath(), "/api/"+root+"/")
		below = strings.TrimSuffix(below, "/")
		if found && pathForm.MatchString(below) {
			into[root+"/"+below] = true
		}
	}
}

// kind returns the kind of that name.
func (c *Client) kind(name string) (*schema.Kind, error) {
	k := c.kinds.Kind(name)
	if k == nil {
		return nil, fmt.Errorf("%w: %s is not a kind of this program", reconcile.ErrNoKind, name)
	}
	return k, nil
}

// modern reports whether the server has what NetBox 4.6 brought: cursor paging
// and ETags. known is false while no answer told.
func (c *Client) modern() (yes, known bool) {
	g := c.generation.Load()
	return g >= etagGeneration, g != 0
}
