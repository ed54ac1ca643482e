package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// server is a real NetBox, asked by bare requests.
type server struct {
	url, token string
	client     http.Client
}

func newServer(url, token string) *server {
	// A server closes connections that stand idle: Gunicorn after two seconds.
	return &server{url: strings.TrimRight(url, "/"), token: token,
		client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Second}}}
}

// object is one object as the API shows it or takes it.
type object = map[string]any

// ask makes a request and reads its answer into a value, which may be nil.
func (s *server) ask(method, path string, body, into any) error {
	path, query, _ := strings.Cut(path, "?")
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequest(method, s.url+"/api/"+path+"/?"+query, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Token "+s.token)
	if strings.HasPrefix(s.token, "nbt_") {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: status %d: %.300s", method, path, answer.StatusCode, text)
	}
	if into == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, into)
}

// manner is how many objects go in a request, and how many requests at a time.
type manner struct{ Batch, Parallel int }

// manners are those that the server's own limit is the best of.
var manners = []manner{{100, 4}, {250, 4}, {500, 2}}

func (m manner) String() string {
	return fmt.Sprintf("%d objects a request, %d at a time", m.Batch, m.Parallel)
}

// bulk sends objects in requests for many, and returns those that the answers show.
func (s *server) bulk(method, path string, list []object, m manner) (shown []object, took time.Duration, err error) {
	started := time.Now()
	type part struct{ from, to int }
	parts := make(chan part)
	answers := make([][]object, (len(list)+m.Batch-1)/m.Batch)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	for range m.Parallel {
		wg.Go(func() {
			for p := range parts {
				if err := s.ask(method, path, list[p.from:p.to], &answers[p.from/m.Batch]); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
				}
			}
		})
	}
	for from := 0; from < len(list); from += m.Batch {
		parts <- part{from, min(from+m.Batch, len(list))}
	}
	close(parts)
	wg.Wait()
	for _, a := range answers {
		shown = append(shown, a...)
	}
	return shown, time.Since(started), first
}

// read reads lists, each in pages of a thousand, four at a time.
func (s *server) read(lists []list) (time.Duration, error) {
	started := time.Now()
	slots := make(chan struct{}, 4)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
	)
	for _, l := range lists {
		for offset := 0; offset < max(l.rows, 1); offset += 1000 {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				var page struct{ Results []object }
				err := s.ask(http.MethodGet, fmt.Sprintf("%s?limit=1000&offset=%d&ordering=id&fields=%s", l.path, offset, l.fields), nil, &page)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					first = err
				}
			})
		}
	}
	wg.Wait()
	return time.Since(started), first
}

// list is what a bare read asks for.
type list struct {
	path, fields string
	rows         int
}
