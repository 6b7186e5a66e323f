package strictyaml

import (
	"slices"
	"strings"
)

// Suggest returns the candidate nearest to name, or "" when none is near enough to be
// what was meant: about one typing error in three characters, a swapped pair of
// neighbours counting as one. Ties go to the first in alphabetical order.
func Suggest(name string, candidates []string) string {
	const longest = 64 // nobody mistypes a longer name; it would only cost time
	if name == "" || len(name) > longest {
		return ""
	}
	best, bestDistance := "", 1+max(1, len(name)/3)
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		if candidate == "" || len(candidate) > longest {
			continue
		}
		if d := distance(fold(name), fold(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// fold makes names that differ by case or by their separator equal.
func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// distance is the optimal string alignment distance in bytes: insertions, deletions,
// substitutions and swaps of neighbours cost one each.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
