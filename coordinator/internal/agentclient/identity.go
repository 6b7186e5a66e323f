package agentclient

import (
	"context"
	"fmt"
	"sync"
	"time"

	landfallv1 "ataraxis.dev/landfall/proto/landfall/v1"
	"ataraxis.dev/landfall/shared/identity"
)

// endings are the certificates of both ends that end soon.
type endings struct {
	mu    sync.Mutex
	texts map[string]string // by principal
	warn  func(string)
}

// WarnOfEndings has Close tell of certificates of either end that end soon.
func (c *Client) WarnOfEndings(warn func(text string)) {
	c.endings.mu.Lock()
	defer c.endings.mu.Unlock()
	c.endings.warn = warn
}

// met notes a principal whose certificate ends soon.
func (e *endings) met(p identity.Principal) {
	now := time.Now()
	if !p.ExpiresWithin(identity.EndingSoon, now) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.texts == nil {
		e.texts = map[string]string{}
	}
	text := fmt.Sprintf("the certificate of %s ends in %s, at %s; renew it with: landfall-coordinator identity renew %s",
		p, Left(p.NotAfter.Sub(now)), p.NotAfter.UTC().Format(time.RFC3339), p.Name)
	if p.Role.Client() {
		text += ", or over the wire where the agent allows it: identity renew --by-agent"
	}
	e.texts[p.String()] = text
}

func (e *endings) tell() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.warn == nil {
		return
	}
	for _, text := range e.texts {
		e.warn(text)
	}
	e.texts = nil
}

// Left is a time to come, for people: days, below two of them hours, below two of those the time to the second.
func Left(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d days", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return d.Round(time.Second).String()
}

// Revoke brings a CA's revocation list to the agent.
func (c *Client) Revoke(ctx context.Context, list []byte) (*landfallv1.RevokeResponse, error) {
	return look(ctx, c, c.identity.Revoke, &landfallv1.RevokeRequest{List: string(list)})
}

// Renew has the agent sign a certificate for a new key, and puts both into our identity folder.
func (c *Client) Renew(ctx context.Context, dir string) (time.Time, error) {
	next, err := identity.NewSuccession()
	if err != nil {
		return time.Time{}, err
	}
	request, err := next.Request()
	if err != nil {
		return time.Time{}, err
	}
	resp, err := look(ctx, c, c.identity.Renew, &landfallv1.RenewRequest{CertificateRequest: request})
	if err != nil {
		return time.Time{}, err
	}
	renewed := identity.Renewed{Cert: []byte(resp.GetCertificate()), Authority: []byte(resp.GetAuthority())}
	return resp.GetExpireTime().AsTime(), next.Install(dir, renewed)
}
