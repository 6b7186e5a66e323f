package compose

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/agent/internal/picture"
	"ataraxis.dev/landfall/agent/internal/ports"
)

// knownContents remembers what images hold. An ID is a digest, so what was learned of one stays true; that of the store is asked again at
// times, because an engine may be started with another.
type knownContents struct {
	mu    sync.Mutex
	by    map[string]string // content by image ID
	store imageStore
	asked time.Time // when the engine told the store
}

type imageStore int

const (
	storeUnknown imageStore = iota
	storeClassic
	storeContainerd
)

// storeHolds is how long the engine's word about its store holds: a deploy looks a dozen times, and asks once.
const storeHolds = 10 * time.Minute

// maxContents bounds how many images are remembered.
const maxContents = 4096

// sinceManifests is the version of the engine's API from which on it tells the manifests of an image (Engine 28.0;
// https://docs.docker.com/reference/api/engine/version-history/, v1.48).
const sinceManifests = "1.48"

// driverContainerd is how the engine tells that containerd keeps its images (moby, daemon/info.go).
const driverContainerd = "io.containerd.snapshotter"

// store tells which image store the engine has.
func (c *Compose) store(ctx context.Context) imageStore {
	k := &c.known
	k.mu.Lock()
	known, fresh := k.store, time.Since(k.asked) < storeHolds
	k.mu.Unlock()
	if known != storeUnknown && fresh {
		return known
	}
	info, err := c.docker.Info(ctx)
	if err != nil {
		c.log.Debug("the image store is not known", "error", err)
		return storeUnknown
	}
	told := storeClassic
	for _, row := range info.DriverStatus {
		if strings.HasPrefix(row[1], driverContainerd) {
			told = storeContainerd
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.store, k.asked = told, time.Now()
	return told
}

// contents tells what images hold. The classic image store names an image by the digest of its configuration, which names the digests
// of its layers: there the ID is the content, and nobody is asked. The containerd store names it by the digest of an index, which covers how
// it was built besides: there each image is asked about once. What cannot be told is left out.
func (c *Compose) contents(ctx context.Context, ids []string) map[string]string {
	found := map[string]string{}
	if len(ids) == 0 {
		return found
	}
	switch c.store(ctx) {
	case storeClassic:
		for _, id := range ids {
			found[id] = id
		}
		return found
	case storeUnknown:
		return found
	case storeContainerd:
	}
	var asked []string
	c.known.mu.Lock()
	for _, id := range ids {
		if content, known := c.known.by[id]; known {
			found[id] = content
		} else {
			asked = append(asked, id)
		}
	}
	c.known.mu.Unlock()
	maps.Copy(found, c.learnContents(ctx, asked))
	return found
}

// learnContents asks the engine what images hold, and remembers it.
func (c *Compose) learnContents(ctx context.Context, ids []string) map[string]string {
	told := make([]string, len(ids))
	free := make(chan struct{}, inspectors)
	var group sync.WaitGroup
	for i, id := range ids {
		group.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			content, err := c.contentOf(ctx, id)
			if err != nil {
				c.log.Debug("what an image holds is not known", "image", id, "error", err)
			}
			told[i] = content
		})
	}
	group.Wait()
	c.known.mu.Lock()
	defer c.known.mu.Unlock()
	if c.known.by == nil || len(c.known.by)+len(ids) > maxContents {
		c.known.by = map[string]string{}
	}
	found := map[string]string{}
	for i, id := range ids {
		if told[i] != "" {
			c.known.by[id], found[id] = told[i], told[i]
		}
	}
	return found
}

