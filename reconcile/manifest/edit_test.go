package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/reconcile"
	"proxbox-sync/reconcile/manifest"
)

const site = "apiVersion: proxbox-sync/v1\nkind: Site\n"

// set is an edit of a member of the fields of a document.
func set(doc reconcile.Document, name, flow string) manifest.Edit {
	return manifest.Edit{Fields: doc.Spec.Pos, Name: name, Flow: flow, Block: func(indent string) string {
		return indent + name + ": " + flow + "\n"
	}}
}

// TestRewrite changes one value, and every other byte stays.
func TestRewrite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ before, after string }{
		"a plain value": {
			site + "spec:\n  # about\n  name: a   # its name\n  slug: b\n", site + "spec:\n  # about\n  name: NEW   # its name\n  slug: b\n"},
		"a value in double quotes": {
			site + "spec: \n  name: \"a # \\\" b\" # c\n", site + "spec: \n  name: NEW # c\n"},
		"a value in single quotes": {
			site + "spec:\n  name: 'it''s' # c\n", site + "spec:\n  name: NEW # c\n"},
		"a value over several lines": {
			site + "spec:\n  name: a b\n    c\n  slug: b\n", site + "spec:\n  name: NEW\n  slug: b\n"},
		"a literal text": {
			site + "spec:\n  name: |-\n    a\n\n    # b\n  # c\n  slug: b\n", site + "spec:\n  name: NEW\n  # c\n  slug: b\n"},
		"a folded text at the end": {
			site + "spec:\n  slug: b\n  name: >\n    a\n    b\n---\n" + site + "spec: {name: x}\n", site + "spec:\n  slug: b\n  name: NEW\n---\n" + site + "spec: {name: x}\n"},
		"a list in lines": {
			site + "spec:\n  name:\n    - a\n    # b\n    - c\n  slug: b\n", site + "spec:\n  name: NEW\n  slug: b\n"},
		"a list in the column of its key": {
			site + "spec:\n  name:\n  - a\n  - c\n\n  # d\n  slug: b\n", site + "spec:\n  name: NEW\n\n  # d\n  slug: b\n"},
		"a mapping in lines": {
			site + "spec:\n  name:\n    a: {b: c}\n    d:\n      - e\n  slug: b\n", site + "spec:\n  name: NEW\n  slug: b\n"},
		"a list in brackets over lines": {
			site + "spec:\n  name: [a, # ]\n    \"]\", 'b'\n  ] # c\n  slug: b\n", site + "spec:\n  name: NEW # c\n  slug: b\n"},
		"a mapping in brackets": {
			site + "spec: {slug: b, name: a, x: {y: z}}\n", site + "spec: {slug: b, name: NEW, x: {y: z}}\n"},
		"a quoted value in brackets": {
			site + "spec: {slug: b, name: \"a, }\"}\n", site + "spec: {slug: b, name: NEW}\n"},
		"a value that is left out": {
			site + "spec:\n  name:   # nothing\n  slug: b\n", site + "spec:\n  name: NEW   # nothing\n  slug: b\n"},
		"a quoted key": {
			site + "spec:\n  \"name\": a\n", site + "spec:\n  \"name\": NEW\n"},
		"no line feed at the end": {
			site + "spec:\n  name: a", site + "spec:\n  name: NEW"},
		"line ends of Windows": {
			strings.ReplaceAll(site+"spec:\n  name: a # b\n  slug: b\n", "\n", "\r\n"), strings.ReplaceAll(site+"spec:\n  name: NEW # b\n  slug: b\n", "\n", "\r\n")},
		"letters of several bytes before it": {
			site + "spec: {slug: \"雪é\", name: a}\n", site + "spec: {slug: \"雪é\", name: NEW}\n"},
		"a field that is not there": {
			site + "spec:\n  slug: b # c\n\n# d\n", site + "spec:\n  slug: b # c\n  name: NEW\n\n# d\n"},
		"a field that is not there, behind a list": {
			site + "spec:\n    tags:\n    - a\n---\n" + site + "spec: {name: x}\n", site + "spec:\n    tags:\n    - a\n    name: NEW\n---\n" + site + "spec: {name: x}\n"},
		"a field that is not there, in brackets": {
			site + "spec: {slug: b, tags: [c]}\n", site + "spec: {slug: b, tags: [c], name: NEW}\n"},
		"a field that is not there, in brackets over lines": {
			site + "spec: {\n  slug: b, # c\n  tags: [c],\n}\n", site + "spec: {\n  slug: b, # c\n  tags: [c], name: NEW,\n}\n"},
		"no fields at all": {
			site + "spec: {}\n", site + "spec: {name: NEW}\n"},
		"a default": {
			site + "defaults: {name: a}\nitems:\n  - {slug: b}\n  - {slug: c}\n", site + "defaults: {name: a}\nitems:\n  - {slug: b, name: NEW}\n  - {slug: c}\n"},
		"an item in lines": {
			site + "items:\n- slug: b\n  tags: [x]\n- slug: c\n", site + "items:\n- slug: b\n  tags: [x]\n  name: NEW\n- slug: c\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, list := manifest.Documents("m.yaml", []byte(c.before))
			require.Empty(t, list)
			got, failed := manifest.Rewrite("m.yaml", []byte(c.before), []manifest.Edit{set(docs[0], "name", "NEW")})
			require.Empty(t, failed)
			if diff := cmp.Diff(c.after, string(got)); diff != "" {
				t.Errorf("the file is not as it should be (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRewriteRefuses what it can't do without changing something else.
func TestRewriteRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a value with an anchor":   site + "spec:\n  name: &a x\n  slug: *a\n",
		"fields that are an alias": site + "defaults: &d {name: x}\nitems:\n  - *d\n",
		"a value with a tag":       site + "spec:\n  name: !!str x\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, list := manifest.Documents("m.yaml", []byte(text))
			require.Empty(t, list)
			got, failed := manifest.Rewrite("m.yaml", []byte(text), []manifest.Edit{set(docs[0], "name", "NEW")})
			if len(failed) == 0 {
				again, list := manifest.Documents("m.yaml", got)
				require.Empty(t, list)
				require.Equal(t, "NEW", again[0].Spec.Member("name").Value)
				return
			}
			require.Equal(t, text, string(got), "a file is changed by an edit that failed")
		})
	}
}

