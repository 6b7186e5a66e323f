package server

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/version"
)

// hostTimeout bounds the parts of GetHost that ask somebody else. What does not answer
// in time becomes a problem in the answer: the answer itself always comes.
const hostTimeout = 5 * time.Second

// dirtyShown is how many edited files GetHost names.
const dirtyShown = 20

// expirySoon is when a certificate's end becomes a problem.
const expirySoon = 30 * 24 * time.Hour

// host reads everything; a part that cannot be read is named in problems.
func (s *Server) host(ctx context.Context) *landfallv1.Host {
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	h := &landfallv1.Host{
		AgentVersion: version.Version, ProtocolVersion: ProtocolVersion, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CurrentTime: timestamppb.Now(), StartTime: timestamppb.New(s.started), Engine: &landfallv1.Engine{},
		CertificateExpireTime: at(s.expires()),
	}
	p := &problems{}
	var err error
	h.Name, err = os.Hostname()
	p.add("host name", err)

	var group sync.WaitGroup
	group.Go(func() { h.Checkout = s.readCheckout(ctx, p) })
	group.Go(func() {
		engine, compose, err := s.versions(ctx)
		h.Engine.Version, h.Engine.ComposeVersion = engine, compose
		if err != nil {
			h.Engine.Error = err.Error()
		}
		p.add("engine", err)
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
	}
	h.DiskFreeBytes, h.MemoryAvailableBytes, err = s.left()
	p.add("disk and memory", err)
	if left := time.Until(s.expires()); !s.expires().IsZero() && left < expirySoon {
		p.add("certificate", fmt.Errorf("ends in %s; renew it with: landfall-coordinator identity renew", left.Round(time.Hour)))
	}
	h.Problems = p.list
	return h
}

func (s *Server) readCheckout(ctx context.Context, p *problems) *landfallv1.Checkout {
	c := &landfallv1.Checkout{Path: s.checkout, Branch: s.branch}
	var err error
	c.HeadSha, err = s.tree.Head(ctx)
	p.add("checkout", err)
	if err != nil {
		return c
	}
	dirty, err := s.tree.Dirty(ctx)
	p.add("checkout", err)
	c.Dirty = len(dirty) > 0
	c.DirtyPaths = dirty[:min(len(dirty), dirtyShown)]
	return c
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
