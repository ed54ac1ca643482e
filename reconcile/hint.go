package reconcile

import (
	"fmt"

	"proxbox-sync/schema"
)

// Bounds of the search for the object that was probably meant: it compares a
// name with all others, and thousands of mistakes of one sort need no thousand
// hints.
const (
	maxHints      = 20
	maxCandidates = 20_000
)

// hints counts the searches of a run.
type hints struct{ given int }

// near suggests, with a blank behind it, the object whose name is most like a
// name; it returns "" when there is none, or too many were searched for.
func (h *hints) near(name string, objects ...[]*Object) string {
	if h.given++; h.given > maxHints {
		return ""
	}
	var names []string
	for _, list := range objects {
		for _, o := range list[:min(len(list), maxCandidates)] {
			names = append(names, o.Display())
		}
	}
	if found := schema.Nearest(name, names); found != "" {
		return fmt.Sprintf("did you mean %q? ", found)
	}
	return ""
}
