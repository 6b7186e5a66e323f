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
	return until, last, o.At.Before(until)
}

// comparisons are the kinds of differences that a repair must have ended: where it succeeded and they are the same, they mean nothing.
var comparisons = []picture.DriftKind{picture.DriftConfig, picture.DriftFiles, picture.DriftImage}

// inVain reports whether the very differences were repaired well before, and are there again.
func inVain(past []Attempt, signature string, due []picture.Drift) (Attempt, bool) {
	if slices.ContainsFunc(due, func(d picture.Drift) bool { return !slices.Contains(comparisons, d.Kind) }) {
		return Attempt{}, false
	}
	i := slices.IndexFunc(past, func(a Attempt) bool { return a.Signature == signature && a.State == operation.Succeeded })
	if i < 0 {
		return Attempt{}, false
	}
	return past[i], true
}

// repairSignature tells repairs apart: by the commit, the services, how they differ, and what they were found as.
func repairSignature(stamp string, due []picture.Drift) string {
	var parts []string
	for _, d := range due {
		parts = append(parts, strings.Join([]string{d.String(), string(d.Kind), string(d.Verb), d.Print}, "\x00"))
	}
	slices.Sort(parts)
	sum := sha256.Sum256([]byte(stamp + "\x00" + strings.Join(parts, "\x00")))
	return "repair:" + hex.EncodeToString(sum[:8])
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
