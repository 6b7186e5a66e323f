package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"
	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/peercred"
	"ataraxis.dev/landfall/shared/trust"
)

// reasonBroken is the reason when a sentinel cannot be understood; the kind is Degraded. It never counts as absent: it is there
// to keep something from happening.
const reasonBroken = "SENTINEL_BROKEN"

// defaultPauseTTL is how long a pause made by hand lasts where nobody has said otherwise; agent.yaml's own default.
const defaultPauseTTL = 4 * time.Hour

// maxAhead is how far in the future the time of an empty pause may lie: the longest pause that may be asked for over the wire.
const maxAhead = 30 * 24 * time.Hour

// byHand is the reason of what people write without one.
const byHand = "by hand"

// PauseByHand says how long a pause lasts that somebody made by hand: an empty file.
func (j *Journal) PauseByHand(ttl time.Duration) { j.handTTL = ttl }

// Pause implements ports.Sentinels.
func (j *Journal) Pause() (*ports.Pause, error) { return readPause(trust.Us(), j.dir, j.handTTL) }

// Blocked implements ports.Sentinels.
func (j *Journal) Blocked() ([]ports.Blocked, error) { return readBlocked(trust.Us(), j.dir) }

// Sentinels reads the sentinels of a state directory while an agent may have it open, and changes nothing. Both files are looked
// at, whatever is wrong with the other; a pause that is over is nil.
func Sentinels(dir string, ttl time.Duration) (*ports.Pause, []ports.Blocked, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Invalid, reasonStateDir, "look into state_dir").WithHint("an agent makes it at its first start; is this its agent.yaml?")
	}
	judge := trust.Us()
	if owner, ok := trust.Owner(info); ok {
		judge = trust.Judge{UID: owner} // the agent may run as another user than we
	}
	if err := judge.Folder(dir); err != nil {
		return nil, nil, untrusted(err)
	}
	pause, pauseErr := readPause(judge, dir, ttl)
	if pause != nil && !pause.Expires.After(time.Now()) {
		pause = nil
	}
	blocks, blockedErr := readBlocked(judge, dir)
	return pause, blocks, errors.Join(pauseErr, blockedErr)
}

// readPause reads gitops-paused, nil when there is none: JSON as the agent writes it, or nothing at all, as touch(1) makes it.
func readPause(judge trust.Judge, dir string, ttl time.Duration) (*ports.Pause, error) {
	path := filepath.Join(dir, filePause)
	raw, info, err := readOwn(judge, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileFault(err, path)
	}
	pause, err := parsePause(raw, info, ttl, time.Now())
	if err != nil {
		return nil, fault.Wrap(err, fault.Degraded, reasonBroken, "%s is no sentinel", path).
			WithHint("make it empty (touch) for a pause of %s from then on, or write JSON with reason, owner, created_at and expires_at; remove it if nothing must be held back", ttl)
	}
	return pause, nil
}

func parsePause(raw []byte, info fs.FileInfo, ttl time.Duration, now time.Time) (*ports.Pause, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		at := info.ModTime()
		if at.After(now.Add(maxAhead)) {
			return nil, fmt.Errorf("it is empty and was changed at %s, which is more than %s ahead", at.UTC().Format(time.RFC3339), maxAhead)
		}
		return &ports.Pause{Reason: byHand, Owner: ownerOf(info), Created: at, Expires: at.Add(ttl)}, nil
	}
	p := new(ports.Pause)
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, fmt.Errorf("it is neither empty nor JSON: %w", err)
	}
	if p.Expires.IsZero() {
		return nil, errors.New("expires_at is missing")
	}
	return p, nil
}

// readBlocked reads blocked-sha. It holds one JSON object a block, as the agent writes them, and lines with a commit, or the digest of an image, alone, as people
// and scripts do. A file that has a single object reads like the file of old, which had no more.
func readBlocked(judge trust.Judge, dir string) ([]ports.Blocked, error) {
	path := filepath.Join(dir, fileBlocked)
	raw, info, err := readOwn(judge, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileFault(err, path)
	}
	blocks, err := parseBlocked(raw, info)
	if err != nil {
		return nil, fault.Wrap(err, fault.Degraded, reasonBroken, "%s is no sentinel", path).
			WithHint("write the whole SHA of a commit into it, in lower case, or the digest of an image (sha256:...), one a line, or JSON with sha, operation, reason and created_at; remove it if nothing must be held back")
	}
	return blocks, nil
}

func parseBlocked(raw []byte, info fs.FileInfo) ([]ports.Blocked, error) {
	var blocks []ports.Blocked
	for left := bytes.TrimSpace(raw); len(left) > 0; left = bytes.TrimSpace(left) {
		b := ports.Blocked{Reason: byHand + ", " + ownerOf(info), Created: info.ModTime()}
		if left[0] == '{' {
			b = ports.Blocked{}
			decoder := json.NewDecoder(bytes.NewReader(left))
			if err := decoder.Decode(&b); err != nil {
				return nil, err
			}
			left = left[decoder.InputOffset():]
		} else {
			line, rest, _ := bytes.Cut(left, []byte("\n"))
			b.SHA, left = strings.TrimSpace(string(line)), rest
		}
		if !blockedPattern.MatchString(b.SHA) {
			return nil, fmt.Errorf("%q is neither a commit nor the digest of an image", cut(b.SHA))
		}
		if !slices.ContainsFunc(blocks, func(known ports.Blocked) bool { return known.SHA == b.SHA }) {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		return nil, errors.New("it is empty")
	}
	return blocks, nil
}

// ownerOf is who wrote a file by hand, in the form of those who call over the local socket.
func ownerOf(info fs.FileInfo) string {
	uid, ok := trust.Owner(info)
	if !ok {
		return "somebody"
	}
	return "local/" + peercred.Name(uint32(uid))
}
