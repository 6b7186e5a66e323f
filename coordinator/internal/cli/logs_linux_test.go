package cli

import (
	"strings"
	"testing"
)

// Services have colours on a terminal, and none where NO_COLOR is set.
func TestLogsAreColouredOnATerminal(t *testing.T) {
	for _, tt := range []struct{ noColour, says string }{{"", "mweb-1 |\x1b[0m line 1"}, {"1", "web-1 | line 1"}} {
		a, _ := printing(2)
		a.serve(t)
		t.Setenv("NO_COLOR", tt.noColour)
		t.Setenv("TERM", "xterm")
		term := newTerminal(t)
		var errs strings.Builder
		if code := Run([]string{"logs"}, Streams{In: strings.NewReader(""), Out: term.slave, Err: &errs}); code != 0 || errs.String() != "" {
			t.Errorf("exit code %d, stderr %q", code, errs.String())
		}
		term.says(t, tt.says)
		term.mu.Lock()
		if coloured := strings.Contains(term.shown.String(), "\x1b"); coloured == (tt.noColour != "") {
			t.Errorf("NO_COLOR=%q: %q", tt.noColour, term.shown.String())
		}
		term.mu.Unlock()
	}
}
