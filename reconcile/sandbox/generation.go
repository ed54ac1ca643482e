package sandbox

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed generations/*.json
var generationFiles embed.FS

// DefaultGeneration is the one that New takes when none is named.
const DefaultGeneration = "0.0.29.post6"

// generation is one data file: how a server of that generation behaves, as far
// as the schema files don't say it.
type generation struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
	Base    string   `json:"base"`   // the generation that this one is written as a difference to
	NetBox  string   `json:"netbox"` // versions
	Plugin  string   `json:"plugin"`
	API     string   `json:"api"` // the API-Version header
	// Documents are answered as they stand, by path below the API root.
	Documents map[string]json.RawMessage `json:"documents"`
	Has       *features                  `json:"features"`
	Roots     map[string]rootData        `json:"roots"` // API root documents by path
	Seed      []seedData                 `json:"seed"`
	Kinds     map[string]kindData        `json:"kinds"`
}

// features are abilities that not every generation has.
type features struct {
	ETag          bool   `json:"etag"`          // ETag on single objects, If-Match on writes
	Cursor        bool   `json:"cursor"`        // start= pages by id
	AddTags       bool   `json:"addTags"`       // add_tags and remove_tags in a write
	IndexedErrors bool   `json:"indexedErrors"` // a refused bulk request says which entries, and why
	MissingRows   string `json:"missingRows"`   // "refuse": a bulk write of an unknown id is an error; else it is passed over
	SettingsRow   bool   `json:"settingsRow"`   // a singleton has its row from the start
	Approval      bool   `json:"approval"`      // connection-authority below endpoints
}

// rootData is an API root document: names that lie right below its path, and
// entries that lie elsewhere, nested ones included.
type rootData struct {
	Names  []string       `json:"names"`
	Others map[string]any `json:"others"`
}

// seedData is an object that a fresh server has.
type seedData struct {
	Kind   string          `json:"kind"`
	Values json.RawMessage `json:"values"`
}

// kindData is what a generation says of a kind.
type kindData struct {
	Paths      []string             `json:"paths"`      // only of kinds without a schema file
	ObjectType string               `json:"objectType"` // likewise
	Path       string               `json:"path"`       // list path where it isn't the schema's first
	Object     string               `json:"object"`     // the model's name in "No X matches the given query."
	Name       string               `json:"name"`       // for people
	About      string               `json:"about"`      // OPTIONS description
	View       string               `json:"view"`       // OPTIONS name, without " List"
	Order      []string             `json:"order"`      // of lists
	Text       []string             `json:"text"`       // display templates, the first that is complete
	Display    []string             `json:"display"`    // of the object itself, where nested ones show Text
	Search     []string             `json:"search"`     // fields that q looks at
	Brief      []string             `json:"brief"`      // fields of brief and nested objects
	Filters    map[string]string    `json:"filters"`    // parameter: class[:field]
	Unique     []uniqueData         `json:"unique"`
	Fields     map[string]fieldData `json:"fields"`
	Without    []string             `json:"without"`   // fields of the base that this generation lacks
	Elsewhere  []string             `json:"elsewhere"` // references to kinds that no schema describes: there are none of them
	Rules      []rule               `json:"rules"`
	Approval   map[string]any       `json:"approval"` // connection target: its members and the fields they come from
	Runtime    map[string]compute   `json:"runtime"`  // a singleton's runtime shape: members beyond the row's own
	Upsert     []string             `json:"upsert"`   // a POST that matches these updates
	Stamps     []string             `json:"stamps"`   // of created and last_updated, those there are
	DisplayURL bool                 `json:"displayURL"`
	IDLabel    string               `json:"idLabel"` // in OPTIONS, where it isn't "ID"
	Role       string               `json:"role"`    // "custom fields": its rows say which custom fields there are; "change log": the deletes, and nobody writes it
}

// fieldData is what a generation says of a field.
type fieldData struct {
	As        string `json:"as"` // how it is read, kept and shown: see the parsers in input.go
	Label     string `json:"label"`
	Help      string `json:"help"`
	Required  bool   `json:"required"`
	Null      bool   `json:"null"`
	Blank     bool   `json:"blank"`
	ReadOnly  bool   `json:"readOnly"`
	WriteOnly bool   `json:"writeOnly"`
	Default   any    `json:"default"`
	MaxLength int    `json:"maxLength"`
	// ModelMaxLength is a limit that only the model has: OPTIONS doesn't show it.
	ModelMaxLength int         `json:"modelMaxLength"`
	Min            json.Number `json:"min"`
	Max            json.Number `json:"max"`
	Digits         int         `json:"digits"`
	Places         int         `json:"places"`
	Choices        []any       `json:"choices"` // values, or [value, label]
	Nested         []string    `json:"nested"`  // what the object referred to shows here, where it isn't its brief form
	Display        []string    `json:"display"` // display templates of the object referred to, likewise
	Check          string      `json:"check"`   // a named check of text: "domain", "node name", "mask"
	Pattern        string      `json:"pattern"`
	PatternErrors  []string    `json:"patternErrors"`
	Type           string      `json:"type"` // in OPTIONS, where it doesn't follow from As
	Step           float64     `json:"step"` // numbers are multiples of it
	StepError      string      `json:"stepError"`
	NotEmpty       bool        `json:"notEmpty"`   // the model refuses an empty list, though it is the default
	Big            bool        `json:"big"`        // a big integer: other words in errors
	NotNull        bool        `json:"notNull"`    // the model refuses the null that the field takes
	Dictionary     bool        `json:"dictionary"` // JSON has to be an object
	Extra          bool        `json:"extra"`      // shown though the schema doesn't have it
	To             string      `json:"to"`         // kind referred to, of a field that no schema has; gone with it
	Lower          bool        `json:"lower"`
	Untrimmed      bool        `json:"untrimmed"` // taken with the blanks around it
	EmptyIsNull    bool        `json:"emptyIsNull"`
	KeepWhenBlank  bool        `json:"keepWhenBlank"` // an update with nothing in it leaves the value
	Generate       bool        `json:"generate"`      // the server makes one up when none is given
	// GenerateForSecrets: the server makes one up once any other kind stores a secret.
	GenerateForSecrets bool     `json:"generateForSecrets"`
	Frozen             string   `json:"frozen"` // the error of a change after the create
	Compute            *compute `json:"compute"`
}

// compute is where a read-only value comes from; one member is set.
type compute struct {
	Value   any               `json:"value"`   // constant; "{id}" in its texts is the row's id
	Copy    string            `json:"copy"`    // another field
	Percent []string          `json:"percent"` // a part and its whole
	When    map[string]any    `json:"when"`    // whether these conditions hold, as in a rule
	Has     string            `json:"has"`     // whether a field is filled
	Count   string            `json:"count"`   // how many entries a field's list has
	Family  string            `json:"family"`  // 4 or 6, of an address
	Secret  string            `json:"secret"`  // a write-only field in plain text, for those who may see it
	Map     string            `json:"map"`     // a field, through Values
	Values  map[string]string `json:"values"`
}

// uniqueData is a unique constraint. NULLs are distinct unless NullsEqual.
type uniqueData struct {
	Fields     []string       `json:"fields"`
	Message    string         `json:"message"` // a template over the row that is there
	On         string         `json:"on"`      // field that carries the message; default __all__
	Where      map[string]any `json:"where"`   // rows it holds for
	Fold       []string       `json:"fold"`    // fields compared without case
	Host       []string       `json:"host"`    // addresses compared without mask
	Exempt     map[string]any `json:"exempt"`  // rows that may share their values with others of these
	NullsEqual bool           `json:"nullsEqual"`
}

// rule is a check across fields, made once each field is fine.
type rule struct {
	Group           string            `json:"group"`           // rules of one group report together; otherwise the first failure ends it
	On              string            `json:"on"`              // "create", "update" or "delete"; default both of the first
	If              map[string]any    `json:"if"`              // holds when all do: a value, a list of them, "*" for filled, null for empty
	Unless          map[string]any    `json:"unless"`          // does not hold when all of these do
	Differ          []string          `json:"differ"`          // holds when both of these paths are filled and differ
	Any             []string          `json:"any"`             // holds when one of these is filled
	Sent            string            `json:"sent"`            // holds when the request gives this a value
	Need            []string          `json:"need"`            // fails when none of these is filled
	Set             map[string]any    `json:"set"`             // never fails: sets fields
	Copy            map[string]string `json:"copy"`            // never fails: sets fields to what is at a path
	Assigned        string            `json:"assigned"`        // fails when the address that this field refers to is not on an interface of the row
	Through         map[string]string `json:"through"`         // likewise: types of interfaces, and their field that refers to the row
	Rewrite         *rewrite          `json:"rewrite"`         // fails when the field does not match; else gives it another form
	Backend         bool              `json:"backend"`         // fails unless backends answer: see Options
	Grant           string            `json:"grant"`           // fails for tokens without this grant
	FrozenBySecrets bool              `json:"frozenBySecrets"` // fails when a secret is stored anywhere and the value changes
	Errors          map[string]string `json:"errors"`          // by field; templates over the row
}

// rewrite brings a text into the form that the server keeps.
type rewrite struct {
	Field   string `json:"field"`
	Pattern string `json:"pattern"`
	To      string `json:"to"`
}

// Generations returns the names of the server generations, oldest first.
func Generations() []string { return []string{"published", "0.0.15.post2", DefaultGeneration} }

// findGeneration loads a generation by its name or one of its aliases.
func findGeneration(name string) (*generation, error) {
	if name == "" {
		name = DefaultGeneration
	}
	for _, n := range Generations() {
		g, err := loadGeneration(n)
		if err != nil {
			return nil, err
		}
		if n == name || slices.Contains(g.Aliases, name) {
			return g, nil
		}
	}
	return nil, fmt.Errorf("no server generation %q: there are %s", name, strings.Join(Generations(), ", "))
}

// loadGeneration reads a data file and those it is based on.
func loadGeneration(name string) (*generation, error) {
	text, err := generationText(name)
	if err != nil {
		return nil, fmt.Errorf("server generation %s: %w", name, err)
	}
	b, err := json.Marshal(text)
	if err != nil {
		return nil, fmt.Errorf("server generation %s: %w", name, err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	d.DisallowUnknownFields()
	var g generation
	if err := d.Decode(&g); err != nil {
		return nil, fmt.Errorf("server generation %s: %w", name, err)
	}
	return &g, nil
}

// generationText is a data file over the one it is based on: kinds are merged as
// RFC 7396 does it, everything else is taken whole.
func generationText(name string) (map[string]any, error) {
	b, err := generationFiles.ReadFile(path.Join("generations", name+".json"))
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var own map[string]any
	if err := d.Decode(&own); err != nil {
		return nil, err
	}
	base, _ := own["base"].(string)
	if base == "" {
		return own, nil
	}
	out, err := generationText(base)
	if err != nil {
		return nil, err
	}
	for member, v := range own {
		if member == "kinds" {
			v = mergePatch(out[member], v)
		}
		out[member] = v
	}
	return out, nil
}

func mergePatch(under, over any) any {
	p, ok := over.(map[string]any)
	if !ok {
		return over
	}
	u, ok := under.(map[string]any)
	if !ok {
		u = map[string]any{}
	}
	for name, v := range p {
		if v == nil {
			delete(u, name)
		} else {
			u[name] = mergePatch(u[name], v)
		}
	}
	return u
}
