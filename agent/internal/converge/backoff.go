package converge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
)

// delays are how long after an attempt the next of the same signature is made. A new head of the branch, another image, another difference
// is another signature.
var delays = []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 4 * time.Hour}

// repeatWindow is how long a repair that helped counts as an attempt: what stops again and again is not started again and again.
const repeatWindow = 24 * time.Hour

// DeploySignature is the signature of every deploy of a commit, whoever asked for it.
func DeploySignature(sha string) string { return "deploy:" + sha }

// endedDegraded reports whether the last attempt of a signature left the host half done: to try that again by itself would make it worse.
func endedDegraded(past []Attempt, signature string) (Attempt, bool) {
	i := slices.IndexFunc(past, func(a Attempt) bool { return a.Signature == signature })
	if i < 0 || (past[i].State != operation.RollbackFailed && past[i].State != operation.Failed) {
		return Attempt{}, false
	}
	return past[i], true
}

// failed are attempts that came to no good.
func failed(a Attempt, _ time.Time) bool { return a.State != operation.Succeeded }

// repeats are those, and what helped for a while.
func repeats(a Attempt, now time.Time) bool {
	return failed(a, now) || now.Sub(a.Ended) < repeatWindow
}

// backingOff reports until when a signature is left alone, and because of which attempt.
func backingOff(o Observation, signature string, counts func(Attempt, time.Time) bool) (until time.Time, last Attempt, wait bool) {
	n := 0
	for _, a := range o.Past {
		if a.Signature != signature || !counts(a, o.At) {
			continue
		}
		if n++; n == 1 {
			last = a
		}
	}
	if n == 0 {
		return until, last, false
	}
	until = last.Ended.Add(delays[min(n, len(delays))-1])
	return until, last, o.At.Before(until) && !last.Ended.After(o.At) // else the clock was set back, and nobody knows how long ago it was
}

// comparisons are the kinds of differences that a repair must have ended: where it succeeded and they are the same, they mean nothing.
var comparisons = []picture.DriftKind{picture.DriftConfig, picture.DriftFiles, picture.DriftImage}

// notInVain leaves out of differences those that a repair was for which came to a good end, where the container that it made differs in the same
// way: they mean nothing, whatever else differs, and whichever commit came since. last is the newest of those repairs.
func notInVain(past []Attempt, stamp string, due []picture.Drift) (worth []picture.Drift, last Attempt) {
	for _, d := range due {
		i := slices.IndexFunc(past, func(a Attempt) bool {
			return a.State == operation.Succeeded && slices.Contains(a.parts(), part(stamp, d)) && d.Since.Before(a.Ended)
		})
		if i < 0 || !slices.Contains(comparisons, d.Kind) {
			worth = append(worth, d)
		} else if last.Operation == "" || past[i].Ended.After(last.Ended) {
			last = past[i]
		}
	}
	return worth, last
}

// apart are the differences that are repaired by one operation each: all by one, or, where that came to no good, those of each service by its
// own, so that one which cannot be repaired does not keep the others from it.
func apart(past []Attempt, stamp string, due []picture.Drift) [][]picture.Drift {
	together := repairSignature(stamp, due)
	if !slices.ContainsFunc(past, func(a Attempt) bool { return a.Signature == together && a.State != operation.Succeeded }) {
		return [][]picture.Drift{due}
	}
	var each [][]picture.Drift
	for _, d := range due {
		i := slices.IndexFunc(each, func(some []picture.Drift) bool { return some[0].Key == d.Key })
		if i < 0 {
			each = append(each, nil)
			i = len(each) - 1
		}
		each[i] = append(each[i], d)
	}
	return each
}

const (
	repairPrefix = "repair:"
	// maxParts bounds the differences that a signature tells one by one.
	maxParts = 64
)

// repairSignature tells repairs apart: by the commit, the services, how they differ, and what they were found as. The differences
// are in it one by one, too; see [Attempt.parts].
func repairSignature(stamp string, due []picture.Drift) string {
	var parts []string
	for _, d := range due {
		parts = append(parts, part(stamp, d))
	}
	slices.Sort(parts)
	return repairPrefix + hashed(stamp, strings.Join(parts, ",")) + ":" + strings.Join(parts[:min(len(parts), maxParts)], ",")
}

// parts are the differences that an attempt set out to repair.
func (a Attempt) parts() []string {
	text, repair := strings.CutPrefix(a.Signature, repairPrefix)
	_, parts, told := strings.Cut(text, ":")
	if !repair || !told {
		return nil
	}
	return strings.Split(parts, ",")
}

// part tells a difference from others. That files changed is told from when they change again by the commit alone.
func part(stamp string, d picture.Drift) string {
	if d.Kind != picture.DriftFiles {
		stamp = ""
	}
	return hashed(stamp, d.String(), string(d.Kind), string(d.Verb), d.Print)
}

func hashed(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// subject names the services of differences: "core/web, core/worker".
func subject(due []picture.Drift) string {
	var names []string
	for _, d := range due {
		names = append(names, d.Stack+"/"+d.Service)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// described is how many differences a sentence tells.
const described = 4

// describe tells differences in a sentence.
func describe(drift []picture.Drift) string {
	var parts []string
	for i, d := range drift {
		if i == described {
			parts = append(parts, fmt.Sprintf("and %d more", len(drift)-i))
			break
		}
		name := d.Stack + "/" + d.Service
		if d.Stack == "" {
			name = d.String()
		}
		parts = append(parts, name+" ("+string(d.Kind)+"): "+strings.TrimPrefix(d.Why, d.Service+": "))
	}
	return strings.Join(parts, "; ")
}

func sentence(judged []Judged) string {
	var drift []picture.Drift
	for _, j := range judged {
		drift = append(drift, j.Drift)
	}
	return describe(drift)
}
