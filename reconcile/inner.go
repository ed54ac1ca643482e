package reconcile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"proxbox-sync/schema"
)

// findInner fills in, for the changed fields that hold structure, what differs
// inside them. go-cmp walks the plain values; a reporter collects the leaves.
// Fields that did not change, are not declared or are write-only are left out
// by the options, and a Secret never gets here.
func findInner(change *Change) {
	before, after := map[string]any{}, map[string]any{}
	structured := map[string]*FieldChange{}
	for i := range change.Fields {
		fc := &change.Fields[i]
		before[fc.Name], after[fc.Name] = sortedSet(fc.Field, fc.Before), sortedSet(fc.Field, fc.After)
		if isStructured(fc.Before) || isStructured(fc.After) {
			structured[fc.Name] = fc
		}
	}
	if len(structured) == 0 {
		return
	}
	leaves := &leafReporter{}
	if !compareQuietly(before, after, leaves, structured) {
		return // the fields are shown whole instead
	}
	for _, leaf := range leaves.found {
		fc := structured[leaf.field]
		fc.Inner = append(fc.Inner, leaf.change)
	}
	for _, fc := range structured {
		slices.SortStableFunc(fc.Inner, func(a, b ValueChange) int { return strings.Compare(a.Path, b.Path) })
	}
}

// compareQuietly runs go-cmp; its documentation warns that it may panic, which
// must cost no more than the details of a display.
func compareQuietly(before, after map[string]any, leaves *leafReporter, fields map[string]*FieldChange) (ok bool) {
	defer func() { ok = recover() == nil }()
	others := cmpopts.IgnoreMapEntries(func(name string, _ any) bool { return fields[name] == nil })
	top := cmp.FilterPath(func(p cmp.Path) bool { return len(p) <= 2 }, others)
	cmp.Equal(before, after, top, cmp.Reporter(leaves))
	return true
}

func isStructured(v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return true
	}
	return false
}

// sortedSet gives a set a stable order, so that only members that came or went
// are found.
func sortedSet(f *schema.Field, v any) any {
	list, ok := v.([]any)
	if !ok || f.Class != schema.ReferenceSet && !f.Set {
		return v
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int {
		return strings.Compare(string(appendExact(nil, a)), string(appendExact(nil, b)))
	})
	return list
}

// leafReporter implements cmp's reporter: it notes each pair of unequal leaves.
type leafReporter struct {
	path  cmp.Path
	found []leaf
}

type leaf struct {
	field  string
	change ValueChange
}

func (r *leafReporter) PushStep(step cmp.PathStep) { r.path = append(r.path, step) }
func (r *leafReporter) PopStep()                   { r.path = r.path[:len(r.path)-1] }

func (r *leafReporter) Report(result cmp.Result) {
	if result.Equal() {
		return
	}
	before, after := r.path.Last().Values()
	l := leaf{change: ValueChange{Op: "replace"}}
	var tokens []string
	for _, step := range r.path {
		switch step := step.(type) {
		case cmp.MapIndex:
			if l.field == "" {
				l.field = step.Key().String()
			} else {
				tokens = append(tokens, escapeToken(step.Key().String()))
			}
		case cmp.SliceIndex:
			x, y := step.SplitKeys()
			tokens = append(tokens, strconv.Itoa(max(x, y)))
		}
	}
	if before.IsValid() && before.CanInterface() {
		l.change.Before = before.Interface()
	} else {
		l.change.Op = "add"
	}
	if after.IsValid() && after.CanInterface() {
		l.change.After = after.Interface()
	} else {
		l.change.Op = "remove"
	}
	if len(tokens) > 0 {
		l.change.Path = "/" + strings.Join(tokens, "/")
	}
	r.found = append(r.found, l)
}

func escapeToken(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}
