package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"

	"google.golang.org/protobuf/types/known/timestamppb"

	"ataraxis.dev/landfall/agent/internal/latest"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
	"ataraxis.dev/landfall/shared/version"
)

// GetHost answers within a second whatever its children do: what does not answer in time is
// told as it was last seen, with a problem that says how old that is.
var (
	versionLimits  = latest.Limits{Wait: 300 * time.Millisecond, First: 800 * time.Millisecond, Deadline: 5 * time.Second}
	checkoutLimits = latest.Limits{Wait: 500 * time.Millisecond, First: 800 * time.Millisecond, Deadline: 5 * time.Second}
)

// dirtyShown is how many edited files GetHost names.
const dirtyShown = 20

// unsettledPatience bounds the look at what the last deploy left, which asks git.
const unsettledPatience = 500 * time.Millisecond

// host reads everything; a part that cannot be read is named in problems.
func (s *Server) host(ctx context.Context) *landfallv1.Host {
	h := &landfallv1.Host{
		AgentVersion: version.Version, ProtocolVersion: ProtocolVersion, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CurrentTime: timestamppb.Now(), StartTime: timestamppb.New(s.started),
		CertificateExpireTime: at(s.expires()),
	}
	p := &problems{}
	var err error
	h.Name, err = os.Hostname()
	p.add("host name", err)

	var group sync.WaitGroup
	var stamped *landfallv1.CommitInfo
	group.Go(func() {
		seen, err := s.seenCheckout.Get(ctx, s.readCheckout)
		p.add("checkout", err)
		stamped = seen.stamped
		if h.Checkout = seen.checkout; h.Checkout == nil {
			h.Checkout = s.emptyCheckout()
		}
	})
	group.Go(func() {
		seen, err := s.seenVersions.Get(ctx, s.readVersions)
		p.add("engine", err)
		h.Engine = &landfallv1.Engine{Version: seen.engine, ComposeVersion: seen.compose}
		if err != nil {
			h.Engine.Error = err.Error()
		}
	})
	group.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, unsettledPatience)
		defer cancel()
		everything, moved, err := s.engine.Unsettled(ctx)
		p.add("last deploy", err)
		h.EverythingReason, h.MovedSha = everything, moved
	})
	group.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, unsettledPatience)
		defer cancel()
		op, gone, err := s.engine.ImagesGone(ctx)
		if err == nil && len(gone) > 0 {
			p.add("rollback", fmt.Errorf("images that ran before %s are gone (pruned?), so that a rollback has to build or pull them: %s", op.ID, keyList(gone)))
		}
	})
	group.Wait()

	sha, written, err := s.stamp.Stamp()
	p.add("stamp", err)
	if sha != "" {
		h.Stamp = &landfallv1.Stamp{Sha: sha, WriteTime: at(written)}
		if stamped.GetSha() == sha {
			h.Stamp.Commit = stamped
		}
	}
	h.Gitops, err = s.status()
	p.add("gitops", err)
	for _, finding := range s.converger.Status().Findings() {
		p.add("convergence", errors.New(finding))
	}
	if current := s.engine.Current(); current != nil {
		h.CurrentOperationId = current.ID
		h.EverythingReason, h.MovedSha = "", "" // what it leaves is not known yet
	}
	h.KeepVersions = uint32(s.engine.KeepVersions())
	if h.GetMovedSha() != "" {
		p.add("checkout", fmt.Errorf("somebody moved it to %s; the next deploy is measured from there, too", operation.Short(h.GetMovedSha())))
	}
	if h.GetEverythingReason() != "" {
		p.add("last deploy", errors.New(h.GetEverythingReason()+"; the next deploy does everything"))
	}
	h.DiskFreeBytes, h.MemoryAvailableBytes, err = s.left()
	p.add("disk and memory", err)
	if left := time.Until(s.expires()); !s.expires().IsZero() && left < identity.EndingSoon {
		p.add("certificate", fmt.Errorf("ends in %s; renew it with: landfall-coordinator identity renew NAME", left.Round(time.Hour)))
	}
	for _, trouble := range s.authority.Troubles() {
		p.add("identity", trouble)
	}
	h.Problems = p.list
	return h
}

func keyList(keys []picture.Key) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.String())
	}
	return strings.Join(names, ", ")
}

// versions are what the engine's parts say of themselves.
type versions struct{ engine, compose string }

func (s *Server) readVersions(ctx context.Context) (versions, error) {
	engine, compose, err := s.versions(ctx)
	return versions{engine, compose}, err
}

func (s *Server) emptyCheckout() *landfallv1.Checkout {
	return &landfallv1.Checkout{Path: s.checkout, Branch: s.branch}
}

// seenTree is what git tells of the checkout.
type seenTree struct {
	checkout *landfallv1.Checkout
	stamped  *landfallv1.CommitInfo // of the stamp, nil where there is none
}

func (s *Server) readCheckout(ctx context.Context) (seenTree, error) {
	t := seenTree{checkout: s.emptyCheckout()}
	if sha, _, err := s.stamp.Stamp(); err == nil && sha != "" {
		t.stamped = s.commit(ctx, sha)
	}
	return t, s.readHead(ctx, t.checkout)
}

func (s *Server) readHead(ctx context.Context, c *landfallv1.Checkout) (err error) {
	if c.HeadSha, err = s.tree.Head(ctx); err != nil {
		return err
	}
	if c.HeadBranch, err = s.tree.HeadBranch(ctx); err != nil {
		return err
	}
	c.Head = s.commit(ctx, c.GetHeadSha())
	dirty, err := s.tree.Dirty(ctx)
	c.Dirty = len(dirty) > 0
	c.DirtyPaths = dirty[:min(len(dirty), dirtyShown)]
	return err
}

// problems collects what a person should look at.
type problems struct {
	mu   sync.Mutex
	list []string
}

func (p *problems) add(what string, err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, what+": "+err.Error())
}
