package schema

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// contract is testdata/contract: what servers say of their fields, reduced to
// names, types and limits.
type contract struct {
	NetBox string                  `json:"netbox"`
	Plugin string                  `json:"plugin"`
	Kinds  map[string]contractKind `json:"kinds"`
}

type contractKind struct {
	Path     string                   `json:"path"`
	Required []string                 `json:"required"`
	Fields   map[string]contractField `json:"fields"`
	Filters  []string                 `json:"filters"`
	Rows     []string                 `json:"rows"` // only the names that rows show
}

type contractField struct {
	Type             string       `json:"type"`
	Nullable         bool         `json:"nullable"`
	ReadOnly         bool         `json:"readOnly"`
	WriteOnly        bool         `json:"writeOnly"`
	Format           string       `json:"format"`
	Enum             []any        `json:"enum"`
	MinLength        *int         `json:"minLength"`
	MaxLength        *int         `json:"maxLength"`
	Minimum          *json.Number `json:"minimum"`
	Maximum          *json.Number `json:"maximum"`
	ExclusiveMinimum *float64     `json:"exclusiveMinimum"`
	ExclusiveMaximum *float64     `json:"exclusiveMaximum"`
}

func readContract(t *testing.T, name string) contract {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "contract", name))
	require.NoError(t, err)
	var c contract
	require.NoError(t, json.Unmarshal(raw, &c))
	require.NotEmpty(t, c.Kinds)
	return c
}

// notInManifests are fields of every object that no manifest holds.
var notInManifests = []string{"id", "url", "display", "created", "last_updated"}

func TestEveryFieldOfTheServersIsInTheKind(t *testing.T) {
	for _, file := range []string{
		"published.json",
		"netbox-4.5.9-proxbox-0.0.15.post2.json",
		"netbox-4.7.3-proxbox-0.0.29.post6.json",
	} {
		c := readContract(t, file)
		for name, want := range c.Kinds {
			k := Embedded().Kind(name)
			require.NotNil(t, k, name)
			fields := want.Rows
			for f := range want.Fields {
				fields = append(fields, f)
			}
			require.NotEmpty(t, fields)
			for _, f := range fields {
				if !slices.Contains(notInManifests, f) && k.Field(f) == nil {
					t.Errorf("%s: %s lacks %s", file, name, f)
				}
			}
		}
	}
}

func TestNoFieldIsInventedBeyondTheContract(t *testing.T) {
	newer := readContract(t, "netbox-4.7.3-proxbox-0.0.29.post6.json")
	older := readContract(t, "netbox-4.5.9-proxbox-0.0.15.post2.json")
	require.Len(t, newer.Kinds, 12)
	for name, c := range newer.Kinds {
		for _, f := range Embedded().Kind(name).Fields {
			_, known := c.Fields[f.Name]
			if !known && !slices.Contains(older.Kinds[name].Rows, f.Name) {
				t.Errorf("%s.%s is in no contract", name, f.Name)
			}
		}
	}
}

// stricter names the fields where the kind asks for more than the contract
// says, with the reason.
var stricter = map[string]string{
	// The server refuses null in these, whatever its schema says.
	"Replication.raw_config":                       "null is refused",
	"ProxmoxStorage.raw_config":                    "null is refused",
	"BackupRoutine.raw_config":                     "null is refused",
	"BackupRoutine.selection":                      "null is refused",
	"ProxmoxEndpoint.service_monitoring_units":     "null is refused",
	"PluginSettings.tenant_name_regex_rules":       "null is refused",
	"FastAPIEndpoint.credential_assignment_lookup": "read-only: shown only",
}

