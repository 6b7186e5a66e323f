package git

import (
	"os/exec"
	"testing"
)

func TestIsSHA(t *testing.T) {
	t.Parallel()
	const forty = "0123456789abcdef0123456789abcdef01234567"
	tests := map[string]bool{
		forty: true, forty + forty[:24]: true, forty[:39]: false, forty + "0": false, "": false,
		"0123456789ABCDEF0123456789ABCDEF01234567": false, "-" + forty[1:]: false, forty[:39] + "\n": false,
	}
	for s, want := range tests {
		if IsSHA(s) != want {
			t.Errorf("IsSHA(%q) = %v", s, !want)
		}
	}
}

// git check-ref-format is the judge.
func TestCheckBranchAgreesWithGit(t *testing.T) {
	t.Parallel()
	names := []string{
		"main", "feature/a-b", "release/1.2", "ümlaut", "a@b", "v1.", "a..b", ".a", "a/.b", "a.lock", "a.lock/b",
		"a//b", "/a", "a/", "a b", "a~", "a^", "a:b", "a?", "a*", "a[", "a\\b", "a@{1}", "a\x01", "a\x7f", "-a", "--upload-pack=x", "a.b.c",
	}
	for _, name := range names {
		want := exec.Command("git", "check-ref-format", "refs/heads/"+name).Run() == nil && name[0] != '-'
		if got := CheckBranch(name) == nil; got != want {
			t.Errorf("CheckBranch(%q) accepts: %v, git: %v", name, got, want)
		}
	}
	for _, name := range []string{"", "@", "HEAD"} {
		if CheckBranch(name) == nil {
			t.Errorf("CheckBranch(%q) accepts a reserved name", name)
		}
	}
}

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "a/b", "-a", ":(glob)*", "a b", "\xff", "..a"} {
		if err := checkPath(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "../a", "/a", "a/../../b", "a/", "./a", "a//b", "a\x00b"} {
		if checkPath(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"fatal: unable to access 'https://user:s3cret@example.org/r.git/'": "fatal: unable to access 'https://***@example.org/r.git/'",
		"https://ghp_token@github.com/o/r":                                 "https://***@github.com/o/r",
		"ssh://git@example.org/r and ssh://git:pw@example.org/r":           "ssh://git@example.org/r and ssh://***@example.org/r",
		"git@github.com:o/r.git":                                           "git@github.com:o/r.git",
		"https://example.org/@scope/package":                               "https://example.org/@scope/package",
	}
	for in, want := range tests {
		if got := redact(in); got != want {
			t.Errorf("redact(%q) = %q, want %q", in, got, want)
		}
	}
}
