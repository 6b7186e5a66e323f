package picture

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"ataraxis.dev/landfall/shared/fault"
)

const sha = "0123456789abcdef0123456789abcdef01234567"

func TestRefusal(t *testing.T) {
	t.Parallel()
	many := make([]string, 9)
	for i := range many {
		many[i] = fmt.Sprintf("many/%d", i)
	}
	for name, c := range map[string]struct {
		tree   Tree
		reason string
		says   []string
		silent []string
	}{
		"clean on its branch": {tree: Tree{Branch: "main"}},
		"detached":            {tree: Tree{}},
		"only noted":          {tree: Tree{Branch: "main", Noted: []string{"a"}}},
		"merge": {
			Tree{Branch: "main", InProgress: "merge"}, "GIT_IN_PROGRESS", []string{"a git merge is under way in /srv/x", "git merge --abort"}, nil,
		},
		"bisect":    {Tree{InProgress: "bisect"}, "GIT_IN_PROGRESS", []string{"git bisect reset"}, []string{"--abort"}},
		"on hotfix": {Tree{Branch: "hotfix"}, "BRANCH_CHECKED_OUT", []string{"/srv/x has branch hotfix checked out", "follows main", "git checkout main"}, nil},
		"commits": {
			Tree{Branch: "main", Unpushed: []Commit{{SHA: sha, Subject: "local pi fix"}, {SHA: strings.Repeat("f", 40)}}},
			"HOST_COMMITS",
			[]string{"2 commits in /srv/x", "main does not have them: 0123456789ab local pi fix, ffffffffffff", "git branch keep-0123456789ab 0123456789ab"},
			nil,
		},
		"too many commits": {Tree{Unpushed: make([]Commit, MaxUnpushed)}, "HOST_COMMITS", []string{"100 or more commits"}, nil},
		"edits": {
			Tree{Branch: "main", Edited: []string{"app/main.go"}},
			"DIRTY_TREE",
			[]string{"1 tracked files in /srv/x were edited by hand: app/main.go", "git restore", "prepare.reset of landfall.yaml"},
			nil,
		},
		"many edits": {Tree{Branch: "main", Edited: many}, "DIRTY_TREE", []string{"9 tracked files", "many/4, ..."}, []string{"many/5"}},
		"flags":      {Tree{Branch: "main", Flagged: []string{"a"}, Noted: []string{"b"}}, "FLAGGED_FILES", []string{"1 files", ": a (", "--no-skip-worktree"}, []string{": b"}},
		"in the way": {Tree{Branch: "main", InTheWay: []string{".env", "pgdata/"}}, "UNTRACKED_IN_THE_WAY", []string{"2 untracked", ".env, pgdata/"}, nil},
		"everything": {
			Tree{Branch: "hotfix", InProgress: "rebase", Unpushed: []Commit{{SHA: sha, Subject: "fix"}}, Edited: []string{"e"}, Flagged: []string{"f"}, InTheWay: []string{"w"}},
			"GIT_IN_PROGRESS",
			[]string{"git rebase", "hotfix", "0123456789ab fix", "by hand: e", "them: f", "own: w", "git checkout main", "git restore"},
			nil,
		},
		"names that lie": {Tree{Edited: []string{"a\nb", "\xff\x1b[31m", "a, b"}}, "DIRTY_TREE", []string{`"a\nb", "` + "\uFFFD" + `\x1b[31m", "a, b"`}, []string{"\n", "\x1b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.tree.Dir = "/srv/x"
			err := c.tree.Refusal("main", "landfall.yaml")
			if c.reason == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var f *fault.Error
			if !errors.As(err, &f) || f.Kind != fault.Refused || f.Reason != c.reason || f.Hint == "" {
				t.Fatalf("got %#v, want %s", err, c.reason)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			for _, part := range c.silent {
				if strings.Contains(err.Error(), part) {
					t.Errorf("%q says %q", err, part)
				}
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "": "", " a\tb\r\n": "a b", "\x1b[31mred\x07": "[31mred", "\xff\xfe": "\uFFFD", "\u202eabc": "abc", //nolint:gocritic // the spaces are the point
		"grüße": "grüße", strings.Repeat("ü", 20): strings.Repeat("ü", 20), strings.Repeat("ü", 21): strings.Repeat("ü", 19) + "…",
	} {
		got := Text(in, 20)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
