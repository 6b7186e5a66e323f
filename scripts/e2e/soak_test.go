package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The soak deploys good and bad commits in turn. soakShort is what every run of the tests
// does; LANDFALL_SOAK=200 asks for the long form.
const (
	soakShort = 20
	soakFor   = 15 * time.Minute // a slow machine ends the soak early, and says so
)

// soakConfig is one service, without a build: what a deploy costs here is the agent's own work.
const soakConfig = `version: 1
project: soak
stacks: {all: {files: [compose.yml]}}
flags:
  settings: {paths: ["settings/**"], actions: [settings]}
actions:
  settings:
    - recreate: {stack: all, services: [app], no_deps: true}
verify:
  deadline: 5s
  soak: 0s
  probes:
    up: {containers: {}}
    answers: {http: {url: "http://%s/healthz"}}
rollback: {probes: [up, answers]}
`

// soakCompose is a service that crashes when its message says so, and does not even start
// without its program.
const soakCompose = `services:
  app:
    image: ${BASE_IMAGE}
    init: true
    stop_grace_period: 1s
    entrypoint: [/service]
    command: [serve, --name, app, --message, /settings/message.txt]
    ports: ["${ADDRESS}:8080"]
    volumes: ["./settings:/settings:ro"]
`

// gauges are what must not grow.
type gauges struct {
	rss     int64 // KiB
	files   int   // open file descriptors
	threads int
	journal int64 // bytes of journal.db
}

func (g gauges) String() string {
	return fmt.Sprintf("%7d %6d %8d %9d", g.rss, g.files, g.threads, g.journal>>10)
}

// gauges reads the agent's from the kernel.
func (h *host) gauges() gauges {
	h.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", h.agent.cmd.Process.Pid)
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		h.t.Fatal(err)
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		h.t.Fatal(err)
	}
	journal, err := os.Stat(filepath.Join(h.state, "journal.db"))
	if err != nil {
		h.t.Fatal(err)
	}
	g := gauges{files: len(fds), journal: journal.Size()}
	for _, line := range strings.Split(string(status), "\n") {
		name, rest, _ := strings.Cut(line, ":")
		number, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch {
		case err != nil:
		case name == "VmRSS":
			g.rss = number
		case name == "Threads":
			g.threads = int(number)
		}
	}
	return g
}

// rested waits until what a deploy leaves open for a moment is closed, connections of the
// coordinator that has just ended, and reads the gauges.
func (h *host) rested(files int) gauges {
	h.t.Helper()
	g := h.gauges()
	deadline, tick := time.After(10*time.Second), time.NewTicker(100*time.Millisecond)
	defer tick.Stop()
	for files > 0 && g.files > files {
		select {
		case <-tick.C:
			g = h.gauges()
		case <-deadline:
			return g
		}
	}
	return g
}

// A host that deploys all day does not wear out: memory, file descriptors, threads and
// journal stay flat while good and bad commits alternate.
func TestSoak(t *testing.T) {
	rounds := soakShort
	if text := os.Getenv("LANDFALL_SOAK"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < soakShort {
			t.Fatalf("LANDFALL_SOAK must be a number of deploys, at least %d: %q", soakShort, text)
		}
	}
	keep := max(5, rounds/10) // operations in the journal
	warmUp := 2 * keep
	address := freeAddress(t)
	h := newHost(t, "landfall.yaml", map[string]string{
		"landfall.yaml": fmt.Sprintf(soakConfig, address), "compose.yml": soakCompose, ".gitignore": ".env\n", "settings/message.txt": "before the soak\n",
	})
	h.tree.Write(".env", "COMPOSE_PROJECT_NAME="+h.project+"\nADDRESS="+address+"\nBASE_IMAGE="+baseImage(t)+"\n")
	h.compose("", nil, "up", "--detach")
	h.stamp(h.tree.Head())
	h.startAgent(fmt.Sprintf("limits: {journal_keep: %d, min_free_disk: 64MiB, min_available_memory: 16MiB}", keep))

	t.Logf("deploys   RSS/KiB  files  threads  journal/KiB  seconds")
	began, idle, warm := time.Now(), h.rested(0), gauges{}
	t.Logf("%7d  %s  %7.1f", 0, idle, 0.0)
	done := 0
	for ; done < rounds && time.Since(began) < soakFor; done++ {
		h.soakDeploy(done)
		if n := done + 1; n%20 == 0 || n == warmUp || n == rounds {
			g := h.rested(warm.files)
			t.Logf("%7d  %s  %7.1f", n, g, time.Since(began).Seconds())
			if n == warmUp {
				warm = g
			}
		}
		if t.Failed() {
			return
		}
	}
	if done < rounds {
		t.Logf("%d of %d deploys within %s", done, rounds, soakFor)
	}
	end := h.rested(warm.files)
	t.Logf("%d deploys, %s each", done, (time.Since(began) / time.Duration(done)).Round(time.Millisecond))
	if end.files > warm.files || end.threads > warm.threads+8 {
		t.Errorf("%d files and %d threads after %d deploys, %d and %d after %d", end.files, end.threads, done, warm.files, warm.threads, warmUp)
	}
	if end.rss > warm.rss*3/2+16<<10 {
		t.Errorf("%d KiB of memory after %d deploys, %d after %d", end.rss, done, warm.rss, warmUp)
	}
	if end.journal > 2*warm.journal {
		t.Errorf("the journal has %d bytes after %d deploys, %d after %d", end.journal, done, warm.journal, warmUp)
	}
}

// soakDeploy deploys a good commit, or in every other round one that crashes or does not start.
func (h *host) soakDeploy(round int) {
	h.t.Helper()
	files := map[string]string{"settings/message.txt": fmt.Sprintf("round %d\n", round), "settings/round.txt": fmt.Sprintln(round), "compose.yml": soakCompose}
	code, state := 0, "SUCCEEDED"
	switch round % 4 {
	case 1:
		files["settings/message.txt"] = "fault: crash\n"
		code, state = 4, "ROLLED_BACK"
	case 3:
		files["compose.yml"] = strings.Replace(soakCompose, "[/service]", "[/no-such-program]", 1)
		code, state = 4, "ROLLED_BACK"
	}
	stamp := h.readStamp()
	sha := h.push(fmt.Sprintf("round %d", round), files)
	h.deploys(sha, code, state)
	if code == 0 {
		stamp = sha
	}
	if h.readStamp() != stamp || h.tree.Head() != stamp {
		h.t.Errorf("round %d: stamp %s, HEAD %s, want %s", round, h.readStamp(), h.tree.Head(), stamp)
	}
}
