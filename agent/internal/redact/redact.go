// Package redact keeps secrets of the host out of text that leaves the agent.
//
// It promises that every value it was taught is taken out of a text, whole or in part, raw or in the forms in which programs quote, escape and
// encode values, and that the names people need to read an error (services, images, paths, commits) stay. Adapters teach it what they read
// ([Redactor.Learn]); the recorder, the server and the log pass everything through it ([Redactor.Text]), so that no text depends on whoever
// made it to be careful. What it cannot hold it refuses, and whoever teaches must refuse then, too. Start reading at [Redactor], then forms.go.
package redact

import (
	"slices"
	"strings"
	"sync"

	"ataraxis.dev/landfall/shared/fault"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

const (
	// leastSecret is the length, in bytes, below which a value is not taken out: it would be found in every word.
	leastSecret = 6
	// window is the length of a part of a long secret that is taken out wherever it stands: a value that was cut is no less one.
	window = 12
	// maxSecrets bounds the values that are known, in bytes: a byte costs about a hundred bytes of memory in all its forms.
	maxSecrets = 1 << 20
	// maxPublic bounds the texts that are public, in bytes. Of more, the oldest are forgotten: secrets that are learned after that and
	// share a part with them are taken out of them.
	maxPublic = 4 << 20
)

// Redactor knows secrets. The zero value is not usable; see [New]. Safe for concurrent use. What is learned or published costs time by
// its own length and that of the public texts, not by what is known already; see BenchmarkTeaching.
type Redactor struct {
	teaching sync.Mutex          // one teacher at a time
	sources  map[string][]string // values by where they were read, as they were last
	known    texts               // every value ever learned
	public   texts               // what is no secret, whatever holds it

	mu  sync.RWMutex // of parts, which texts are held against meanwhile
	now *set
}

// New makes a redactor that knows nothing. public are texts that everybody may read: folders, names.
func New(public ...string) *Redactor {
	r := &Redactor{sources: map[string][]string{}, known: newTexts(), public: newTexts(), now: newSet()}
	r.Publish(public)
	return r
}

// Learn says what the secrets of a source are now; those that it had before stay secret, because somebody may still use
// them, as long as there is room. It is cheap when nothing changed. What is more than it can hold is Refused, TOO_MANY_SECRETS: nobody
// may print them then.
func (r *Redactor) Learn(source string, values []string) error {
	values = slices.Clone(values)
	slices.Sort(values)
	values = slices.DeleteFunc(slices.Compact(values), func(v string) bool { return len(v) < leastSecret })
	r.teaching.Lock()
	defer r.teaching.Unlock()
	if slices.Equal(r.sources[source], values) {
		return nil
	}
	fresh := slices.DeleteFunc(slices.Clone(values), r.known.has)
	if r.known.size+sizeOf(fresh) > maxSecrets {
		r.forget(source)
	}
	fresh = slices.DeleteFunc(slices.Clone(values), r.known.has)
	if r.known.size+sizeOf(fresh) > maxSecrets {
		return fault.New(fault.Refused, "TOO_MANY_SECRETS", "%s holds %d bytes of what may be secrets, and with those of other files that is more than the %d that can be kept out of logs",
			source, sizeOf(values), maxSecrets).WithHint("keep certificates and data in files of their own, which no env_file names")
	}
	r.sources[source] = values
	r.known.add(fresh)
	r.hide(fresh)
	return nil
}

// forget makes room: of what no source holds any more, apart from the one that is read again.
func (r *Redactor) forget(reading string) {
	current := newTexts()
	for source, values := range r.sources {
		if source != reading {
			current.add(values)
		}
	}
	r.known = current
	r.mu.Lock()
	r.now = newSet()
	r.mu.Unlock()
	r.hide(current.list)
}

// hide adds the parts of new secrets to those that are looked for.
func (r *Redactor) hide(values []string) {
	parts := newSet()
	for _, v := range values {
		if r.public.has(v) {
			continue
		}
		for _, form := range forms(v) {
			parts.add(form)
		}
	}
	for _, text := range r.public.list {
		parts.remove(text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.merge(parts)
}

// Publish says what everybody may read, though a value of the environment may be the same: names of services, projects, images.
func (r *Redactor) Publish(names []string) {
	r.teaching.Lock()
	defer r.teaching.Unlock()
	fresh := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" || r.public.has(n) })
	if len(fresh) == 0 {
		return
	}
	r.public.add(fresh)
	r.public.limit(maxPublic)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range fresh {
		r.now.remove(text)
		if r.known.has(text) {
			for _, form := range forms(text) {
				r.now.remove(form)
			}
		}
	}
}

// Text is a text without the secrets.
func (r *Redactor) Text(text string) string {
	return cut(text, r.find(text, nil))
}

func (r *Redactor) find(text string, spans []span) []span {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.now.find(text, spans)
}

// Lines is Text for a line that follows another of the same stream: a secret that a program broke over both is taken out of both.
func (r *Redactor) Lines(before, line string) (string, string) {
	r.mu.RLock()
	reach := r.now.longest() - 1
	r.mu.RUnlock()
	if reach < 0 {
		return before, line
	}
	head := before[max(0, len(before)-reach):]
	rest := strings.TrimLeft(line, " \t")
	joined := head + rest[:min(len(rest), reach)]
	offset := len(before) - len(head)
	indent := len(line) - len(rest)
	var inBefore, inLine []span
	for _, at := range r.find(joined, nil) {
		if at.from < len(head) && at.to > len(head) {
			inBefore = append(inBefore, span{offset + at.from, len(before)})
			inLine = append(inLine, span{indent, indent + at.to - len(head)})
		}
	}
	return cut(before, r.find(before, inBefore)), cut(line, r.find(line, inLine))
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
