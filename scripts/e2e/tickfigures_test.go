package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// figureTicks is how many ticks with nothing to do are made.
const figureTicks = 500

// TestFiguresOfTicks prints what convergence costs: `make bench` runs it, and no suite does.
func TestFiguresOfTicks(t *testing.T) {
	if os.Getenv("LANDFALL_FIGURES") == "" {
		t.Skip("figures are made by: make bench")
	}
	a := newAlone(t)
	pid := a.agent.cmd.Process.Pid
	tick := func() time.Duration {
		began := time.Now()
		a.tick("NOTHING", "IN_STEP")
		return time.Since(began)
	}
	peer := func() time.Duration {
		began := time.Now()
		a.tree.Git("fetch", "-q", "origin", "main")
		a.docker("ps", "-a")
		return time.Since(began)
	}
	for range 10 {
		tick()
	}
	var ticks, peers []time.Duration
	cpu, requests := cpuOf(t, pid), len(a.github.Requests())
	const rounds = 30
	for range rounds { // in turns, so that both meet the same machine
		ticks, peers = append(ticks, tick()), append(peers, peer())
	}
	slices.Sort(ticks)
	slices.Sort(peers)
	t.Logf("a tick with nothing to do: %s (median of %d, as the timer calls it), git fetch and docker ps: %s, ratio %.2f; CPU of the agent and its children %s a tick; %d requests to GitHub, 0 to registries",
		ticks[rounds/2].Round(time.Millisecond), rounds, peers[rounds/2].Round(time.Millisecond), float64(ticks[rounds/2])/float64(peers[rounds/2]),
		((cpuOf(t, pid) - cpu) / rounds).Round(time.Millisecond), len(a.github.Requests())-requests)

	rss, written, files := statusOf(t, pid, "VmRSS:"), ioOf(t, pid), fingerprint(t, a.state)+fingerprint(t, a.tree.Dir)
	for range figureTicks {
		tick()
	}
	changed := "no file of state_dir and checkout changed"
	if fingerprint(t, a.state)+fingerprint(t, a.tree.Dir) != files {
		changed = "FILES CHANGED"
	}
	t.Logf("%d ticks: RSS %d kB before, %d kB after; %d bytes written to the disk by the agent; %s", figureTicks, rss, statusOf(t, pid, "VmRSS:"), ioOf(t, pid)-written, changed)

	sha := a.push("live", map[string]string{"front/message.txt": "live\n"})
	a.passes(sha, "success")
	began := time.Now()
	a.tick("DEPLOY", "NEW_COMMIT")
	t.Logf("from a push with green CI, and the tick after it, to live and judged (build, up, soak of 1 s): %s", time.Since(began).Round(10*time.Millisecond))
}

// cpuOf is the time that a process and its ended children had (proc(5): fields 14 to 17 of stat, in ticks of 10 ms).
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+2:]))
	total := 0
	for _, f := range fields[11:15] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return time.Duration(total) * 10 * time.Millisecond
}

// statusOf is a number of /proc/PID/status.
func statusOf(t *testing.T, pid int, key string) int { return numberIn(t, pid, "status", key) }

// ioOf is how many bytes a process caused to be written to a disk.
func ioOf(t *testing.T, pid int) int { return numberIn(t, pid, "io", "write_bytes:") }

func numberIn(t *testing.T, pid int, file, key string) int {
	t.Helper()
	out, err := exec.Command("sh", "-c", fmt.Sprintf("awk '$1 == \"%s\" {print $2}' /proc/%d/%s", key, pid, file)).Output()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
