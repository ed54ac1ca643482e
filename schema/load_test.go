package schema

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestEmbeddedKindsLoadAndCompile(t *testing.T) {
	s, err := Load(files)
	require.NoError(t, err)
	require.NotEmpty(t, s.Kinds())
	for _, k := range s.Kinds() {
		if s.Kind(k.Name) != k {
			t.Errorf("%s is not found by its name", k.Name)
		}
	}
	require.Nil(t, s.Kind("Nonesuch"))
	require.Equal(t, len(s.Kinds()), len(Embedded().Kinds()))
}

// widget is a kind that has nothing wrong, to be broken by the cases.
const widget = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "urn:proxbox-sync:v1:Widget",
  "title": "Widget", "description": "A widget.", "type": "object",
  "x-resource": {"paths": ["plugins/x/widgets"], "objectType": "x.widget", "key": ["name"], "unique": [["name"]], "mode": "managed"},
  "required": ["name"],
  "properties": {
    "name": {"title": "Name", "description": "Its name.", "type": "string"},
    "parent": {"title": "Parent", "description": "Its parent.", "type": ["string", "null"], "x-ref": {"kind": "Widget", "onDelete": "null"}}
  },
  "allOf": [{"description": "a rule", "required": ["name"]}],
  "unevaluatedProperties": false,
  "x-lint": [{"code": "c", "severity": "info", "field": "parent", "message": "m", "description": "d", "when": {"required": ["parent"]}}]
}`

func widgetFS(old, replacement string) fs.FS {
	return fstest.MapFS{"Widget.json": {Data: []byte(strings.Replace(widget, old, replacement, 1))}}
}

func TestAKindIsAFile(t *testing.T) {
	s, err := Load(widgetFS("", ""))
	require.NoError(t, err)
	require.Equal(t, "parent", s.Kind("Widget").Fields[1].Name)
	require.Len(t, s.Validate(s.Kind("Widget"), map[string]any{"name": true}, Whole), 1)
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, replacement, want string }{
		"text that is no JSON":                     {"{", "<", "invalid character"},
		"something behind the kind":                {"\n}", "\n} {}", "something follows"},
		"an unknown vendor keyword at the root":    {`"x-lint"`, `"x-lnit"`, `unknown keyword "x-lnit"`},
		"an unknown keyword of the root":           {`"required": ["name"],`, `"requierd": ["name"],`, `unknown keyword "requierd"`},
		"an unknown vendor keyword of a property":  {`"x-ref"`, `"x-reff"`, `property parent: unknown keyword "x-reff"`},
		"an unknown keyword of a property":         {`"type": "string"`, `"tpye": "string"`, `property name: unknown keyword "tpye"`},
		"an unknown keyword in x-resource":         {`"objectType"`, `"objcetType"`, `unknown keyword "objcetType"`},
		"an unknown keyword in x-ref":              {`"onDelete"`, `"ondeleted"`, `unknown keyword "ondeleted"`},
		"a bad mode":                               {`"managed"`, `"menaged"`, `mode "menaged"`},
		"a key that is no property":                {`"key": ["name"], "unique": [["name"]]`, `"key": ["nmae"], "unique": []`, `x-resource.key names "nmae"`},
		"no key":                                   {`"key": ["name"]`, `"key": []`, "key is empty"},
		"a singleton with a key":                   {`"managed"`, `"singleton"`, "a singleton has none"},
		"a unique constraint without the key":      {`[["name"]]`, `[["parent"]]`, "belongs into alsoUnique"},
		"a unique constraint of an unknown field":  {`[["name"]]`, `[["name", "x"]]`, `x-resource.unique names "x"`},
		"a required field that is no property":     {`"required": ["name"],`, `"required": ["title"],`, `required names "title"`},
		"a reference to an unknown kind":           {`"kind": "Widget"`, `"kind": "Gadget"`, `x-ref of parent names "Gadget"`},
		"a reference without what a delete does":   {`"onDelete": "null"`, `"onDelete": "explode"`, `onDelete "explode"`},
		"an order after an unknown kind":           {`"mode"`, `"after": ["Gadget"], "mode"`, `x-resource.after names "Gadget"`},
		"a cascade to an unknown kind":             {`"mode"`, `"cascades": [{"path": "p", "kind": "Gadget"}], "mode"`, `x-resource.cascades names "Gadget"`},
		"an approval of unknown fields":            {`"mode"`, `"approval": {"path": "a", "target": {"x": {"fields": ["y"]}}}, "mode"`, `x-resource.approval: x names "y"`},
		"an approval without a path":               {`"mode"`, `"approval": {"target": {"x": {"fields": ["name"]}}}, "mode"`, "approval needs"},
		"a path with a slash at its end":           {`widgets"]`, `widgets/"]`, "without slashes"},
		"no path":                                  {`["plugins/x/widgets"]`, `[]`, "paths is empty"},
		"no x-resource":                            {`"x-resource": {"paths": ["plugins/x/widgets"], "objectType": "x.widget", "key": ["name"], "unique": [["name"]], "mode": "managed"},`, ``, "x-resource is missing"},
		"a rule without its message":               {`"description": "a rule", `, ``, "has no description"},
		"a lint rule of unknown severity":          {`"info"`, `"fatal"`, "severity"},
		"another kind's id":                        {`v1:Widget`, `v1:Gadget`, "$id"},
		"another draft":                            {`2020-12`, `2019-09`, "$schema"},
		"a property that stands twice":             {`"parent":`, `"name":`, `"name" stands twice`},
		"a property of two types":                  {`"type": "string"`, `"type": ["string", "integer"]`, "one type"},
		"a property without a description":         {`, "description": "Its name."`, ``, "property name: description is missing"},
		"a format that nobody knows":               {`"type": "string"`, `"type": "string", "format": "emial"`, `unknown format "emial"`},
		"a choice that is a number":                {`"type": "string"`, `"type": "string", "enum": [1]`, "enum may hold text"},
		"a secret that is read-only":               {`"type": "string"`, `"type": "string", "readOnly": true, "writeOnly": true`, "exclude each other"},
		"a pattern that does not compile":          {`"type": "string"`, `"type": "string", "pattern": "("`, "Widget.json"},
		"a limit that is no number":                {`"type": "string"`, `"type": "string", "minLength": "1"`, "Widget.json"},
		"a rule that does not compile":             {`"description": "a rule", "required": ["name"]`, `"description": "a rule", "required": 5`, "Widget.json"},
		"a lint rule that does not compile":        {`"when": {"required": ["parent"]}`, `"when": {"type": "strnig"}`, "x-lint c"},
		"a lint rule that is true of everything":   {`"when": {"required": ["parent"]}`, `"when": {}`, "x-lint c"},
		"a lint rule with neither when nor same":   {`, "when": {"required": ["parent"]}`, ``, "either when or same"},
		"a lint rule that compares nothing":        {`"when": {"required": ["parent"]}`, `"same": [[]]`, "empty set"},
		"a lint rule about no property":            {`"field": "parent"`, `"field": "parnet"`, `x-lint c names "parnet"`},
		"a lint rule that compares no property":    {`"when": {"required": ["parent"]}`, `"same": [["parnet"]]`, `x-lint c names "parnet"`},
		"a lint rule without a description":        {`"description": "d"`, `"description": ""`, "description"},
		"a lint code like a kind's name":           {`"code": "c"`, `"code": "Widget"`, "lower-case"},
		"a lint severity that stops a run":         {`"severity": "info"`, `"severity": "error"`, "severity"},
		"a schema that reads another from the net": {`"description": "a rule", "required": ["name"]`, `"description": "a rule", "$ref": "http://127.0.0.1:1/x"`, "may not refer"},
		"a create rule that does not compile":      {`"mode"`, `"create": {"type": 5}, "mode"`, "x-resource.create"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(widgetFS(c.old, c.replacement))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "Widget.json")
		})
	}
}

func TestLoadReportsAllMistakesOfAllFiles(t *testing.T) {
	second := strings.NewReplacer("Widget", "Gadget", `"key": ["name"]`, `"key": ["name", "size"]`, `"managed"`, `"x"`).Replace(widget)
	_, err := Load(fstest.MapFS{
		"Widget.json": {Data: []byte(strings.Replace(widget, `"onDelete": "null"`, `"onDelete": ""`, 1))},
		"Gadget.json": {Data: []byte(second)},
		"notes.txt":   {Data: []byte("not a kind")},
	})
	for _, want := range []string{"Widget.json: property parent: x-ref.onDelete", `Gadget.json: x-resource.key names "size"`, `Gadget.json: x-resource.mode "x"`} {
		require.ErrorContains(t, err, want)
	}
}
