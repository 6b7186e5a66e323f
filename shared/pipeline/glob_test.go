package pipeline

import (
	"strings"
	"testing"

	"ataraxis.dev/landfall/shared/fault"
)

// TestPatternsDocumented holds the examples of GitHub's filter pattern cheat sheet,
// those for paths and, since the characters mean the same, those for branches and tags:
// https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet
func TestPatternsDocumented(t *testing.T) {
	cases := []struct {
		patterns string // one a line
		match    string // separated by |
		miss     string
	}{
		{"*", "README.md|server.rb", "docs/README.md"},
		{"*.jsx?", "page.js|page.jsx", "page.jsxx|a/page.js|page.jx"},
		{"**", "all/the/files.md|a", ""},
		{"*.js", "app.js|index.js", "src/app.js|app.jsx"},
		{"**.js", "index.js|js/index.js|src/js/app.js", "index.ts"},
		{"docs/*", "docs/README.md|docs/file.txt", "docs/a/file.txt|README.md"},
		{"docs/**", "docs/README.md|docs/mona/octocat.txt", "doc/a|docs|xdocs/a"},
		{"docs/**/*.md", "docs/README.md|docs/mona/hello-world.md|docs/a/markdown/file.md", "docs/a.txt|README.md"},
		{"**/docs/**", "docs/hello.md|dir/docs/my-file.txt|space/docs/plan/space.doc", "mydocs/a|docs"},
		{"**/README.md", "README.md|js/README.md", "README.md/x|xREADME.md"},
		{"**/*src/**", "a/src/app.js|my-src/code/js/app.js", "a/srcs/app.js"},
		{"**/*-post.md", "my-post.md|path/their-post.md", "post.md"},
		{"**/migrate-*.sql", "migrate-10909.sql|db/migrate-v1.0.sql|db/sept/migrate-v1.sql", "db/migrate-v1/a.sql"},
		{"*.md\n!README.md", "hello.md", "README.md|docs/hello.md"},
		{"*.md\n!README.md\nREADME*", "hello.md|README.md|README.doc", "x.doc"},
		{"feature/*", "feature/my-branch|feature/your-branch", "feature/a/b"},
		{"feature/**", "feature/beta-a/my-branch|feature/mona/the/octocat", "features/a"},
		{"releases/mona-the-octocat", "releases/mona-the-octocat", "releases/mona"},
		{"'*'", "'x'", "x"},
		{"*feature", "mona-feature|feature|ver-10-feature", "feature-x"},
		{"v2*", "v2|v2.0|v2.9", "v1"},
		{"v[12].[0-9]+.[0-9]+", "v1.10.1|v2.0.0", "v3.0.0|v1.0|v1..1"},
		{"[CB]at", "Cat|Bat", "cat|at|CBat"},
		{"[1-2]00", "100|200", "300"},
		{"", "", ""},
	}
	for _, c := range cases {
		var list []string
		if c.patterns != "" {
			list = strings.Split(c.patterns, "\n")
		}
		expectMatches(t, list, c.match, c.miss)
	}
}

func TestPatternsCorners(t *testing.T) {
	cases := []struct{ patterns, match, miss string }{
		{"!docs/**", "", "docs/a|README.md"}, // nothing to take out of
		{"!a\n**", "a|b", ""},
		{"**\n!a/**\na/b", "x|a/b", "a/c"},
		{".*", ".env|.github", "env"},
		{"*", ".env", ""}, // a leading dot is nothing special
		{"**/.env", ".env|a/.env", "a.env"},
		{`\*.md`, "*.md", "a.md"},
		{`\!a`, "!a", "a"},
		{"a!b", "a!b", "ab"},
		{`a\\b`, `a\b`, "ab"},
		{`a\?`, "a?", "a|"},
		{"a+b", "ab|aab", "b|a+b"},
		{"[a-c]?x", "x|ax|cx", "dx|aax"},
		{"]", "]", ""},
		{"a.b", "a.b", "axb"},
		{"(a|b)$", "", "a|b"},
		{"docs/?x", "docsx|docs/x", "doc/x"},
		{"é?x", "x|éx", "éé"},
		{"***", "a|a/b", ""},
		{"a**/b", "a/b|ax/y/b", "ab"},
		{"a/**/b", "a/b|a/x/b|a/x/y/b", "ab|a/xb"},
		{"**/a", "a|x/a|x/y/a", "xa"},
		{"*/a", "x/a", "a|x/y/a"},
		{"line\nbreak", "", ""}, // two patterns
		{"/a", "", "a"},
		{"a/", "", "a|a/b"},
		{"ab*ba", "abba|abxba", "aba"}, // prefix and suffix may not overlap
	}
	for _, c := range cases {
		expectMatches(t, strings.Split(c.patterns, "\n"), c.match, c.miss)
	}
}

