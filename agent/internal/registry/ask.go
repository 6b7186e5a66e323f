package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/distribution/reference"
	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/scheme/reg"
	"github.com/regclient/regclient/types/descriptor"
	"github.com/regclient/regclient/types/manifest"
	"github.com/regclient/regclient/types/mediatype"
	"github.com/regclient/regclient/types/platform"
	"github.com/regclient/regclient/types/ref"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// look is one look at registries.
type look struct {
	*Registries
	at      time.Time
	clients map[string]*client // by registry
}

// client is the way to one registry.
type client struct {
	rc   *regclient.RegClient
	gate *gate
	err  error // why it is not asked in this look
}

func (l *look) close() {
	for _, c := range l.clients {
		if c.gate != nil {
			c.gate.base.CloseIdleConnections()
			l.log.Debug("asked", "heads", c.gate.heads, "gets", c.gate.gets, "left", c.gate.left)
		}
	}
}

// retryTrouble is how long after something went wrong a registry is asked again.
const retryTrouble = time.Hour

// judge tells what is known of a name, and asks where it is time to.
func (l *look) judge(ctx context.Context, w wanted, old seen, every time.Duration) seen {
	next := old.Until
	if next.IsZero() {
		next = old.Asked.Add(every)
	}
	due := old.Asked.IsZero() || !l.at.Before(next) || old.Asked.After(l.at) // the clock was set back
	switch {
	case due:
		return l.ask(ctx, w, old)
	case old.Image == w.image || old.Verdict == verdictUnknown:
		return old
	}
	// Pulled, rolled back or named anew since: what was learned is held against that.
	digests, _, err := l.origin(ctx, w)
	if err != nil {
		lost := old.troubled(err)
		lost.Until = l.at.Add(retryTrouble)
		return lost
	}
	again := old
	again.Image = w.image
	switch same, known := sameAs(w, digests, old); {
	case known && same:
		again.Verdict = verdictFresh
		return again
	case known:
		again.Verdict = verdictNewer
		return again
	}
	return l.ask(ctx, w, old)
}

// troubled is what is known where nobody can tell. What was learned before is kept, so that it need not be asked for again.
func (s seen) troubled(err error) seen {
	s.Verdict, s.Trouble = verdictUnknown, plain(err.Error())
	return s
}

// plain is one line of printable text.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " "))
	runes := []rune(strings.Join(strings.Fields(text), " "))
	return string(runes[:min(len(runes), maxText)])
}

// origin lists the digests under which the registry of a name gave us what it means here, and its platform. Those of other repositories say
// nothing about this one.
func (l *look) origin(ctx context.Context, w wanted) (digests []string, os string, err error) {
	all, os, err := l.Engine.Origin(ctx, w.image)
	if err != nil {
		return nil, "", fmt.Errorf("the engine does not tell where the image here is from: %w", err)
	}
	for _, from := range all {
		named, err := reference.ParseNormalizedNamed(from)
		if err != nil {
			continue // "<none>@sha256:..."
		}
		if digested, ok := named.(reference.Digested); ok && named.Name() == w.named.Name() {
			digests = append(digests, digested.Digest().String())
		}
	}
	return digests, os, nil
}

// sameAs holds what is here against what the registry has, as far as is known already.
func sameAs(w wanted, digests []string, s seen) (same, known bool) {
	kind, hex, _ := strings.Cut(w.content, ":")
	switch {
	case s.Digest == "":
		return false, false
	case slices.Contains(digests, s.Digest), s.Child != "" && (slices.Contains(digests, s.Child) || w.image == s.Child):
		return true, true
	case kind == picture.ContentConfig && s.Config != "":
		return w.content == s.Config, true
	case kind == picture.ContentManifest && s.Child != "":
		return "sha256:"+hex == s.Child, true
	}
	return false, false
}

