// Command marker measures what a marker costs a bulk write of a real NetBox: rows of
// one list are created and changed with and without it, in turns, by plain requests.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	storages = "plugins/proxbox/storage"
	field    = "proxbox_sync"
)

func main() {
	rows := flag.Int("rows", 1000, "rows of one request")
	rounds := flag.Int("rounds", 5, "how often each is measured")
	flag.Parse()
	if err := run(&server{os.Getenv("NETBOX_URL"), os.Getenv("NETBOX_TOKEN")}, *rows, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(s *server, rows, rounds int) (err error) {
	tag := "bench" + strings.ToLower(rand.Text()[:6])
	var made []string
	defer func() {
		for _, path := range slices.Backward(made) {
			if _, failed := s.ask(http.MethodDelete, path, nil); failed != nil && err == nil {
				err = failed
			}
		}
	}()
	create := func(path string, body map[string]any) (any, error) {
		answer, err := s.ask(http.MethodPost, path, body)
		if err != nil {
			return nil, err
		}
		id := answer.(map[string]any)["id"]
		made = append(made, fmt.Sprintf("%s/%v", path, id))
		return id, nil
	}
	found, err := s.ask(http.MethodGet, "extras/custom-fields?name="+field, nil)
	if err != nil {
		return err
	}
	if len(found.(map[string]any)["results"].([]any)) == 0 {
		if _, err := create("extras/custom-fields", map[string]any{"name": field, "type": "json", "ui_visible": "hidden",
			"ui_editable": "no", "object_types": []string{"netbox_proxbox.proxmoxstorage"}}); err != nil {
			return err
		}
	}
	kind, err := create("virtualization/cluster-types", map[string]any{"name": tag, "slug": tag})
	if err != nil {
		return err
	}
	cluster, err := create("virtualization/clusters", map[string]any{"name": tag, "type": kind})
	if err != nil {
		return err
	}
	times := map[string][]time.Duration{}
	for round := range rounds {
		// Each goes first as often as second: what went before warms the server.
		for _, marked := range []bool{round%2 == 0, round%2 != 0} {
			if err := measure(s, times, cluster, fmt.Sprintf("%s-%d-%t-", tag, round, marked), rows, marked); err != nil {
				return err
			}
		}
	}
	show(times, rows, rounds)
	return nil
}

// measure creates, changes and deletes the rows once.
func measure(s *server, times map[string][]time.Duration, cluster any, prefix string, rows int, marked bool) error {
	name := map[bool]string{true: "marked", false: "plain"}[marked]
	bodies := make([]map[string]any, rows)
	for i := range bodies {
		bodies[i] = map[string]any{"cluster": cluster, "name": fmt.Sprint(prefix, i), "storage_type": "nfs", "content": "images",
			"server": "192.0.2.10", "export": "/srv/backup", "shared": true, "enabled": true}
		if marked {
			bodies[i]["custom_fields"] = marker(bodies[i])
		}
	}
	started := time.Now()
	answer, err := s.ask(http.MethodPost, storages, bodies)
	if err != nil {
		return err
	}
	times["POST "+name] = append(times["POST "+name], time.Since(started))
	ids := make([]map[string]any, rows)
	changes := make([]map[string]any, rows)
	for i, row := range answer.([]any) {
		id := row.(map[string]any)["id"]
		ids[i] = map[string]any{"id": id}
		changes[i] = map[string]any{"id": id, "content": "iso"}
		if marked {
			bodies[i]["content"] = "iso"
			changes[i]["custom_fields"] = marker(bodies[i])
		}
	}
	started = time.Now()
	_, err = s.ask(http.MethodPatch, storages, changes)
	times["PATCH "+name] = append(times["PATCH "+name], time.Since(started))
	if _, failed := s.ask(http.MethodDelete, storages, ids); err == nil {
		err = failed
	}
	return err
}

// marker looks like the program's own: a digest of 16 digits for each field.
func marker(body map[string]any) map[string]any {
	fields := map[string]any{}
	for name, v := range body {
		if name != "custom_fields" {
			fields[name] = fmt.Sprintf("%016x", len(name)*1e9+len(fmt.Sprint(v)))
		}
	}
	return map[string]any{field: map[string]any{"v": 1, "owner": "prod", "key": fmt.Sprintf("%.16x", body["name"]), "origin": "created", "fields": fields}}
}

func show(times map[string][]time.Duration, rows, rounds int) {
	fmt.Printf("the marker in a bulk write of %d rows, %d times each, %d processors, least / median:\n", rows, rounds, runtime.NumCPU())
	line := func(name, form string, a, b float64) { fmt.Printf("  %-44s "+form+"\n", name, a, b) }
	for _, method := range []string{http.MethodPost, http.MethodPatch} {
		plain, marked := seconds(times[method+" plain"]), seconds(times[method+" marked"])
		// Of the same round: what else the machine does changes from one to the next.
		more := make([]float64, rounds)
		for i := range more {
			more[i] = 100 * (marked[i]/plain[i] - 1)
		}
		least := 100 * (slices.Min(marked)/slices.Min(plain) - 1)
		line(method+" plain", "%.2f / %.2f s", slices.Min(plain), median(plain))
		line(method+" marked", "%.2f / %.2f s", slices.Min(marked), median(marked))
		line(method+": the marker adds", "%+.0f %% / %+.0f %% (of each round)", least, median(more))
	}
}

func seconds(times []time.Duration) []float64 {
	all := make([]float64, len(times))
	for i, t := range times {
		all[i] = t.Seconds()
	}
	return all
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

type server struct{ url, token string }

// ask makes a request and returns its answer.
func (s *server) ask(method, path string, body any) (any, error) {
	path, query, _ := strings.Cut(path, "?")
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequest(method, strings.TrimRight(s.url, "/")+"/api/"+path+"/?"+query, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Token "+s.token)
	if strings.HasPrefix(s.token, "nbt_") {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: status %d: %.300s", method, path, answer.StatusCode, text)
	}
	var value any
	if len(text) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return value, d.Decode(&value)
}
