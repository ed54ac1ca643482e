package netbox

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"proxbox-sync/reconcile"
)

// encoders are the forms in which servers, frameworks and proxies write a text.
var encoders = map[string]func(string) string{
	"itself":                    func(s string) string { return s },
	"JSON of Go":                func(s string) string { return inside(quoted(s)) },
	"JSON of Python":            pythonJSON,
	"JSON with capital escapes": func(s string) string { return upperEscapes(pythonJSON(s)) },
	"JSON with escaped slashes": func(s string) string { return strings.ReplaceAll(pythonJSON(s), "/", `\/`) },
	"JSON all in escapes":       func(s string) string { return units(s, func(rune) bool { return true }) },
	"Python's repr":             pythonRepr,
	"Python's repr of bytes":    pythonBytes,
	"a Go string":               func(s string) string { return inside(strconv.QuoteToASCII(s)) },
	"a part of a query":         url.QueryEscape,
	"a part of a path":          url.PathEscape,
	"Python's quote":            func(s string) string { return percent(s, "/_.-~") },
	"Python's quote of all":     func(s string) string { return percent(s, "_.-~") },
	"Python's quote_plus":       func(s string) string { return strings.ReplaceAll(percent(s, "_.-~ "), " ", "+") },
	"percents in lower case":    func(s string) string { return lowerEscapes(percent(s, "_.-~")) },
	"every byte as a percent":   func(s string) string { return everyByte(s, "%%%02X") },
	"HTML":                      html.EscapeString,
	"HTML of Django": func(s string) string {
		return strings.NewReplacer("&#34;", "&quot;", "&#39;", "&#x27;").Replace(html.EscapeString(s))
	},
	"base64":          func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 for URLs": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"base64 behind a name": func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte("user:" + s + ":x"))
	},
	"hex":             func(s string) string { return hex.EncodeToString([]byte(s)) },
	"hex in capitals": func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
}

func inside(quoted string) string { return quoted[1 : len(quoted)-1] }

func percent(s, safe string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(safe, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func everyByte(s, format string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, format, c)
	}
	return b.String()
}

// units writes the runes that are asked for as \u escapes.
func units(s string, which func(rune) bool) string {
	var b strings.Builder
	for _, r := range s {
		if !which(r) {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, u)
		}
	}
	return b.String()
}

func pythonJSON(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s)
	return units(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func pythonRepr(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s)
}

