package picture

import "fmt"

// Stand is what of git's a checkout has besides its commit: a person may have left HEAD detached, or another branch checked out.
type Stand struct {
	Branch string `json:"branch,omitempty"` // that is checked out; "" when HEAD is detached
	// Follows is the commit of the local branch that the host follows; "" where there is none.
	Follows string `json:"follows,omitempty"`
}

// Ends says how a checkout stands after a move on a host that follows a branch: on that branch, unless the move goes back to another stand.
func (m Move) Ends(follows string) Stand {
	if m.Stood == nil || m.Stood.Branch == follows {
		return Stand{Branch: follows, Follows: m.Target}
	}
	return *m.Stood
}

// Leaves says in one sentence what a move to a branch gives up, "" where that branch is checked out. back says that the move goes back by hand, to a
// commit that stood so then.
func (s Stand) Leaves(follows string, back bool) string {
	what := "HEAD is detached"
	if back {
		what = "HEAD was detached then"
	}
	switch {
	case s.Branch == follows:
		return ""
	case s.Branch != "" && back:
		what = fmt.Sprintf("branch %s was checked out then", name(s.Branch))
	case s.Branch != "":
		what = fmt.Sprintf("branch %s is checked out", name(s.Branch))
	}
	if back {
		return fmt.Sprintf("%s; it is %s that gets checked out now", what, name(follows))
	}
	return fmt.Sprintf("%s; %s gets checked out", what, name(follows))
}
