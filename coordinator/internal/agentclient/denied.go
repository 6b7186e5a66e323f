package agentclient

import (
	"errors"
	"regexp"
	"strings"

	"ataraxis.dev/landfall/shared/fault"
)

// denied is what the agent says of a call that a role may not make: who, the method or the command, the role that may.
var denied = regexp.MustCompile(`^(\S+) may not call (?:Execute with |/landfall\.v1\.\w+/)?(\w+)(?: \(it needs the role (\w+)\))?$`)

// verbs are the methods that a person calls by a command of another name.
var verbs = map[string]string{
	"Pause": "pause", "Resume": "resume", "Unblock": "unblock", "attach": "attach to an operation, which every command that changes the host does",
}

// inPlainWords says of a denied call what a person can do about it; other errors stay as they are.
func inPlainWords(err error) error {
	var f *fault.Error
	if fault.KindOf(err) != fault.Denied || !errors.As(err, &f) {
		return err
	}
	said := denied.FindStringSubmatch(f.Message)
	if said == nil {
		return err
	}
	who, what, role := said[1], said[2], said[3]
	if verb, ok := verbs[what]; ok {
		what = verb
	}
	if user, local := strings.CutPrefix(who, "local/"); local {
		return fault.New(fault.Denied, f.Reason, "the user %s may only look over the agent's socket, and not %s", user, what).
			WithHint("do it as root or as the owner of the checkout, or at HOST:PORT with the identity of an operator")
	}
	out := fault.New(fault.Denied, f.Reason, "the identity %s may not %s", who, what)
	if role == "" {
		return out
	}
	article := "a"
	if role == "operator" || role == "observer" {
		article = "an"
	}
	return out.WithHint("use %s %s's identity: --identity DIR; where there is none: landfall-coordinator identity issue NAME --role %s", article, role, role)
}
