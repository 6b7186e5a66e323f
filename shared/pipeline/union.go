package pipeline

import (
	"cmp"
	"slices"
)

// Union is the change set of a host that stands between commits: what differs between the target and any of
// them. A path counts once, with the status of the first set that has it. The result is sorted by path.
func Union(sets ...[]Change) []Change {
	all := slices.Concat(sets...)
	slices.SortStableFunc(all, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return slices.CompactFunc(all, func(a, b Change) bool { return a.Path == b.Path })
}
