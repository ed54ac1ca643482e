package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile/sandbox"
	"proxbox-sync/schema"
)

// awkwardTexts are what a YAML writer, a reader or a file system may take for
// something else.
var awkwardTexts = []string{
	"on", "no", "Yes", "~", "null", "true", "010", "0x1F", "1e3", "1_000", ".5", "-1", "12:30:45", "2024-02-29", "2024-02-29T10:00:00Z",
	"- x", "a: b", "a #b", "#x", "&a", "*a", "!a", "%a", "@a", "`a`", "{a}", "[a]", "a,b", "'a'", `"a"`, `a\b`, `C:\n`, "=1+1", "<<", "? x", "| x", "> x",
	"ENC (x)", "---", "::error::x", "##[group]x", "${x}", "$(x)", "../../x", "con", "é", "é", "雪", "😀", "a​b", "‮abc", "a\tb", "a\x1b[31mb",
	"line\nline", "line\n\n  line\n\tline", "#line\n- line\n", "::error::x\nb", "a \nb", "\n\na", "<script>alert(1)</script>",
	strings.Repeat("long ", 12) + "end", "back`tick|pipe", "https://x.example/?a=b&c=d#e",
}

// roundTrip is a random state of a server, and what is done to it.
type roundTrip struct {
	t      *testing.T
	w      *world
	m      *maker
	random *rand.Rand
	fields map[string]map[string]bool // what the server has, by kind
	order  []*thing
}

// fill makes about n objects of the plugin's kinds, with what they refer to.
func (r *roundTrip) fill(n int) []*thing {
	var kinds []*schema.Kind
	for _, k := range r.w.set.Kinds() {
		if k.Resource.Mode == schema.Managed && k.Resource.Prune != "named" {
			kinds = append(kinds, k)
		}
	}
	custom := r.customFields(kinds)
	var things []*thing
	for _, k := range kinds {
		for i := range max(1, n/len(kinds)) {
			things = append(things, r.thing(k, i, custom))
		}
	}
	things = append(things, r.settings()...)
	return append(slices.Clone(r.m.order), append(r.order, things...)...)
}

// customFields are some fields that people added, with and without default.
func (r *roundTrip) customFields(kinds []*schema.Kind) map[string][]any {
	var types []any
	for _, k := range kinds {
		types = append(types, k.Resource.ObjectType)
	}
	values := map[string][]any{}
	kind := r.w.set.Kind("CustomField")
	for i, f := range []struct {
		kind   string
		preset any
		values []any
	}{
		{"text", nil, []any{"010", "on", "a: b", nil}},
		{"text", "preset", []any{"other", "preset", nil}},
		{"integer", nil, []any{number("9007199254740993"), number("-1"), nil}},
		{"boolean", nil, []any{true, false, nil}},
		{"json", nil, []any{jsonValue(`{"a": [1, " x ", null], "on": "no"}`), jsonValue(`[]`), nil}},
		{"date", nil, []any{"2024-02-29", nil}},
		{"longtext", nil, []any{"line\n  line\n\nline", "", nil}},
	} {
		name := fmt.Sprintf("%s_f%d", r.w.tag, i)
		x := &thing{kind: kind, fields: map[string]any{"name": name, "type": f.kind, "object_types": types}}
		if f.preset != nil {
			x.fields["default"] = f.preset
		}
		r.order = append(r.order, x)
		values[name] = f.values
	}
	return values
}

// thing is one object with some of its fields set.
func (r *roundTrip) thing(k *schema.Kind, i int, custom map[string][]any) *thing {
	x := r.m.minimal(k)
	for _, f := range k.Fields {
		_, conditional := lookupField(table().With, k, f.Name)
		_, untouched := lookupField(table().Untouched, k, f.Name)
		switch {
		case f.ReadOnly, untouched, !r.has(k, f.Name):
		case f.WriteOnly && (conditional || r.w.real || r.random.IntN(3) > 0): // no export has it, and none may depend on it; NetBox asks a backend about some
		case f.Ref != nil && r.w.set.Kind(f.Ref.Kind).Resource.Mode == schema.Lookup: // which no manifest can make
		case f.Class == schema.Map:
			if r.random.IntN(2) == 0 {
				x.fields[f.Name] = r.entries(custom)
			}
		case slices.Contains(k.Resource.Key, f.Name):
			r.name(x, f, i)
		case conditional, slices.Contains(k.Required, f.Name), r.random.IntN(5) < 3:
		case f.Class == schema.Text && f.MinLength == nil && !r.listed(k, f) && r.random.IntN(2) == 0:
			if text := strings.TrimSpace(r.pick(awkwardTexts)); f.MaxLength == nil || len(text) <= *f.MaxLength {
				x.fields[f.Name] = text
			}
		default:
			list := slices.DeleteFunc(r.m.values(k, f), func(v any) bool {
				_, with := lookupField(table().With, k, fmt.Sprintf("%s=%v", f.Name, v))
				return with
			})
			if len(list) > 0 {
				x.fields[f.Name] = list[r.random.IntN(len(list))]
			}
		}
	}
	for len(r.w.set.Validate(k, schemaFields(x.fields), schema.Whole)) > 0 {
		x = r.m.minimal(k) // the values do not go together
	}
	return x
}

