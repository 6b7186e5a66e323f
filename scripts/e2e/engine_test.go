package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a Docker Engine of a test's own, which may be ended and started as often as wanted. It lives in
// namespaces of its own: its bridges are not the machine's, its mounts nobody else's, and with the first process
// of its namespaces everything ends that it ever started.
type engine struct {
	t      *testing.T
	dir    string
	first  int // the first process of its namespaces
	cgroup string
	daemon *exec.Cmd // that waits for dockerd
	pid    int       // of dockerd
	ended  chan struct{}
	log    lockedBuffer
}

// newEngine starts an engine that has the image of the shop. It skips where there can be none.
func newEngine(t *testing.T) *engine {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("an engine of one's own needs Linux and root")
	}
	for _, program := range []string{"dockerd", "unshare", "nsenter", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("an engine of one's own needs the program %s", program)
		}
	}
	e := &engine{t: t, dir: shortDir(t)}
	e.cgroup = "landfall-e2e-" + filepath.Base(e.dir)
	if err := os.WriteFile(filepath.Join(e.dir, "daemon.json"), []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e.unshare()
	e.start()
	image := strings.TrimSpace(run1(t, nil, "../images/busybox.sh"))
	archive := filepath.Join(e.dir, "image.tar")
	run1(t, nil, "docker", "save", "--output", archive, image)
	run1(t, []string{"DOCKER_HOST=" + e.address()}, "docker", "load", "--input", archive)
	return e
}

// run1 runs one program to its good end and returns what it printed.
func run1(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, errs.String())
	}
	return string(out)
}

// address is what DOCKER_HOST says.
func (e *engine) address() string { return "unix://" + e.dir + "/docker.sock" }

// unshare makes the namespaces. A machine's containerd is hidden: dockerd would use it, and
// two engines on one containerd take each other's containers for their own.
func (e *engine) unshare() {
	e.t.Helper()
	holder := exec.Command("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c",
		"ip link set lo up; [ ! -d /run/containerd ] || mount -t tmpfs tmpfs /run/containerd; sleep 1000000 & echo ready; wait")
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said lockedBuffer
	holder.Stdout, holder.Stderr = &said, &said
	if err := holder.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		if e.daemon != nil {
			e.removeAll()
			e.end(syscall.SIGTERM)
		}
		_ = holder.Process.Kill() // and with it all that is left
		_ = holder.Wait()         // it was killed
		e.removeGroups()
	})
	eventually(e.t, 20*time.Second, "namespaces of its own", func() bool { return strings.Contains(said.String(), "ready") })
	e.first = child(e.t, holder.Process.Pid)
}

// child is the one child of a process.
func child(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	found, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatalf("the children of %d: %q", pid, raw)
	}
	return found
}

// start starts dockerd and waits until it answers.
func (e *engine) start() {
	e.t.Helper()
	at := func(name string) string { return filepath.Join(e.dir, name) }
	e.daemon = exec.Command("nsenter", "--target", fmt.Sprint(e.first), "--net", "--pid", "--mount",
		"dockerd", "--config-file", at("daemon.json"), "--data-root", at("data"), "--exec-root", at("exec"), "--pidfile", at("pid"), "--host", e.address(),
		"--iptables=false", "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/"+e.cgroup)
	e.daemon.Stdout, e.daemon.Stderr = &e.log, &e.log
	if err := e.daemon.Start(); err != nil {
		e.t.Fatal(err)
	}
	daemon, ended := e.daemon, make(chan struct{})
	e.ended = ended
	go func() {
		_ = daemon.Wait() // how it ended does not matter
		close(ended)
	}()
	eventually(e.t, 60*time.Second, "the engine answers", func() bool {
		select {
		case <-ended:
			e.t.Fatalf("the engine ended:\n%s", e.log.String())
		default:
		}
		ask := exec.Command("docker", "version")
		ask.Env = append(os.Environ(), "DOCKER_HOST="+e.address())
		return ask.Run() == nil
	})
	e.pid = child(e.t, daemon.Process.Pid)
}

// end ends dockerd by a signal and waits until it is gone.
func (e *engine) end(signal syscall.Signal) {
	e.t.Helper()
	if err := syscall.Kill(e.pid, signal); err != nil {
		e.t.Errorf("end the engine: %v", err)
	}
	select {
	case <-e.ended:
	case <-time.After(40 * time.Second):
		e.t.Errorf("the engine did not end within 40 s:\n%s", e.log.String())
	}
	e.daemon = nil
}

// removeAll removes every container, so that nothing of theirs is left in the machine's control groups.
func (e *engine) removeAll() {
	docker := func(args ...string) string {
		cmd := exec.Command("docker", args...)
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.address())
		out, _ := cmd.Output() // what it could not do is found by removeGroups
		return string(out)
	}
	if ids := strings.Fields(docker("ps", "-aq")); len(ids) > 0 {
		docker(append([]string{"rm", "--force", "--volumes"}, ids...)...)
	}
}

// removeGroups removes the control groups of the engine's containers, in each hierarchy.
func (e *engine) removeGroups() {
	e.t.Helper()
	var roots []string
	for _, pattern := range []string{"/sys/fs/cgroup/" + e.cgroup, "/sys/fs/cgroup/*/" + e.cgroup} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			e.t.Fatal(err)
		}
		roots = append(roots, found...)
	}
	eventually(e.t, 20*time.Second, "the control groups go", func() bool {
		left := 0
		for _, root := range roots {
			var dirs []string
			_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			}) // the kernel may be removing them, too
			for _, dir := range slices.Backward(dirs) {
				if err := syscall.Rmdir(dir); err != nil && err != syscall.ENOENT {
					left++
				}
			}
		}
		return left == 0
	})
}
