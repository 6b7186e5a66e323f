package compose

// contents tells what images hold. The classic image store names an image by the digest of its configuration, which names the digests
// of its layers: the ID is the content.
func (c *Compose) contents(ids []string) map[string]string {
	found := map[string]string{}
	for _, id := range ids {
		found[id] = id
	}
	return found
}
