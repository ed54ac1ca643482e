package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// fault is something that goes wrong with a request.
type fault struct {
	name    string
	happens func(*hit)
	refuses bool // no connection comes about
	tls     bool // the way is one over https
	signal  os.Signal
	args    []string // of the run that it happens to

	// It shows objects that are not those asked for, or not all. That others are no
	// longer wanted may go unnoticed then. From a server that does so for good nobody
	// learns the truth: it happens once.
	lies bool

	// What a run may end with when it happens once, to a read and to a write. A run
	// that ends with 0 has done everything, which is checked.
	read, write []exitCode
}

const (
	proxyPage = "<html><head><title>Bad gateway</title></head></html>"
	loginPage = `<!DOCTYPE html><html><form action="/login/" method="post"><input name="username"></form></html>`
	pageType  = "text/html; charset=utf-8"
)

var (
	recovers = []exitCode{exitDone}
	reported = []exitCode{exitError, exitPartly}
	anything = []exitCode{exitDone, exitError, exitManifests, exitPolicy, exitContested, exitPartly} // the plan itself may be refused
	either   = []exitCode{exitDone, exitError, exitPartly}
)

// faults are those that a network, a proxy or a server has.
func faults() []*fault {
	page := func(status int, body string) func(*hit) {
		return func(h *hit) { h.answer(status, pageType, body) }
	}
	return []*fault{
		{name: "connection refused", refuses: true, read: recovers, write: recovers},
		{name: "reset before the server acts", happens: (*hit).reset, read: recovers, write: recovers},
		{name: "reset after the server acted", happens: func(h *hit) { h.act(); h.reset() }, read: recovers, write: recovers},
		{name: "429 with Retry-After", happens: func(h *hit) {
			h.rw.Header().Set("Retry-After", "1")
			page(http.StatusTooManyRequests, proxyPage)(h)
		}, read: recovers, write: recovers},
		{name: "429 without Retry-After", happens: page(http.StatusTooManyRequests, proxyPage), read: recovers, write: recovers},
		{name: "500", happens: func(h *hit) {
			h.answer(http.StatusInternalServerError, "application/json", `{"error": "deadlock detected", "exception": "OperationalError"}`)
		}, read: reported, write: recovers},
		{name: "502", happens: page(http.StatusBadGateway, proxyPage), read: recovers, write: recovers},
		{name: "503", happens: page(http.StatusServiceUnavailable, proxyPage), read: recovers, write: recovers},
		{name: "504", happens: page(http.StatusGatewayTimeout, proxyPage), read: recovers, write: recovers},
		{name: "504 after the server acted", happens: func(h *hit) { h.act(); page(http.StatusGatewayTimeout, proxyPage)(h) }, read: recovers, write: recovers},
		{name: "truncated body", happens: truncated, read: recovers, write: recovers},
		{name: "wrong content type", happens: func(h *hit) {
			a := h.act()
			a.Header().Set("Content-Type", "text/plain")
			h.pass(a, a.Body.Bytes())
		}, read: reported, write: recovers},
		{name: "login page with 200", happens: page(http.StatusOK, loginPage), read: reported, write: recovers},
		{name: "redirect to another host", happens: elsewhere(http.StatusTemporaryRedirect, ""), read: reported, write: reported},
		{name: "redirect to http", tls: true, happens: elsewhere(http.StatusPermanentRedirect, "same"), read: reported, write: reported},
		{name: "slow beyond the timeout, carried out", args: []string{"--timeout=5s"}, happens: func(h *hit) {
			h.act()
			<-h.r.Context().Done()
		}, read: either, write: either},
		{name: "slow beyond the timeout, not carried out", args: []string{"--timeout=5s"}, happens: func(h *hit) { <-h.r.Context().Done() },
			read: either, write: either},
		{name: "answer for another object", lies: true, happens: anotherObject, read: anything, write: recovers},
		{name: "rows doubled across pages", lies: true, happens: doubled, read: anything, write: recovers},
		{name: "rows missing across pages", lies: true, happens: missing, read: anything, write: recovers},
	}
}

