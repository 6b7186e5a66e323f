package strictyaml

import (
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"15s": 15 * time.Second, "2m": 2 * time.Minute, "1h30m": 90 * time.Minute,
		"250ms": 250 * time.Millisecond, "1.5s": 1500 * time.Millisecond, "0s": 0, "100h": 100 * time.Hour,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                                   "an empty text is not a duration",
		"15":                                 `duration "15" has no unit`,
		"0":                                  `duration "0" has no unit`,
		"2 m":                                `"2 m" is not a duration`,
		"m":                                  `"m" is not a duration`,
		"-5s":                                `"-5s" is not a duration`,
		"5days":                              `duration "5days" has the unknown unit "days": want a number with a unit ms, s, m or h`,
		"1h2":                                `duration "1h2" has no unit`,
		"9999999h":                           `duration "9999999h" is too long`,
		"1" + strings.Repeat("0", 400) + "s": "is not a duration",
	} {
		if _, err := ParseDuration(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]ByteSize{
		"0B": 0, "100B": 100, "2KiB": 2048, "512MiB": 512 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40,
		"3KB": 3000, "1.5GB": 1_500_000_000, "1 MB": 1_000_000,
	} {
		got, err := ParseByteSize(text)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
		if back, err := ParseByteSize(got.String()); err != nil || back != got {
			t.Errorf("%q: written as %s and read as %v, %v", text, got, back, err)
		}
	}
	for size, want := range map[ByteSize]string{0: "0B", 1500: "1500B", 1 << 30: "1GiB", 1536 << 10: "1536KiB"} {
		if got := size.String(); got != want {
			t.Errorf("%d: got %s, want %s", size, got, want)
		}
	}
	for text, want := range map[string]string{
		"":               "is not a size",
		"big":            "is not a size",
		"-1B":            "is not a size",
		"5":              "has no unit",
		"5gib":           `has the unknown unit "gib"`,
		"9e9TB":          "is not a size",
		"99999999999TiB": "is too large",
	} {
		if _, err := ParseByteSize(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"services", "stack", "files", "no_cache", "env_files", "api", "apps", "caddy"}
	for name, want := range map[string]string{
		"servces":                 "services",
		"sevrices":                "services",
		"file":                    "files",
		"no-cache":                "no_cache",
		"NoCache":                 "no_cache",
		"envfiles":                "env_files",
		"cadyd":                   "caddy",
		"app":                     "api", // as near as apps: the first in the alphabet
		"x":                       "",
		"":                        "",
		"volumes":                 "",
		strings.Repeat("a", 1000): "",
	} {
		if got := Suggest(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
	if got := Suggest("a", []string{"", strings.Repeat("b", 100)}); got != "" {
		t.Errorf("got %q", got)
	}
}
