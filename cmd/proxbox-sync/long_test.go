package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

// Tests whose names begin with TestLong take minutes to hours: make test-long
// runs them. Those that want a real NetBox stand up one of their own, in a cache
// folder of its own, since they empty it and kill it.
//
//	PROXBOX_SYNC_TEST_LONG=1           runs them
//	PROXBOX_SYNC_TEST_LONG_CACHE       the cache folder of their NetBox

const (
	envLong      = "PROXBOX_SYNC_TEST_LONG"
	envLongCache = "PROXBOX_SYNC_TEST_LONG_CACHE"
)

// long leaves a test out, and says so, unless it was asked for.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv(envLong) == "" {
		t.Skip("not run: it takes minutes; make test-long runs it")
	}
}

// ownNetBox is a real NetBox that belongs to one test at a time, which empties it
// and kills it.
type ownNetBox struct {
	t       *testing.T
	scripts []string          // environment of the scripts
	env     map[string]string // URL and tokens
}

func newOwnNetBox(t *testing.T) *ownNetBox {
	t.Helper()
	long(t)
	caches, err := os.UserCacheDir()
	require.NoError(t, err)
	own := cmp.Or(os.Getenv(envLongCache), filepath.Join(caches, "proxbox-sync-long"))
	n := &ownNetBox{t: t, scripts: append(os.Environ(), "PROXBOX_SYNC_CACHE="+own)}
	// The dump of the usual one spares the migration.
	if dumps, _ := filepath.Glob(filepath.Join(caches, "proxbox-sync", "*", "*.dump")); len(dumps) > 0 && os.Getenv("NETBOX_DUMP_SEED") == "" {
		n.scripts = append(n.scripts, "NETBOX_DUMP_SEED="+dumps[len(dumps)-1])
	}
	t.Cleanup(func() { n.script("down.sh", "--purge") })
	return n
}

func (n *ownNetBox) script(name string, args ...string) string {
	n.t.Helper()
	out, err := n.try(name, args...)
	require.NoError(n.t, err)
	return out
}

func (n *ownNetBox) try(name string, args ...string) (string, error) {
	c := exec.Command(filepath.Join("..", "..", "testdata", "netbox", name), args...)
	c.Env = n.scripts
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("%s %v: %w: %s", name, args, err, errs.String())
	}
	return strings.TrimSpace(string(out)), err
}

// up starts it; what is in it stays.
func (n *ownNetBox) up() {
	n.t.Helper()
	n.script("up.sh")
	file, err := os.Open(n.script("up.sh", "--env-path"))
	require.NoError(n.t, err)
	defer file.Close()
	n.env = map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok {
			n.env[name] = strings.Trim(value, `'"`)
		}
	}
	require.NotEmpty(n.t, n.env["NETBOX_URL"])
}

// emptied starts it with an empty database.
func (n *ownNetBox) emptied() *world {
	n.t.Helper()
	n.script("down.sh", "--purge")
	n.up()
	return n.world()
}

// world is the NetBox seen through a record of its own. Nothing is deleted in
// the end: the next test empties it.
func (n *ownNetBox) world() *world {
	n.t.Helper()
	target, err := url.Parse(n.env["NETBOX_URL"])
	require.NoError(n.t, err)
	busy := &busyTime{next: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Accept-Encoding")
	}}}
	w := newWorld(n.t, busy, schema.Embedded())
	w.real, w.token, w.tokenV1, w.busy = true, n.env["NETBOX_TOKEN"], n.env["NETBOX_TOKEN_V1"], busy
	return w
}

// busyTime measures how long a server had at least one request to answer.
type busyTime struct {
	next    http.Handler
	mu      sync.Mutex
	flying  int
	since   time.Time
	total   time.Duration
	answers int
}

func (b *busyTime) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	if b.flying++; b.flying == 1 {
		b.since = time.Now()
	}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.answers++
		if b.flying--; b.flying == 0 {
			b.total += time.Since(b.since)
		}
	}()
	b.next.ServeHTTP(rw, r)
}

func (b *busyTime) take() (time.Duration, int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	total, answers := b.total, b.answers
	b.total, b.answers = 0, 0
	return total, answers
}

// measured runs the program as a process of its own against a world, and says
// what it took.
func (w *world) measured(t *testing.T, what string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(context.Background(), self, args...)
	cmd.Args[0] = "proxbox-sync"
	cmd.Env = []string{"PROXBOX_SYNC_URL=" + w.url, "PROXBOX_SYNC_TOKEN=" + w.token, "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if w.busy != nil {
		w.busy.take()
	}
	begun := time.Now()
	require.NoError(t, cmd.Start())
	peak := peakMemory(cmd.Process.Pid)
	_ = cmd.Wait() // its exit code says it
	took := time.Since(begun)
	line := fmt.Sprintf("%s: %.1f s", what, took.Seconds())
	if w.busy != nil {
		waited, answers := w.busy.take()
		line += fmt.Sprintf(", of which the server had %d requests to answer for %.1f s", answers, waited.Seconds())
	}
	if kilobytes := peak(); kilobytes > 0 {
		line += fmt.Sprintf(", %d MB of memory at most", kilobytes>>10)
	}
	t.Log(line)
	return cmd.ProcessState.ExitCode(), out.String(), problems.String()
}

