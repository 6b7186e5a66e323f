package compose

import (
	"context"
)

// Origin lists the digests by which registries know an image, as NAME@DIGEST, and its platform, as "linux/arm64/v8".
func (c *Compose) Origin(ctx context.Context, imageID string) (digests []string, platform string, err error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	answer, err := c.docker.ImageInspect(look, imageID)
	if err != nil {
		return nil, "", engineFault(err)
	}
	platform = answer.Os + "/" + answer.Architecture
	if answer.Variant != "" {
		platform += "/" + answer.Variant
	}
	return answer.RepoDigests, platform, nil
}
