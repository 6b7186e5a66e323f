package pipeline

// Change is one path that differs between base and target. A rename is a deletion of
// the old path with an addition of the new one.
type Change struct {
	Status byte   // 'A' added, 'M' modified, 'D' deleted, 'T' type changed
	Path   string // from the root of the repository, bytes as git has them (need not be UTF-8)
}

// Input is what a plan depends on besides the configuration.
type Input struct {
	Base       string // full commit SHA, or "" when there is none
	Target     string // full commit SHA
	Changes    []Change
	Everything string // not empty: why every flag is to be set ("the base is not in the history")
}
