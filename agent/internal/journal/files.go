package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"ataraxis.dev/landfall/agent/internal/operation"
	"ataraxis.dev/landfall/shared/fault"
)

// The operators' files in state_dir. Their names are the contract with scripts.
const (
	fileStamp   = "last-successful-deploy-sha"
	filePause   = "gitops-paused"
	fileBlocked = "blocked-sha"
)

var shaPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Stamp implements operation.Stamp.
func (j *Journal) Stamp() (string, time.Time, error) {
	path := filepath.Join(j.dir, fileStamp)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", time.Time{}, nil
	}
	if err != nil {
		return "", time.Time{}, fileFault(err, path)
	}
	info, err := os.Stat(path)
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

// SetStamp implements operation.Stamp.
func (j *Journal) SetStamp(sha string) error {
	path := filepath.Join(j.dir, fileStamp)
	if !shaPattern.MatchString(sha) {
		return fault.New(fault.Internal, "STAMP_BROKEN", "%q is no commit", cut(sha))
	}
	return fileFault(replaceFile(path, []byte(sha+"\n")), path)
}

// Pause implements operation.Sentinels.
func (j *Journal) Pause() (*operation.Pause, error) {
	return readSentinel(j, filePause, func(p *operation.Pause) string {
		if p.Expires.IsZero() {
			return "expires_at is missing"
		}
		return ""
	})
}

// SetPause implements operation.Sentinels.
func (j *Journal) SetPause(p *operation.Pause) error { return writeSentinel(j, filePause, p) }

// Blocked implements operation.Sentinels.
func (j *Journal) Blocked() (*operation.Blocked, error) {
	return readSentinel(j, fileBlocked, func(b *operation.Blocked) string {
		if !shaPattern.MatchString(b.SHA) {
			return fmt.Sprintf("sha %q is no commit", cut(b.SHA))
		}
		return ""
	})
}

// SetBlocked implements operation.Sentinels.
func (j *Journal) SetBlocked(b *operation.Blocked) error { return writeSentinel(j, fileBlocked, b) }

// readSentinel reads a sentinel, nil when there is none. One that cannot be read is an
// error: it must not count as absent, since it is there to keep something from happening.
// check says what is wrong with the content, "" when nothing is.
func readSentinel[T any](j *Journal, name string, check func(*T) string) (*T, error) {
	path := filepath.Join(j.dir, name)
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fileFault(err, path)
	}
	v := new(T)
	err = json.Unmarshal(raw, v)
	if err == nil {
		if why := check(v); why != "" {
			err = errors.New(why)
		}
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Degraded, "SENTINEL_BROKEN", "%s is no sentinel", path).WithHint("remove it if nothing must be held back")
	}
	return v, nil
}

func writeSentinel[T any](j *Journal, name string, v *T) error {
	path := filepath.Join(j.dir, name)
	if v == nil {
		return fileFault(removeFile(path), path)
	}
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fileFault(err, path)
	}
	return fileFault(replaceFile(path, append(raw, '\n')), path)
}

func fileFault(err error, path string) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(err, fault.Degraded, "STATE_FILE", "%s", path).WithHint("check the disk and the owner of state_dir")
}

func cut(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
