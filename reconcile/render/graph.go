package render

import (
	"cmp"
	"fmt"
	"slices"
)

// Of the picture of dependencies in HTML: beyond maxNodes steps it shows kinds.
const (
	maxNodes     = 300
	maxEdges     = 3000
	nodeWidth    = 256
	nodeHeight   = 26
	nodeGap      = 8
	waveGap      = 90
	maxNodeLabel = 32 // characters
)

// graph is a picture of what needs what: a column for each wave.
type graph struct {
	Width, Height int
	Nodes         []graphNode
	Edges         []graphEdge
	Grouped       bool // the nodes are kinds, not steps
	Cut           bool // not all edges are drawn
}

type graphNode struct {
	X, Y          int
	Width, Height int
	Label, Title  string
	Class         string
	Href          string
	column        int
	needs         []int
	order         float64
}

type graphEdge struct{ Path string }

// newGraph lays out the steps of a page, nil where none needs another.
func newGraph(items []item) *graph {
	if !slices.ContainsFunc(items, func(x item) bool { return len(x.needs) > 0 }) {
		return nil
	}
	g := &graph{Grouped: len(items) > maxNodes}
	if g.Grouped {
		g.Nodes = groups(items)
	} else {
		for i := range items {
			x := &items[i]
			g.Nodes = append(g.Nodes, graphNode{Label: cutMiddle(x.sign()+" "+x.title, maxNodeLabel), Title: x.actions[0] + " " + x.title, Class: x.actions[0],
				Href: "#" + anchor(x.index), column: x.wave, needs: x.needs})
		}
	}
	g.layout()
	return g
}

// groups are the steps of one kind and action in one wave, each as one node.
func groups(items []item) []graphNode {
	type key struct {
		kind, action string
		wave         int
	}
	index, counts := map[key]int{}, []int{}
	var nodes []graphNode
	of := make([]int, len(items))
	for i := range items {
		x := &items[i]
		k := key{x.kind, x.actions[0], x.wave}
		at, ok := index[k]
		if !ok {
			at = len(nodes)
			index[k] = at
			nodes = append(nodes, graphNode{Class: k.action, column: x.wave, Title: k.kind, Label: x.sign()})
			counts = append(counts, 0)
		}
		of[i] = at
		counts[at]++
	}
	type edge struct{ from, to int }
	seen := map[edge]bool{}
	for i := range items {
		for _, need := range items[i].needs {
			if e := (edge{of[need], of[i]}); e.from != e.to && !seen[e] {
				seen[e] = true
				nodes[e.to].needs = append(nodes[e.to].needs, e.from)
			}
		}
	}
	for i := range nodes {
		n := &nodes[i]
		text := thousands(counts[i]) + " " + n.Title
		n.Label, n.Title = cutMiddle(n.Label+" "+text, maxNodeLabel), n.Class+" "+text
	}
	return nodes
}

// layout gives each node its place: columns by wave, and in a column each near
// the middle of what it needs.
func (g *graph) layout() {
	var waves []int
	for _, n := range g.Nodes {
		waves = append(waves, n.column)
	}
	slices.Sort(waves)
	waves = slices.Compact(waves)
	columns := make([][]int, len(waves))
	for i := range g.Nodes {
		at, _ := slices.BinarySearch(waves, g.Nodes[i].column)
		g.Nodes[i].column = at
		columns[at] = append(columns[at], i)
	}
	for at, column := range columns {
		for _, i := range column {
			g.Nodes[i].order = g.middle(i)
		}
		slices.SortStableFunc(column, func(a, b int) int { return cmp.Compare(g.Nodes[a].order, g.Nodes[b].order) })
		for row, i := range column {
			n := &g.Nodes[i]
			n.X, n.Y = at*(nodeWidth+waveGap)+1, row*(nodeHeight+nodeGap)+1
			n.Width, n.Height = nodeWidth, nodeHeight
			g.Height = max(g.Height, n.Y+nodeHeight+1)
		}
	}
	g.Width = len(columns)*(nodeWidth+waveGap) - waveGap + 2
	for i := range g.Nodes {
		for _, need := range g.Nodes[i].needs {
			if len(g.Edges) == maxEdges {
				g.Cut = true
				return
			}
			g.Edges = append(g.Edges, graphEdge{edgePath(&g.Nodes[need], &g.Nodes[i])})
		}
	}
}

// middle is the mean height of what a node needs, as far as that has a place.
func (g *graph) middle(i int) float64 {
	sum, n := 0, 0
	for _, need := range g.Nodes[i].needs {
		if other := &g.Nodes[need]; other.Width > 0 {
			sum += other.Y
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return float64(sum) / float64(n)
}

func edgePath(from, to *graphNode) string {
	x1, y1 := from.X+from.Width, from.Y+from.Height/2
	x2, y2 := to.X, to.Y+to.Height/2
	bend := max((x2-x1)/2, waveGap/2)
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2)
}

// cutMiddle cuts a text to n characters: names differ at their ends.
func cutMiddle(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n/2]) + "…" + string(r[len(r)-n+n/2+1:])
}
