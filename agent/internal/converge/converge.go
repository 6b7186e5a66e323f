// Package converge decides what a tick of convergence does.
//
// It is pure: one [Observation] in, one [Decision] out, with a reason for programs and a sentence for people. It promises that nothing is touched
// which was not found twice in a row, that what failed is not tried again before its time, that only a commit whose CI is green is followed and only
// forward, and that what a repair did not change is not repaired for ever. Start reading at [Decide].
package converge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Requester is who asks for the operations that a tick begins.
const Requester = "agent/converge"

// Outcome is what a tick comes to.
type Outcome string

// The outcomes.
const (
	Skipped Outcome = "skipped" // it is not its turn
	Nothing Outcome = "nothing" // everything is as it should be
	Deploy  Outcome = "deploy"  // a new commit
	Repair  Outcome = "repair"  // services that drifted
	Update  Outcome = "update"  // a newer image
)

// Observation is all that a tick knows.
type Observation struct {
	At    time.Time
	Pause *Pause
	Busy  string // what is under way, for people; "" for nothing
	// Trouble is why the sentinels cannot be read: who paused may not be passed over.
	Trouble error

	Branch Branch
	Host   Host
	Past   []Attempt // what the agent began by itself, newest first
}

// Pause keeps convergence from running.
type Pause struct {
	Reason, Owner string
	Until         time.Time
}

// Branch is what is known of the branch that is followed.
type Branch struct {
	NotFollowed string // why it is not; "" where it is
	Name        string
	Head        string // "" where nobody could tell
	Error       error  // why not
	Forward     bool   // both the stamp and the checkout come before the head, or are it
	Deploys     bool   // the change has a path that deploys
	Obstacle    error  // why the checkout may not be moved there; nil where it may
	Blocked     string // why the head is blocked; "" where it is not
	CI          CI
}

// CI is the verdict on the branch's head.
type CI struct {
	Verdict CIVerdict
	Reason  string
}

// CIVerdict says whether a commit passed.
type CIVerdict string

// The verdicts.
const (
	CIUnknown CIVerdict = "" // it could not be asked for
	CIGreen   CIVerdict = "green"
	CIPending CIVerdict = "pending"
	CIRed     CIVerdict = "red"
)

// Host is what is known of what runs.
type Host struct {
	Stamp, Checkout string
	Error           error // why what runs could not be looked at
	Drift           []picture.Drift
	Before          []picture.Drift // what the tick before found
	Config          pipeline.GitOpsConfig
	Obstacle        error    // why nothing may be made from the checkout as it is: edits
	Degraded        string   // why nobody can say what runs: an operation ended half done, and nothing has succeeded since; "" where that is not so
	Updates         []Newer  // newer images of their registries
	BlockedImages   []string // digests that came to no good
}

// Newer is a newer image of a name, with the services that are made from it.
type Newer struct {
	Image    operation.Image
	Services []picture.Key
}

// Attempt is an operation that the agent began by itself and that has ended.
type Attempt struct {
	Operation string
	Signature string
	State     operation.State
	Ended     time.Time
}

// Decision is what a tick does, and why.
type Decision struct {
	Outcome Outcome
	Reason  string // "PAUSED", "CI_PENDING", "IN_STEP"
	Message string // one sentence, lower case, without a full stop
	Retry   time.Time

	Target    string           // to deploy
	Deeds     []picture.Deed   // to repair or update
	Image     *operation.Image // to update
	Subject   string           // what is repaired or updated, for people
	Signature string           // of what is begun; see [Attempt]
	Drift     []Judged
}

// Judged is a difference, and what is done about it.
type Judged struct {
	picture.Drift
	Answer    pipeline.DriftAnswer
	Confirmed bool // the tick before found it, too
}

// Decide is what a tick does. Rows in order; the first that holds decides:
//
//	sentinels that cannot be read, something under way, a pause          skipped
//	nothing was deployed here yet                                        skipped
//	a new commit, forward, not blocked, not backing off, CI green        deploy
//	drift, found twice, to be repaired, not in vain, not backing off     repair
//	a newer image, not blocked                                           update
//	a reason why a new commit is not followed                            skipped
//	drift that is not repaired                                           skipped; where both hold, the one that a person should look at, told with the other
//	else                                                                 nothing
func Decide(o Observation) Decision {
	if d, early := Early(o); early {
		return d
	}
	judged := Judge(o.Host)
	branch := o.Branch.decide(o)
	d := branch
	if branch.Outcome != Deploy {
		host := o.Host.decide(o, judged)
		switch {
		case host.Outcome == Repair || host.Outcome == Update:
			d = host
		case branch.Outcome == Nothing:
			d = host
			if host.Outcome == Nothing {
				d.Message = branch.Message
			}
		case host.Outcome == Skipped && Expected(branch.Reason) && !Expected(host.Reason):
			d = host // a commit that waits for its CI hides no host that cannot be looked at
			d.Message += "; " + branch.Message
		}
	}
	d.Drift = judged
	return d
}

