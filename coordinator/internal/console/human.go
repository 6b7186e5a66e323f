package console

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Duration writes d for people: "340ms", "4.2s", "5s", "1m 4s", "2h 5m", "3d 4h". A negative
// one, which a clock that was set back makes, is "0ms".
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d.Round(time.Millisecond) < time.Second:
		return fmt.Sprintf("%dms", d.Round(time.Millisecond).Milliseconds())
	case d.Round(100*time.Millisecond) < 10*time.Second:
		return fmt.Sprintf("%vs", d.Round(100*time.Millisecond).Seconds())
	case d.Round(time.Second) < time.Minute:
		return fmt.Sprintf("%ds", int(d.Round(time.Second).Seconds()))
	case d.Round(time.Second) < time.Hour:
		return two(d.Round(time.Second), time.Minute, "m", time.Second, "s")
	case d.Round(time.Minute) < day:
		return two(d.Round(time.Minute), time.Hour, "h", time.Minute, "m")
	default:
		return two(d.Round(time.Hour), day, "d", time.Hour, "h")
	}
}

func two(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	if rest := d % large / small; rest != 0 {
		return fmt.Sprintf("%d%s %d%s", d/large, largeName, rest, smallName)
	}
	return fmt.Sprintf("%d%s", d/large, largeName)
}

// Bytes writes a size in binary units: "512 B", "1.5 GiB".
func Bytes(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit-0.05 && prefix < len("KMGTPE")-1 { // what would be printed as 1024.0 is 1.0 of the next
		value, prefix = value/unit, prefix+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[prefix])
}

// Relative writes how far t lies from now: "just now", "3m ago", "in 3h 59m". Of the past it names the
// largest unit only; what is still to come is counted on. Clocks of two machines differ by seconds, so these are not told apart.
func Relative(t, now time.Time) string {
	d := now.Sub(t)
	if d < 0 {
		if -d < 5*time.Second {
			return "just now"
		}
		return "in " + Duration((-d).Round(time.Second))
	}
	if d < 5*time.Second {
		return "just now"
	}
	return coarse(d) + " ago"
}

func coarse(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/day)
	}
}

// clock writes t in now's zone, with as much of the date as is needed to tell it from now.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	switch {
	case t.Format(time.DateOnly) == now.Format(time.DateOnly):
		return t.Format(time.TimeOnly)
	case t.Year() == now.Year():
		return t.Format("Jan _2 15:04")
	default:
		return t.Format("2006-01-02 15:04")
	}
}

// short is the beginning of a commit that people tell each other: 12 digits.
func short(sha string) string {
	const digits = 12
	sha = clean(sha)
	if r := []rune(sha); len(r) > digits {
		return string(r[:digits])
	}
	return sha
}

// count writes a number with its noun: "1 step", "3 steps".
func count[N int | uint32 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// timeOf is the time of a timestamp, zero when it is not set.
func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// between is the time from start to end, to now when there is no end yet, 0 without a start.
func between(start, end *timestamppb.Timestamp, now time.Time) time.Duration {
	switch {
	case start == nil:
		return 0
	case end == nil:
		return max(0, now.Sub(start.AsTime()))
	}
	return max(0, end.AsTime().Sub(start.AsTime()))
}

// durationOf writes a duration of the wire, "" when it is not set.
func durationOf(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	return Duration(d.AsDuration())
}

// Count writes a number with its noun: "1 commit", "3 commits".
func Count(n int, noun string) string { return count(n, noun) }
