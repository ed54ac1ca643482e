package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// Contest is one operation on some objects of a real NetBox, by several means. Times
// are the least of the rounds, in seconds; Worst is the most that ours took.
type Contest struct {
	What    string
	Objects int
	Ours    float64
	Worst   float64
	Others  map[string]float64
}

func (c *Contest) ours(seconds float64) {
	if c.Ours == 0 || seconds < c.Ours {
		c.Ours = seconds
	}
	c.Worst = max(c.Worst, seconds)
}

func (c *Contest) other(name string, seconds float64) {
	if c.Others == nil {
		c.Others = map[string]float64{}
	}
	if old, ok := c.Others[name]; !ok || seconds < old {
		c.Others[name] = seconds
	}
	fmt.Printf("%s of %d, %s: %.2f s (ours %.2f s)\n", c.What, c.Objects, name, seconds, c.Ours)
}

// best is the least time of all other means.
func (c *Contest) best() (name string, seconds float64) {
	for n, s := range c.Others {
		if seconds == 0 || s < seconds {
			name, seconds = n, s
		}
	}
	return name, seconds
}

// scene is a place on a NetBox with a cluster of its own.
type scene struct {
	*server
	program
	tag     string
	cluster any
	made    []string // paths of what is to be deleted at the end
}

const storagePath = "plugins/proxbox/storage"

func newScene(s *server, binary string) (*scene, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	x := &scene{server: s, program: program{binary: binary, url: s.url, token: s.token, dir: dir}, tag: "bench" + strings.ToLower(rand.Text()[:6])}
	kind, err := x.create("virtualization/cluster-types", object{"name": x.tag, "slug": x.tag})
	if err != nil {
		return x, err
	}
	x.cluster, err = x.create("virtualization/clusters", object{"name": x.tag, "type": kind})
	return x, err
}

func (x *scene) create(path string, body object) (any, error) {
	var shown object
	if err := x.ask(http.MethodPost, path, body, &shown); err != nil {
		return nil, err
	}
	x.made = append(x.made, fmt.Sprintf("%s/%.0f", path, shown["id"]))
	return shown["id"], nil
}

// end deletes what the scene made.
func (x *scene) end(err error) error {
	if failed := x.empty(); err == nil {
		err = failed
	}
	for i := len(x.made) - 1; i >= 0; i-- {
		if failed := x.ask(http.MethodDelete, x.made[i], nil, nil); err == nil {
			err = failed
		}
	}
	if failed := os.RemoveAll(x.dir); err == nil {
		err = failed
	}
	return err
}

// rows are the storages of the scene.
func (x *scene) rows() (ids []object, err error) {
	for start := 1; ; {
		var page struct{ Results []object }
		if err := x.ask(http.MethodGet, fmt.Sprintf("%s?limit=1000&start=%d&fields=id,name", storagePath, start), nil, &page); err != nil {
			return nil, err
		}
		if len(page.Results) == 0 {
			return ids, nil
		}
		for _, r := range page.Results {
			if strings.HasPrefix(fmt.Sprint(r["name"]), x.tag+"-") {
				ids = append(ids, object{"id": r["id"]})
			}
			start = int(r["id"].(float64)) + 1
		}
	}
}

func (x *scene) empty() error {
	ids, err := x.rows()
	if err == nil {
		_, _, err = x.bulk(http.MethodDelete, storagePath, ids, manners[0])
	}
	return err
}

func (x *scene) bodies(n int) []object {
	out := make([]object, n)
	for i := range out {
		out[i] = object{"cluster": x.cluster, "name": storageName(x.tag, i), "storage_type": "dir", "content": "images"}
	}
	return out
}

// limits measures creating, changing, reading and deleting storage rows against bare
// requests for many, in each of some manners.
func limits(s *server, binary string, n, rounds int, manners []manner) (contests []*Contest, err error) {
	x, err := newScene(s, binary)
	defer func() { err = x.end(err) }()
	if err != nil {
		return nil, err
	}
	create, update := &Contest{What: "create", Objects: n}, &Contest{What: "update", Objects: n}
	read, remove := &Contest{What: "plan with nothing to do", Objects: n}, &Contest{What: "delete", Objects: n}
	contests = []*Contest{create, update, remove, read}
	for dir, content := range map[string]string{"first": "images", "second": "iso"} {
		if err := storages(filepath.Join(x.dir, dir), x.tag, n, content); err != nil {
			return nil, err
		}
	}
	if err := absent(filepath.Join(x.dir, "none"), x.tag, n); err != nil {
		return nil, err
	}
	for round := range rounds {
		for i := range manners {
			// As many tries for ours as for all of the manners: a server's time for the
			// same requests varies by more than what is measured.
			if err := x.ourRound(create, update, read, remove, n, true); err != nil {
				return nil, err
			}
			if err := x.bareRound(create, update, read, remove, manners[(i+round)%len(manners)], n); err != nil {
				return nil, err
			}
		}
	}
	return contests, nil
}

// ourRound creates, changes, plans and, if they are to be gone, deletes by the program.
func (x *scene) ourRound(create, update, read, remove *Contest, n int, gone bool) error {
	steps := []struct {
		contest *Contest
		args    []string
	}{
		{create, []string{"apply", "--auto-approve", "first"}},
		{update, []string{"apply", "--auto-approve", "second"}},
		{read, []string{"plan", "second"}}, {read, []string{"plan", "second"}}, {read, []string{"plan", "second"}},
		{remove, []string{"apply", "--auto-approve", "--max-deletes", fmt.Sprint(n), "none"}},
	}
	if !gone {
		steps = steps[:len(steps)-1]
	}
	for _, step := range steps {
		m, err := x.run(step.args...)
		if err != nil {
			return err
		}
		step.contest.ours(m.Seconds)
	}
	return nil
}

// bareRound does the same by bare requests.
func (x *scene) bareRound(create, update, read, remove *Contest, m manner, n int) error {
	shown, took, err := x.bulk(http.MethodPost, storagePath, x.bodies(n), m)
	if err != nil {
		return err
	}
	create.other(m.String(), took.Seconds())
	changes, ids := make([]object, n), make([]object, n)
	for i, row := range shown {
		ids[i], changes[i] = object{"id": row["id"]}, object{"id": row["id"], "content": "iso"}
	}
	if _, took, err = x.bulk(http.MethodPatch, storagePath, changes, m); err != nil {
		return err
	}
	update.other(m.String(), took.Seconds())
	for range 3 {
		took, err = x.read([]list{{storagePath, "id,last_updated,cluster,name,storage_type,content", n},
			{"virtualization/clusters", "id,last_updated,name,type", 1}, {"virtualization/cluster-types", "id,last_updated,slug,name", 1}})
		if err != nil {
			return err
		}
		read.other("pages of 1,000, four at a time", took.Seconds())
	}
	_, took, err = x.bulk(http.MethodDelete, storagePath, ids, m)
	remove.other(m.String(), took.Seconds())
	return err
}
