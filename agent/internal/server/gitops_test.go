package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	g := b.gitops()
	for ttl, want := range map[*durationpb.Duration]time.Duration{nil: 4 * time.Hour, durationpb.New(90 * time.Minute): 90 * time.Minute} {
		resp, err := g.Pause(b.context(), &landfallv1.PauseRequest{Reason: "  new disk ", Ttl: ttl})
		p := resp.GetStatus().GetPause()
		if err != nil || p.GetReason() != "new disk" || p.GetOwner() != "operator/test" || p.GetOperationId() != "" ||
			p.GetExpireTime().AsTime().Sub(p.GetCreateTime().AsTime()) != want || time.Since(p.GetCreateTime().AsTime()).Abs() > time.Minute {
			t.Errorf("paused for %v: %v, %v", ttl, resp, err)
		}
	}
	if got, err := g.GetGitOps(b.context(), &landfallv1.GetGitOpsRequest{}); err != nil || got.GetStatus().GetPause().GetReason() != "new disk" {
		t.Errorf("status: %v, %v", got, err)
	}
	for _, was := range []bool{true, false} {
		if resp, err := g.Resume(b.context(), &landfallv1.ResumeRequest{}); err != nil || resp.GetWasPaused() != was || resp.GetStatus().GetPause() != nil {
			t.Errorf("resumed: %v, %v; want was_paused %v", resp, err, was)
		}
	}
}

func TestBadPauses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	g := b.gitops()
	for name, tt := range map[string]struct {
		req    *landfallv1.PauseRequest
		reason string
	}{
		"no reason":    {&landfallv1.PauseRequest{}, "BAD_REASON"},
		"blank reason": {&landfallv1.PauseRequest{Reason: " \n\t"}, "BAD_REASON"},
		"long reason":  {&landfallv1.PauseRequest{Reason: strings.Repeat("x", 501)}, "BAD_REASON"},
		"no time":      {&landfallv1.PauseRequest{Reason: "x", Ttl: durationpb.New(0)}, "BAD_TTL"},
		"negative":     {&landfallv1.PauseRequest{Reason: "x", Ttl: durationpb.New(-time.Hour)}, "BAD_TTL"},
		"for ever":     {&landfallv1.PauseRequest{Reason: "x", Ttl: durationpb.New(maxPause + time.Second)}, "BAD_TTL"},
		"beyond time":  {&landfallv1.PauseRequest{Reason: "x", Ttl: &durationpb.Duration{Seconds: 1 << 62}}, "BAD_TTL"},
	} {
		_, err := g.Pause(b.context(), tt.req)
		t.Run(name, func(t *testing.T) { requireStatus(t, err, codes.InvalidArgument, tt.reason) })
	}
	if calls := b.Calls("Sentinels.ChangePause"); len(calls) > 0 {
		t.Error("a bad pause was written")
	}
}

func TestResumeIsRefusedWhileAnOperationRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.converse(b.dial(identity.RoleDeployer))
	c.deploy("one", b.deploying(b.next(1)))
	id := c.accepted("one").GetOperation().GetId()
	c.until(awaiting)
	_, err := b.gitops().Resume(b.context(), &landfallv1.ResumeRequest{})
	requireStatus(t, err, codes.FailedPrecondition, "HOST_LOCKED")
	if err != nil && !strings.Contains(err.Error(), id) {
		t.Errorf("%v does not name %s", err, id)
	}
	if pause, err := b.Ports().Sentinels.Pause(); pause == nil || err != nil {
		t.Errorf("the running deploy lost its pause: %v", err)
	}
}

func TestUnblock(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	g := b.gitops()
	sha := strings.Repeat("d", 40)
	block(t, b, sha)
	if got, err := g.GetGitOps(b.context(), &landfallv1.GetGitOpsRequest{}); err != nil || got.GetStatus().GetBlocked().GetSha() != sha {
		t.Errorf("status: %v, %v", got, err)
	}
	for _, want := range []string{sha, ""} {
		if resp, err := g.Unblock(b.context(), &landfallv1.UnblockRequest{}); err != nil || resp.GetUnblockedSha() != want || resp.GetStatus().GetBlocked() != nil {
			t.Errorf("unblocked: %v, %v; want %q", resp, err, want)
		}
	}
}

func TestSentinelsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	full := errors.New("no space left on device")
	b.FailAt("Sentinels.ChangePause", full)
	b.FailAt("Sentinels.ChangeBlocked", full)
	g := b.gitops()
	_, pauseErr := g.Pause(b.context(), &landfallv1.PauseRequest{Reason: "x"})
	_, resumeErr := g.Resume(b.context(), &landfallv1.ResumeRequest{})
	_, unblockErr := g.Unblock(b.context(), &landfallv1.UnblockRequest{})
	for name, err := range map[string]error{"pause": pauseErr, "resume": resumeErr, "unblock": unblockErr} {
		if err == nil || !strings.Contains(err.Error(), full.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// block blocks commits.
func block(t *testing.T, b *bench, shas ...string) {
	t.Helper()
	err := b.Ports().Sentinels.ChangeBlocked(func(blocks []ports.Blocked) []ports.Blocked {
		for _, sha := range shas {
			blocks = append(blocks, ports.Blocked{SHA: sha, Operation: "op-1-x", Reason: "rolled back", Created: time.Now()})
		}
		return blocks
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnblockOfOneOfSeveral: blocks are a list, and one is lifted by the beginning of its SHA.
func TestUnblockOfOneOfSeveral(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	g := b.gitops()
	one, two := strings.Repeat("d", 40), strings.Repeat("e", 40)
	block(t, b, one, two)
	got, err := g.GetGitOps(b.context(), &landfallv1.GetGitOpsRequest{})
	if err != nil || len(got.GetStatus().GetAllBlocked()) != 2 || got.GetStatus().GetBlocked().GetSha() != two {
		t.Errorf("status: %v, %v", got, err)
	}
	_, err = g.Unblock(b.context(), &landfallv1.UnblockRequest{Sha: "abcdef"})
	requireStatus(t, err, codes.NotFound, "NOT_BLOCKED")
	_, err = g.Unblock(b.context(), &landfallv1.UnblockRequest{Sha: "main"})
	requireStatus(t, err, codes.InvalidArgument, "BAD_SHA")
	resp, err := g.Unblock(b.context(), &landfallv1.UnblockRequest{Sha: one[:8]})
	if err != nil || len(resp.GetUnblockedShas()) != 1 || resp.GetUnblockedSha() != one || resp.GetStatus().GetBlocked().GetSha() != two {
		t.Errorf("unblocked: %v, %v", resp, err)
	}
}

// TestUnblockOfAnImage: by its digest, or the beginning of it; it is never told as a commit.
func TestUnblockOfAnImage(t *testing.T) {
	t.Parallel()
	commit, image := strings.Repeat("d", 40), "sha256:"+strings.Repeat("ab", 32)
	for _, named := range []string{image, image[:15], "abab"} {
		b := newBench(t)
		g := b.gitops()
		block(t, b, commit, image)
		got, err := g.GetGitOps(b.context(), &landfallv1.GetGitOpsRequest{})
		if err != nil || len(got.GetStatus().GetAllBlocked()) != 2 || got.GetStatus().GetBlocked().GetSha() != commit {
			t.Errorf("status: %v, %v", got, err)
		}
		resp, err := g.Unblock(b.context(), &landfallv1.UnblockRequest{Sha: named})
		if err != nil || resp.GetUnblockedSha() != image || len(resp.GetStatus().GetAllBlocked()) != 1 {
			t.Errorf("unblocked %s: %v, %v", named, resp, err)
		}
		_, err = g.Unblock(b.context(), &landfallv1.UnblockRequest{Sha: "sha256:xyz"})
		requireStatus(t, err, codes.InvalidArgument, "BAD_SHA")
	}
}
