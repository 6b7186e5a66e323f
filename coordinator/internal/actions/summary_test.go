package actions

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSummaryStaysBelowTheLimit(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "summary")
	e := Environment{SummaryFile: file}
	page := strings.Repeat("a line with ünïcode\n", 20_000) + "```\n" + strings.Repeat("log\n", 300_000) + "```\n"
	for range 3 {
		if err := e.AppendSummary(page); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if len(text) > 1<<20 || len(text) < 1<<19 {
		t.Errorf("the summary has %d bytes", len(text))
	}
	if !utf8.ValidString(text) || strings.Count(text, "was cut here") != 1 || strings.Count(text, "\n```\n")%2 != 0 {
		t.Error("the cut is not clean")
	}
	if err := (Environment{}).AppendSummary("x"); err != nil {
		t.Error(err)
	}
}

func FuzzCutMarkdown(f *testing.F) {
	f.Add("a\nb\n```\ncode\n```\nc\n", 8)
	f.Add("````md\n```\n````\ntext\n", 12)
	f.Add(strings.Repeat("é", 100), 31)
	f.Fuzz(func(t *testing.T, page string, limit int) {
		if limit < 0 || limit > len(page) || !utf8.ValidString(page) {
			t.Skip()
		}
		got := CutMarkdown(page, limit)
		if !utf8.ValidString(got) {
			t.Errorf("%q was cut within a character", page)
		}
		if len(got) > 2*limit+len(cutNote)+2 {
			t.Errorf("%d bytes after a cut at %d", len(got), limit)
		}
		if body, ok := strings.CutSuffix(got, cutNote); ok && openFence(body) != "" {
			t.Errorf("a code block stays open in %q", got)
		}
	})
}
