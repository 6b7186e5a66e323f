package notify

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// headline is what happened, for the title: words of ours only.
func headline(in Input, s State) string {
	op := in.Operation
	switch s {
	case Failure:
		return failureHeadline(in)
	case Full, Condensed, Suppress:
	}
	switch {
	case op.State == Superseded:
		return "superseded"
	case op.State == NothingToDeploy:
		return "nothing to deploy"
	case op.State == Cancelled:
		return "cancelled"
	case op.kind() == rollbackKind:
		return "rolled back by hand"
	case op.kind() != deployKind:
		return known(op.kind(), "operation") + " done"
	}
	if _, recovered := Recovers(in.Past); recovered {
		return "deploy works again"
	}
	if n := len(op.Migrations); n > 0 {
		return "deployed, with " + count(n, "migration")
	}
	return "deployed"
}

func failureHeadline(in Input) string {
	op := in.Operation
	kind := known(op.kind(), "operation")
	switch op.State {
	case FailedUntouched:
		return kind + " failed, nothing was touched"
	case RolledBack:
		return kind + " failed and was rolled back"
	case RollbackFailed:
		return "ROLLBACK FAILED, a person is needed"
	case Failed:
		return strings.ToUpper(kind) + " FAILED, a person is needed"
	case Succeeded:
		return kind + " done, but its workflow failed"
	case "", Superseded, Cancelled, NothingToDeploy:
		return kind + " failed before it began"
	}
	return kind + " has not ended"
}

// runsNow is what runs on the host now, in one sentence.
func runsNow(in Input) string {
	op := in.Operation
	target, before := short(op.Target), short(op.PreDeploy)
	if target == "" {
		target = "the target"
	}
	if before == "" {
		before = "the earlier version"
	}
	if counted := text(op.Summary, 400); counted != "" {
		if now := countedNow(op, target, counted); now != "" {
			return now
		}
	}
	switch op.State {
	case Succeeded:
		switch op.kind() {
		case deployKind, convergeKind, rollbackKind:
			return fmt.Sprintf("Now runs: %s, verified.", target)
		}
		return "The commit that runs did not change."
	case FailedUntouched:
		return fmt.Sprintf("Now runs: %s, as before; nothing that runs was touched.", before)
	case RolledBack:
		return fmt.Sprintf("Now runs: %s, as before the deploy; %s was undone.", before, target)
	case RollbackFailed:
		return fmt.Sprintf("What runs is uncertain: %s failed and could not be undone; a person is needed.", target)
	case Failed:
		return "What runs is uncertain: the host was changed and nothing was undone; a person is needed."
	case Superseded:
		if by := supersededBy(op.SupersededBy); by != "" {
			return fmt.Sprintf("Nothing was touched: %s takes its place.", by)
		}
		return "Nothing was touched: a newer deploy takes its place."
	case Cancelled:
		return fmt.Sprintf("Now runs: %s, as before; it was cancelled before anything that runs was touched.", before)
	case NothingToDeploy:
		return "What runs did not change: no path of this change deploys."
	}
	if op.State != "" {
		return "What runs is about to change: the agent goes on by itself, and comes to a verdict without anybody's help."
	}
	if running := short(in.Running); running != "" {
		return fmt.Sprintf("Now runs: %s, as before; no operation was started.", running)
	}
	return "What runs is not known from here: the agent was not asked, or did not answer."
}

// countedNow is what runs now as the agent counted it, with what was done; "" of a state that counts nothing.
func countedNow(op Operation, target, counted string) string {
	switch op.State {
	case Succeeded:
		return fmt.Sprintf("Now runs: %s, verified; %s.", target, counted)
	case FailedUntouched:
		return "Nothing that runs was touched. What runs now: " + counted + "."
	case RolledBack:
		return fmt.Sprintf("%s was undone. What runs now: %s.", target, counted)
	case RollbackFailed:
		return fmt.Sprintf("%s failed and could not be undone, a person is needed. What runs now: %s.", target, counted)
	case Failed:
		return fmt.Sprintf("The host was changed and nothing was undone, a person is needed. What runs now: %s.", counted)
	case Cancelled:
		return fmt.Sprintf("It was cancelled before anything that runs was touched. What runs now: %s.", counted)
	}
	return ""
}

// supersededBy is what took a deploy's place, a commit or a run.
func supersededBy(by string) string {
	if sha := short(by); sha != "" {
		return sha
	}
	return code(by, 80)
}

// convergence says what keeps the host from following the branch, "" when nothing does.
func convergence(g GitOps) string {
	var parts []string
	if sha := short(g.BlockedSHA); sha != "" {
		parts = append(parts, sha+" is blocked until the branch has a newer commit")
	}
	switch {
	case g.Paused && !g.PausedUntil.IsZero():
		parts = append(parts, "convergence stays paused until "+g.PausedUntil.UTC().Format("2006-01-02 15:04 UTC")+" or `landfall-coordinator resume`")
	case g.Paused:
		parts = append(parts, "convergence stays paused until `landfall-coordinator resume`")
	}
	if len(parts) == 0 {
		return ""
	}
	line := strings.Join(parts, "; ")
	return "GitOps: " + line + "."
}

// migrationsLeft says loudly that a failed deploy left its migrations in the database.
func migrationsLeft(op Operation) string {
	if !op.State.failed() || len(op.Migrations) == 0 {
		return ""
	}
	return fmt.Sprintf("⚠️ **MIGRATIONS STAY APPLIED** (%s not undone by a rollback): %s",
		map[bool]string{true: "it is", false: "they are"}[len(op.Migrations) == 1], list(op.Migrations, 600))
}

// known is a kind of operation when it is a plain word, else fallback.
func known(kind, fallback string) string {
	if plainWord.MatchString(kind) {
		return kind
	}
	return fallback
}

var (
	plainWord = regexp.MustCompile(`^[a-z]{1,20}$`)
	hexSHA    = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
)

// short is the beginning of a commit's SHA as code, "" for anything else.
func short(sha string) string {
	if !hexSHA.MatchString(sha) {
		return ""
	}
	return "`" + sha[:min(len(sha), 10)] + "`"
}

// took is how long an operation took, "" when unknown.
func took(op Operation) string {
	if op.Start.IsZero() || op.End.Before(op.Start) {
		return ""
	}
	return op.End.Sub(op.Start).Round(time.Second).String()
}
