package workflowcommand

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestInert(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                               "",
		"text":                           "text",
		"std::vector":                    "std::vector",
		"::error::x":                     "| ::error::x",
		"  ::error::x":                   "|   ::error::x",
		"\u00a0\u2028::error::x":         "| \u00a0\u2028::error::x",
		"- ::x::":                        "| - ::x::",
		"10%\r::error::x":                "10%\r| ::error::x",
		"##[group]x":                     "## [group]x",
		"a ##[error]b ##[x]":             "a ## [error]b ## [x]",
		"####[x]":                        "#### [x]",
		"##vso[task.setvariable]x":       "##vso [task.setvariable]x",
		"a ##VSO[x]":                     "a ##VSO [x]",
		`{"a":"##[x] ##vso[y]"}`:         `{"a":"##\u005bx] ##vso\u005by]"}`,
		`{"a":"::error::"}`:              `{"a":"::error::"}`,
		"{ ::error::##[x]":               "| { ::error::## [x]",
		"# # [x]":                        "# # [x]",
		"{\"a\":\"x\"}\r::set-env name=": "{\"a\":\"x\"}\r| ::set-env name=",
	} {
		if got := Inert(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzInert(f *testing.F) {
	for _, seed := range []string{"::a::", "##[a", "{\"a\":\"##[\"}", "a\r::b::", "##vso[", "####[["} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := Inert(line)
		lower := strings.ToLower(got)
		if strings.Contains(got, "##[") || strings.Contains(lower, "##vso[") {
			t.Errorf("%q has a mark", got)
		}
		for part := range strings.FieldsFuncSeq(got, func(r rune) bool { return r == '\r' || r == '\n' }) {
			if strings.HasPrefix(strings.TrimSpace(part), "::") && !strings.Contains(line, "\n") {
				t.Errorf("%q gives a command", part)
			}
		}
		var before, after any
		if json.Unmarshal([]byte(line), &before) == nil && strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(got), &after); err != nil || fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("%q means another thing: %q, %v", line, got, err)
			}
		}
	})
}

func TestWriter(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := &Writer{To: &b}
	for _, part := range []string{":", ":error::a\n#", "#[x]\n", "plain", " text\n\n", "::half"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := Print(w, Mask("secret")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("##[end")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Flush(), w.Flush()); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "| ::error::a\n## [x]\nplain text\n\n| ::half\n::add-mask::secret\n## [end"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	b.Reset()
	if err := Print(&b, "::x::"); err != nil || b.String() != "::x::\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestWriterTellsWhatFails(t *testing.T) {
	t.Parallel()
	w := &Writer{To: failing{}}
	if _, err := w.Write([]byte("a")); err != nil {
		t.Error(err) // nothing was passed on yet
	}
	if err := Print(w, "::x::"); err == nil {
		t.Error("no error")
	}
	if _, err := w.Write([]byte("a\n")); err == nil {
		t.Error("no error")
	}
}

// Lines of several goroutines stay whole.
func TestWriterIsShared(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := &Writer{To: &b}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				_, _ = fmt.Fprintln(w, "::error::text")
				_ = Print(w, "::notice::ours")
			}
		})
	}
	group.Wait()
	for line := range strings.Lines(b.String()) {
		if line != "| ::error::text\n" && line != "::notice::ours\n" {
			t.Fatalf("%q", line)
		}
	}
}
