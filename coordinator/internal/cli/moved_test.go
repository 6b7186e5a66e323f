package cli

import (
	"strings"
	"testing"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/git"
)

// movedClone is a repository whose stamp differs from the head in docs, while the commit that the checkout was moved to differs in the app, too.
func movedClone(t *testing.T) (repoDir, moved, base, head string) {
	t.Helper()
	repo, moved, base := clone(t)
	return repo.Dir, moved, base, repo.Commit("docs", map[string]string{"docs/a.md": "a\n"})
}

func TestAMovedCheckoutIsPartOfTheChangeSet(t *testing.T) {
	dir, moved, base, head := movedClone(t)
	a := &agent{stamp: base, ends: succeeded, host: func(h *landfallv1.Host) { h.MovedSha = moved }}
	a.serve(t)
	t.Chdir(dir)
	o := landfall(t, "run", "--no-gate")
	o.expect(t, 0, "1 commit, 1 file, +1 -0, flags: app, docs", "somebody moved the checkout to "+moved[:12])
	if len(a.deploys) != 1 || a.deploys[0].GetMovedSha() != moved || a.deploys[0].GetBaseSha() != base || a.deploys[0].GetEverythingReason() != "" {
		t.Fatalf("deploys %v", a.deploys)
	}
	// The digest is that of the union: the agent compiles the same.
	s := source{repo: git.Repo{Dir: dir}, path: "landfall.yaml"}
	whole, err := s.compile(t.Context(), ground{base: base, moved: moved}, head)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := s.compile(t.Context(), ground{base: base}, head)
	if err != nil {
		t.Fatal(err)
	}
	if digest := a.deploys[0].GetPlanDigest(); digest != whole.plan.Digest() || digest == alone.plan.Digest() {
		t.Errorf("digest %s, of the union %s, of the base alone %s", digest, whole.plan.Digest(), alone.plan.Digest())
	}

	plan := landfall(t, "plan")
	plan.expect(t, 0)
	if !strings.Contains(plan.out, "app/main.txt") || !strings.Contains(plan.out, "somebody moved the checkout to "+moved[:12]) {
		t.Errorf("plan: %s", plan.out)
	}
	output, summary := runnerFiles(t)
	detected := landfall(t, "detect-changes")
	detected.expect(t, 0)
	got := outputs(t, output)
	if got["app"] != "true" || got["docs"] != "true" || got["files_changed"] != "1" || got["commits"] != "1" || got["base_sha"] != base || got["everything_reason"] != "" {
		t.Errorf("outputs %v", got)
	}
	for name, text := range map[string]string{"stdout": detected.out, "summary": read(t, summary)} {
		if !strings.Contains(text, "somebody moved the checkout to "+moved[:12]) || !strings.Contains(text, "counts are those from the base") {
			t.Errorf("%s does not say where the flags come from: %s", name, text)
		}
	}
}

// A commit made on the host is in no clone: then everything is deployed, and it is said why.
func TestAMovedCheckoutThatNobodyPushed(t *testing.T) {
	dir, _, base, _ := movedClone(t)
	lost := strings.Repeat("ab", 20)
	a := &agent{stamp: base, ends: succeeded, host: func(h *landfallv1.Host) { h.MovedSha = lost }}
	a.serve(t)
	t.Chdir(dir)
	landfall(t, "run", "--no-gate").expect(t, 0, "everything (somebody moved the checkout to "+lost)
	if len(a.deploys) != 1 || a.deploys[0].GetMovedSha() != lost || !strings.Contains(a.deploys[0].GetEverythingReason(), lost) {
		t.Errorf("deploys %v", a.deploys)
	}
}

// The stamp's own commit may be the target: the checkout is brought back to it.
func TestAMovedCheckoutIsBroughtBackToTheStamp(t *testing.T) {
	repo, moved, base := clone(t)
	a := &agent{stamp: base, ends: succeeded, host: func(h *landfallv1.Host) { h.MovedSha = moved }}
	a.serve(t)
	t.Chdir(repo.Dir)
	landfall(t, "run", "--no-gate").expect(t, 0, "flags: app")
	if len(a.deploys) != 1 {
		t.Errorf("commands %q", a.commands)
	}
}
