package server

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
)

// slowTree is a checkout whose git may hang.
type slowTree struct {
	tree
	hung atomic.Bool
}

func (s *slowTree) Dirty(ctx context.Context) ([]string, error) {
	if s.hung.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.tree.Dirty(ctx)
}

// While git and docker hang GetHost tells what it knew, how old that is, and takes no second.
func TestHostAnswersWhileItsChildrenHang(t *testing.T) {
	t.Parallel()
	git := &slowTree{tree: tree{head: strings.Repeat("c", 40), dirty: []string{"edited"}}}
	b := newBench(t, func(c *Config) {
		c.Tree = git
		c.Versions = func(ctx context.Context) (string, string, error) {
			if git.hung.Load() {
				<-ctx.Done()
				return "", "", ctx.Err()
			}
			return "28.5.2", "2.40.3", nil
		}
	})
	ask := func() *landfallv1.Host {
		t.Helper()
		began := time.Now()
		resp, err := b.diagnostics().GetHost(b.context(), &landfallv1.GetHostRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("GetHost took %s", took)
		}
		return resp.GetHost()
	}
	if h := ask(); len(h.GetProblems()) > 0 || h.GetEngine().GetError() != "" {
		t.Fatalf("problems of a healthy host: %q", h.GetProblems())
	}
	git.hung.Store(true)
	for range 3 {
		h := ask()
		if h.GetCheckout().GetHeadSha() != git.head || !h.GetCheckout().GetDirty() || h.GetEngine().GetVersion() != "28.5.2" || h.GetEngine().GetComposeVersion() != "2.40.3" {
			t.Errorf("what was known is not told: %v", h)
		}
		all := strings.Join(h.GetProblems(), "\n")
		for _, part := range []string{"checkout: no answer within 500ms; this is how it was", "engine: no answer within 300ms; this is how it was"} {
			if !strings.Contains(all, part) {
				t.Errorf("%q is not told:\n%s", part, all)
			}
		}
		if !strings.Contains(h.GetEngine().GetError(), "no answer within 300ms") {
			t.Errorf("engine: %v", h.GetEngine())
		}
	}
}
