// Package redact keeps secrets of the host out of text that leaves the agent.
//
// It promises that every value it was taught is taken out of a text, whole or in part, raw or in the forms in which programs quote, escape and
// encode values, and that the names people need to read an error (services, images, paths) stay. Adapters teach it what they read
// ([Redactor.Learn]); the recorder, the server and the log pass everything through it ([Redactor.Text]), so that no text depends on whoever
// made it to be careful. Start reading at [Redactor], then forms.go.
package redact

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

const (
	// leastSecret is the length, in bytes, below which a value is not taken out: it would be found in every word.
	leastSecret = 6
	// window is the length of a part of a long secret that is taken out wherever it stands: a value that was cut is no less one.
	window = 12
	// maxSecrets bounds what is remembered; the oldest are forgotten first.
	maxSecrets = 20_000
	// longestSecret is how much of one value is looked for, in bytes.
	longestSecret = 16 << 10
)

// Redactor knows secrets. The zero value is not usable; see [New]. Safe for concurrent use.
type Redactor struct {
	mu      sync.Mutex
	sources map[string][]string // values by where they were read, as they were last
	known   []string            // every value ever learned, oldest first
	knows   map[string]bool     // the same
	public  map[string]bool     // texts that are no secret, whatever holds them

	now atomic.Pointer[set]
}

// New makes a redactor that knows nothing. public are texts that everybody may read: folders, names.
func New(public ...string) *Redactor {
	r := &Redactor{sources: map[string][]string{}, public: map[string]bool{}, knows: map[string]bool{}}
	for _, p := range public {
		r.public[p] = true
	}
	r.now.Store(&set{})
	return r
}

// Learn says what the secrets of a source are now; those that it had before stay secret, because somebody may still use
// them. It is cheap when nothing changed.
func (r *Redactor) Learn(source string, values []string) {
	values = slices.Clone(values)
	slices.Sort(values)
	values = slices.DeleteFunc(slices.Compact(values), func(v string) bool { return len(v) < leastSecret })
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(r.sources[source], values) {
		return
	}
	r.sources[source] = values
	grown := false
	for _, v := range values {
		if !r.knows[v] {
			r.known, r.knows[v], grown = append(r.known, v), true, true
		}
	}
	if grown {
		r.known = r.known[max(0, len(r.known)-maxSecrets):]
		r.rebuild()
	}
}

// Publish says what everybody may read, though a value of the environment may be the same: names of services, projects, images.
func (r *Redactor) Publish(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	grown := false
	for _, n := range names {
		if n != "" && !r.public[n] {
			r.public[n], grown = true, true
		}
	}
	if grown {
		r.rebuild()
	}
}

// rebuild makes the set of parts to look for; r.mu is held.
func (r *Redactor) rebuild() {
	s := &set{parts: map[string]struct{}{}}
	public := strings.Join(slices.Sorted(maps.Keys(r.public)), "\n")
	for _, v := range r.known {
		if r.public[v] {
			continue
		}
		for _, form := range forms(v[:min(len(v), longestSecret)]) {
			s.add(form, public)
		}
	}
	r.now.Store(s)
}

// Text is a text without the secrets.
func (r *Redactor) Text(text string) string {
	s := r.now.Load()
	var spans []span
	if spans = s.find(text, spans); len(spans) == 0 {
		return text
	}
	return cut(text, spans)
}

// Lines is Text for a line that follows another of the same stream: a secret that a program broke over both is taken out of both.
func (r *Redactor) Lines(before, line string) (string, string) {
	s := r.now.Load()
	if len(s.sizes) == 0 {
		return before, line
	}
	reach := s.sizes[len(s.sizes)-1] - 1
	head := before[max(0, len(before)-reach):]
	rest := strings.TrimLeft(line, " \t")
	joined := head + rest[:min(len(rest), reach)]
	offset := len(before) - len(head)
	indent := len(line) - len(rest)
	var inBefore, inLine []span
	for _, at := range s.find(joined, nil) {
		if at.from < len(head) && at.to > len(head) {
			inBefore = append(inBefore, span{offset + at.from, len(before)})
			inLine = append(inLine, span{indent, indent + at.to - len(head)})
		}
	}
	return cut(before, s.find(before, inBefore)), cut(line, s.find(line, inLine))
}

// span is a part of a text, in bytes.
type span struct{ from, to int }

// cut puts the mark where secrets stand; spans may overlap.
func cut(text string, spans []span) string {
	if len(spans) == 0 {
		return text
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from - b.from })
	var out strings.Builder
	at := 0
	for i := 0; i < len(spans); {
		from, to := spans[i].from, spans[i].to
		for i++; i < len(spans) && spans[i].from <= to; i++ {
			to = max(to, spans[i].to)
		}
		out.WriteString(text[at:from])
		out.WriteString(Mark)
		at = to
	}
	out.WriteString(text[at:])
	return out.String()
}