func pythonBytes(s string) string {
	var b strings.Builder
	for _, c := range []byte(pythonRepr(s)) {
		if c < ' ' || c > '~' {
			fmt.Fprintf(&b, `\x%02x`, c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// upperEscapes and lowerEscapes change the case of hexadecimal digits of escapes.
func upperEscapes(s string) string { return recase(s, `\u`, 4, strings.ToUpper) }
func lowerEscapes(s string) string { return recase(s, "%", 2, strings.ToLower) }

func recase(s, start string, digits int, change func(string) string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if n := i + len(start); strings.HasPrefix(s[i:], start) && n+digits <= len(s) && (i == 0 || s[i-1] != '\\') {
			b.WriteString(start + change(s[n:n+digits]))
			i = n + digits - 1
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func encoderNames() []string {
	var names []string
	for name := range encoders {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestAnyEncodingOfASecretIsRecognized(t *testing.T) {
	names := encoderNames()
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"a", "Z", "7", `"`, `'`, `\`, "/", "<", ">", "&", "%", "+", " ", "ä", "€", "😀", "\n", "%41", "&lt;", `\u00e4`, "=", "#", "n"})
		secret := strings.TrimSpace(strings.Join(rapid.SliceOfN(part, 4, 40).Draw(t, "secret"), ""))
		if len(secret) < minDecoded {
			t.Skip("too short")
		}
		s := newScrubber([]string{secret})
		around := rapid.SampledFrom([]string{"", "no: ", `the value "`, "x=", "(", "1", "path/to/"})
		before, after := around.Draw(t, "before"), rapid.SampledFrom([]string{"", "!", `"`, " is wrong", "...", "&more=1", ")"}).Draw(t, "after")
		once, twice := rapid.SampledFrom(names).Draw(t, "once"), rapid.SampledFrom(names).Draw(t, "twice")
		if inner := before + encoders[once](secret) + after; !s.repeats(inner) {
			t.Fatalf("%s is not recognized", once)
		}
		if text := before + encoders[twice](encoders[once](secret)) + after; !s.repeats(text) {
			t.Fatalf("%s within %s is not recognized", once, twice)
		}
		if text := encoders[twice](before+encoders[once](secret)+after) + "."; !s.repeats(text) {
			t.Fatalf("a text with %s, as %s, is not recognized", once, twice)
		}
	})
}

func TestAPieceOfALongSecretIsRecognized(t *testing.T) {
	secret := `Gänse-<4711>&"mehr" als 8 Zeichen/lang`
	s := newScrubber([]string{secret})
	for name, encode := range encoders {
		runes := []rune(secret)
		for i := 0; i+12 <= len(runes); i++ {
			require.True(t, s.repeats("it is …"+encode(string(runes[i:i+12]))+"…"), name)
		}
	}
}

func TestWhatIsNoSecretIsShown(t *testing.T) {
	s := newScrubber([]string{`Gänse"4711`, "tok&en one", "hunter2!", "0123456789abcdef0123456789abcdef01234567", "x%y1"})
	for _, text := range []string{
		"This field may not be blank.", "A valid integer is required.", `"%(value)s" is not a valid choice.`,
		"Box thing with this Name and Address already exists.", "Enter a valid IPv4 or IPv6 address.",
		`Related object not found using the provided attributes: {'name': 'pve-ams1'}`, "50% of 100+ objects &amp; more \\o/",
		"11111111-2222-3333-4444-555555555555", "https://netbox.example.net/api/plugins/proxbox/endpoints/proxmox/17/?fields=id,name",
	} {
		require.False(t, s.repeats(text), text)
	}
}

// A text that decodes to ever more readings must neither come out nor hang.
func TestATextWithTooManyReadingsIsWithheld(t *testing.T) {
	text := "&amp;amp;%2525%41+\\\\u0041\\x41"
	for range 4 {
		text = base64.StdEncoding.EncodeToString([]byte(text+"+%2b&amp;\\\\")) + text + hex.EncodeToString([]byte(text))
	}
	n := newNeedles()
	n.add("another secret")
	count := 0
	complete := variants(text, func(variant) bool { count++; return true })
	require.LessOrEqual(t, count, maxVariants)
	require.Equal(t, !complete, n.in(text))
}

func TestARedirectOfAWriteRepeatsNothing(t *testing.T) {
	const secret = "tok&en one/2"
	var location string
	f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	})
	for _, location = range []string{
		"/login/" + percent(secret, ""), "/login/" + percent(secret, "/"), "/login/?next=" + url.QueryEscape(secret), "/login/plain",
		"https://" + hex.EncodeToString([]byte(secret)) + ".example/",
	} {
		out, err := writeAll(t, client(t, f.URL), "Thing", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{
			"name": "x", "password": reconcile.NewSecret(secret, ""),
		}})
		text := fmt.Sprintf("%+v %v %v", out, err, out[0].Err)
		require.Contains(t, text, "redirects")
		for _, word := range []string{"login", "plain", "tok", hex.EncodeToString([]byte(secret))} {
			require.NotContains(t, text, word)
		}
	}
}

func TestHeadersOfAnAnswerRepeatNothing(t *testing.T) {
	const secret = "tokenone22"
	for _, status := range []int{200, 201, 400, 401, 500, 503} {
		f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/"+secret)
			w.Header().Set("X-Request-ID", secret)
			w.WriteHeader(status)
		})
		out, err := writeAll(t, client(t, f.URL), "Thing", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{
			"name": "x", "password": reconcile.NewSecret(secret, ""),
		}})
		require.NotContains(t, fmt.Sprintf("%+v %v %v", out, err, out[0].Err), secret, "%d", status)
	}
}

func TestASecretAtTheEndOfWhatIsShownIsNotCutInTwo(t *testing.T) {
	const secret = "Gänse47"
	for _, gap := range []int{1, 3, 5, 7} {
		body, err := json.Marshal(map[string]any{"name": []string{strings.Repeat("x ", maxMessageLength/2)[gap:] + secret}})
		require.NoError(t, err)
		f := newFake(t, "4.7.3", func(w http.ResponseWriter, _ *http.Request) { answer(w, 400, string(body)) })
		out, err := writeAll(t, client(t, f.URL), "Thing", reconcile.OpCreate, reconcile.Write{Fields: map[string]any{
			"name": "x", "password": reconcile.NewSecret(secret, ""),
		}})
		require.NoError(t, err)
		require.Equal(t, []reconcile.FieldMessage{{Field: "name", Text: withheld}}, out[0].Messages)
	}
}
