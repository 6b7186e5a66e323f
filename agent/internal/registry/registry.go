// Package registry tells a tick of convergence which newer images registries have under the names that run here.
//
// It promises that nobody is asked more often than landfall.yaml says, also over restarts of the agent; that a look is one HEAD an image, which
// Docker Hub does not count, and a GET only where the tag has moved; that rate limits are obeyed; that what goes wrong, and what a registry says
// that makes no sense, is unknown and never newer; that what is built here, and what is pinned by its digest, is asked of nobody. State is
// written only where something was learned. Start reading at [Registries.Newer], then ask.go.
package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/hashicorp/go-hclog"

	"ataraxis.dev/landfall/agent/internal/converge"
	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/shared/pipeline"
)

// Engine tells where images came from that it has.
type Engine interface {
	// Origin lists the digests by which registries know an image, as NAME@DIGEST, and its platform, as "linux/arm64/v8".
	Origin(ctx context.Context, imageID string) (digests []string, platform string, err error)
}

// Settings are what is needed to ask. Path and Engine are required.
type Settings struct {
	Path   string // of the file that keeps what was learned
	Engine Engine
	// Credentials has the logins of registries; nil asks without.
	Credentials Credentials
	Timeout     time.Duration // of a whole look; 0 is two minutes
	CertDir     string        // folders of registries with the authorities that they are believed by, as Docker has them; "" is Docker's own
	UserAgent   string
}

// Registries asks. Safe for concurrent use.
type Registries struct {
	Settings
	log hclog.Logger

	mu    sync.Mutex
	known *state // nil until read
}

// New makes one; it asks nothing yet.
func New(s Settings, log hclog.Logger) *Registries {
	if s.Timeout <= 0 {
		s.Timeout = 2 * time.Minute
	}
	s.CertDir = cmp.Or(s.CertDir, "/etc/docker/certs.d")
	s.UserAgent = cmp.Or(s.UserAgent, "landfall-agent")
	return &Registries{Settings: s, log: log.Named("registry")}
}

// wanted is a name of an image that registries may be asked about.
type wanted struct {
	ref      string // as compose files give it
	named    reference.NamedTagged
	image    string // ID of what it means here
	content  string // what that holds, "" where nobody knows
	services []picture.Key
}

// Newer implements tick.Images.
func (r *Registries) Newer(ctx context.Context, config pipeline.ImagesConfig, models []picture.Model, now picture.Picture) (newer []converge.Newer, notes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	list, notes := wants(config, models, now)
	if r.known == nil {
		read, err := readState(r.Path)
		if err != nil { // without it nobody knows when somebody was asked last
			return nil, append(notes, fmt.Sprintf("newer images are not looked for: %v", err))
		}
		r.known = &read
	}
	look := &look{Registries: r, at: time.Now().Round(0).UTC(), clients: map[string]*client{}}
	defer look.close()
	changed := false
	for _, w := range list {
		old := r.known.Images[w.ref]
		seen := look.judge(ctx, w, old, config.Every)
		if seen != old {
			r.known.Images[w.ref], changed = seen, true
		}
		switch seen.Verdict {
		case verdictNewer:
			newer = append(newer, converge.Newer{Image: operation.Image{Ref: w.ref, Digest: seen.Digest}, Services: w.services})
		case verdictUnknown:
			notes = append(notes, fmt.Sprintf("whether a registry has a newer %s is not known: %s", w.ref, seen.Trouble))
		}
	}
	changed = r.known.forget(list, look.at) || changed
	if changed {
		if err := r.known.write(r.Path); err != nil {
			r.log.Error("what registries said is not kept", "error", err)
			notes = append(notes, fmt.Sprintf("what registries said is not kept, and will be asked again: %v", err))
		}
	}
	return newer, notes
}

// wants lists what may be asked about, in order of name: names of services that are listed, run here, and are neither built nor pinned.
func wants(config pipeline.ImagesConfig, models []picture.Model, now picture.Picture) (list []wanted, notes []string) {
	by := map[string]*wanted{}
	for _, m := range models {
		for _, name := range m.Names() {
			spec := m.Services[name]
			if !pipeline.Names(config.Services, m.Stack, name) || spec.Builds || len(now.Of(m.Key(name))) == 0 {
				continue
			}
			id, means := now.Refs[spec.Image]
			if !means || strings.Contains(spec.Image, "@") {
				continue
			}
			named, err := reference.ParseNormalizedNamed(spec.Image)
			if err != nil {
				notes = append(notes, fmt.Sprintf("whether a registry has a newer %.200s is not known: %v", spec.Image, err))
				continue
			}
			tagged, ok := reference.TagNameOnly(named).(reference.NamedTagged)
			if !ok {
				continue
			}
			w := by[spec.Image]
			if w == nil {
				w = &wanted{ref: spec.Image, named: tagged, image: id, content: now.Contents[id]}
				by[spec.Image] = w
			}
			if k := m.Key(name); !slices.Contains(w.services, k) {
				w.services = append(w.services, k)
			}
		}
	}
	for _, w := range by {
		slices.SortFunc(w.services, picture.CompareKeys)
		list = append(list, *w)
	}
	slices.SortFunc(list, func(a, b wanted) int { return strings.Compare(a.ref, b.ref) })
	return list[:min(len(list), maxImages)], notes
}