// TestRewriteDocuments removes and inserts whole documents and items.
func TestRewriteDocuments(t *testing.T) {
	t.Parallel()
	doc := func(name string) string { return site + "spec: {name: " + name + "}\n" }
	three := "# about\n" + doc("a") + "---\n# b\n" + doc("b") + "---\n" + doc("c")
	items := site + "items:\n  - name: a\n    slug: a\n  # of b\n  - {name: b,\n     slug: b} # b\n  - name: c\n"
	for name, c := range map[string]struct {
		before, after string
		edits         func(docs []reconcile.Document) []manifest.Edit
	}{
		"a document in the middle": {three, "# about\n" + doc("a") + "---\n" + doc("c"), removing(1)},
		"the last document":        {three, "# about\n" + doc("a") + "---\n# b\n" + doc("b"), removing(2)},
		"the first document":       {three, "# b\n" + doc("b") + "---\n" + doc("c"), removing(0)},
		"all documents":            {three, "", removing(0, 1, 2)},
		"an item in lines":         {items, strings.Replace(items, "  - name: a\n    slug: a\n", "", 1), removing(0)},
		"an item in brackets":      {items, strings.Replace(items, "  - {name: b,\n     slug: b} # b\n", "", 1), removing(1)},
		"the last item":            {items, strings.Replace(items, "  - name: c\n", "", 1), removing(2)},
		"all items":                {items + "---\n" + doc("d"), doc("d"), removing(0, 1, 2)},
		"a document at the end": {doc("a"), doc("a") + "---\n" + doc("z"), func([]reconcile.Document) []manifest.Edit {
			return []manifest.Edit{{Insert: doc("z")}}
		}},
		"a document at the end of a file without line end": {strings.TrimSuffix(doc("a"), "\n"), doc("a") + "---\n" + doc("z"), func([]reconcile.Document) []manifest.Edit {
			return []manifest.Edit{{Insert: doc("z")}}
		}},
		"documents before others": {three, "# about\n" + doc("a") + "---\n" + doc("aa") + "---\n# b\n" + doc("b") + "---\n" + doc("bb") + "---\n" + doc("c"), func(docs []reconcile.Document) []manifest.Edit {
			return []manifest.Edit{{Insert: doc("bb"), Before: docs[2].Pos}, {Insert: doc("aa"), Before: docs[1].Pos}}
		}},
		"a document in a new file": {"", doc("a"), func([]reconcile.Document) []manifest.Edit { return []manifest.Edit{{Insert: doc("a")}} }},
		"one goes and one comes": {three, "# about\n" + doc("a") + "---\n" + doc("c") + "---\n" + doc("z"), func(docs []reconcile.Document) []manifest.Edit {
			return []manifest.Edit{{Remove: docs[1].Pos}, {Insert: doc("z")}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs, list := manifest.Documents("m.yaml", []byte(c.before))
			require.Empty(t, list)
			got, failed := manifest.Rewrite("m.yaml", []byte(c.before), c.edits(docs))
			require.Empty(t, failed)
			if diff := cmp.Diff(c.after, string(got)); diff != "" {
				t.Errorf("the file is not as it should be (-want +got):\n%s", diff)
			}
		})
	}
}

func removing(which ...int) func([]reconcile.Document) []manifest.Edit {
	return func(docs []reconcile.Document) (out []manifest.Edit) {
		for _, i := range which {
			out = append(out, manifest.Edit{Remove: docs[i].Pos})
		}
		return out
	}
}

// FuzzRewrite sets one member of one document of any file. Either that is
// refused, or the file says afterwards what it said before, but for that value.
func FuzzRewrite(f *testing.F) {
	for _, text := range []string{
		site + "spec:\n  # about\n  name: a   # its name\n  slug: b\n",
		site + "spec:\n  name: \"a # \\\" b\" # c\n  slug: 'it''s'\n",
		site + "spec:\n  name: |-\n    a\n\n    # b\n  # c\n  slug: b\n---\n" + site + "spec: {name: x, tags: [a, {b: c}]}\n",
		site + "defaults: {x: 1}\nitems:\n  - {name: a}\n  - name: b\n    tags:\n    - c\n    - d\n",
		site + "spec: {\n  slug: b, # c\n  tags: [c],\n}\n", site + "spec: {}\n", site + "spec:\n  name:\n  slug: >+\n    a\n\n",
		"\ufeff" + site + "spec:\r\n  name: x\r\n", site + "spec: &a\n  name: &b x\n  slug: *b\n", "--- # x\n" + site + "spec:\n  ? name\n  : x\n",
	} {
		for i := range uint8(6) {
			f.Add([]byte(text), i, i%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8, fresh bool) {
		docs, list := manifest.Documents("m.yaml", data)
		if list.HasErrors() || len(docs) == 0 {
			t.Skip()
		}
		i := int(which) % len(docs)
		name := "brand_new"
		if members := docs[i].Spec.Members; !fresh && len(members) > 0 {
			name = members[int(which)%len(members)].Name
		}
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || name == "" {
			t.Skip()
		}
		text, failed := manifest.Rewrite("m.yaml", data, []manifest.Edit{set(docs[i], name, "NEW")})
		if len(failed) > 0 {
			return
		}
		again, list := manifest.Documents("m.yaml", text)
		if list.HasErrors() || len(again) != len(docs) {
			t.Fatalf("the file can't be read any more: %v\n%s\n---- became\n%s", list, data, text)
		}
		for j := range docs {
			want, got := said(docs[j].Spec), said(again[j].Spec)
			if j == i {
				want[name] = `"NEW"`
			}
			if diff := cmp.Diff(want, got); diff != "" && !shared(docs, i, j) {
				t.Fatalf("document %d says something else (-want +got):\n%s\n%s\n---- became\n%s", j, diff, data, text)
			}
		}
	})
}

// shared reports whether the fields of two documents are one text, which an
// alias makes of them: whoever edits one edits both.
func shared(docs []reconcile.Document, i, j int) bool {
	return docs[j].Spec.Pos == docs[i].Spec.Pos
}

// said is what fields say, as text.
func said(n *reconcile.Node) map[string]string {
	out := map[string]string{}
	for _, m := range n.Members {
		out[m.Name] = saidValue(m.Value)
	}
	return out
}

func saidValue(n *reconcile.Node) string {
	var b strings.Builder
	switch n.Shape {
	case reconcile.Mapping:
		for _, m := range n.Members {
			fmt.Fprintf(&b, "%q: %s, ", m.Name, saidValue(m.Value))
		}
		return "{" + b.String() + "}"
	case reconcile.Sequence:
		for _, item := range n.Items {
			b.WriteString(saidValue(item) + ", ")
		}
		return "[" + b.String() + "]"
	}
	if text, ok := n.Value.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(n.Value)
}
