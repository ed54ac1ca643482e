package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// compiled holds the validators of one kind, made when first needed: a run
// looks at few of the kinds.
type compiled struct {
	once  sync.Once
	forms [Create + 1]*ruleset
	err   error

	lintOnce sync.Once
	lint     []*jsonschema.Schema // as Kind.Lint, nil for a rule without when
	lintErr  error
}

// ruleset is a validator and the document it was made of, in which the
// keywords that an error names are looked up.
type ruleset struct {
	schema *jsonschema.Schema
	doc    any
}

func (c *compiled) get(k *Kind) *compiled {
	c.once.Do(func() {
		c.err = c.compile(k)
	})
	return c
}

func (c *compiled) compile(k *Kind) error {
	registerFormats()
	whole, err := decodeDocument(k.Raw)
	if err != nil {
		return err
	}
	// Unknown fields are the hub's business: it has positions and suggestions.
	delete(whole, "unevaluatedProperties")
	if c.forms[Whole], err = compileDocument(k.Name, whole); err != nil {
		return err
	}
	partial, err := decodeDocument(k.Raw)
	if err != nil {
		return err
	}
	for _, keyword := range []string{"unevaluatedProperties", "required", "allOf"} {
		delete(partial, keyword)
	}
	if c.forms[Partial], err = compileDocument(k.Name+":partial", partial); err != nil {
		return err
	}
	if len(k.Resource.Create) > 0 {
		create, err := decodeDocument(k.Resource.Create)
		if err != nil {
			return fmt.Errorf("x-resource.create: %w", err)
		}
		if c.forms[Create], err = compileDocument(k.Name+":create", create); err != nil {
			return fmt.Errorf("x-resource.create: %w", err)
		}
	}
	return nil
}

// decodeDocument keeps numbers as their text, so that 64 bit limits stay exact.
func decodeDocument(raw []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, errors.New("not a JSON object")
	}
	return doc, nil
}

func compileDocument(name string, doc map[string]any) (r *ruleset, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("compiling: panic of type %T", p)
		}
	}()
	url := kindURL(name)
	delete(doc, "$id")
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft2020
	c.AssertFormat = true
	c.LoadURL = func(string) (io.ReadCloser, error) {
		return nil, errors.New("a kind's schema may not refer to others")
	}
	if err := c.AddResource(url, bytes.NewReader(text)); err != nil {
		return nil, err
	}
	schema, err := c.Compile(url)
	if err != nil {
		return nil, err
	}
	return &ruleset{schema: schema, doc: doc}, nil
}
