package console

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

func logLine(stack, service string, number uint32, text string) *landfallv1.TailLogsResponse {
	return &landfallv1.TailLogsResponse{
		Stack: stack, Service: service, Container: "x-" + service, Number: number, Text: text, LogTime: timestamppb.New(time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)),
		Stream: landfallv1.OutputStream_OUTPUT_STREAM_STDERR,
	}
}

// shownLogs is what is written of some lines.
func shownLogs(t *testing.T, style LogStyle, lines ...*landfallv1.TailLogsResponse) string {
	t.Helper()
	var b bytes.Buffer
	l := NewLogs(&b, style)
	for _, line := range lines {
		if err := l.Line(line); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestLinesOfLogs(t *testing.T) {
	t.Parallel()
	cut := logLine("core", "db", 2, "long")
	cut.Truncated = true
	lines := []*landfallv1.TailLogsResponse{logLine("core", "web", 1, "one"), logLine("core", "database", 1, "two"), logLine("core", "web", 2, ""), cut, logLine("extra", "web", 1, "other"), logLine("", "stray", 0, "who")}
	want := "web-1 | one\ndatabase-1 | two\nweb-2      | \ndb-2       | long…\nextra/web-1 | other\nstray       | who\n"
	if got := shownLogs(t, LogStyle{}, lines...); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := shownLogs(t, LogStyle{NoPrefix: true, Timestamps: true}, lines[:2]...); got != "2026-03-01T12:00:00.123Z one\n2026-03-01T12:00:00.123Z two\n" {
		t.Errorf("got\n%s", got)
	}
}

func TestServicesKeepTheirColour(t *testing.T) {
	t.Parallel()
	colourOf := func(lines ...*landfallv1.TailLogsResponse) string {
		shown := shownLogs(t, LogStyle{Colour: true}, lines...)
		last := shown[strings.LastIndex(strings.TrimSuffix(shown, "\n"), "\n")+1:]
		colour, _, ok := strings.Cut(last, "m")
		if !ok || !strings.HasPrefix(colour, "\x1b[") {
			t.Fatalf("no colour: %q", last)
		}
		return colour
	}
	web := logLine("core", "web", 1, "x")
	alone := colourOf(web)
	if with := colourOf(logLine("core", "db", 1, "x"), logLine("core", "cache", 1, "x"), web); with != alone {
		t.Errorf("web is %q alone and %q with others", alone, with)
	}
	if second := colourOf(logLine("core", "web", 2, "x")); second != alone {
		t.Errorf("the second container of web is %q", second)
	}
	seen := map[string]bool{}
	for _, service := range []string{"web", "db", "cache", "mcp-auth", "mcp-proxy", "grafana", "n8n", "caddy"} {
		seen[colourOf(logLine("core", service, 1, "x"))] = true
	}
	if len(seen) < 4 {
		t.Errorf("eight services have %d colours", len(seen))
	}
	if plain := shownLogs(t, LogStyle{}, web); strings.Contains(plain, "\x1b") {
		t.Errorf("colours where there are none: %q", plain)
	}
}

func TestHostileLinesOfLogs(t *testing.T) {
	t.Parallel()
	hostile := "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m \u202egpj.exe \x9b31m\r ::set-output name=x::y\x00"
	line := logLine("core\x1b[2J", "web\x1b]0;x\x07", 1, hostile)
	for _, style := range []LogStyle{{}, {Timestamps: true}, {NoPrefix: true}, {JSON: true}} {
		shown := shownLogs(t, style, line)
		if strings.ContainsAny(strings.TrimSuffix(shown, "\n"), "\x1b\x00\r\a\n") || strings.Contains(shown, "\u202e") {
			t.Errorf("%+v: %q", style, shown)
		}
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(shownLogs(t, LogStyle{JSON: true}, line)), &object); err != nil {
		t.Fatal(err)
	}
	if object["text"] != strings.ToValidUTF8(hostile, "\uFFFD") || object["stream"] != "stderr" || object["time"] != "2026-03-01T12:00:00.123456789Z" || object["number"] != float64(1) {
		t.Errorf("as an object: %q", object)
	}
	notice := logLine("core", "web\x1b[2J", 0, "")
	notice.Notice = &landfallv1.LogNotice{Message: "web-1 logs\x1b[2J elsewhere"}
	if got := LogNotice(notice); got != "web: web-1 logs elsewhere" {
		t.Errorf("a notice: %q", got)
	}
}
