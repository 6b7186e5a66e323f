package e2e

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shopConfig is a fleet made for faults: a service whose script says how it fares, a mounted file, a
// neighbour that no deploy touches, a job that ends, migrations that are scripts.
const shopConfig = `version: 1
project: shop
stacks: {shop: {files: [compose.yml]}}
environment: {REVISION: "${target_sha}"}
migrate: {script: ops/migrate.sh}
flags:
  app: {paths: ["app/**"], actions: [app]}
  side: {paths: ["side/**"], actions: [side]}
  job: {paths: ["job/**"], actions: [job]}
  migrations: {paths: ["migrations/**"]}
actions:
  app:
    - script: app/prepare.sh
    - build: {stack: shop, services: [app]}
    - up: {stack: shop, services: [app], no_deps: true}
  side:
    - recreate: {stack: shop, services: [side], no_deps: true}
  job:
    - up: {stack: shop, services: [job], no_deps: true, force_recreate: true}
verify:
  deadline: 20s
  soak: 300ms
  probes:
    up: {containers: {}}
`

const shopCompose = `services:
  app:
    build: {context: app, args: {BASE_IMAGE: "${BASE_IMAGE}", REVISION: "${REVISION:-none}"}}
    init: true
    restart: unless-stopped
    stop_grace_period: 1s
    healthcheck: {test: [CMD, test, -e, /tmp/healthy], interval: 400ms, timeout: 5s, retries: 200}
  side:
    image: ${BASE_IMAGE}
    init: true
    restart: unless-stopped
    stop_grace_period: 1s
    command: [sleep, "1000000"]
    volumes: ["./side:/side:ro"]
  store:
    image: ${BASE_IMAGE}
    init: true
    restart: unless-stopped
    stop_grace_period: 1s
    command: [sleep, "1000000"]
  job:
    image: ${BASE_IMAGE}
    command: [sh, /job/run.sh]
    volumes: ["./job:/job:ro"]
`

// shopMigrate applies each script of migrations/ once.
const shopMigrate = `#!/bin/sh
set -eu
mkdir -p data
touch data/applied
for file in migrations/*.sh; do
  [ -e "$file" ] || continue
  name=$(basename "$file" .sh)
  grep -qx "$name" data/applied && continue
  sh "$file"
  echo "$name" >>data/applied
  echo "applied $name"
done
`

// serves is the script of an app that becomes healthy at once and stays so.
func serves(edition string) string {
	return "echo " + edition + "\ntouch /tmp/healthy\nexec sleep 1000000\n"
}

// shop is a host of the shop's fleet.
type shop struct{ *host }

// shopFiles is the first edition.
func shopFiles() map[string]string {
	return map[string]string{
		"landfall.yaml":       shopConfig,
		"compose.yml":         shopCompose,
		"app/Dockerfile":      "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG REVISION=none\nLABEL revision=${REVISION}\nCOPY run.sh /run.sh\nCMD [\"sh\", \"/run.sh\"]\n",
		"app/run.sh":          serves("one"),
		"app/prepare.sh":      "#!/bin/sh\necho prepared\n",
		"side/message.txt":    "one\n",
		"job/run.sh":          "echo worked\n",
		"ops/migrate.sh":      shopMigrate,
		"migrations/001_a.sh": ":\n",
		".gitignore":          ".env\ndata/\n",
	}
}

// newShop lays the fleet out, starts it by hand and takes it over. The agent is not started.
func newShop(t *testing.T) *shop {
	t.Helper()
	return newShopOn(t, nil)
}

// newShopOn is newShop on an engine of its own; nil is the machine's.
func newShopOn(t *testing.T, e *engine) *shop {
	t.Helper()
	h := newHost(t, "landfall.yaml", shopFiles())
	h.engine = e
	s := &shop{h}
	t.Cleanup(s.removePins)
	s.open()
	return s
}

// open writes what the host alone knows, starts the fleet and stamps it.
func (s *shop) open() {
	s.t.Helper()
	out, err := exec.Command("../images/busybox.sh").Output()
	if err != nil {
		s.t.Fatalf("scripts/images/busybox.sh: %v", err)
	}
	s.tree.Write(".env", "COMPOSE_PROJECT_NAME="+s.project+"\nBASE_IMAGE="+strings.TrimSpace(string(out))+"\n")
	s.compose("", []string{"REVISION=" + s.tree.Head()}, "up", "--detach", "--build")
	s.eventually(20*time.Second, "the job ends", func() bool {
		return s.docker("inspect", "--format", "{{.State.Status}}", s.project+"-job-1")[0] == "exited"
	})
	s.stamp(s.tree.Head())
}

func (s *shop) removePins() {
	if s.engine != nil {
		return // they go with it
	}
	s.removeContainers() // what they use cannot go
	if left := s.docker("images", "-aq", "--filter", "label=com.docker.compose.project="+s.project); len(left) > 0 {
		slices.Sort(left)
		_ = exec.Command("docker", append([]string{"rmi", "-f"}, slices.Compact(left)...)...).Run() // untagged editions; one may be another's parent
	}
}

// detached starts a deploy and returns once the agent has recorded it.
func (s *shop) detached(sha string) {
	s.t.Helper()
	s.coordinate("deployer", "deploy", "--sha", sha, "--detach", "--config", filepath.Join(s.dev.Dir, s.config)).expect(s.t, 0, "attach op-")
}

// logged waits until the agent has written a text.
func (s *shop) logged(text string, within time.Duration) {
	s.t.Helper()
	s.eventually(within, "the agent logs "+text, func() bool { return strings.Contains(s.agent.log.String(), text) })
}

// kill ends the agent as a power cut would.
func (s *shop) kill() {
	s.t.Helper()
	if err := s.agent.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	<-s.agent.done
	s.agent = nil
}

// in has failures reported by a subtest; the result puts it back.
func (s *shop) in(t *testing.T) func() {
	old := s.t
	s.t = t
	return func() { s.t = old }
}

// runs starts the main job and returns once the agent has recorded its operation; the result waits for its end.
func (s *shop) runs(sha string) (wait func()) {
	s.t.Helper()
	started := s.count("operation started")
	cmd := s.background("deployer", "run", "--no-gate", "--sha", sha)
	s.await("the operation is recorded", func() bool { return s.count("operation started") > started })
	return func() { _ = cmd.Wait() } // how it ends is read from the journal
}

// background starts the coordinator and lets it run; the caller waits for it.
func (s *shop) background(role string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(bin.coordinator, append(args, "--agent", s.address, "--identity", filepath.Join(s.ids, role))...)
	cmd.Dir = s.dev.Dir
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

// count is how often the agent has written a text.
func (s *shop) count(text string) int { return strings.Count(s.agent.log.String(), text) }

// await is eventually with a finer grain.
func (s *shop) await(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("not within 20 s: %s", what)
		}
	}
}