// ask asks the registry of a name: one HEAD, and more only where the answer is one that nothing is known about.
func (l *look) ask(ctx context.Context, w wanted, old seen) seen {
	host := reference.Domain(w.named)
	c := l.client(ctx, host)
	s := old
	s.Asked, s.Until, s.Trouble = l.at, time.Time{}, ""
	err := c.err
	if err == nil {
		err = l.compare(ctx, c, w, &s)
	}
	if err == nil {
		return s
	}
	if errors.Is(ctx.Err(), context.Canceled) { // the agent ends: that says nothing about a registry
		return old
	}
	s = s.troubled(err)
	s.Until = l.at.Add(retryTrouble)
	if limit, told := l.known.Limits[host]; told && limit.Until.After(s.Until) {
		s.Until = limit.Until
	}
	if c.gate != nil {
		c.gate.mu.Lock()
		until, why, broken := c.gate.until.Round(0).UTC(), c.gate.why, c.gate.broken
		c.gate.mu.Unlock()
		switch {
		case until.After(l.at):
			l.known.Limits[host] = limited{until, why}
			c.err = err
			s.Until = until
		case broken:
			c.err = err // its other images would wait as long
		}
	}
	return s
}

// client finds or makes the way to a registry.
func (l *look) client(ctx context.Context, host string) *client {
	if c := l.clients[host]; c != nil {
		return c
	}
	c := &client{}
	l.clients[host] = c
	if limit, told := l.known.Limits[host]; told && l.at.Before(limit.Until) {
		c.err = fmt.Errorf("%s; it is left alone until %s", limit.Why, limit.Until.UTC().Format(time.RFC3339))
		return c
	}
	var login Login
	if l.Credentials != nil {
		if login, c.err = l.Credentials.For(ctx, host); c.err != nil {
			return c
		}
	}
	if c.gate, c.err = newGate(host, l.CertDir); c.err != nil {
		return c
	}
	h := config.HostNewName(host)
	h.User, h.Pass, h.Token = login.User, login.Password, login.Token
	if c.gate.loopback {
		h.TLS = config.TLSDisabled
	}
	c.rc = regclient.New(
		regclient.WithConfigHost(*h), regclient.WithUserAgent(l.UserAgent), regclient.WithSlog(slog.New(slog.DiscardHandler)),
		regclient.WithRegOpts(
			reg.WithHTTPClient(&http.Client{Transport: c.gate}), reg.WithManifestMax(maxAnswer, maxAnswer),
			reg.WithRetryLimit(1), reg.WithDelay(100*time.Millisecond, time.Second),
		),
	)
	return c
}

// compareWithin bounds what one image may take.
const compareWithin = 2 * answerWithin

// compare learns what the tag means in the registry, and whether that is what is here.
func (l *look) compare(ctx context.Context, c *client, w wanted, s *seen) error {
	ctx, cancel := context.WithTimeout(ctx, compareWithin) // and what the library leaves open ends with it
	defer cancel()
	name, err := ref.New(w.named.String())
	if err != nil {
		return err
	}
	head, err := c.rc.ManifestHead(ctx, name, regclient.WithManifestRequireDigest())
	if err != nil {
		return err
	}
	digest, err := usable(head.GetDescriptor())
	if err != nil {
		return err
	}
	if digest == s.Digest && s.Image == w.image && s.Verdict != verdictUnknown {
		return nil // as it was
	}
	if digest != s.Digest {
		s.Digest, s.Child, s.Config = digest, "", ""
	}
	s.Image = w.image
	digests, os, err := l.origin(ctx, w)
	if err != nil {
		return err
	}
	same, known := sameAs(w, digests, *s)
	if !known {
		if same, err = c.descend(ctx, w, name, os, digests, s); err != nil {
			return err
		}
	}
	s.Verdict = verdictNewer
	if same {
		s.Verdict = verdictFresh
	}
	return nil
}

// usable is the digest of a descriptor that can be compared, and blocked.
func usable(d descriptor.Descriptor) (string, error) {
	switch {
	case d.Digest.Validate() != nil || d.Digest.Algorithm() != "sha256":
		return "", fmt.Errorf("the registry tells the digest %.80q, which is none of SHA-256", d.Digest)
	case !isIndex(d) && !isImage(d):
		return "", fmt.Errorf("the registry has a %.80q under this name, which is no image", d.MediaType)
	}
	return d.Digest.String(), nil
}

func isIndex(d descriptor.Descriptor) bool {
	return d.MediaType == mediatype.OCI1ManifestList || d.MediaType == mediatype.Docker2ManifestList
}

func isImage(d descriptor.Descriptor) bool {
	return d.MediaType == mediatype.OCI1Manifest || d.MediaType == mediatype.Docker2Manifest
}

