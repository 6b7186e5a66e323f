package picture

import (
	"fmt"
	"slices"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// Leaving refuses a commit that takes away files whose variables the compose files have used up to now: what they gave would silently be
// something else. A rollback, which brings back a commit that had none, is not asked.
func Leaving(models []Model) error {
	for _, m := range models {
		if len(m.Leaving) > 0 {
			return fault.New(fault.Refused, "ENV_FILE_LEAVES", "the target does not track %s any more: it would be deleted on the host, and stack %s would lose its variables", strings.Join(m.Leaving, ", "), m.Stack).
				WithHint("keep it tracked, or have the compose files read a file that no commit ever had (env_files of the stack)")
		}
	}
	return nil
}

// Diverged says where compose files, rendered in the checkout, are not what was proven of them beside it: a file that only the host has may be
// gone with the move. projects are those of the proof by stack, services all that it named.
func Diverged(projects map[string]string, services []Key, now []Model) []Finding {
	var found []Finding
	hint := "the commit takes a file away that the compose files need, one that is no longer tracked, say: keep it tracked, or put it where no commit had it"
	add := func(format string, args ...any) {
		found = append(found, Finding{Reason: "CHECKOUT_DIFFERS", Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	for _, m := range now {
		if was := projects[m.Stack]; was != m.Project {
			add("stack %s was proven as compose project %q and is %q in the checkout", m.Stack, was, m.Project)
		}
		for _, name := range m.Names() {
			if files := m.Services[name].Missing; len(files) > 0 {
				add("%s/%s needs %s, which is gone from the checkout", m.Stack, name, strings.Join(files, ", "))
			}
		}
	}
	is := Keys(now)
	for _, k := range services {
		if !slices.Contains(is, k) && len(found) == 0 {
			add("%s was proven and is in no compose file of the checkout", k)
		}
	}
	return found
}