func (r *roundTrip) listed(k *schema.Kind, f *schema.Field) bool {
	_, given := lookupField(table().Values, k, f.Name)
	_, refused := lookupField(table().Refused, k, f.Name)
	return given || refused
}

func (r *roundTrip) pick(list []string) string { return list[r.random.IntN(len(list))] }

// name gives a key that is not a plain word a form that nobody expects.
func (r *roundTrip) name(x *thing, f *schema.Field, i int) {
	if f.Class != schema.Text || r.listed(x.kind, f) || r.random.IntN(3) == 0 {
		return
	}
	text := r.w.tag + strconv.Itoa(i) + strings.NewReplacer("\n", " ", "\t", " ").Replace(strings.TrimSpace(r.pick(awkwardTexts)))
	if r.random.IntN(4) == 0 {
		text = strings.ToUpper(text)
	}
	if f.MaxLength == nil || len([]rune(text)) <= *f.MaxLength {
		x.fields[f.Name] = text
	}
	if f.MaxLength != nil && r.random.IntN(20) == 0 { // as long as it may be
		x.fields[f.Name] = text + strings.Repeat("ü", max(0, *f.MaxLength-len([]rune(text))))
	}
}

func (r *roundTrip) entries(custom map[string][]any) map[string]any {
	out := map[string]any{}
	for name, values := range custom {
		if r.random.IntN(2) == 0 {
			out[name] = values[r.random.IntN(len(values))]
		}
	}
	return out
}

// settings are the singletons, with some of their fields set.
func (r *roundTrip) settings() []*thing {
	var out []*thing
	for _, k := range r.w.set.Kinds() {
		if k.Resource.Mode != schema.Singleton || r.w.real && os.Getenv(envNetBoxEmpty) == "" {
			continue
		}
		x := &thing{kind: k, fields: map[string]any{}}
		for _, f := range k.Fields {
			switch f.Class {
			case schema.Boolean, schema.Integer:
				if !f.ReadOnly && r.has(k, f.Name) && r.random.IntN(3) == 0 {
					x.fields[f.Name] = r.m.values(k, f)[0]
				}
			}
		}
		if len(r.w.set.Validate(k, schemaFields(x.fields), schema.Partial)) == 0 && len(x.fields) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// namesakes are machines and endpoints that share the name of another, told
// apart by the other fields of the server's constraint, and what hangs on them.
func (r *roundTrip) namesakes() {
	r.t.Helper()
	post := func(path string, fields map[string]any) any {
		return r.w.must(r.t, http.MethodPost, path, fields)["id"]
	}
	rows := func(path string) []any {
		return r.w.must(r.t, http.MethodGet, path+"?limit=3&ordering=id", nil)["results"].([]any)
	}
	var tenants []any
	for i := range 3 {
		name := fmt.Sprintf("%s-namesake%d", r.w.tag, i)
		tenants = append(tenants, post("tenancy/tenants", map[string]any{"name": name, "slug": name}))
	}
	for n, row := range rows("virtualization/virtual-machines") {
		like := row.(map[string]any)
		for i, tenant := range tenants[:1+r.random.IntN(len(tenants))] {
			vm := map[string]any{"name": like["name"], "tenant": tenant}
			if cluster, ok := like["cluster"].(map[string]any); ok {
				vm["cluster"] = cluster["id"]
			}
			post("plugins/proxbox/snapshots", map[string]any{"virtual_machine": post("virtualization/virtual-machines", vm),
				"vmid": 90000 + 10*n + i, "name": r.w.tag, "node": "n", "subtype": "qemu", "status": "active"})
		}
	}
	for i, row := range rows("plugins/proxbox/endpoints/proxmox") {
		domain := fmt.Sprintf("%s-namesake%d.example", r.w.tag, i)
		endpoint := post("plugins/proxbox/endpoints/proxmox", map[string]any{"name": row.(map[string]any)["name"], "mode": "cluster", "domain": domain})
		post(r.w.path(r.t, r.w.set.Kind("ProxmoxCluster")), map[string]any{"name": r.w.tag, "mode": "cluster", "endpoint": endpoint})
	}
}

func schemaFields(fields map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range fields {
		out[name] = forSchema(v)
	}
	return out
}

// has reports whether this server has a field and lets it be set.
func (r *roundTrip) has(k *schema.Kind, field string) bool {
	if r.fields[k.Name] == nil {
		known := map[string]bool{}
		options := r.w.must(r.t, "OPTIONS", r.w.path(r.t, k), nil)
		actions, _ := options["actions"].(map[string]any)
		for _, v := range actions {
			fields, _ := v.(map[string]any)
			for name, one := range fields {
				about, _ := one.(map[string]any)
				known[name] = about["read_only"] != true
			}
		}
		if k.Resource.Mode == schema.Singleton {
			_, answer := r.w.raw(r.t, "GET", r.w.path(r.t, k)+"/1", nil) // older servers have no row yet
			row, _ := answer.(map[string]any)
			for name := range row {
				known[name] = true
			}
		}
		r.fields[k.Name] = known
	}
	return r.fields[k.Name][field]
}

// command runs the program against a world.
func (w *world) command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, problems bytes.Buffer
	env := []string{"PROXBOX_SYNC_URL=" + w.url, "PROXBOX_SYNC_TOKEN=" + w.token, "HOME=" + t.TempDir()}
	code = run(context.Background(), args, env, strings.NewReader(""), &out, &problems)
	return code, out.String(), problems.String()
}

// export exports everything into a new folder, and returns what was said.
func (w *world) export(t *testing.T, dir string) string {
	t.Helper()
	code, stdout, stderr := w.command(t, "export", "--out", dir, "--with-references", "--all", "--format", "json")
	require.Zero(t, code, stdout+stderr)
	return stdout
}

// filesIn are the files of a folder by name.
func filesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		out[filepath.ToSlash(rel)] = string(data)
		return err
	}))
	return out
}