// peakMemory watches how much memory a process takes at most, in kilobytes; 0
// where the system does not show it. What the system sums up in the end counts
// the memory of the process that started it as well.
func peakMemory(pid int) (stop func() int) {
	done, found := make(chan struct{}), make(chan int)
	go func() {
		peak := 0
		ticks := time.NewTicker(50 * time.Millisecond)
		defer ticks.Stop()
		for {
			data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if _, rest, ok := strings.Cut(string(data), "VmHWM:"); ok {
				now := 0
				_, _ = fmt.Sscan(rest, &now)
				peak = max(peak, now)
			}
			select {
			case <-done:
				found <- peak
				return
			case <-ticks.C:
			}
		}
	}()
	return func() int {
		close(done)
		return <-found
	}
}

// TestLongRoundTrip is TestRoundTrip with two thousand objects and a real NetBox,
// whose database is emptied in between.
func TestLongRoundTrip(t *testing.T) {
	box := newOwnNetBox(t)
	w := box.emptied()
	t.Setenv(envNetBoxEmpty, "1")
	r := &roundTrip{t: t, w: w, m: w.maker(t), random: rand.New(rand.NewPCG(1, 7)), fields: map[string]map[string]bool{}}
	things := r.fill(2000)
	require.GreaterOrEqual(t, len(things), 2000)
	begun := time.Now()
	require.NoError(t, w.story(t).apply(things...))
	r.namesakes()
	t.Logf("%d objects, and namesakes of theirs, made in %.0f s", len(things), time.Since(begun).Seconds())

	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	code, stdout, stderr := w.measured(t, "export", "export", "--out", first, "--with-references", "--all")
	require.Zero(t, code, stdout+stderr)

	other := box.emptied()
	code, stdout, stderr = other.measured(t, "restore", "restore", first, "--auto-approve")
	require.Zero(t, code, stdout+stderr)
	code, stdout, stderr = other.measured(t, "export again", "export", "--out", second, "--with-references", "--all")
	require.Zero(t, code, stdout+stderr)
	sameFiles(t, filesIn(t, first), filesIn(t, second))
	code, stdout, stderr = other.measured(t, "plan", "plan", second, "--detailed-exitcode")
	require.Zero(t, code, stdout+stderr)
}

// TestLongHundredThousand exports a hundred thousand records from a sandbox and
// restores them into another one.
func TestLongHundredThousand(t *testing.T) {
	long(t)
	w := newSandboxWorld(t, "", schema.Embedded())
	w.must(t, http.MethodPost, "virtualization/cluster-types", map[string]any{"name": "p", "slug": "p"})
	cluster := w.must(t, http.MethodPost, "virtualization/clusters", map[string]any{"name": "prod", "type": map[string]any{"slug": "p"}})
	machine := w.must(t, http.MethodPost, "virtualization/virtual-machines", map[string]any{"name": "web", "cluster": cluster["id"]})
	for page := range 100 {
		var list []any
		for i := range 1000 {
			list = append(list, map[string]any{"vmid": 100, "name": fmt.Sprintf("s%d-%d", page, i), "node": "pve1", "virtual_machine": machine["id"], "subtype": "qemu", "status": "active",
				"description": "before the update of " + fmt.Sprint(i)})
		}
		status, answer := w.raw(t, http.MethodPost, "plugins/proxbox/snapshots", list)
		require.Equal(t, http.StatusCreated, status, fmt.Sprint(answer)[:min(len(fmt.Sprint(answer)), 300)])
	}
	dir := filepath.Join(t.TempDir(), "out")
	code, stdout, stderr := w.measured(t, "export of 100,000", "export", "--out", dir, "--with-references")
	require.Zero(t, code, stdout+stderr)
	code, stdout, stderr = w.measured(t, "plan of 100,000", "plan", dir, "--detailed-exitcode")
	require.Zero(t, code, stdout+stderr)
	other := newSandboxWorld(t, "", schema.Embedded())
	code, stdout, stderr = other.measured(t, "restore of 100,000", "restore", dir, "--auto-approve")
	require.Zero(t, code, stdout[:min(len(stdout), 2000)]+stderr[:min(len(stderr), 2000)])
	again := filepath.Join(t.TempDir(), "again")
	code, stdout, stderr = other.measured(t, "export again", "export", "--out", again, "--with-references")
	require.Zero(t, code, stdout+stderr)
	sameFiles(t, filesIn(t, dir), filesIn(t, again))
}
