package actions

import (
	"os"
	"strings"
	"unicode/utf8"
)

// summaryLimit bounds the summary of a step, in bytes: above 1 MiB GitHub drops all of it
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits).
// What is left is for the note about the cut.
const summaryLimit = 1<<20 - 8<<10

// cutNote ends a summary that was cut.
const cutNote = "\n\n> [!NOTE]\n> The summary was cut here: GitHub takes no more than 1 MiB of a step.\n"

// AppendSummary adds Markdown to the summary of this step; outside of Actions there is none.
// What does not fit below GitHub's limit, together with what the step has written already, is cut
// between two lines and outside of code blocks, with a note.
func (e Environment) AppendSummary(markdown string) error {
	if e.SummaryFile == "" || markdown == "" {
		return nil
	}
	written := 0
	if info, err := os.Stat(e.SummaryFile); err == nil {
		written = int(info.Size())
	}
	if written >= summaryLimit {
		return nil // it ends with the note already
	}
	text := CutMarkdown(strings.ToValidUTF8(markdown, "\uFFFD"), summaryLimit-written)
	return appendTo(e.SummaryFile, strings.TrimRight(text, "\n")+"\n\n", "SUMMARY_FILE", "write the summary")
}

// CutMarkdown shortens a page to about limit bytes: at the end of a line, with every code
// block closed and a note appended. A page within the limit is returned as it is.
func CutMarkdown(page string, limit int) string {
	if len(page) <= limit {
		return page
	}
	cut := strings.LastIndexByte(page[:limit], '\n') + 1
	if cut == 0 { // one endless line
		for cut = limit; cut > 0 && !utf8.RuneStart(page[cut]); {
			cut--
		}
	}
	page = page[:cut]
	if !strings.HasSuffix(page, "\n") {
		page += "\n"
	}
	if fence := openFence(page); fence != "" {
		page += fence + "\n"
	}
	return page + cutNote
}

// openFence is the fence of the code block that page ends within, "" for none. A block
// ends with a fence at least as long as the one it began with; what follows the first fence has no
// backticks (CommonMark 4.5).
func openFence(page string) string {
	open := ""
	for line := range strings.Lines(page) {
		line = strings.TrimLeft(strings.TrimRight(line, "\n"), " ")
		marks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case len(marks) < 3:
		case open == "" && !strings.Contains(line[len(marks):], "`"):
			open = marks
		case open == "":
		case len(marks) >= len(open) && strings.TrimSpace(line[len(marks):]) == "":
			open = ""
		}
	}
	return open
}
