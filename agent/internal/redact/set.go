package redact

import (
	"hash/maphash"
	"maps"
	"slices"
)

// set is the parts of secrets to look for, by their hashes: a part costs the same whatever its length. A text is gone through once; what its
// next bytes cannot begin is passed over without a look into the parts.
type set struct {
	parts map[uint64]struct{}
	sizes []int    // lengths of parts, ascending; none is less than leastSecret
	first []uint64 // a bit for each beginning of a part, of leastSecret bytes; nil while there is no part
}

// beginnings is the number of bits of set.first, as a power of two: half a megabyte, of which a thousand secrets set one bit in thirty.
const beginnings = 22

// seed is random, so that nobody can make texts that collide.
var seed = maphash.MakeSeed()

func newSet() *set { return &set{parts: map[uint64]struct{}{}} }

// add adds a form of a secret, of at least leastSecret bytes: whole where it is short, else its parts.
func (s *set) add(form string) {
	if s.first == nil {
		s.first = make([]uint64, 1<<beginnings/64)
	}
	size, step := partSize(len(form)), partStep(len(form))
	for i := 0; i+size < len(form); i += step {
		s.put(form[i : i+size])
	}
	s.put(form[len(form)-size:])
	if !slices.Contains(s.sizes, size) {
		s.sizes = append(s.sizes, size)
		slices.Sort(s.sizes)
	}
}

func (s *set) put(part string) {
	s.parts[maphash.String(seed, part)] = struct{}{}
	bit := beginning(part)
	s.first[bit/64] |= 1 << (bit % 64)
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

// partStep is how far from one another parts begin. What was cut off a long form is still found by the part within it; at either end a few
// bytes, fewer than the step, may stay.
func partStep(length int) int {
	switch {
	case length <= 96:
		return 1
	case length <= 1024:
		return 4
	}
	return 8
}

// beginning is the bit of the first six bytes of a text.
func beginning(t string) uint64 {
	_ = t[leastSecret-1]
	x := uint64(t[0]) | uint64(t[1])<<8 | uint64(t[2])<<16 | uint64(t[3])<<24 | uint64(t[4])<<32 | uint64(t[5])<<40
	return x * 0x9E3779B97F4A7C15 >> (64 - beginnings)
}

// merge adds the parts of another set.
func (s *set) merge(other *set) {
	if s.first == nil {
		*s = *other
		return
	}
	maps.Copy(s.parts, other.parts)
	for i, bits := range other.first {
		s.first[i] |= bits
	}
	s.sizes = append(s.sizes, other.sizes...)
	slices.Sort(s.sizes)
	s.sizes = slices.Compact(s.sizes)
}

// remove takes the parts out that a text has.
func (s *set) remove(text string) {
	for _, at := range s.find(text, nil) {
		delete(s.parts, maphash.String(seed, text[at.from:at.to]))
	}
}

// longest is the length of the longest part, 0 where there is none.
func (s *set) longest() int {
	if len(s.sizes) == 0 {
		return 0
	}
	return s.sizes[len(s.sizes)-1]
}

// find adds to spans where parts of secrets stand in a text.
func (s *set) find(text string, spans []span) []span {
	if s.first == nil {
		return spans
	}
	for i := 0; i+leastSecret <= len(text); i++ {
		bit := beginning(text[i:])
		if s.first[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		for _, size := range s.sizes {
			if i+size > len(text) {
				break
			}
			if _, found := s.parts[maphash.String(seed, text[i:i+size])]; found {
				spans = append(spans, span{i, i + size})
			}
		}
	}
	return spans
}
