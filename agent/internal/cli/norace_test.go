//go:build !race

package cli

// raceEnabled says that the race detector takes several times the memory.
const raceEnabled = false
