package schema

import (
	"strings"
	"unicode/utf8"
)

// maxNameLength bounds the names that Nearest looks at, in bytes: what is
// longer is no slip of the pen, and the cost is quadratic.
const maxNameLength = 100

// nearest finds the candidate with the smallest distance; the first one wins a
// tie. Upper and lower case count as equal, and so does how words are joined.
func nearest(name string, candidates []string) string {
	if name == "" || len(name) > maxNameLength || !utf8.ValidString(name) {
		return ""
	}
	folded := foldName(name)
	best, bestDistance := "", 0
	for _, c := range candidates {
		if c == "" || c == name || len(c) > maxNameLength {
			continue
		}
		d := 0
		if fc := foldName(c); fc != folded {
			d = editDistance(folded, fc)
			if d > allowed(min(utf8.RuneCountInString(folded), utf8.RuneCountInString(fc))) {
				continue
			}
		}
		if best == "" || d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// allowed is how many slips a word of a length may have and still be meant.
func allowed(length int) int {
	switch {
	case length <= 2:
		return 0
	case length <= 4:
		return 1
	case length <= 8:
		return 2
	}
	return 3
}

var joiners = strings.NewReplacer("_", "", "-", "", " ", "")

func foldName(s string) string { return joiners.Replace(strings.ToLower(s)) }

// editDistance is the number of characters to add, drop, replace or swap with
// their neighbour (Damerau-Levenshtein, each place touched once).
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := [3][]int{make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)}
	before, last, this := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		this[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			this[j] = min(last[j]+1, this[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				this[j] = min(this[j], before[j-2]+1)
			}
		}
		before, last, this = last, this, before
	}
	return last[len(y)]
}
