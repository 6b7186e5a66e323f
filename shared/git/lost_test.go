package git_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/git/gittest"
)

func TestOnlyIn(t *testing.T) {
	t.Parallel()
	origin, work, first := pushed(t)
	clone := gittest.Clone(t, origin)
	repo := open(clone)
	subjects := func(tips, others []string) (list []string) {
		t.Helper()
		commits, err := repo.OnlyIn(t.Context(), tips, others, 3)
		requireNoError(t, err)
		for _, c := range commits {
			list = append(list, c.Subject+" by "+c.Author)
		}
		return list
	}
	if got := subjects([]string{"HEAD", "refs/heads/none"}, []string{absent}); got != nil {
		t.Errorf("a fresh clone has %q", got)
	}
	clone.Commit("host one", nil)
	second := clone.Commit("host two\n\nbody", nil)
	if diff := cmp.Diff([]string{"host two by Ada", "host one by Ada"}, subjects([]string{"HEAD", "refs/heads/main"}, []string{absent, first})); diff != "" {
		t.Error(diff)
	}
	if got := subjects([]string{"HEAD"}, []string{second}); got != nil {
		t.Errorf("what is known: %q", got)
	}
	clone.Commit("three", nil)
	clone.Commit("four", nil)
	if got := subjects([]string{"HEAD"}, nil); len(got) != 3 {
		t.Errorf("the limit is 3: %q", got)
	}
	_, err := repo.OnlyIn(t.Context(), []string{"--all"}, nil, 1)
	requireFault(t, err, fault.Invalid, "INVALID_REVISION")
	_, err = repo.OnlyIn(t.Context(), nil, []string{"--all"}, 1)
	requireFault(t, err, fault.Invalid, "INVALID_REVISION")
	_ = work
}

func TestReflog(t *testing.T) {
	t.Parallel()
	origin, work, first := pushed(t)
	clone := gittest.Clone(t, origin)
	repo := open(clone)
	const ref = "refs/remotes/origin/main"
	second := work.Commit("two", nil)
	work.Push()
	_, err := repo.Fetch(t.Context(), "origin", "main", nil)
	requireNoError(t, err)
	got, err := repo.Reflog(t.Context(), ref)
	requireNoError(t, err)
	if len(got) == 0 || got[0] != second {
		t.Errorf("the reflog has %v, not %s (and %s)", got, second, first)
	}
	clone.Remove(".git/logs")
	for _, ref := range []string{ref, "refs/remotes/origin/none"} {
		if got, err := repo.Reflog(t.Context(), ref); len(got) != 0 || err != nil {
			t.Errorf("without one, %s: %v, %v", ref, got, err)
		}
	}
	_, err = repo.Reflog(t.Context(), "--all")
	requireFault(t, err, fault.Invalid, "INVALID_REF")
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	work := gittest.New(t)
	work.Git("config", "log.showSignature", "true")
	sha := work.Commit("subject line\nthat goes on\n\nbody", nil)
	got, err := open(work).Describe(t.Context(), sha)
	requireNoError(t, err)
	if got.SHA != sha || got.Subject != "subject line that goes on" || got.Author != "Ada" || !got.Time.Equal(time.Date(2026, 1, 1, 12, 1, 0, 0, time.UTC)) {
		t.Errorf("%+v", got)
	}
	_, err = open(work).Describe(t.Context(), absent)
	requireFault(t, err, fault.NotFound, "UNKNOWN_COMMIT")
	_, err = open(work).Describe(t.Context(), "HEAD")
	requireFault(t, err, fault.Invalid, "INVALID_SHA")
}
