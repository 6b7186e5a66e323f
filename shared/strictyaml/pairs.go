package strictyaml

import "go.yaml.in/yaml/v3"

// pair is one key of a mapping with its value.
type pair struct{ key, value *yaml.Node }

// deref follows aliases to the node they stand for.
func deref(node *yaml.Node) *yaml.Node {
	for i := 0; node != nil && node.Kind == yaml.AliasNode && i < maxDepth; i++ {
		node = node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node == nil || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func isMergeKey(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge"
}

// mergedPairs lists the keys of a mapping after "<<" has been resolved: what stands in
// the mapping itself goes before what is merged, earlier merges before later ones.
// budget bounds the work over all recursion, depth the recursion itself, so that a
// mapping which merges itself ends.
func mergedPairs(mapping *yaml.Node, budget *int, depth int) []pair {
	*budget--
	var pairs []pair
	seen := map[string]bool{}
	add := func(p pair) {
		if *budget--; *budget >= 0 && !seen[p.key.Value] {
			seen[p.key.Value] = true
			pairs = append(pairs, p)
		}
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if key := mapping.Content[i]; !isMergeKey(key) {
			add(pair{key, mapping.Content[i+1]})
		}
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if !isMergeKey(mapping.Content[i]) {
			continue
		}
		for _, source := range mergeSources(mapping.Content[i+1]) {
			if depth <= 0 || *budget <= 0 || source.Kind != yaml.MappingNode {
				continue
			}
			for _, p := range mergedPairs(source, budget, depth-1) {
				add(p)
			}
		}
	}
	return pairs
}

// mergeSources lists what a "<<" merges: one mapping or a list of them.
func mergeSources(value *yaml.Node) []*yaml.Node {
	value = deref(value)
	if value.Kind != yaml.SequenceNode {
		return []*yaml.Node{value}
	}
	sources := make([]*yaml.Node, len(value.Content))
	for i, entry := range value.Content {
		sources[i] = deref(entry)
	}
	return sources
}
