package ci

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ataraxis.dev/landfall/shared/fault"
)

const (
	// longestWait is the length of GitHub's window. What asks for more is not obeyed: a header can be
	// wrong, and a gate must come back to look.
	longestWait = time.Hour
	// secondaryWait is the least when a secondary limit says nothing (docs.github.com, rate limits
	// for the REST API: "wait for at least one minute", then exponentially longer).
	secondaryWait = time.Minute
)

// RetryAt says when a question refused by a rate limit may be asked again, by the client's clock.
// It is false for every other error.
func RetryAt(err error) (time.Time, bool) {
	var l *limited
	if errors.As(err, &l) {
		return l.until, true
	}
	return time.Time{}, false
}

// limited is a rate limit that was met.
type limited struct {
	until     time.Time
	secondary bool
	most      string // X-RateLimit-Limit, "" when unknown
	id        string
}

func (l *limited) Error() string {
	return "until " + l.until.UTC().Format("15:04:05 UTC")
}

func (l *limited) fault(what string) error {
	if l.secondary {
		return fault.Wrap(l, fault.Failed, reasonLimited, "%s: GitHub asks to slow down (secondary rate limit)%s", what, l.id).
			WithHint("poll less often, or with fewer jobs at the same time")
	}
	most := ""
	if _, err := strconv.Atoi(l.most); err == nil {
		most = " of " + l.most + " requests"
	}
	return fault.Wrap(l, fault.Failed, reasonLimited, "%s: GitHub's rate limit%s is used up%s", what, most, l.id).
		WithHint("all workflows of a repository share the limit of GITHUB_TOKEN; without a token it is 60 an hour")
}

// limiter remembers a rate limit until it is over, so that nobody asks into it: who goes on
// asking may be shut out (docs.github.com, best practices for using the REST API).
type limiter struct {
	met         *limited
	from        time.Time
	secondaries int // in a row
}

// holds gives the limit that is still in force. A clock that was set back ends it: it would
// otherwise hold as long as the clock jumped.
func (l *limiter) holds(now time.Time) (*limited, bool) {
	if l.met != nil && (now.Before(l.from) || !now.Before(l.met.until)) {
		l.met = nil
	}
	return l.met, l.met != nil
}

// hold notes a refusal and says until when.
func (l *limiter) hold(r refusal, now time.Time) *limited {
	wait, secondary := waitOf(r, l.secondaries)
	if secondary {
		l.secondaries++
	}
	l.from = now
	l.met = &limited{until: now.Add(wait), secondary: secondary, most: r.header.Get("X-Ratelimit-Limit"), id: requestID(r.header)}
	return l.met
}

// answered notes that GitHub answers again.
func (l *limiter) answered() { l.met, l.secondaries = nil, 0 }

// isLimit tells a refusal by a rate limit from other refusals. GitHub uses 403 and 429 for both
// of its limits; a secondary one may lack every header but the message. A permission that is missing
// may come with "remaining: 0" when it cost the last request of the window.
func isLimit(r refusal) bool {
	message := strings.ToLower(r.message)
	switch {
	case r.status == http.StatusTooManyRequests, r.slow:
		return true
	case r.status != http.StatusForbidden:
		return false
	case strings.Contains(message, "rate limit"), strings.Contains(message, "abuse detection"), r.header.Get("Retry-After") != "":
		return true
	}
	return r.header.Get("X-Ratelimit-Remaining") == "0" && !strings.Contains(message, "not accessible")
}

// waitOf obeys in the documented order: Retry-After, else the reset of a window with nothing
// remaining, else a minute that doubles with every refusal in a row. Moments are
// measured from the answer's own Date, so that a wrong clock here does not matter.
func waitOf(r refusal, inARow int) (wait time.Duration, secondary bool) {
	secondary = r.header.Get("X-Ratelimit-Remaining") != "0" || strings.Contains(strings.ToLower(r.message), "secondary")
	date, err := http.ParseTime(r.header.Get("Date"))
	known := err == nil
	switch after := r.header.Get("Retry-After"); {
	case after != "":
		if seconds, err := strconv.ParseUint(after, 10, 31); err == nil {
			wait = time.Duration(seconds) * time.Second
			break
		}
		if at, err := http.ParseTime(after); err == nil && known {
			wait = at.Sub(date)
			break
		}
		wait = secondaryWait
	case r.header.Get("X-Ratelimit-Remaining") == "0":
		if reset := epoch(r.header.Get("X-Ratelimit-Reset")); !reset.IsZero() && known {
			wait = reset.Sub(date)
			break
		}
		wait = secondaryWait
	default:
		wait = secondaryWait << min(inARow, 6)
	}
	return min(max(wait, time.Second), longestWait), secondary
}

// epoch reads seconds since 1970; zero when they make no sense.
func epoch(s string) time.Time {
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
