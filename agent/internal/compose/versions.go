package compose

import (
	"context"
	"strings"
	"sync"
	"time"

	"ataraxis.dev/landfall/shared/fault"
	"ataraxis.dev/landfall/shared/process"
)

// versionAge is how long Compose's version is told without asking again: each question costs
// a child, and the plugin is seldom replaced.
const versionAge = time.Minute

// knownVersion is Compose's version as it was last told.
type knownVersion struct {
	mu   sync.Mutex
	text string
	read time.Time
}

func (k *knownVersion) get() (text string, fresh bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.text, time.Since(k.read) < versionAge
}

func (k *knownVersion) set(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.text, k.read = text, time.Now()
}

// Version is the engine's and Compose's version. The engine is asked each time, which tells
// whether it answers; what Compose said is remembered for a minute.
func (c *Compose) Version(ctx context.Context) (engine, compose string, err error) {
	look, cancel := context.WithTimeout(ctx, c.lookTimeout)
	defer cancel()
	v, err := c.docker.ServerVersion(look)
	if err != nil {
		return "", "", engineFault(err)
	}
	if compose, fresh := c.version.get(); fresh {
		return v.Version, compose, checkVersion(compose)
	}
	result, err := process.Run(look, process.Cmd{
		Path: "docker", OwnPath: true, Args: []string{"compose", "version", "--short"}, Env: c.environ(nil), Credential: c.owner.Credential(), CaptureLimit: 1 << 10, Label: "docker compose",
	})
	if err != nil {
		return v.Version, "", fault.Wrap(err, fault.Failed, "COMPOSE_MISSING", "docker compose does not answer").
			WithHint("install the Compose v2 plugin")
	}
	compose = strings.TrimSpace(string(result.Stdout))
	c.version.set(compose)
	return v.Version, compose, checkVersion(compose)
}
