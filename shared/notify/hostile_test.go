package notify

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"ataraxis.dev/landfall/shared/discordtest"
)

// fits posts a message to the fake, which holds it against every limit.
func fits(t *testing.T, m Message) {
	t.Helper()
	for _, m := range []*Message{&m, m.bare} {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/api/v10"+fakePath+"?wait=true", strings.NewReader(string(raw)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("User-Agent", "DiscordBot (test, 1)")
		w := httptest.NewRecorder()
		discordtest.New(nil).ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("Discord refuses %s: %s", raw, w.Body)
		}
	}
}

var fakePath = "/webhooks/1098765432109876543/" + discordtest.New(nil).Token()

// What Discord's client makes of text, from left to right: blocks of code, escapes, spans of code. What is left
// between our own words must have no meaning.
var (
	settled    = regexp.MustCompile("(?s:```\n.*?\n```)|\\\\[^0-9A-Za-z\\s]|`[^`\n]+`")
	ownLinks   = regexp.MustCompile(`\]\(https://github\.com/[a-z0-9/-]+\)`)
	ownBold    = regexp.MustCompile(`\*\*(Failed job:|Why:|Step:|What to do:|MIGRATIONS STAY APPLIED)\*\*`)
	active     = regexp.MustCompile("(?i)[*_~`|<>\\\\]|https?://|@(everyone|here|[!&]?\\d)|\\]\\(|:[a-z0-9_]+:|(?m)^(#|-|>|\\d+\\.) ")
	anyMention = regexp.MustCompile(`(?i)@(everyone|here)|<(@[!&]?\d|#\d|/[^>\n]*[^\\]:\d|id:\w+>|t:-?\d|a?:\w+:\d)`)
)

// inert fails when anything foreign has a meaning.
func inert(t *testing.T, m Message) {
	t.Helper()
	for _, e := range append(m.Embeds, m.bare.Embeds...) {
		texts := []string{e.Title, e.Description}
		for _, f := range e.Fields {
			texts = append(texts, f.Name, f.Value)
		}
		for _, s := range texts {
			if !utf8.ValidString(s) {
				t.Fatalf("not UTF-8: %q", s)
			}
			if found := anyMention.FindString(s); found != "" {
				t.Fatalf("mentions by %q: %q", found, s)
			}
			if i := strings.IndexFunc(s, func(r rune) bool {
				return r != '\n' && string(r) != breaker && r != '\u200c' && r != '\u200d' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Bidi_Control)
			}); i >= 0 {
				t.Fatalf("a hidden character at %d: %q", i, s)
			}
			if strings.Count(s, "```")%2 != 0 {
				t.Fatalf("a block of code does not end: %q", s)
			}
			left := s
			for _, drop := range []*regexp.Regexp{settled, ownLinks, ownBold} {
				left = drop.ReplaceAllString(left, "¤")
			}
			if found := active.FindString(left); found != "" {
				t.Fatalf("%q has a meaning in %q, which is left of %q", found, left, s)
			}
		}
	}
}

// hostile makes an input of which every text is s.
func hostile(s string, state OperationState, times int) Input {
	many := make([]string, times)
	for i := range many {
		many[i] = s
	}
	in := deploy(state)
	in.Project, in.Host, in.FailedJob, in.Running = s, s, s, s
	in.Operation.ID, in.Operation.SupersededBy, in.Operation.Warnings, in.Operation.Migrations = s, s, many, many
	in.Operation.Problem = &Problem{Reason: s, Message: s, Hint: s, Step: s, Output: many}
	in.Problem = in.Operation.Problem
	in.Change.Flags, in.Change.Unclaimed = many, many
	in.Commit.Subject, in.Commit.Author = s, s
	in.Run.Name = s
	in.GitOps = GitOps{Paused: true, PausedUntil: start.Add(time.Hour), BlockedSHA: s}
	in.Policy = Policy{FullWhen: many}
	return in
}

var hostileTexts = []string{
	"@everyone", "@here <@123456789012345678> <@&1> <#1> </x:1> <id:guide> <t:1> <:e:1> <a:e:1>", "[free](https://evil.example)",
	"```\n@everyone", "`", "``", "`` ` ``", "\\", "\\\\`", "**", "***x***", "~~||__", "# h", "-# s", "> q", ">>> q", "- l", "1. l", ":x:", "https://evil.example",
	"a\u202eb\u2066", "\x1b[31m", "\x00", "\xff", "\u200b", "", " ", "👨‍👩‍👧‍👦", "🇩🇪", "e\u0301", "\n\n\n", "::error::x", "<https://e.x>", "\u0301", "\u2028",
}

func TestHostileText(t *testing.T) {
	t.Parallel()
	for _, s := range hostileTexts {
		for _, repeat := range []int{1, 7, 300} {
			states, told := []OperationState{Succeeded, RolledBack, Superseded, "", "X"}, []State{Failure, Full, Condensed, Suppress}
			if repeat > 100 { // megabytes of text: what is cut does not depend on the state
				states, told = states[1:2], told[:2]
			}
			for _, state := range states {
				in := hostile(strings.Repeat(s, repeat), state, 12)
				for _, told := range told {
					m := Embed(in, told)
					fits(t, m)
					inert(t, m)
				}
			}
		}
	}
}

// Links come from the environment of the run; one that is not plain is left out.
func TestHostileLinks(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"javascript:alert(1)", "https://u:p@e.x/", "https://e.x/)[x](https://y.z", "https://e.x/@everyone", "//e.x", "https://", "https://e.x/ a",
		"https://e.x/" + strings.Repeat("a", 3000), "https://e.x/\n", "https://discord.com/api" + testPath, "https://e.x/`", "https://[::1]/",
	} {
		in := deploy(Succeeded)
		in.Run.URL, in.Commit.URL = s, s
		m := Embed(in, Full)
		fits(t, m)
		if raw, err := json.Marshal(m); err != nil || m.Embeds[0].URL != "" || strings.Contains(string(raw), "](") {
			t.Errorf("%q became a link: %s", s, raw)
		}
	}
}

func FuzzEmbed(f *testing.F) {
	for i, s := range hostileTexts {
		f.Add(s, uint(i), uint(i*i))
	}
	states := []OperationState{Succeeded, RolledBack, RollbackFailed, Failed, FailedUntouched, Superseded, Cancelled, NothingToDeploy, "", "X"}
	told := []State{Failure, Full, Condensed, Suppress}
	f.Fuzz(func(t *testing.T, s string, pick, times uint) {
		in := hostile(strings.Repeat(s, int(pick%50)+1), states[pick%uint(len(states))], int(times%100))
		m := Embed(in, told[times%uint(len(told))])
		fits(t, m)
		inert(t, m)
	})
}