// signals are what may end a process, each while the server answers a request that
// it has carried out.
func signals() (list []*fault) {
	for name, s := range map[string]os.Signal{"SIGKILL": syscall.SIGKILL, "SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM} {
		ends := []exitCode{exitDone, exitPartly, exitInterrupted}
		if s == syscall.SIGKILL {
			ends = []exitCode{-1}
		}
		list = append(list, &fault{name: name, signal: s, read: ends, write: ends, happens: func(h *hit) {
			a := h.act()
			if err := h.way.process.Signal(s); err != nil {
				panic(err)
			}
			h.pass(a, a.Body.Bytes())
		}})
	}
	return list
}

// truncated breaks an answer in its middle, one without a body before it.
func truncated(h *hit) {
	a := h.act()
	if a.Body.Len() < 2 {
		h.reset()
		return
	}
	h.rw.Header().Set("Content-Length", strconv.Itoa(a.Body.Len()))
	h.pass(a, a.Body.Bytes()[:a.Body.Len()/2])
	_ = http.NewResponseController(h.rw).Flush()
	panic(http.ErrAbortHandler)
}

// elsewhere redirects to the stranger, or to the same server without TLS.
func elsewhere(status int, host string) func(*hit) {
	return func(h *hit) {
		to := h.way.strange.Addr().String()
		if host != "" {
			to = h.r.Host
		}
		h.rw.Header().Set("Location", "http://"+to+h.r.URL.RequestURI())
		h.answer(status, pageType, proxyPage)
	}
}

// listed is a page of a list.
type listed struct {
	Count    *int              `json:"count"`
	Next     *string           `json:"next"`
	Previous *string           `json:"previous"`
	Results  []json.RawMessage `json:"results"`
}

// rows changes the rows of a page. What is no page is passed on as it is.
func rows(h *hit, change func(*listed)) {
	a := h.act()
	var page listed
	if h.r.Method != http.MethodGet || json.Unmarshal(a.Body.Bytes(), &page) != nil || page.Results == nil {
		h.pass(a, a.Body.Bytes())
		return
	}
	change(&page)
	data, err := json.Marshal(page)
	if err != nil {
		panic(err)
	}
	h.pass(a, data)
}

// doubled shows the rows of the page before once more, or of this one.
func doubled(h *hit) {
	before := ask(h.way.other, h, h.r.URL.Path+"?limit=1000")
	rows(h, func(p *listed) {
		if len(p.Results) > 0 {
			p.Results = append(before.Results[:min(2, len(before.Results))], p.Results...)
		}
	})
}

// missing leaves out rows, as happens between two pages while somebody deletes.
func missing(h *hit) {
	rows(h, func(p *listed) {
		if n := len(p.Results); n > 0 {
			p.Results = p.Results[:n/2]
		}
	})
}

// ask reads a list behind the back of who is tested.
func ask(server http.Handler, h *hit, path string) (page listed) {
	q := httptest.NewRequest(http.MethodGet, path, nil)
	q.Header.Set("Authorization", h.r.Header.Get("Authorization"))
	a := httptest.NewRecorder()
	server.ServeHTTP(a, q)
	_ = json.Unmarshal(a.Body.Bytes(), &page)
	return page
}

// anotherObject answers with an object that somebody else made, whatever was
// asked for. Of a write it says so after it was carried out.
func anotherObject(h *hit) {
	a := h.act()
	folder := h.r.URL.Path
	if rest := strings.TrimSuffix(folder, "/"); len(ask(h.way.other, h, folder).Results) == 0 {
		folder = rest[:strings.LastIndex(rest, "/")+1]
	}
	page := ask(h.way.other, h, folder+"?limit=1000")
	if len(page.Results) == 0 {
		h.pass(a, a.Body.Bytes())
		return
	}
	other := page.Results[0]
	n := 1
	var sent []json.RawMessage
	if json.Unmarshal(h.body, &sent) == nil {
		n = len(sent)
	}
	switch one := string(other); {
	case h.r.Method == http.MethodGet && h.r.URL.Path == folder:
		h.answer(http.StatusOK, "application/json", fmt.Sprintf(`{"count": 1, "next": null, "previous": null, "results": [%s]}`, one))
	case len(sent) > 0:
		h.answer(a.Code, "application/json", "["+strings.Repeat(one+",", n-1)+one+"]")
	case a.Code == http.StatusNoContent:
		h.answer(http.StatusOK, "application/json", one)
	default:
		h.answer(a.Code, "application/json", one)
	}
}