func TestTypesLimitsAndChoicesAgreeWithTheContract(t *testing.T) {
	c := readContract(t, "netbox-4.7.3-proxbox-0.0.29.post6.json")
	for name, ck := range c.Kinds {
		k := Embedded().Kind(name)
		for field, want := range ck.Fields {
			f := k.Field(field)
			if f == nil || f.Class == Map {
				continue
			}
			at := name + "." + field
			if !classFits(f, want) {
				t.Errorf("%s is %s, the server says %s %s", at, f.Class, want.Type, want.Format)
			}
			if f.ReadOnly != want.ReadOnly || f.WriteOnly != want.WriteOnly {
				t.Errorf("%s: readOnly %v, writeOnly %v; the server says %v, %v", at, f.ReadOnly, f.WriteOnly, want.ReadOnly, want.WriteOnly)
			}
			if stricter[at] == "" && want.Type != "any" && f.Nullable != want.Nullable {
				t.Errorf("%s: nullable %v, the server says %v", at, f.Nullable, want.Nullable)
			}
			if !want.ReadOnly {
				compareLimits(t, at, f, want)
			}
		}
	}
}

func classFits(f *Field, want contractField) bool {
	switch want.Type {
	case "reference":
		return f.Class == Reference
	case "references":
		return f.Class == ReferenceSet
	case "integer":
		return f.Class == Integer || f.Class == Reference // some references are plain ids on the wire
	case "number":
		return f.Class == Decimal
	case "boolean":
		return f.Class == Boolean
	case "any", "object":
		return f.Class == JSON
	case "string":
		switch {
		case want.Format == "date-time":
			return f.Class == Time
		case len(want.Enum) > 0:
			return f.Class == Choice
		}
		return f.Class == Text || f.Class == Address
	}
	return false
}

func compareLimits(t *testing.T, at string, f *Field, want contractField) {
	t.Helper()
	if f.Class == Reference {
		return
	}
	var enum []string
	for _, v := range want.Enum {
		if s, ok := v.(string); ok {
			enum = append(enum, s)
		}
	}
	if diff := cmp.Diff(enum, f.Enum); diff != "" {
		t.Errorf("%s: choices differ (-server +kind):\n%s", at, diff)
	}
	if diff := cmp.Diff(want.MinLength, f.MinLength); diff != "" {
		t.Errorf("%s: minLength differs (-server +kind):\n%s", at, diff)
	}
	if want.MaxLength != nil {
		if diff := cmp.Diff(want.MaxLength, f.MaxLength); diff != "" {
			t.Errorf("%s: maxLength differs (-server +kind):\n%s", at, diff)
		}
	}
	limit := func(n *json.Number, exclusive *float64, step float64) *float64 {
		if n != nil {
			v, err := n.Float64()
			require.NoError(t, err)
			return &v
		}
		if exclusive != nil {
			v := *exclusive + step // decimals of two places: the next one inside
			return &v
		}
		return nil
	}
	if diff := cmp.Diff(limit(want.Minimum, want.ExclusiveMinimum, 0.01), f.Minimum); diff != "" {
		t.Errorf("%s: minimum differs (-server +kind):\n%s", at, diff)
	}
	if diff := cmp.Diff(limit(want.Maximum, want.ExclusiveMaximum, -0.01), f.Maximum); diff != "" {
		t.Errorf("%s: maximum differs (-server +kind):\n%s", at, diff)
	}
}

func TestWhatTheServerRequiresIsRequired(t *testing.T) {
	c := readContract(t, "netbox-4.7.3-proxbox-0.0.29.post6.json")
	for name, ck := range c.Kinds {
		for _, field := range ck.Required {
			if !Embedded().Kind(name).Field(field).Required {
				t.Errorf("%s.%s is required by the server", name, field)
			}
		}
	}
}

func TestPublishedWriteOnlyFieldsAreSecrets(t *testing.T) {
	for name, ck := range readContract(t, "published.json").Kinds {
		for field, want := range ck.Fields {
			f := Embedded().Kind(name).Field(field)
			if want.WriteOnly && !f.WriteOnly {
				t.Errorf("%s.%s must be write-only", name, field)
			}
		}
	}
}
