package redact

import (
	"slices"
	"strings"
)

// set is the parts of secrets to look for. A text is gone through once; what its next bytes cannot begin is passed over without a
// look into the parts.
type set struct {
	parts map[string]struct{}
	sizes []int                // lengths of parts, ascending
	first [1 << 16 / 64]uint64 // of the first four bytes of the parts
}

// add adds a form of a secret: whole where it is short, else every part of it. Parts that public text has are no secret.
func (s *set) add(form, public string) {
	size := partSize(len(form))
	for i := 0; i+size <= len(form); i++ {
		part := form[i : i+size]
		if public != "" && strings.Contains(public, part) {
			continue
		}
		s.parts[part] = struct{}{}
		bit := hash(part[0], part[1], part[2], part[3])
		s.first[bit/64] |= 1 << (bit % 64)
	}
	if !slices.Contains(s.sizes, size) {
		s.sizes = append(s.sizes, size)
		slices.Sort(s.sizes)
	}
}

// partSize is the length of the parts of a secret that are taken out: of a short one all of it, of a longer one what is enough to
// tell it from other words.
func partSize(length int) int {
	switch {
	case length < 10:
		return length
	case length < window+4:
		return length - 2
	}
	return window
}

func hash(a, b, c, d byte) uint32 {
	return (uint32(a) | uint32(b)<<8 | uint32(c)<<16 | uint32(d)<<24) * 2654435761 >> 16
}

// find adds to spans where parts of secrets stand in a text.
func (s *set) find(text string, spans []span) []span {
	if len(s.sizes) == 0 {
		return spans
	}
	least := s.sizes[0]
	for i := 0; i+least <= len(text); i++ {
		bit := hash(text[i], text[i+1], text[i+2], text[i+3])
		if s.first[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		for _, size := range s.sizes {
			if i+size > len(text) {
				break
			}
			if _, found := s.parts[text[i:i+size]]; found {
				spans = append(spans, span{i, i + size})
			}
		}
	}
	return spans
}
