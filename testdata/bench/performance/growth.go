package main

import (
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"proxbox-sync/reconcile/sandbox"
)

// Growth is what a number of objects costs on a sandbox, which answers at once.
type Growth struct {
	Objects  int
	Command  string
	Measure  Measure
	Requests int
}

const sandboxToken = "0123456789abcdef0123456789abcdef01234567" // of a server in memory

// growth creates each number of storage rows on a sandbox of its own, and then
// plans them again with nothing to do.
func growth(binary string, sizes []int, rounds int) ([]Growth, error) {
	var out []Growth
	for _, n := range sizes {
		server, err := sandbox.New(sandbox.Options{Token: sandboxToken})
		if err != nil {
			return nil, err
		}
		web := httptest.NewServer(server)
		dir, err := os.MkdirTemp("", "bench")
		if err != nil {
			return nil, err
		}
		p := program{binary: binary, url: web.URL, token: sandboxToken, dir: dir}
		if err := storages(filepath.Join(dir, "manifests"), "growth", n, "images"); err != nil {
			return nil, err
		}
		for _, command := range [][]string{{"apply", "--auto-approve"}, {"plan"}} {
			g := Growth{Objects: n, Command: command[0]}
			times := rounds
			if command[0] == "apply" {
				times = 1
			}
			for range times {
				before := len(server.Requests())
				m, err := p.run(append(command, "manifests")...)
				if err != nil {
					return nil, err
				}
				g.Requests = len(server.Requests()) - before
				g.Measure = g.Measure.least(m)
			}
			fmt.Printf("growth: %s\n", g)
			out = append(out, g)
		}
		web.Close()
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (g Growth) String() string {
	return fmt.Sprintf("%s of %d: %.2f s, %.2f s of processor, %d MB, %d requests", g.Command, g.Objects,
		g.Measure.Seconds, g.Measure.Processor, g.Measure.Bytes>>20, g.Requests)
}

// slope is the exponent with which something grows from the first of some
// points to the last: the line of least squares through their logarithms.
func slope(points []Growth, value func(Growth) float64) float64 {
	var sx, sy, sxx, sxy float64
	for _, p := range points {
		x, y := math.Log(float64(p.Objects)), math.Log(value(p))
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	n := float64(len(points))
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

// numbers reads a list of whole numbers.
func numbers(text string) ([]int, error) {
	var list []int
	for _, part := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("%q is no list of numbers", text)
		}
		list = append(list, n)
	}
	return list, nil
}
