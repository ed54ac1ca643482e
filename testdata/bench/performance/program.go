package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Measure is what one run of a command took; of several, the least.
type Measure struct {
	Seconds   float64
	Processor float64 // seconds, of all cores
	Bytes     int64   // most memory at a time
}

func (m Measure) least(other Measure) Measure {
	if m == (Measure{}) {
		return other
	}
	return Measure{min(m.Seconds, other.Seconds), min(m.Processor, other.Processor), min(m.Bytes, other.Bytes)}
}

// program is proxbox-sync against one server.
type program struct{ binary, url, token, dir string }

// run runs a command and measures it. What it prints is shown when it fails only.
func (p program) run(args ...string) (Measure, error) {
	return measured(p.dir, []string{"PROXBOX_SYNC_URL=" + p.url, "PROXBOX_SYNC_TOKEN=" + p.token}, p.binary, args...)
}

// measured runs any command.
func measured(dir string, env []string, name string, args ...string) (Measure, error) {
	var said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	started := time.Now()
	err := cmd.Run()
	took := time.Since(started)
	if err != nil {
		return Measure{}, fmt.Errorf("%s %v: %w\n%.2000s", name, args, err, said.Bytes())
	}
	state := cmd.ProcessState
	m := Measure{Seconds: took.Seconds(), Processor: (state.UserTime() + state.SystemTime()).Seconds()}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		m.Bytes = usage.Maxrss << 10
	}
	return m, nil
}
