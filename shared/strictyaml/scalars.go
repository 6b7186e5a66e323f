package strictyaml

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var durationPart = regexp.MustCompile(`^(\d+(?:\.\d+)?)([a-zA-Zµ]*)`)

var durationUnits = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour,
}

// ParseDuration reads "15s", "2m", "1h30m" or "250ms". It knows fewer units than Go's
// own parser and names them when another is used; "0" alone needs a unit as well.
func ParseDuration(text string) (time.Duration, error) {
	const want = "want a number with a unit ms, s, m or h, as in 15s, 2m or 1h30m"
	var sum float64
	rest := text
	for rest != "" {
		m := durationPart.FindStringSubmatch(rest)
		switch {
		case m == nil, m[2] == "" && m[0] != rest:
			return 0, fmt.Errorf("%q is not a duration: %s", text, want)
		case m[2] == "":
			return 0, fmt.Errorf("duration %q has no unit: %s", text, want)
		}
		unit, known := durationUnits[m[2]]
		if !known {
			return 0, fmt.Errorf("duration %q has the unknown unit %q: %s", text, m[2], want)
		}
		number, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration: %s", text, want)
		}
		sum += math.Round(number * float64(unit))
		rest = rest[len(m[0]):]
	}
	if text == "" {
		return 0, fmt.Errorf("an empty text is not a duration: %s", want)
	}
	if sum > float64(math.MaxInt64)/2 {
		return 0, fmt.Errorf("duration %q is too long", text)
	}
	return time.Duration(sum), nil
}

// ByteSize is a number of bytes, written "512MiB", "2GiB", "1.5GB" or "100B".
type ByteSize int64

var byteUnits = map[string]float64{
	"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

var byteSize = regexp.MustCompile(`^(\d+(?:\.\d+)?) ?([a-zA-Z]*)$`)

// ParseByteSize reads a size with its unit; a bare number is refused, since nobody
// knows what it counts.
func ParseByteSize(text string) (ByteSize, error) {
	const want = "want a number with a unit B, KiB, MiB, GiB, TiB, KB, MB, GB or TB, as in 512MiB"
	m := byteSize.FindStringSubmatch(text)
	switch {
	case m == nil:
		return 0, fmt.Errorf("%q is not a size: %s", text, want)
	case m[2] == "":
		return 0, fmt.Errorf("size %q has no unit: %s", text, want)
	}
	unit, known := byteUnits[m[2]]
	if !known {
		return 0, fmt.Errorf("size %q has the unknown unit %q: %s", text, m[2], want)
	}
	number, err := strconv.ParseFloat(m[1], 64)
	if err != nil || number*unit > 1<<62 {
		return 0, fmt.Errorf("size %q is too large", text)
	}
	return ByteSize(math.Round(number * unit)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *ByteSize) UnmarshalText(text []byte) error {
	size, err := ParseByteSize(string(text))
	if err == nil {
		*b = size
	}
	return err
}

// String writes the size in the largest binary unit that divides it, to be read back
// by ParseByteSize unchanged.
func (b ByteSize) String() string {
	for _, unit := range strings.Fields("TiB GiB MiB KiB") {
		if size := ByteSize(byteUnits[unit]); b != 0 && b%size == 0 {
			return strconv.FormatInt(int64(b/size), 10) + unit
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}
