package server

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/fault"
)

// gitopsService implements GitOpsService on the sentinel files.
type gitopsService struct {
	landfallv1.UnimplementedGitOpsServiceServer
	*Server
}

// maxPause is the longest pause that may be asked for. Paused forever is as bad as never paused.
const maxPause = 30 * 24 * time.Hour

func (g gitopsService) Pause(ctx context.Context, req *landfallv1.PauseRequest) (*landfallv1.PauseResponse, error) {
	reason, ttl := strings.TrimSpace(req.GetReason()), g.pauseTTL
	if req.GetTtl() != nil {
		ttl = req.GetTtl().AsDuration()
	}
	switch {
	case reason == "" || len(reason) > 500:
		return nil, fault.New(fault.Invalid, "BAD_REASON", "a pause needs a reason of at most 500 bytes")
	case ttl <= 0 || ttl > maxPause:
		return nil, fault.New(fault.Invalid, "BAD_TTL", "a pause lasts more than nothing and at most %s", maxPause)
	}
	now := time.Now()
	who := principalFrom(ctx).String()
	pause := &ports.Pause{Reason: reason, Owner: who, Created: now, Expires: now.Add(ttl)}
	if err := g.sentinels.ChangePause(func(*ports.Pause) *ports.Pause { return pause }); err != nil {
		return nil, err
	}
	g.log.Info("paused", "who", who, "reason", reason, "ttl", ttl)
	status, err := g.status()
	return &landfallv1.PauseResponse{Status: status}, err
}

func (g gitopsService) Resume(ctx context.Context, _ *landfallv1.ResumeRequest) (*landfallv1.ResumeResponse, error) {
	pause, err := g.engine.Resume()
	if err != nil {
		return nil, err
	}
	g.log.Info("resumed", "who", principalFrom(ctx).String(), "was_paused", pause != nil)
	status, err := g.status()
	return &landfallv1.ResumeResponse{Status: status, WasPaused: pause != nil}, err
}

func (g gitopsService) Unblock(ctx context.Context, req *landfallv1.UnblockRequest) (*landfallv1.UnblockResponse, error) {
	if sha := req.GetSha(); sha != "" && !shaBeginning.MatchString(sha) {
		return nil, fault.New(fault.Invalid, "BAD_SHA", "sha must be a commit SHA in lower case, the digest of an image (sha256:...), the first characters of one (at least 4 digits), or empty")
	}
	blocks, err := g.sentinels.Blocked()
	if err != nil {
		return nil, err
	}
	named := func(b ports.Blocked) bool { // digits alone name either
		return strings.HasPrefix(b.SHA, req.GetSha()) || (b.IsImage() && strings.HasPrefix(strings.TrimPrefix(b.SHA, "sha256:"), req.GetSha()))
	}
	if req.GetSha() != "" && !slices.ContainsFunc(blocks, named) {
		return nil, fault.New(fault.NotFound, "NOT_BLOCKED", "nothing that begins with %s is blocked", req.GetSha()).WithHint("landfall-coordinator status lists the blocks")
	}
	resp := &landfallv1.UnblockResponse{}
	err = g.sentinels.ChangeBlocked(func(blocks []ports.Blocked) []ports.Blocked {
		resp.UnblockedShas = nil
		return slices.DeleteFunc(blocks, func(b ports.Blocked) bool {
			if !named(b) {
				return false
			}
			resp.UnblockedShas, resp.UnblockedSha = append(resp.UnblockedShas, b.SHA), b.SHA
			return true
		})
	})
	if err != nil {
		return nil, err
	}
	g.log.Info("unblocked", "who", principalFrom(ctx).String(), "sha", resp.GetUnblockedShas())
	resp.Status, err = g.status()
	return resp, err
}

// shaBeginning is a commit, or the digest of an image, or enough of it to be found.
var shaBeginning = regexp.MustCompile(`^(sha256:)?[0-9a-f]{4,64}$`)

func (g gitopsService) GetGitOps(context.Context, *landfallv1.GetGitOpsRequest) (*landfallv1.GetGitOpsResponse, error) {
	status, err := g.status()
	return &landfallv1.GetGitOpsResponse{Status: status}, err
}

// status reads both sentinels.
func (s *Server) status() (*landfallv1.GitOpsStatus, error) {
	pause, err := s.sentinels.Pause()
	if err != nil {
		return nil, err
	}
	if pause != nil && !pause.Expires.After(time.Now()) {
		pause = nil // it is over
	}
	blocked, err := s.sentinels.Blocked()
	if err != nil {
		return nil, err
	}
	return gitopsOf(pause, blocked, s.converger.Status())
}
