package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/ports"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/trust"
)

// The operators' files in state_dir. Their names are the contract with scripts.
const (
	fileStamp   = "last-successful-deploy-sha"
	filePause   = "gitops-paused"
	fileBlocked = "blocked-sha"
)

// fileTold is what people were told and what waits to be delivered; nobody but the agent writes it.
const fileTold = "notifications.json"

var shaPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// blockedPattern is what may be blocked: a commit, or an image by its digest.
var blockedPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64}|sha256:[0-9a-f]{64})$`)

// Stamp implements ports.Stamp.
func (j *Journal) Stamp() (string, time.Time, error) {
	path := filepath.Join(j.dir, fileStamp)
	raw, info, err := readOwn(trust.Us(), path)
	if errors.Is(err, os.ErrNotExist) {
		return "", time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, fileFault(err, path)
	}
	sha := strings.TrimSpace(string(raw))
	if !shaPattern.MatchString(sha) {
		return "", time.Time{}, fault.New(fault.Degraded, "STAMP_BROKEN", "%s holds no commit: %q", path, cut(sha)).
			WithHint("write the commit that runs into it, or remove it: then the next deploy does everything")
	}
	return sha, info.ModTime(), nil
}

// SetStamp implements ports.Stamp.
func (j *Journal) SetStamp(sha string) error {
	path := filepath.Join(j.dir, fileStamp)
	if !shaPattern.MatchString(sha) {
		return fault.New(fault.Internal, "STAMP_BROKEN", "%q is no commit", cut(sha))
	}
	return fileFault(j.disk.replaceFile(path, []byte(sha+"\n")), path)
}

// ChangePause implements ports.Sentinels.
func (j *Journal) ChangePause(change func(*ports.Pause) *ports.Pause) error {
	j.sentinels.Lock()
	defer j.sentinels.Unlock()
	was, err := j.Pause()
	if err != nil {
		if fault.ReasonOf(err) == "SENTINEL_BROKEN" && change(nil) == nil {
			return fileFault(j.disk.removeFile(filepath.Join(j.dir, filePause)), filePause) // to remove it repairs it
		}
		return err
	}
	var own *ports.Pause
	if was != nil {
		p := *was
		own = &p
	}
	now := change(own)
	if reflect.DeepEqual(was, now) {
		return nil
	}
	path := filepath.Join(j.dir, filePause)
	if now == nil {
		return fileFault(j.disk.removeFile(path), path)
	}
	raw, err := json.MarshalIndent(now, "", "  ")
	if err != nil {
		return fileFault(err, path)
	}
	return fileFault(j.disk.replaceFile(path, append(raw, '\n')), path)
}

// ChangeBlocked implements ports.Sentinels.
func (j *Journal) ChangeBlocked(change func([]ports.Blocked) []ports.Blocked) error {
	j.sentinels.Lock()
	defer j.sentinels.Unlock()
	was, err := j.Blocked()
	if err != nil {
		return err
	}
	now := change(slices.Clone(was))
	if reflect.DeepEqual(was, now) {
		return nil
	}
	path := filepath.Join(j.dir, fileBlocked)
	if len(now) == 0 {
		return fileFault(j.disk.removeFile(path), path)
	}
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false)
	for _, b := range now {
		if err := encoder.Encode(b); err != nil {
			return fileFault(err, path)
		}
	}
	return fileFault(j.disk.replaceFile(path, raw.Bytes()), path)
}

// Told reads what people were told; nothing when there is no record of it.
func (j *Journal) Told() ([]byte, error) {
	path := filepath.Join(j.dir, fileTold)
	raw, _, err := readOwn(trust.Us(), path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return raw, fileFault(err, path)
}

// SetTold replaces it durably. More than Told would read is refused.
func (j *Journal) SetTold(raw []byte) error {
	path := filepath.Join(j.dir, fileTold)
	if len(raw) > maxSentinel {
		return fault.New(fault.Internal, "TOLD_TOO_LARGE", "what people were told has %d bytes, more than %d", len(raw), maxSentinel)
	}
	return fileFault(j.disk.replaceFile(path, raw), path)
}

func fileFault(err error, path string) error {
	if err == nil {
		return nil
	}
	if trust.Untrusted(err) { // it says what is wrong, and the command that mends it
		return fault.Wrap(err, fault.Degraded, "STATE_FILE", "a file of state_dir is not believed")
	}
	return fault.Wrap(err, fault.Degraded, "STATE_FILE", "%s", path).WithHint("check the disk and the owner of state_dir")
}

func cut(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
