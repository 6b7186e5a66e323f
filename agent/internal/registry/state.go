package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ataraxis.dev/landfall/shared/boundedfile"
)

// The bounds of what is kept.
const (
	maxImages = 256
	maxState  = 1 << 20 // bytes
	maxText   = 300     // of a trouble
	// forgetAfter is how long what was learned of a name is kept that nothing runs by.
	forgetAfter = 30 * 24 * time.Hour
)

type verdict string

const (
	verdictFresh   verdict = "fresh"
	verdictNewer   verdict = "newer"
	verdictUnknown verdict = "unknown"
)

// seen is what was learned of one name.
type seen struct {
	Asked   time.Time `json:"asked_at"`           // when the registry was asked last
	Until   time.Time `json:"until,omitzero"`     // it is not asked again before; zero goes by landfall.yaml
	Digest  string    `json:"digest,omitempty"`   // what the tag meant there, "" where nobody could tell
	Image   string    `json:"image,omitempty"`    // ID of what the name meant here when they were compared
	Verdict verdict   `json:"verdict"`            // about Digest and Image
	Child   string    `json:"manifest,omitempty"` // of the platform of Image in Digest, where it was looked for
	Config  string    `json:"config,omitempty"`   // that Child names, where it was looked for
	Trouble string    `json:"trouble,omitempty"`  // why nobody knows
}

// limited is until when a registry asked to be left alone.
type limited struct {
	Until time.Time `json:"until"`
	Why   string    `json:"why"`
}

// state is what is kept over restarts.
type state struct {
	Images map[string]seen    `json:"images"`           // by name, as compose files give it
	Limits map[string]limited `json:"limits,omitempty"` // by registry
}

func readState(path string) (state, error) {
	s := state{Images: map[string]seen{}, Limits: map[string]limited{}}
	raw, err := boundedfile.Read(path, maxState)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("%s cannot be read: %w; remove it, and registries are asked anew", path, err)
	}
	if s.Images == nil {
		s.Images = map[string]seen{}
	}
	if s.Limits == nil {
		s.Limits = map[string]limited{}
	}
	return s, nil
}

// forget drops what is over: limits, and names that nothing has run by for long. It reports whether there was any.
func (s *state) forget(list []wanted, at time.Time) bool {
	dropped := false
	for host, l := range s.Limits {
		if !at.Before(l.Until) {
			delete(s.Limits, host)
			dropped = true
		}
	}
	for ref, known := range s.Images {
		used := slices.ContainsFunc(list, func(w wanted) bool { return w.ref == ref })
		if !used && (at.Sub(known.Asked) > forgetAfter || len(s.Images) > maxImages) {
			delete(s.Images, ref)
			dropped = true
		}
	}
	return dropped
}

// write puts the state in place of the old so that after a power cut one of them is there, whole.
func (s *state) write(path string) (err error) {
	raw, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