// expected are the reasons for which a tick is skipped as it should be: blocks, and what is only told, stand in status by themselves.
var expected = []string{"BUSY", "PAUSED", "NOTHING_DEPLOYED", "CI_PENDING", "BLOCKED", "DRIFT_SEEN", "DRIFT_REPORTED"}

// Expected reports whether a tick is skipped for this reason as it should be, so that nobody need look.
func Expected(reason string) bool { return slices.Contains(expected, reason) }

// Early is the decision of a tick for which what is cheap to know is enough.
func Early(o Observation) (Decision, bool) {
	switch {
	case o.Trouble != nil:
		return skipped("SENTINELS", "the sentinels cannot be read: %v", o.Trouble), true
	case o.Busy != "":
		return skipped("BUSY", "%s", o.Busy), true
	case o.Pause != nil:
		return skipped("PAUSED", "paused until %s by %s: %s", o.Pause.Until.UTC().Format(time.RFC3339), o.Pause.Owner, o.Pause.Reason), true
	case o.Host.Stamp == "":
		return skipped("NOTHING_DEPLOYED", "nothing was deployed here yet; the first deploy is a person's"), true
	}
	return Decision{}, false
}

// NewCommit reports whether the branch has something that this host may go forward to, so that it is worth asking for the CI's verdict.
func NewCommit(o Observation) bool {
	if _, early := Early(o); early {
		return false
	}
	o.Branch.CI = CI{Verdict: CIGreen}
	return o.Branch.decide(o).Outcome == Deploy
}

