// Package e2e tries the real programs on real git, a real Docker Engine with real Compose, a
// real PostgreSQL, over real TLS.
//
// Tests run side by side, but for those that measure. Each has a host of its own: origin, clone, checkout, identities, state and an agent,
// with containers under a project name of its own, and takes all of it down again. What a
// test needs and does not find is a failure, never a skip, but for an engine of its own, which needs
// root; `go test -short` leaves the package out. Start reading at host_test.go, then fleet_test.go.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
)

// bin holds the programs under test, and the folder they are in.
var bin struct{ dir, coordinator, agent string }

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("end-to-end tests are left out by -short")
		os.Exit(0)
	}
	if !isGiven("test.parallel") {
		// They wait more than they work: for stops, soaks, deadlines.
		if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(run(m))
}

func isGiven(name string) bool {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

func run(m *testing.M) int {
	if out, err := exec.Command("docker", "compose", "version").CombinedOutput(); err != nil {
		fmt.Printf("docker compose does not answer: %v\n%s\nrun: make setup\n", err, out)
		return 1
	}
	if out, err := exec.Command("docker", "info").CombinedOutput(); err != nil {
		fmt.Printf("the Docker Engine does not answer: %v\n%s\nrun: make setup\n", err, out)
		return 1
	}
	dir, err := os.MkdirTemp("", "landfall-e2e-bin")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Println(err)
		return 1
	}
	bin.dir = dir
	for name, path := range map[string]*string{"coordinator": &bin.coordinator, "agent": &bin.agent} {
		*path = filepath.Join(dir, "landfall-"+name)
		args := []string{"build", "-o", *path}
		if os.Getenv("GOCOVERDIR") != "" {
			args = append(args, "-cover", "-covermode=atomic", "-coverpkg=ataraxis.dev/landfall/agent/...,ataraxis.dev/landfall/coordinator/...,ataraxis.dev/landfall/shared/...")
		}
		build := exec.Command("go", append(args, "ataraxis.dev/landfall/"+name+"/cmd/landfall-"+name)...)
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Printf("build %s: %v\n%s", name, err, out)
			return 1
		}
	}
	return m.Run()
}
