package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// length is a flag for a length of time in the units that people think in: Go's, and days.
type length struct {
	time.Duration
	set bool
}

// String implements pflag.Value.
func (l *length) String() string {
	if !l.set {
		return ""
	}
	return l.Duration.String()
}

// Type implements pflag.Value: the name of the value in the help.
func (l *length) Type() string { return "duration" }

// Set implements pflag.Value: "2d", "1d12h", "90m". Nothing and less than nothing are no lengths.
func (l *length) Set(text string) error {
	const day = 24 * time.Hour
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no length of time: write 90m, 2h or 2d", text)
	}
	d := time.Duration(n) * day
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more > math.MaxInt64-d {
			return fmt.Errorf("%q is no length of time: write 90m, 2h or 2d", text)
		}
		d += more
	}
	if d <= 0 {
		return errors.New("it must be longer than nothing")
	}
	l.Duration, l.set = d, true
	return nil
}