// descend looks for the manifest of our platform in what the registry has, and holds that against what is here: an index is another one
// also where another platform's image changed, or how ours was built. It costs one GET, and one more where the engine knows neither the
// manifest nor the digest that names it.
func (c *client) descend(ctx context.Context, w wanted, name ref.Ref, os string, digests []string, s *seen) (same bool, err error) {
	p, err := platform.Parse(os)
	if err != nil {
		return false, fmt.Errorf("the engine tells the platform %.40q: %w", os, err)
	}
	if s.Child == "" {
		if s.Child, s.Config, err = c.child(ctx, name, s.Digest, p); err != nil {
			return false, err
		}
	}
	if same, known := sameAs(w, digests, *s); known {
		return same, nil
	}
	switch kind, _, _ := strings.Cut(w.content, ":"); {
	case kind == picture.ContentConfig: // the classic store: the manifest names the configuration
		m, err := c.get(ctx, name, s.Child)
		if err != nil {
			return false, err
		}
		if s.Config, err = configOf(m); err != nil {
			return false, err
		}
		return w.content == s.Config, nil
	case kind == picture.ContentShown && len(digests) > 0: // what was pulled tells its manifest, too
		was, _, err := c.child(ctx, name, digests[0], p)
		return was == s.Child, err
	}
	return false, fmt.Errorf("what the image here holds cannot be compared with what the registry has")
}

// maxDescent is how many indexes may be in one another: buildx puts one into another.
const maxDescent = 2

// child is the manifest of a platform under a digest, with the configuration that it names where that was read.
func (c *client) child(ctx context.Context, name ref.Ref, digest string, p platform.Platform) (child, configuration string, err error) {
	for range maxDescent {
		m, err := c.get(ctx, name, digest)
		if err != nil {
			return "", "", err
		}
		if !m.IsList() {
			configuration, err = configOf(m)
			return digest, configuration, err
		}
		next, err := entryFor(m, p)
		if err != nil {
			return "", "", err
		}
		if digest, err = usable(next); err != nil || !isIndex(next) {
			return digest, "", err
		}
	}
	return "", "", fmt.Errorf("the registry has more than %d indexes in one another under this name", maxDescent)
}

// entryFor is the entry of an index for a platform, or an index in it, which has none of its own. Attestations have the platform "unknown".
func entryFor(m manifest.Manifest, p platform.Platform) (descriptor.Descriptor, error) {
	index, ok := m.(manifest.Indexer)
	if !ok {
		return descriptor.Descriptor{}, fmt.Errorf("the registry's index cannot be read")
	}
	entries, err := index.GetManifestList()
	if err != nil {
		return descriptor.Descriptor{}, err
	}
	var images, nested []descriptor.Descriptor
	for _, d := range entries {
		switch {
		case d.Platform != nil && d.Platform.OS != "unknown" && isImage(d):
			images = append(images, d)
		case isIndex(d):
			nested = append(nested, d)
		}
	}
	if found, err := descriptor.DescriptorListSearch(images, descriptor.MatchOpt{Platform: &p}); err == nil {
		return found, nil
	}
	if len(nested) == 1 {
		return nested[0], nil
	}
	return descriptor.Descriptor{}, fmt.Errorf("the registry has no image for %s under this name any more", p)
}

func (c *client) get(ctx context.Context, name ref.Ref, digest string) (manifest.Manifest, error) {
	m, err := c.rc.ManifestGet(ctx, name.SetDigest(digest))
	if err != nil {
		return nil, err
	}
	if got := m.GetDescriptor().Digest.String(); got != digest {
		return nil, fmt.Errorf("the registry answers with %.80q where %s was asked for", got, digest)
	}
	return m, nil
}

func configOf(m manifest.Manifest) (string, error) {
	image, ok := m.(manifest.Imager)
	if !ok {
		return "", fmt.Errorf("the registry has a %.80q under this name, which is no image", m.GetDescriptor().MediaType)
	}
	d, err := image.GetConfig()
	if err != nil {
		return "", err
	}
	if d.Digest.Validate() != nil {
		return "", fmt.Errorf("the registry's manifest names the configuration %.80q", d.Digest)
	}
	return d.Digest.String(), nil
}
