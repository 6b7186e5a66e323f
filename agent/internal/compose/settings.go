package compose

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"ataraxis.dev/landfall/agent/internal/picture"
)

// commit is a commit's name inside a value: each deploy puts its own into what it makes.
var commit = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

// shortCommit is what may be the beginning of one: ${short_sha} of landfall.yaml has 7 digits.
var shortCommit = regexp.MustCompile(`\b[0-9a-f]{7,12}\b`)

// withoutCommits is a text without the names of commits. A short one is taken for a commit where the repository has it.
func withoutCommits(raw []byte, isCommit func(word string) bool) []byte {
	return shortCommit.ReplaceAllFunc(commit.ReplaceAll(raw, nil), func(word []byte) []byte {
		if isCommit(string(word)) {
			return nil
		}
		return word
	})
}

// words remembers which words name commits: each look meets the same ones, and each question is a child.
type words struct {
	mu    sync.Mutex
	known map[string]bool
}

// mostWords bounds what is remembered.
const mostWords = 4096

// commit reports whether a word is the beginning of a commit's name; known says which of some are, nil for none.
func (w *words) commit(ctx context.Context, known func(context.Context, []string) []string, word string) bool {
	if known == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	is, asked := w.known[word]
	if !asked {
		if len(w.known) >= mostWords || w.known == nil {
			w.known = map[string]bool{}
		}
		is = slices.Contains(known(ctx, []string{word}), word)
		if ctx.Err() == nil {
			w.known[word] = is
		}
	}
	return is
}

// containerID is the container of a service that another takes its volumes from, as Compose writes it.
var containerID = regexp.MustCompile(`^[0-9a-f]{64}\b`)

// handedOn reports whether a volume has no name, or the one that Compose gave it when it handed it on from the container before.
func handedOn(m mount.Mount) bool {
	return m.Type == mount.TypeVolume && (m.Source == "" || picture.Mount{Volume: m.Source}.Unnamed())
}

// settingsOf is a hash of what a container was made with besides its image: command, environment, labels, mounts, limits. Compose's own hash
// differs with the commit that landfall.yaml puts into an environment; this one does not. Neither names that the engine gives nor IDs are in it.
func settingsOf(a container.InspectResponse, isCommit func(word string) bool) string {
	if a.Config == nil || a.HostConfig == nil {
		return ""
	}
	config, host := *a.Config, *a.HostConfig
	config.Hostname, config.Image = "", "" // the container's own ID, unless it is set; the image is compared by itself
	config.Env = slices.Sorted(slices.Values(config.Env))
	labels := map[string]string{}
	for name, value := range config.Labels {
		if !strings.HasPrefix(name, labelPrefix) {
			labels[name] = value
		}
	}
	config.Labels = labels
	host.ContainerIDFile = ""
	host.Mounts = slices.DeleteFunc(slices.Clone(host.Mounts), handedOn) // which they are is compared by itself
	slices.SortFunc(host.Mounts, func(a, b mount.Mount) int { return cmp.Compare(a.Target, b.Target) })
	host.Binds = slices.Sorted(slices.Values(host.Binds))
	host.Links = nil
	host.VolumesFrom = slices.Clone(host.VolumesFrom)
	for i, from := range host.VolumesFrom {
		host.VolumesFrom[i] = containerID.ReplaceAllString(from, "container") // what it shows is compared by itself
	}
	for _, mode := range []*string{(*string)(&host.NetworkMode), (*string)(&host.PidMode), (*string)(&host.IpcMode)} {
		if strings.HasPrefix(*mode, "container:") {
			*mode = "container" // whose is compared by itself
		}
	}
	raw, err := json.Marshal(struct {
		Config container.Config
		Host   container.HostConfig
	}{config, host})
	if err != nil {
		return ""
	}
	if raw, err = emptyAsNull(raw); err != nil {
		return ""
	}
	sum := sha256.Sum256(withoutCommits(raw, isCommit))
	return hex.EncodeToString(sum[:8])
}

// emptyAsNull is a JSON document that writes null for every list and object with nothing in it. An engine that was started again answers []
// where it answered null before (Dns, DnsOptions and DnsSearch of a container that was made with none; seen with 28.5). Names are kept: a port
// or volume is a name with an empty object.
func emptyAsNull(raw []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	return json.Marshal(nothingIsNil(document))
}

// nothingIsNil replaces each empty list and object in a JSON value.
func nothingIsNil(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			return nil
		}
		for name, inner := range v {
			v[name] = nothingIsNil(inner)
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i, inner := range v {
			v[i] = nothingIsNil(inner)
		}
	}
	return value
}

// commitsOf lists the commits that a container's environment, labels and command name: those that it was made with.
func commitsOf(a container.InspectResponse) []string {
	if a.Config == nil {
		return nil
	}
	texts := slices.Concat(a.Config.Env, a.Config.Cmd, slices.Sorted(maps.Values(a.Config.Labels)))
	var found []string
	for _, text := range texts {
		found = append(found, commit.FindAllString(text, -1)...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}