func skipped(reason, format string, args ...any) Decision {
	return Decision{Outcome: Skipped, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// decide is about new commits. Nothing says that there are none.
func (b Branch) decide(o Observation) Decision {
	head := operation.Short(b.Head)
	switch {
	case b.NotFollowed != "":
		return Decision{Outcome: Nothing, Message: "new commits are not followed: " + b.NotFollowed}
	case b.Error != nil:
		return skipped("BRANCH_UNKNOWN", "the head of %s cannot be told: %v", b.Name, b.Error)
	case b.Head == o.Host.Stamp && o.Host.Checkout == o.Host.Stamp:
		return Decision{Outcome: Nothing, Message: fmt.Sprintf("%s, the head of %s, runs here", head, b.Name)}
	case !b.Forward:
		return skipped("DIVERGED", "%s is at %s, which does not come after what is here (deployed: %s, checked out: %s); nothing is forced",
			b.Name, head, operation.Short(o.Host.Stamp), operation.Short(o.Host.Checkout))
	case b.Blocked != "":
		return skipped("BLOCKED", "%s, the head of %s, is blocked: %s", head, b.Name, b.Blocked)
	case b.Head == o.Host.Stamp:
		return skipped("CHECKOUT_MOVED", "somebody moved the checkout to %s; the next deploy brings it to the branch", operation.Short(o.Host.Checkout))
	case !b.Deploys:
		return Decision{Outcome: Nothing, Message: fmt.Sprintf("%s, the head of %s, changes nothing that deploys", head, b.Name)}
	case b.Obstacle != nil:
		return skipped(reasonOf(b.Obstacle), "%s cannot be deployed: %v", head, b.Obstacle)
	}
	signature := DeploySignature(b.Head)
	if last, degraded := endedDegraded(o.Past, signature); degraded {
		return skipped("DEGRADED", "%s ended in %s with %s: a person is needed, or another commit", last.Operation, last.State, head)
	}
	if until, last, wait := backingOff(o, signature, failed); wait {
		return withRetry(until, skipped("BACKING_OFF", "%s ended in %s with %s; it is tried again at %s", last.Operation, last.State, head, until.UTC().Format(time.RFC3339)))
	}
	switch b.CI.Verdict {
	case CIGreen:
		return Decision{Outcome: Deploy, Reason: "NEW_COMMIT", Message: fmt.Sprintf("%s, the head of %s, passed CI", head, b.Name), Target: b.Head, Signature: signature}
	case CIPending:
		return skipped("CI_PENDING", "CI of %s has no verdict yet: %s", head, b.CI.Reason)
	case CIRed:
		return skipped("CI_RED", "CI of %s did not pass: %s", head, b.CI.Reason)
	default:
		return skipped("CI_UNKNOWN", "the CI of %s cannot be told: %s", head, b.CI.Reason)
	}
}

// reasonOf is the token of an obstacle.
func reasonOf(err error) string { return cmp.Or(fault.ReasonOf(err), "CHECKOUT") }

func withRetry(at time.Time, d Decision) Decision {
	d.Retry = at
	return d
}

// Judge says of each difference what is done about it. What is ignored, or left out, is not among it.
func Judge(h Host) []Judged {
	answers := map[picture.DriftKind]pipeline.DriftAnswer{
		picture.DriftMissing: h.Config.Drift.Missing, picture.DriftExited: h.Config.Drift.Exited, picture.DriftUnhealthy: h.Config.Drift.Unhealthy,
		picture.DriftConfig: h.Config.Drift.Config, picture.DriftFiles: h.Config.Drift.Files, picture.DriftImage: h.Config.Drift.PulledImages,
		picture.DriftOrphan: pipeline.DriftReport,
	}
	var judged []Judged
	for _, d := range h.Drift {
		answer := answers[d.Kind]
		if answer == pipeline.DriftIgnore || pipeline.Names(h.Config.LeaveOut, d.Stack, d.Service) {
			continue
		}
		judged = append(judged, Judged{d, answer, slices.ContainsFunc(h.Before, func(b picture.Drift) bool { return b.Key == d.Key && b.Kind == d.Kind })})
	}
	return judged
}

// decide is about what runs.
func (h Host) decide(o Observation, judged []Judged) Decision {
	if h.Error != nil {
		return skipped("HOST_UNKNOWN", "what runs cannot be compared: %v", h.Error)
	}
	var due []picture.Drift
	waiting := 0
	for _, j := range judged {
		switch {
		case j.Answer != pipeline.DriftRepair:
		case j.Confirmed:
			due = append(due, j.Drift)
		default:
			waiting++
		}
	}
	if len(due) > 0 {
		return h.repair(o, due)
	}
	if d, newer := h.update(o); newer {
		return d
	}
	switch {
	case waiting > 0:
		return skipped("DRIFT_SEEN", "%s: seen for the first time, looked at again before anything is touched", sentence(judged))
	case len(judged) > 0:
		return skipped("DRIFT_REPORTED", "%s", sentence(judged))
	}
	return Decision{Outcome: Nothing, Reason: "IN_STEP"}
}

// repair is the decision about differences that were found twice.
func (h Host) repair(o Observation, due []picture.Drift) Decision {
	switch {
	case h.Stamp != h.Checkout:
		return skipped("CHECKOUT_MOVED", "%s; nothing is made from the checkout, which somebody moved to %s", describe(due), operation.Short(h.Checkout))
	case h.Degraded != "":
		return skipped("DEGRADED", "%s; nothing is repaired while %s: a person is needed, or a deploy", describe(due), h.Degraded)
	case h.Obstacle != nil:
		return skipped(reasonOf(h.Obstacle), "%s; nothing is made from the checkout as it is: %v", describe(due), h.Obstacle)
	}
	worth, last := notInVain(o.Past, h.Stamp, due)
	if len(worth) == 0 {
		return skipped("REPAIRED_IN_VAIN", "%s; %s did what there is to do, and it is the same: a person is needed", describe(due), last.Operation)
	}
	var waits Decision
	for _, some := range apart(o.Past, h.Stamp, worth) {
		d := Decision{Outcome: Repair, Reason: "DRIFT", Message: describe(some), Deeds: picture.Deeds(some), Subject: subject(some), Signature: repairSignature(h.Stamp, some)}
		until, last, wait := backingOff(o, d.Signature, repeats)
		if !wait {
			return d
		}
		if waits.Retry.IsZero() || until.Before(waits.Retry) {
			waits = withRetry(until, skipped("BACKING_OFF", "%s; %s ended in %s; it is tried again at %s", d.Message, last.Operation, last.State, until.UTC().Format(time.RFC3339)))
		}
	}
	return waits
}

// update is the decision about newer images, one at a time, so that it is known which one is bad.
func (h Host) update(o Observation) (Decision, bool) {
	if h.Stamp != h.Checkout || h.Obstacle != nil || h.Degraded != "" {
		return Decision{}, false
	}
	for _, u := range h.Updates {
		name := "image:" + u.Image.Ref + "@"
		signature := name + u.Image.Digest
		if _, _, wait := backingOff(o, signature, failed); wait || taken(o.Past, name, signature) || slices.Contains(h.BlockedImages, u.Image.Digest) {
			continue
		}
		d := Decision{
			Outcome: Update, Reason: "NEWER_IMAGE", Message: u.Image.Ref + " is " + short(u.Image.Digest) + " in its registry", Image: &u.Image, Subject: u.Image.Ref, Signature: signature,
		}
		for _, k := range u.Services {
			d.Deeds = append(d.Deeds, picture.Deed{Key: k, Verb: picture.Recreate, Why: d.Message})
		}
		return d, true
	}
	return Decision{}, false
}

// taken reports whether the last update of a name took the very image, well: where it is newer still, somebody has gone back from it, or it
// cannot be told from what was there. Neither is for a tick to do again.
func taken(past []Attempt, name, signature string) bool {
	i := slices.IndexFunc(past, func(a Attempt) bool { return strings.HasPrefix(a.Signature, name) })
	return i >= 0 && past[i].Signature == signature && past[i].State == operation.Succeeded
}

func short(digest string) string { return operation.Short(strings.TrimPrefix(digest, "sha256:")) }
