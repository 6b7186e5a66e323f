package telling

import (
	"slices"
	"strings"
)

// What memory holds at most.
const (
	mostOpen   = 64  // open incidents
	mostClosed = 128 // incidents that are over, for their signatures
)

func (m Memory) clone() Memory {
	m.Incidents = slices.Clone(m.Incidents)
	return m
}

// find is the newest incident of a key, -1 for none.
func (m *Memory) find(key string) int {
	for i := len(m.Incidents) - 1; i >= 0; i-- {
		if m.Incidents[i].Key == key {
			return i
		}
	}
	return -1
}

func (m *Memory) count(which func(Incident) bool) (n int) {
	for _, i := range m.Incidents {
		if which(i) {
			n++
		}
	}
	return n
}

// put adds an incident in place of an older one of its key. Of those that are over the oldest go, and of operations' that are open, which no
// later look would find again; incidents of facts stay as long as they are open, or they would be told again.
func (m *Memory) put(added Incident) {
	m.Incidents = append(slices.DeleteFunc(m.Incidents, func(i Incident) bool { return i.Key == added.Key }), added)
	m.trim(mostClosed, func(i Incident) bool { return !i.Open })
	m.trim(mostOpen, func(i Incident) bool { return i.Open && !i.ofFact() })
}

func (m *Memory) trim(most int, which func(Incident) bool) {
	for m.count(which) > most {
		i := slices.IndexFunc(m.Incidents, which)
		m.Incidents = slices.Delete(m.Incidents, i, i+1)
	}
}

// ofFact reports whether an incident is of a pause, a block or CI, not of an operation.
func (i Incident) ofFact() bool {
	return strings.HasPrefix(i.Key, pausePrefix) || strings.HasPrefix(i.Key, blockedPrefix) || strings.HasPrefix(i.Key, ciPrefix)
}
