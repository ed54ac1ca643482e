package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// rivals measures what users would pick in place of the program: on the same NetBox,
// the same storage rows, in one run. The closest of them takes turns with ours; the
// others, which need minutes, run once. Ansible gets ansible of the rows, since its
// time grows with each, and what it takes is counted for all.
func rivals(s *server, v1, binary, python string, n, ansible, rounds int) (contests []*Contest, err error) {
	x, err := newScene(s, binary)
	defer func() { err = x.end(err) }()
	if err != nil {
		return nil, err
	}
	create, update := &Contest{What: "create", Objects: n}, &Contest{What: "update", Objects: n}
	read := &Contest{What: "plan with nothing to do", Objects: n}
	for dir, content := range map[string]string{"first": "images", "second": "iso"} {
		if err := storages(filepath.Join(x.dir, dir), x.tag, n, content); err != nil {
			return nil, err
		}
	}
	scripts, err := filepath.Abs("testdata/bench/rivals")
	if err != nil {
		return nil, err
	}
	env := []string{"NETBOX_URL=" + s.url, "NETBOX_TOKEN=" + v1, "ANSIBLE_LOCALHOST_WARNING=False", "ANSIBLE_NOCOLOR=1"}
	play := func(c *Contest, content string) error {
		vars, err := json.Marshal(object{"url": s.url, "token": v1, "tag": x.tag, "cluster": x.cluster, "count": ansible, "content": content})
		if err != nil {
			return err
		}
		file := filepath.Join(x.dir, "vars.json")
		if err := os.WriteFile(file, vars, 0o600); err != nil {
			return err
		}
		m, err := measured(x.dir, env, filepath.Join(filepath.Dir(python), "ansible-playbook"), "-i", "localhost,", "-c", "local",
			"-e", "ansible_python_interpreter="+python, "-e", "@"+file, filepath.Join(scripts, "ansible.yml"))
		if err == nil {
			c.other(fmt.Sprintf("Ansible's uri module in a loop (%d objects, counted for %d)", ansible, n), m.Seconds*float64(n)/float64(ansible))
		}
		return err
	}
	run := func(file, name string) error {
		if err := x.empty(); err != nil {
			return err
		}
		for _, step := range []struct {
			contest *Contest
			content string
		}{{create, "images"}, {update, "iso"}, {read, "iso"}} {
			m, err := measured(x.dir, env, python, filepath.Join(scripts, file), x.tag, fmt.Sprintf("%.0f", x.cluster), fmt.Sprint(n), step.content)
			if err != nil {
				return err
			}
			step.contest.other(name, m.Seconds)
		}
		return nil
	}
	for round := range rounds {
		if err := x.empty(); err != nil {
			return nil, err
		}
		if err := x.ourRound(create, update, read, &Contest{}, n, false); err != nil {
			return nil, err
		}
		if round == 0 {
			if err := play(read, "iso"); err != nil {
				return nil, err
			}
		}
		if err := run("bulk.py", "pynetbox, in bulk"); err != nil {
			return nil, err
		}
	}
	return []*Contest{create, update, read}, run("single.py", "pynetbox, one by one")
}
