package checkout

import (
	"context"
	"fmt"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
)

// maxVerified bounds the commits that are verified for one deploy: each costs two children.
const maxVerified = 1000

// Signatures judges the signatures of commits.
type Signatures struct {
	c       *Checkout
	allowed string
	every   bool
}

var _ ports.Signatures = Signatures{}

// Signatures are judged by a file of allowed signers (ssh-keygen(1)), an absolute path; every says that each commit since the one that
// runs has to be signed, not the target alone.
func (c *Checkout) Signatures(allowed string, every bool) Signatures {
	return Signatures{c, allowed, every}
}

// Verify implements ports.Signatures.
func (s Signatures) Verify(ctx context.Context, base, target string) (string, error) {
	if !s.every {
		base = ""
	}
	if base != "" {
		known, err := s.c.repo.IsAncestor(ctx, base, target)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return "", err
		}
		if !known {
			base = "" // going back, or after a force-push, nothing lies between that could be told
		}
	}
	commits, err := s.c.repo.Between(ctx, base, target, maxVerified)
	if err != nil {
		return "", err
	}
	signer := ""
	for _, sha := range commits {
		if signer, err = s.c.repo.VerifySignature(ctx, sha, s.allowed); err != nil {
			info, _ := s.c.Commit(ctx, sha) // its subject is for the reader; without it the commit is named all the same
			return "", fault.Wrap(err, fault.KindOf(err), fault.ReasonOf(err), "commit %.12s %q by %s may not be deployed", sha, info.Subject, info.Author)
		}
	}
	return fmt.Sprintf("%d commits, the last by %s", len(commits), signer), nil
}
