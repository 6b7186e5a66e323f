package notify

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestText(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in    string
		limit int
		want  string
	}{
		"plain":             {"fix the proxy", 50, "fix the proxy"},
		"markdown":          {"**b** _i_ ~~s~~ ||x|| `c` # - >", 99, `\*\*b\*\* \_i\_ \~\~s\~\~ \|\|x\|\| \` + "`c" + `\` + "`" + ` \# \- \>`},
		"backslash":         {`\*`, 50, `\\\*`},
		"everyone":          {"@everyone @here", 50, "@\u200beveryone @\u200bhere"},
		"user mention":      {"<@123> <@&4> <#5>", 50, "\\<@\u200b123\\> \\<@\u200b&4\\> \\<\\#5\\>"},
		"masked link":       {"[x](https://evil.example)", 60, `\[x\]\(https\://evil.example\)`},
		"time and emoji":    {"<t:1:R> :skull:", 60, `\<t\:1\:R\> \:skull\:`},
		"lines":             {"a\nb\r\n\tc\u2028d", 50, "a b   c d"},
		"bidi":              {"a\u202eb\u2066c\u200fd\ufeffe", 50, "abcde"},
		"terminal":          {"\x1b[31mred\x1b[0m \x1b]0;t\x07x\x00\x9b", 50, "red x\uFFFD"},
		"not UTF-8":         {"a\xff\xfeb", 50, "a\uFFFDb"},
		"blank":             {" \u200b\u3164\t", 50, ""},
		"marks only":        {"\u0301\u0301", 50, ""},
		"exactly":           {"abcde", 5, "abcde"},
		"one more":          {"abcdef", 5, "abcd…"},
		"space at the cut":  {"abc def", 5, "abc…"},
		"not in an escape":  {"abc**", 5, `abc…`},
		"escape fits":       {"ab**", 6, `ab\*\*`},
		"two units":         {"ab😀😀", 5, "ab😀…"},
		"two units exactly": {"a😀😀", 5, "a😀😀"},
		"family":            {"a👨‍👩‍👧‍👦b", 10, "a…"},
		"skin":              {"👍🏽👍🏽", 7, "👍🏽…"},
		"flags":             {"🇩🇪🇫🇷", 6, "🇩🇪…"},
		"marks":             {"e\u0301e\u0301", 3, "e\u0301…"},
		"Hangul":            {"\u1112\u1161\u11ab\u1112\u1161\u11ab", 5, "\u1112\u1161\u11ab…"},
		"a webhook": {
			"see https://discord.com/api/webhooks/1098765432109876543/TEST-token_TEST-token_TEST now", 99,
			`see https\://discord.com/api/webhooks/\(removed\) now`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := text(c.in, c.limit)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if units(got) > c.limit {
				t.Errorf("%d units", units(got))
			}
		})
	}
}

// A letter with a thousand marks costs what a cluster may cost, not the message.
func TestTextBoundsClusters(t *testing.T) {
	t.Parallel()
	if n := cluster("a" + strings.Repeat("\u0301", 1000)); n != len("a")+(mostRunes-1)*len("\u0301") {
		t.Errorf("a cluster of %d bytes", n)
	}
}

func TestBlock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   []string
		want string
	}{
		"lines":   {[]string{"one", "  two @x"}, "```\none\n  two @x\n```"},
		"fence":   {[]string{"```", "@everyone"}, "```\nˋˋˋ\n@\u200beveryone\n```"},
		"both":    {[]string{"<@here0<@everyone"}, "```\n<\u200b@\u200bhere0<\u200b@\u200beveryone\n```"},
		"nothing": {[]string{"", " \t"}, ""},
		"mention": {[]string{"<@1>", "<#2> <:e:3> <t:4>"}, "```\n<\u200b@1>\n<\u200b#2> <\u200b:e:3> <\u200bt:4>\n```"},
		"the last": {
			[]string{strings.Repeat("a", 30), strings.Repeat("b", 30), strings.Repeat("c", 30)},
			"```\n" + strings.Repeat("b", 30) + "\n" + strings.Repeat("c", 30) + "\n```",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, block(c.in, 72)); diff != "" {
				t.Error(diff)
			}
		})
	}
	long := block([]string{strings.Repeat("x", 9000)}, 1000)
	if !strings.HasSuffix(long, "…\n```") || units(long) > 1000 {
		t.Errorf("an endless line: %d units, %q", units(long), long[len(long)-10:])
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	many := make([]string, 500)
	for i := range many {
		many[i] = "path/" + strings.Repeat("x", 20)
	}
	got := list(many, 300)
	if units(got) > 300 || !strings.HasSuffix(got, "… 491 more") {
		t.Errorf("%d units: %q", units(got), got)
	}
	if got := list([]string{"a`b", " ", "c"}, 300); got != "`aˋb`, `c`" {
		t.Error(got)
	}
}
