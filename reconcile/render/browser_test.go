package render_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// browser is a headless Chromium, driven over a pipe by its DevTools protocol.
type browser struct {
	t       *testing.T
	in      *os.File
	answers chan devtools
	id      int
	session string
	events  []devtools // what was heard so far
}

// devtools is one message of the protocol.
type devtools struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// chromium finds the browser. Where PROXBOX_SYNC_TEST_BROWSER says that there has
// to be one, a missing one is a failure.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	if os.Getenv("PROXBOX_SYNC_TEST_BROWSER") == "required" {
		t.Fatal("there is no Chromium: install it, or name it in CHROMIUM")
	}
	t.Skip("there is no Chromium: install it, or name it in CHROMIUM")
	return ""
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := chromium(t)
	theirIn, ourOut, err := os.Pipe()
	require.NoError(t, err)
	ourIn, theirOut, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(path, "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, by the protocol
	require.NoError(t, cmd.Start())
	_, _ = theirIn.Close(), theirOut.Close()
	b := &browser{t: t, in: ourOut, answers: make(chan devtools, 1000)}
	t.Cleanup(func() {
		b.send("Browser.close", nil)
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		_ = ourOut.Close()
	})
	go func() {
		defer close(b.answers)
		r := bufio.NewReader(ourIn)
		for {
			data, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			var m devtools
			if json.Unmarshal(bytes.TrimSuffix(data, []byte{0}), &m) == nil {
				b.answers <- m
			}
		}
	}()
	var target struct{ TargetID string }
	b.ask("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.ask("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		b.ask(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) send(method string, params any) {
	b.id++
	message := map[string]any{"id": b.id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	data, err := json.Marshal(message)
	if err == nil {
		_, _ = b.in.Write(append(data, 0))
	}
}

// ask sends a command and waits for its answer.
func (b *browser) ask(method string, params, result any) {
	b.t.Helper()
	b.send(method, params)
	id := b.id
	answer := b.wait(method, func(m devtools) bool { return m.ID == id })
	require.Empty(b.t, string(answer.Error), method)
	if result != nil {
		require.NoError(b.t, json.Unmarshal(answer.Result, result))
	}
}

// wait takes messages until one fits; events are kept.
func (b *browser) wait(what string, fits func(devtools) bool) devtools {
	b.t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		select {
		case m, ok := <-b.answers:
			require.True(b.t, ok, "the browser ended during %s", what)
			if m.Method != "" {
				b.events = append(b.events, m)
			}
			if fits(m) {
				return m
			}
		case <-timeout:
			require.FailNow(b.t, "the browser does not answer", what)
		}
	}
}

// open shows a file, with a fragment, in a window of that size.
func (b *browser) open(file, fragment string, wide, high int, scheme string) {
	b.t.Helper()
	b.ask("Emulation.setDeviceMetricsOverride", map[string]any{"width": wide, "height": high, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.ask("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.ask("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	b.wait("loading", func(m devtools) bool { return m.Method == "Page.loadEventFired" })
	b.events = nil
	address := url.URL{Scheme: "file", Path: file, Fragment: fragment}
	b.ask("Page.navigate", map[string]any{"url": address.String()}, nil)
	b.wait("loading", func(m devtools) bool { return m.Method == "Page.loadEventFired" })
}

// eval is the value of an expression in the page.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.ask("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer)
	require.Empty(b.t, string(answer.ExceptionDetails), expression)
	return answer.Result.Value
}

// key presses a key of the keyboard.
func (b *browser) key(key string, code int, text string) {
	b.t.Helper()
	press := map[string]any{"type": "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
	if text != "" {
		press["type"], press["text"] = "keyDown", text
	}
	b.ask("Input.dispatchKeyEvent", press, nil)
	b.ask("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
}

// click presses the mouse in the middle of an element.
func (b *browser) click(selector string) {
	b.t.Helper()
	// What comes into view gets its size then, so that things move a little.
	at, ok := b.eval(fmt.Sprintf(`(async () => {
		const e = document.querySelector(%q);
		for (let last; ; ) {
			e.scrollIntoView({block: "center"});
			await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
			const r = e.getBoundingClientRect();
			if (last === r.y) return [r.x + r.width / 2, r.y + r.height / 2];
			last = r.y;
		}
	})()`, selector)).([]any)
	require.True(b.t, ok)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.ask("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1}, nil)
	}
}

func (b *browser) typed(text string) {
	b.t.Helper()
	b.ask("Input.insertText", map[string]any{"text": text}, nil)
}

// heard are the complaints of the page and the requests it made, but for the one
// for itself.
func (b *browser) heard(file string) []string {
	var out []string
	for _, m := range b.events {
		switch m.Method {
		case "Network.requestWillBeSent":
			var p struct{ Request struct{ URL string } }
			require.NoError(b.t, json.Unmarshal(m.Params, &p))
			if u, err := url.Parse(p.Request.URL); err != nil || u.Scheme != "file" || u.Path != file {
				out = append(out, "request of "+p.Request.URL)
			}
		case "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening":
			out = append(out, m.Method+" "+string(m.Params))
		}
	}
	return out
}

// picture keeps a screenshot in the folder PROXBOX_SYNC_TEST_SCREENSHOTS, for
// people to look at.
func (b *browser) picture(name string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.ask("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(b.t, err)
	require.Greater(b.t, len(data), 1000)
	if dir := os.Getenv("PROXBOX_SYNC_TEST_SCREENSHOTS"); dir != "" {
		require.NoError(b.t, os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644))
	}
}
