package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"ataraxis.dev/landfall/agent/internal/latest"
	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
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

// expirySoon is when a certificate's end becomes a problem.
const expirySoon = 30 * 24 * time.Hour

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
	group.Go(func() {
		seen, err := s.seenCheckout.Get(ctx, s.readCheckout)
		p.add("checkout", err)
		if h.Checkout = seen; seen == nil {
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
		reason, err := s.engine.Unsettled(ctx)
		p.add("last deploy", err)
		h.EverythingReason = reason
	})
	group.Wait()

	sha, written, err := s.stamp.Stamp()
	p.add("stamp", err)
	if sha != "" {
		h.Stamp = &landfallv1.Stamp{Sha: sha, WriteTime: at(written)}
	}
	h.Gitops, err = s.status()
	p.add("gitops", err)
	if current := s.engine.Current(); current != nil {
		h.CurrentOperationId = current.ID
		h.EverythingReason = "" // what it leaves is not known yet
	}
	if h.GetEverythingReason() != "" {
		p.add("last deploy", errors.New(h.GetEverythingReason()+"; the next deploy does everything"))
	}
	h.DiskFreeBytes, h.MemoryAvailableBytes, err = s.left()
	p.add("disk and memory", err)
	if left := time.Until(s.expires()); !s.expires().IsZero() && left < expirySoon {
		p.add("certificate", fmt.Errorf("ends in %s; renew it with: landfall-coordinator identity renew NAME", left.Round(time.Hour)))
	}
	h.Problems = p.list
	return h
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

func (s *Server) readCheckout(ctx context.Context) (*landfallv1.Checkout, error) {
	c := s.emptyCheckout()
	var err error
	if c.HeadSha, err = s.tree.Head(ctx); err != nil {
		return c, err
	}
	dirty, err := s.tree.Dirty(ctx)
	c.Dirty = len(dirty) > 0
	c.DirtyPaths = dirty[:min(len(dirty), dirtyShown)]
	return c, err
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
