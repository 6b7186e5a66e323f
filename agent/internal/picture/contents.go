package picture

import (
	"cmp"
	"strings"
)

// Contents are told in kinds, the part before the first colon: a digest of one kind says nothing about one of another, which an engine that was
// updated, or moved to another image store, tells.
const (
	// ContentConfig is the digest of an image's configuration, which names the digests of its layers. The classic image store names images so,
	// and so the ID is the content.
	ContentConfig = "sha256"
	// ContentManifest is the digest of the manifest for the engine's platform.
	ContentManifest = "manifest"
	// ContentShown is a hash over what an engine shows of an image that tells neither: configuration, layers and platform.
	ContentShown = "shown"
	// ContentForeign is the digest of a manifest for another platform than the engine's own. Of a name nobody knows what it means for that one.
	ContentForeign = "foreign"
)

// sameContent holds what two images hold against one another. known is false where that cannot be done.
func sameContent(a, b string) (same, known bool) {
	return a == b, a != "" && b != "" && kindOf(a) == kindOf(b)
}

// kindOf is the kind of a content; one without is of a kind with others without.
func kindOf(content string) string {
	kind, _, told := strings.Cut(content, ":")
	if !told {
		return ""
	}
	return kind
}

// content is what the image of a container holds, "" where nobody knows.
func (p Picture) content(c Container) string { return cmp.Or(c.Content, p.Contents[c.ImageID]) }

// sameImage reports whether two containers were made from the same content. An ID is no identity: with the containerd image store a build of
// the same gets another, because it covers how the image was built. What nobody can compare is not the same.
func sameImage(a, b Container) bool {
	same, known := sameContent(a.Content, b.Content)
	return a.ImageID != "" && (a.ImageID == b.ImageID || (known && same))
}

// Renamed lists the names of images that mean another ID than what runs was made from, and the same content, with the ID of what runs: a
// build of the same moved them. They may move back; Compose up to 2.40 goes by IDs, and would replace what is as it should be.
func (p Picture) Renamed() map[string]string {
	found := map[string]string{}
	for _, c := range p.Containers {
		meant, means := p.Refs[c.ImageRef]
		if !means || !taggable(c.ImageRef) || c.ImageID == "" || found[c.ImageRef] != "" {
			continue
		}
		if same, known := sameContent(p.content(c), p.Contents[meant]); meant != c.ImageID && known && same {
			found[c.ImageRef] = c.ImageID
		}
	}
	for _, c := range p.Containers { // of two containers one may have been made from what the name means
		if p.Refs[c.ImageRef] == c.ImageID {
			delete(found, c.ImageRef)
		}
	}
	return found
}