// sameFiles compares two exports, and shows the first lines that differ.
func sameFiles(t *testing.T, want, got map[string]string) {
	t.Helper()
	for name, text := range want {
		other, ok := got[name]
		if !ok {
			t.Errorf("%s is missing in the second export", name)
			continue
		}
		a, b := strings.Split(text, "\n"), strings.Split(other, "\n")
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Errorf("%s differs in line %d:\n%s\n%s", name, i+1, strings.Join(a[max(0, i-4):min(len(a), i+3)], "\n"), strings.Join(b[max(0, min(i, len(b))-4):min(len(b), i+3)], "\n"))
				break
			}
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is new in the second export", name)
		}
	}
}

// TestRoundTrip fills a server with what nobody would think of, exports it,
// restores the export into an empty server of the same generation, and exports
// that: the two exports are the same, byte for byte, and a plan is empty.
func TestRoundTrip(t *testing.T) {
	for _, generation := range sandbox.Generations() {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("%s/%d", generation, seed), func(t *testing.T) {
				t.Parallel()
				roundTripSandbox(t, generation, seed, 120)
			})
		}
	}
}

func roundTripSandbox(t *testing.T, generation string, seed uint64, n int) {
	w := newSandboxWorld(t, generation, schema.Embedded())
	r := &roundTrip{t: t, w: w, m: w.maker(t), random: rand.New(rand.NewPCG(seed, 7)), fields: map[string]map[string]bool{}}
	things := r.fill(n)
	require.NoError(t, w.story(t).apply(things...))
	r.namesakes()

	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	said := w.export(t, first)
	var report struct {
		Objects map[string]int `json:"objects"`
	}
	require.NoError(t, json.Unmarshal([]byte(said), &report))
	for _, x := range things {
		if x.kind.Resource.Prune != "named" { // of the others, those that something refers to
			report.Objects[x.kind.Name]--
		} else {
			delete(report.Objects, x.kind.Name)
		}
	}
	for kind, n := range report.Objects {
		require.GreaterOrEqual(t, n, 0, "objects of %s are missing", kind)
	}

	other := newSandboxWorld(t, generation, schema.Embedded())
	args := []string{"restore", first, "--auto-approve"}
	if seed%2 == 1 { // with an owner, whose markers the export leaves out
		args = append(args, "--owner", "trip")
	}
	code, stdout, stderr := other.command(t, args...)
	require.Zero(t, code, stdout+stderr)
	other.export(t, second)
	sameFiles(t, filesIn(t, first), filesIn(t, second))
	code, stdout, stderr = other.command(t, "plan", second, "--detailed-exitcode")
	require.Zero(t, code, stdout+stderr)

	before := filesIn(t, second)
	other.export(t, second) // in place
	sameFiles(t, before, filesIn(t, second))
}
