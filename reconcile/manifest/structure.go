package manifest

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"proxbox-sync/reconcile"
)

// measure is what a node costs once its aliases are followed.
type measure struct{ nodes, depth int }

// structureCheck walks the documents as they stand in the file, before anything
// follows an alias.
type structureCheck struct {
	f    *file
	open map[*yaml.Node]bool    // the anchored nodes that contain the current one
	done map[*yaml.Node]measure // the anchored nodes that ended before it
	sum  int                    // the values so far, aliases followed
	bad  bool                   // the documents must not be walked with aliases followed
}

// checkStructure reports whether the documents may be walked: that they are not
// too deep, hold no cycle and don't grow too large. Mistakes that harm nobody
// (a key given twice) are reported, too.
func (f *file) checkStructure() bool {
	c := &structureCheck{f: f, open: map[*yaml.Node]bool{}, done: map[*yaml.Node]measure{}}
	for _, doc := range f.docs {
		if c.node(doc, 0); c.bad {
			return false
		}
	}
	return true
}

func (f *file) tooDeep(pos reconcile.Position) {
	f.report(pos, "too-deep", "values are nested too deeply", fmt.Sprintf("A manifest may be %d levels deep.", f.o.MaxDepth))
}

func (f *file) tooMany(pos reconcile.Position) {
	f.report(pos, "too-many-values", "this file holds too many values",
		fmt.Sprintf("A manifest may hold %d values, with aliases followed and defaults filled in. Split it.", f.o.MaxNodes))
}

// node measures n. It goes no deeper than the limit: what lies below is not
// looked at.
func (c *structureCheck) node(n *yaml.Node, depth int) measure {
	if c.bad {
		return measure{}
	}
	if n.Kind == yaml.AliasNode {
		return c.alias(n, depth)
	}
	if depth > c.f.o.MaxDepth {
		c.f.tooDeep(c.f.at(n))
		c.bad = true
		return measure{}
	}
	if n.Anchor != "" {
		c.open[n] = true
	}
	m := measure{nodes: 1}
	c.count(1, n)
	for _, child := range n.Content {
		x := c.node(child, depth+1)
		m.nodes = min(m.nodes+x.nodes, c.f.o.MaxNodes+1)
		m.depth = max(m.depth, x.depth+1)
	}
	if n.Anchor != "" {
		delete(c.open, n)
		c.done[n] = m
	}
	if n.Kind == yaml.MappingNode {
		c.keys(n)
	}
	c.tag(n)
	return m
}

// alias returns what the aliased node costs. An alias leads to a node that
// began earlier; if that one has not ended, it contains the alias.
func (c *structureCheck) alias(n *yaml.Node, depth int) measure {
	if c.open[n.Alias] {
		c.f.report(c.f.at(n), "alias-cycle", "an alias to something that contains it", "",
			reconcile.Related{Pos: c.f.at(n.Alias), Message: "the anchor"})
		c.bad = true
		return measure{}
	}
	m := c.done[n.Alias]
	if depth+m.depth > c.f.o.MaxDepth {
		c.f.tooDeep(c.f.at(n))
		c.bad = true
	}
	c.count(m.nodes, n)
	return m
}

// count adds to the values of the file, of which n is or stands for some.
func (c *structureCheck) count(nodes int, n *yaml.Node) {
	if c.sum += nodes; c.sum > c.f.o.MaxNodes && !c.bad {
		c.f.tooMany(c.f.at(n))
		c.bad = true
	}
}

// keys reports keys that are no text or stand twice.
func (c *structureCheck) keys(n *yaml.Node) {
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if !textKey(key) {
			c.f.report(c.f.at(key), "key-not-text", "a key that is not text",
				"Put a key that looks like a number, a date, true, false or null in quotes.")
			continue
		}
		if before, ok := first[key.Value]; ok {
			c.f.report(c.f.at(key), "duplicate-key", fmt.Sprintf("the key %s is given twice", quoted(key.Value)), "",
				reconcile.Related{Pos: c.f.at(before), Message: "first given here"})
			continue
		}
		first[key.Value] = key
	}
}

func textKey(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && (key.ShortTag() == "!!str" || mergeKey(key))
}

func mergeKey(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Tag == "!!merge" && key.Value == "<<"
}

// tag reports explicit tags beyond those of the core schema, and anchors that
// hold nothing. Neither text is shown: an unquoted secret can look like one.
func (c *structureCheck) tag(n *yaml.Node) {
	if n.Anchor != "" && n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&^yaml.TaggedStyle == 0 {
		c.f.report(c.f.at(n), "empty-anchor", "an anchor (&name) with nothing behind it", "A text that begins with & must be in quotes.")
	}
	if n.Style&yaml.TaggedStyle == 0 {
		return
	}
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null":
		if n.Kind == yaml.ScalarNode {
			return
		}
	case "!!map", "!!merge":
		if n.Kind == yaml.MappingNode || mergeKey(n) {
			return
		}
	case "!!seq":
		if n.Kind == yaml.SequenceNode {
			return
		}
	}
	c.f.report(c.f.at(n), "unknown-tag", "a YAML tag (!name) that has no meaning here",
		"Remove it. A text that begins with ! must be in quotes.")
}