// contentOf asks the engine what one image holds, "" where it does not tell.
func (c *Compose) contentOf(ctx context.Context, id string) (string, error) {
	var raw bytes.Buffer
	options := []client.ImageInspectOption{client.ImageInspectWithRawResponse(&raw)}
	manifests := versions.GreaterThanOrEqualTo(c.docker.ClientVersion(), sinceManifests)
	if manifests {
		options = append(options, client.ImageInspectWithManifests(true))
	}
	answer, err := c.docker.ImageInspect(ctx, id, options...)
	switch {
	case err != nil:
		return "", err
	case answer.ID != id:
		return "", fmt.Errorf("the engine answered about %.80q", answer.ID)
	case manifests:
		return manifestOf(answer), nil
	}
	return shownOf(raw.Bytes())
}

// manifestOf is the manifest of an image that the engine makes containers from, where nothing else is said: that of the platform which it
// tells for the whole.
func manifestOf(a image.InspectResponse) string {
	var found []string
	for _, m := range a.Manifests {
		if m.Kind != image.ManifestKindImage || !m.Available || m.ImageData == nil || m.Descriptor.Digest.Validate() != nil {
			continue
		}
		p := m.ImageData.Platform
		if p.OS == a.Os && p.Architecture == a.Architecture && p.Variant == a.Variant {
			found = append(found, m.Descriptor.Digest.Encoded())
		}
	}
	if len(found) != 1 {
		return "" // none, or nobody knows which
	}
	return picture.ContentManifest + ":" + found[0]
}

// shownOf hashes what an engine shows that tells no manifests: what decides what a container of the image is. When it was built, and how, is
// left out.
func shownOf(raw []byte) (string, error) {
	var a struct {
		Os, Architecture, Variant, OsVersion string
		Config                               any
		RootFS                               *image.RootFS
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return "", err
	}
	if a.RootFS == nil || a.Os == "" || a.Architecture == "" {
		return "", fmt.Errorf("the engine shows neither layers nor platform")
	}
	canonical, err := json.Marshal(a) // objects in order of their keys
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s:%x", picture.ContentShown, sha256.Sum256(canonical)), nil
}

// manifestOfContainer is the manifest that a container was made from, where the engine tells it.
func manifestOfContainer(a container.InspectResponse) string {
	if a.ImageManifestDescriptor == nil || a.ImageManifestDescriptor.Digest == "" || a.ImageManifestDescriptor.Digest.Validate() != nil {
		return ""
	}
	return picture.ContentManifest + ":" + a.ImageManifestDescriptor.Digest.Encoded()
}

// fillContents tells of names and containers what their images hold. A container's own word goes where its image is gone; where it differs
// from what its image is for this engine, it was made for another platform.
func (c *Compose) fillContents(ctx context.Context, p *picture.Picture) {
	p.Contents = c.contents(ctx, p.Images())
	for i := range p.Containers {
		own, of := p.Containers[i].Content, p.Contents[p.Containers[i].ImageID]
		if own != "" && of != "" && own != of && strings.HasPrefix(of, picture.ContentManifest+":") {
			_, digest, _ := strings.Cut(own, ":")
			p.Containers[i].Content = picture.ContentForeign + ":" + digest
			continue
		}
		p.Containers[i].Content = cmp.Or(own, of)
	}
}

// keepNames moves names of images back to what runs where a build of the same has given them another ID. Compose up to 2.40 goes by IDs and
// would replace what is as it should be. With the classic store that does not happen, and nobody is asked.
func (c *Compose) keepNames(ctx context.Context, project string, out ports.Output) error {
	limited, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	if c.store(limited) != storeContainerd {
		return nil
	}
	now, err := c.Look(ctx, []string{project}, nil, false)
	if err != nil {
		return err
	}
	renamed := now.Renamed()
	for _, ref := range slices.Sorted(maps.Keys(renamed)) {
		if err := c.docker.ImageTag(limited, renamed[ref], ref); err != nil {
			c.log.Debug("a name stays where a build of the same has moved it", "name", ref, "error", err) // what it meant is gone
			continue
		}
		out(operation.Stdout, fmt.Sprintf("%s holds what it held, and keeps its image %.19s", ref, renamed[ref]), false)
	}
	return nil
}
