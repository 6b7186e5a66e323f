package picture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DriftKind says how a service differs from what the checkout says.
type DriftKind string

// The kinds, the plainest first.
const (
	DriftMissing   DriftKind = "missing"   // there are fewer containers than there should be
	DriftExited    DriftKind = "exited"    // a container does not run that should
	DriftUnhealthy DriftKind = "unhealthy" // a container runs and is not well
	DriftConfig    DriftKind = "config"    // made from another configuration than the checkout renders
	DriftFiles     DriftKind = "files"     // files that it shows changed after it started
	DriftImage     DriftKind = "image"     // its image's name means another content than it was made from
	DriftOrphan    DriftKind = "orphan"    // no compose file names it; told, never touched
)

// Drift is one difference of one service, and the deed that brings it back; an orphan has none.
type Drift struct {
	Key
	Stack string
	Kind  DriftKind
	Why   string
	Verb  Verb
	// Print tells what it was found as from what it is after it was brought back: a hash of configuration, an image.
	Print string
	Since time.Time // since when the container runs that differs; zero where none does
}

// Expected is what the checkout says, and what there is of it.
type Expected struct {
	Models []Model
	Now    Picture // with the meanings of the models' images
	// Configs are the hashes of configuration that the checkout renders, by service, that of now first; of one that is not there nobody can tell.
	Configs map[Key][]string
	// Changed are the paths of the checkout that may have another content since a container started, by its ID.
	Changed map[string]Paths
}

// Drift lists what differs, in order of stack, service and kind, each kind of a service once. unknown tells what could not be compared: that is
// neither as it should be nor otherwise.
func (e Expected) Drift() (drift []Drift, unknown []string) {
	for _, s := range Services(e.Models, e.Now, nil) {
		if s.Unnamed {
			drift = append(drift, Drift{Key: s.Key(), Kind: DriftOrphan, Why: "no compose file of the checkout names it"})
			continue
		}
		found, open := e.of(s)
		drift, unknown = append(drift, found...), append(unknown, open...)
	}
	return drift, unknown
}

// of is Drift of one service.
func (e Expected) of(s Service) (drift []Drift, unknown []string) {
	_, spec, _ := find(e.Models, s.Key())
	var since time.Time
	add := func(kind DriftKind, verb Verb, why, found string) {
		if !slices.ContainsFunc(drift, func(d Drift) bool { return d.Kind == kind }) {
			drift = append(drift, Drift{s.Key(), s.Stack, kind, why, verb, found, since})
		}
	}
	if len(s.Containers) < s.Replicas {
		add(DriftMissing, Start, fmt.Sprintf("%d of %d containers exist", len(s.Containers), s.Replicas), "")
	}
	for _, c := range s.Containers {
		since = c.Started
		kind, verb, why := s.unwell(c)
		if kind != "" {
			add(kind, verb, why, "")
		}
		if c.State == "paused" {
			unknown = append(unknown, s.Stack+"/"+s.Name+": is paused by hand")
		}
		if hashes := e.Configs[s.Key()]; len(hashes) == 0 || c.Config == "" {
			unknown = append(unknown, s.Stack+"/"+s.Name+": its configuration cannot be compared")
		} else if !slices.Contains(hashes, c.Config) {
			add(DriftConfig, Recreate, "it was made from another configuration than the checkout renders", c.Config+" "+hashes[0])
		}
		if changed := e.Changed[c.ID]; spec.Shows(changed) {
			add(DriftFiles, Recreate, "files that it shows changed after it started: "+strings.Join(spec.shown(changed), ", "), strings.Join(changed, "\x00"))
		}
		switch e.Now.Freshness(c, spec.Image) {
		case ImageStale:
			add(DriftImage, Recreate, spec.Image+" means another image than it was made from", e.Now.content(c)+" "+e.Now.Contents[e.Now.Refs[spec.Image]])
		case ImageUnknown:
			unknown = append(unknown, s.Stack+"/"+s.Name+": its image cannot be compared")
		case ImageFresh, ImageNotCompared:
		}
	}
	slices.Sort(unknown)
	return drift, slices.Compact(unknown)
}

// unwell tells how a container is not as it should be, "" where it is, or is on its way.
func (s Service) unwell(c Container) (DriftKind, Verb, string) {
	verdict, why := s.judge(c)
	switch {
	case c.Carrier:
		return DriftExited, Recreate, "a container stands in its place that only hands its volumes on"
	case verdict == Passed || c.State == "paused" || c.State == "removing":
		return "", "", ""
	case s.Detached[c.ID] != "" && c.Running():
		return DriftUnhealthy, Recreate, why
	case c.State == "running" && c.Health == "unhealthy":
		return DriftUnhealthy, Restart, why
	case c.State == "restarting" && c.Restarts >= crashLoop:
		return DriftUnhealthy, Restart, why
	case c.State == "dead":
		return DriftExited, Recreate, why // the engine began to remove it, and starts it no more
	case c.State == "exited" || c.State == "created":
		return DriftExited, Start, why
	}
	return "", "", "" // it starts, or has been started again a moment ago
}

// shown lists the paths of the service's mounts that changed, a few of them.
func (s Spec) shown(changed Paths) []string {
	var shown []string
	for _, place := range s.Places {
		if changed.Touch(place) && len(shown) < 3 {
			shown = append(shown, place)
		}
	}
	return shown
}

// Freshness says how the image that a container was made from compares with what the name of its image means.
type Freshness string

// The answers.
const (
	ImageFresh       Freshness = "fresh"
	ImageStale       Freshness = "stale"
	ImageUnknown     Freshness = "unknown"
	ImageNotCompared Freshness = "not applicable" // pinned by its digest, or its name means nothing here: the next build or pull says what it means
)

// Freshness compares contents: an ID is no identity, because with some image stores a build of the same gets another. What nobody can tell is
// neither fresh nor stale.
func (p Picture) Freshness(c Container, ref string) Freshness {
	meant, means := p.Refs[ref]
	switch {
	case strings.Contains(ref, "@sha256:") || !means:
		return ImageNotCompared
	case c.ImageID == "":
		return ImageUnknown
	case c.ImageID == meant:
		return ImageFresh
	}
	switch same, known := sameContent(p.content(c), p.Contents[meant]); {
	case !known:
		return ImageUnknown
	case same:
		return ImageFresh
	}
	return ImageStale
}

// Deeds are what brings services back: of several differences of one the strongest counts. Orphans are left alone.
func Deeds(drift []Drift) []Deed {
	strength := []Verb{Start, Restart, Recreate}
	best := map[Key]Drift{}
	for _, d := range drift {
		if old, known := best[d.Key]; d.Verb != "" && (!known || slices.Index(strength, d.Verb) > slices.Index(strength, old.Verb)) {
			best[d.Key] = d
		}
	}
	var deeds []Deed
	for _, d := range best {
		deeds = append(deeds, Deed{Key: d.Key, Verb: d.Verb, Why: d.Why})
	}
	slices.SortFunc(deeds, func(a, b Deed) int { return cmp.Or(CompareKeys(a.Key, b.Key), cmp.Compare(a.Verb, b.Verb)) })
	return deeds
}
