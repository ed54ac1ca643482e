package render_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"proxbox-sync/schema"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares text with testdata/name, or writes that file with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs from what is written (-want +got):\n%s", file, diff)
	}
}

// kinds is a small set of invented kinds that has every class of field.
func kinds(t testing.TB) *schema.Set {
	t.Helper()
	set, err := schema.Load(fstest.MapFS{
		"Town.json": {Data: []byte(`{
			"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:proxbox-sync:v1:Town",
			"title": "Town", "description": "A town. It has shops.", "type": "object",
			"x-resource": {"paths": ["map/towns"], "objectType": "map.town", "key": ["slug"], "unique": [["slug"]], "mode": "managed"},
			"required": ["slug"], "unevaluatedProperties": false,
			"properties": {
				"slug": {"title": "Slug", "description": "Short name.", "type": "string", "minLength": 1, "maxLength": 50},
				"comments": {"title": "Comments", "description": "Free text.", "type": "string"},
				"custom_fields": {"title": "Custom fields", "description": "Own fields.", "type": "object", "additionalProperties": true}
			}}`)},
		"Shop.json": {Data: []byte(`{
			"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:proxbox-sync:v1:Shop",
			"title": "Shop", "description": "A shop in a town.", "type": "object",
			"x-resource": {"paths": ["map/shops", "map/stores"], "objectType": "map.shop", "key": ["town", "name"],
				"unique": [["town", "name"]], "mode": "managed", "after": ["Law"],
				"cascades": [{"path": "map/shelves", "filter": "shop_id", "kind": ""}],
				"create": {"description": "The password is needed.", "required": ["password"]}},
			"required": ["town", "name"],
			"allOf": [{"description": "An open shop has a host.", "if": {"properties": {"open": {"const": true}}, "required": ["open"]}, "then": {"required": ["host"]}}],
			"x-lint": [{"code": "no-tls", "severity": "warning", "field": "name", "description": "Check them.", "message": "Certificates are not checked.", "when": {"properties": {"tls": {"const": false}}, "required": ["tls"]}}],
			"unevaluatedProperties": false,
			"properties": {
				"town": {"title": "Town", "description": "Where it stands.", "type": ["string", "integer", "object"], "x-ref": {"kind": "Town", "onDelete": "cascade"}},
				"name": {"title": "Name", "description": "What it is called.", "type": "string", "minLength": 1, "maxLength": 100},
				"host": {"title": "Host", "description": "Where its till answers.", "type": ["string", "null"], "x-destination": true},
				"mode": {"title": "Mode", "description": "How it sells.", "type": "string", "enum": ["retail", "wholesale"], "default": "retail"},
				"open": {"title": "Open", "description": "Whether it sells.", "type": "boolean", "default": true, "x-synced": {"setting": "sync_shops"}},
				"size": {"title": "Size", "description": "Floor in square metres.", "type": ["integer", "null"], "minimum": 1, "maximum": 100000},
				"rate": {"title": "Rate", "description": "Rent by the hour.", "type": "number"},
				"since": {"title": "Since", "description": "First day.", "type": ["string", "null"], "format": "date-time"},
				"address": {"title": "Address", "description": "Till's address.", "type": ["string", "null"], "format": "ip-interface"},
				"towns": {"title": "Towns", "description": "Where it delivers.", "type": "array", "uniqueItems": true, "items": {"type": ["string", "object"], "x-ref": {"kind": "Town", "onDelete": "null"}}},
				"hours": {"title": "Hours", "description": "When it is open.", "type": "array", "items": {"type": "string"}},
				"plan": {"title": "Plan", "description": "Floor plan."},
				"password": {"title": "Password", "description": "The till's.", "type": "string", "writeOnly": true},
				"visitors": {"title": "Visitors", "description": "Counted at the door.", "type": "integer", "readOnly": true}
			}}`)},
		"Law.json": {Data: []byte(`{
			"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:proxbox-sync:v1:Law",
			"title": "Law", "description": "What holds for all shops.", "type": "object",
			"x-resource": {"paths": ["map/law"], "objectType": "map.law", "key": [], "mode": "singleton", "materialize": "now"},
			"unevaluatedProperties": false,
			"properties": {"level": {"title": "Level", "description": "How strict.", "type": "integer"}}}`)},
		"Person.json": {Data: []byte(`{
			"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:proxbox-sync:v1:Person",
			"title": "Person", "description": "Somebody.", "type": "object",
			"x-resource": {"paths": ["map/people"], "objectType": "map.person", "key": ["name"], "unique": [["name"]], "mode": "lookup"},
			"required": ["name"], "unevaluatedProperties": false,
			"properties": {"name": {"title": "Name", "description": "Full name.", "type": "string"}}}`)},
	})
	require.NoError(t, err)
	return set
}