func TestPatternsCompareBytes(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"docs/*", "docs/\xff\xfe.txt", true},
		{"docs/\ufffd", "docs/\xff", false}, // the replacement character is not "any bad byte"
		{"docs/\ufffd", "docs/\ufffd", true},
		{"caf\u00e9", "caf\xe9", false}, // the same letter in Latin-1
		{"caf\u00e9*", "caf\u00e9s", true},
		{"caf\xe9", "caf\xe9", true}, // a pattern that is not UTF-8 itself
		{"a*b", "a\nb", true},
		{"**.md", "a\n/\xff/b.md", true},
	} {
		compiled, err := CompilePatterns([]string{c.pattern})
		if err != nil {
			t.Fatal(err)
		}
		if got := compiled.Match(c.path); got != c.want {
			t.Errorf("%q on %q: got %v", c.pattern, c.path, got)
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":       `path pattern "": it is empty`,
		"!":      `path pattern "!": it is empty`,
		"?a":     `'?' needs a character before it`,
		"+":      `'+' needs a character before it`,
		"a+?":    `'?' needs a character before it`,
		"*?":     `'?' needs a character before it`,
		"[":      `"[" is never closed`,
		"a[]":    `[] lists no characters`,
		"[!a]":   `[!a] may list only letters, digits and ranges of them`,
		"[a-]":   `[a-] has a range that is not within`,
		"[z-a]":  `[z-a] has a range that is not within`,
		"[a-Z]":  `[a-Z] has a range that is not within`,
		`a\`:     `"\" at the end has nothing to escape`,
		"[\\d]":  "may list only letters",
		"[a-\\]": "has a range",
	} {
		_, err := CompilePatterns([]string{"ok", pattern})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", pattern, err, want)
		}
		if fault.KindOf(err) != fault.Invalid || fault.ReasonOf(err) != "PATTERN_INVALID" {
			t.Errorf("%q: got kind %v, reason %s", pattern, fault.KindOf(err), fault.ReasonOf(err))
		}
	}
}

func TestMatchService(t *testing.T) {
	cases := []struct {
		pattern, match, miss string
	}{
		{"caddy", "caddy", "caddy2|cadd"},
		{"mcp-auth-*", "mcp-auth-gmail|mcp-auth-", "mcp-auth|xmcp-auth-a"},
		{"*", "a|anything", ""},
		{"*-proxy-*", "mcp-proxy-n8n", "mcp-proxy"},
		{"a*b*c", "abc|axbxc|abbc", "acb|ab"},
		{"ab*ba", "abba", "aba"},
	}
	for _, c := range cases {
		for _, service := range split(c.match) {
			if !MatchService(c.pattern, service) {
				t.Errorf("%q should match %q", c.pattern, service)
			}
		}
		for _, service := range split(c.miss) {
			if MatchService(c.pattern, service) {
				t.Errorf("%q should not match %q", c.pattern, service)
			}
		}
	}
}

func expectMatches(t *testing.T, list []string, match, miss string) {
	t.Helper()
	compiled, err := CompilePatterns(list)
	if err != nil {
		t.Errorf("%q: %v", list, err)
		return
	}
	for _, path := range split(match) {
		if !compiled.Match(path) {
			t.Errorf("%q should match %q", list, path)
		}
	}
	for _, path := range split(miss) {
		if compiled.Match(path) {
			t.Errorf("%q should not match %q", list, path)
		}
	}
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, "|")
}

// FuzzMatch looks for panics, and for a quick test that disagrees with the whole expression.
func FuzzMatch(f *testing.F) {
	f.Add("docs/**/*.md", "docs/a/b.md")
	f.Add("!**.js", "x.js")
	f.Add("a[b-d]+\\*é?", "abc*\xff")
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := compilePattern(text)
		if err != nil {
			return
		}
		if got, want := p.match(path), p.re.MatchString(latin1(path)); got != want {
			t.Errorf("%q on %q: %v, but the expression says %v", text, path, got, want)
		}
	})
}
